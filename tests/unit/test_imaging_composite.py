"""The algebra of layers: by hand, and exact for whatever comes."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from penumbra_engine.imaging.composite import over, share_out, visibility


def pixel(*values: float) -> Tensor:
    """A picture of one pixel, C x 1 x 1."""
    return torch.tensor(values)[:, None, None]


def grey(value: float) -> Tensor:
    return pixel(value, value, value)


def test_the_first_layer_is_in_front() -> None:
    front, back = pixel(0.5, 0.0, 0.0, 0.5), pixel(0.0, 1.0, 0.0, 1.0)
    assert over(torch.stack([front, back]), grey(7)).flatten().tolist() == [0.5, 0.5, 0.0]
    assert over(torch.stack([back, front]), grey(7)).flatten().tolist() == [0.0, 1.0, 0.0]


def test_light_may_be_added_without_alpha() -> None:
    assert over(pixel(0.25, 0.5, 1.0, 0.0)[None], grey(1)).flatten().tolist() == [1.25, 1.5, 2.0]


def test_no_layers_leave_the_background() -> None:
    assert torch.equal(over(torch.zeros(0, 4, 1, 1), grey(3)), grey(3))


def test_visibility_is_what_those_in_front_let_through() -> None:
    seen = visibility(pixel(0.5, 0.75, 0.0, 1.0))
    assert seen.flatten().tolist() == [1.0, 0.5, 0.125, 0.125, 0.0]


def test_a_shadow_has_no_colour() -> None:
    background = pixel(0.5, 0.25, 2.0)
    layers, _ = share_out(0.25 * background, background, pixel(0.75)[None, 0], torch.zeros(1, 1, 1))
    assert layers.flatten().tolist() == [0.0, 0.0, 0.0, 0.75]


def test_an_object_has_what_the_background_does_not_explain() -> None:
    layers, _ = share_out(pixel(0.5, 0.1, 0.1), grey(0.2), torch.full((1, 1, 1), 0.5), torch.full((1, 1, 1), 0.5))
    torch.testing.assert_close(layers[0, :3], pixel(0.4, 0.0, 0.0))


def test_two_effects_share_by_their_visible_alpha() -> None:
    half = pixel(0.5, 0.5)
    layers, _ = share_out(grey(1), grey(0), half, torch.zeros_like(half))
    # Seen are 1/2 of the front and 1/4 of the back one: they show 2/3 and 1/3, the back one through a half.
    torch.testing.assert_close(layers[:, 0].flatten(), torch.tensor([2 / 3, 2 / 3]))


def test_an_effect_over_an_object_takes_next_to_nothing_of_its_colour() -> None:
    alphas, solid = pixel(0.5, 1.0), pixel(0.0, 0.5)  # a shadow before an object that is half seen through it
    layers, background = share_out(pixel(0.4, 0.2, 0.1), grey(0.6), alphas, solid)
    assert (layers[0, :3] <= 0.02 * pixel(0.4, 0.2, 0.1)).all()
    torch.testing.assert_close(over(layers, background), pixel(0.4, 0.2, 0.1))


def test_what_an_opaque_layer_hides_gets_no_colour() -> None:
    layers, _ = share_out(grey(0.4), grey(0.6), pixel(1.0, 1.0), pixel(1.0, 1.0))
    assert layers[:, 0].flatten().tolist() == [torch.tensor(0.4).item(), 0.0]


def test_the_background_is_the_plate_where_no_layer_has_alpha() -> None:
    plate = torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(0))
    alphas = torch.zeros(2, 4, 6)
    alphas[1, :2, :3] = 0.3
    layers, background = share_out(plate, plate + 1, alphas, torch.ones_like(alphas))
    covered = alphas[1] > 0
    assert torch.equal(background[:, ~covered], plate[:, ~covered]) and not layers[:, :, ~covered].any()
    assert torch.equal(background[:, covered], plate[:, covered] + 1)


def any_alpha(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """A third 0, a third 1 or as good as 0 or 1, a third between."""
    extremes = torch.tensor([0.0, 0.0, 0.0, 1.0, 1 / 512, 1 - 2**-11])
    kind = torch.randint(9, shape, generator=random)
    return torch.where(kind < 6, extremes[kind.clamp(max=5)], torch.rand(shape, generator=random))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(1, 6),
    brightest=st.sampled_from([0.05, 1.0, 1000.0]),
)
def test_the_plate_comes_back(seed: int, count: int, brightest: float) -> None:
    random = torch.Generator().manual_seed(seed)
    plate, background = (brightest * (torch.rand(3, 12, 12, generator=random) * 1.3 - 0.3) for _ in range(2))
    alphas = any_alpha((count, 12, 12), random)
    solid = any_alpha((count, 12, 12), random) * visibility(alphas)[:-1]
    layers, behind = share_out(plate, background, alphas, solid)
    assert torch.equal(layers[:, 3], alphas)
    scale = torch.stack([plate.abs(), layers[:, :3].abs().amax(0), behind.abs()]).amax(0).clamp(min=1)
    assert ((over(layers, behind) - plate).abs() / scale).max() < 1e-5
    # No colour is made up: a layer holds at most what it would have to show alone through those in front of it.
    room = visibility(alphas)[:-1].clamp(min=1e-12)[:, None]
    missed = plate - visibility(alphas)[-1] * background
    assert (layers[:, :3].abs() * room <= missed.abs() * (1 + 1e-5) + 1e-12).all()
