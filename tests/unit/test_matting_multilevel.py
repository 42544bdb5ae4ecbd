"""Foreground colours from a picture and its alpha."""

import pytest
import torch

from penumbra_engine.errors import InputError
from penumbra_engine.matting.by_name import FOREGROUND
from penumbra_engine.matting.closed_form_foreground import closed_form_foreground
from penumbra_engine.matting.multilevel import multilevel

SIDE = 48


def scene() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A soft disc of one colour brighter than white over another: picture, alpha, their colours."""
    y, x = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
    alpha = ((16 - torch.hypot(y - 24, x - 24)) / 6).clamp(0, 1)[None, None]
    front, back = torch.tensor([2.0, 0.5, 0.1])[:, None, None], torch.tensor([-0.1, 0.4, 0.7])[:, None, None]
    return alpha * front + (1 - alpha) * back, alpha, front, back


@pytest.mark.parametrize("name", FOREGROUND)
def test_two_plain_colours_are_found_wherever_they_show(name: str) -> None:
    picture, alpha, front, back = scene()
    colours = FOREGROUND[name](picture, alpha)
    assert ((colours.foreground - front).abs() * alpha).max() < 0.02
    assert ((colours.background - back).abs() * (1 - alpha)).max() < 0.02


@pytest.mark.parametrize("name", FOREGROUND)
def test_the_colours_compose_to_the_picture(name: str) -> None:
    picture, alpha, _, _ = scene()
    random = torch.Generator().manual_seed(1)
    picture = picture + 0.05 * torch.rand(picture.shape, generator=random)
    colours = FOREGROUND[name](picture, alpha)
    composed = alpha * colours.foreground + (1 - alpha) * colours.background
    assert (composed - picture).abs().max() < 0.02
    if name == "multi-level":  # closed form weighs the composite against smoothness to the end
        assert (composed - picture).abs().mean() < 1e-4


@pytest.mark.parametrize("name", FOREGROUND)
def test_colours_stay_within_the_pictures_range(name: str) -> None:
    picture, alpha, _, _ = scene()
    colours = FOREGROUND[name](picture, 1 - alpha)  # an alpha that contradicts the picture
    for side in colours:
        assert side.max() <= picture.max() and side.min() >= picture.min()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_alpha_gives_finite_colours(value: float) -> None:
    picture, alpha, _, _ = scene()
    colours = multilevel(picture, torch.full_like(alpha, value))
    assert colours.foreground.isfinite().all() and colours.background.isfinite().all()
    shown = colours.foreground if value else colours.background
    assert (shown - picture).abs().max() < 1e-3


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (33, 2), (37, 53)])
def test_any_size_composes_to_the_picture(height: int, width: int) -> None:
    random = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, height, width, generator=random)
    alpha = (torch.rand(1, 1, height, width, generator=random) * 2 - 0.5).clamp(0, 1)
    colours = multilevel(picture, alpha)
    composed = alpha * colours.foreground + (1 - alpha) * colours.background
    assert (composed - picture).abs().mean() < 1e-2


def test_colours_spread_through_a_matte_that_is_solid_at_its_middle_alone() -> None:
    """What is hidden has to give way: from the few solid pixels, and from around, through all that is soft."""
    side = 128
    y, x = torch.meshgrid(torch.arange(float(side)), torch.arange(float(side)), indexing="ij")
    alpha = (1 - torch.hypot(y - 64, x - 64) / 60).clamp(0, 1)[None, None]
    front, back = torch.tensor([1.0, 0.5, 0.1])[:, None, None], torch.tensor([0.1, 0.4, 0.7])[:, None, None]
    found = multilevel(alpha * front + (1 - alpha) * back, alpha).foreground
    assert ((found - front).abs() * alpha).mean() < 0.003 * alpha.mean()


def test_closed_form_is_the_least_squares_of_pixels_and_their_neighbours() -> None:
    """Two pixels: alpha 1 and 0 of colours 1 and 0. With weight w between them nothing pulls F or B apart."""
    picture, alpha = torch.tensor([1.0, 0.0]).expand(1, 3, 1, 2), torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    colours = closed_form_foreground(picture, alpha, tolerance=1e-9)
    assert torch.allclose(colours.foreground, torch.ones(1, 3, 1, 2), atol=1e-5)
    assert torch.allclose(colours.background, torch.zeros(1, 3, 1, 2), atol=1e-5)


def test_frames_together_are_frames_one_by_one() -> None:
    picture, alpha, _, _ = scene()
    picture, alpha = torch.cat([picture, picture.flip(-1) * 0.5]), torch.cat([alpha, alpha.roll(3, -1)])
    together = multilevel(picture, alpha)
    for t in range(2):
        alone = multilevel(picture[t : t + 1], alpha[t : t + 1])
        assert torch.equal(together.foreground[t], alone.foreground[0])
        assert torch.equal(together.background[t], alone.background[0])


def test_one_alpha_for_two_pictures_is_refused() -> None:
    picture, alpha, _, _ = scene()
    with pytest.raises(InputError, match="one for each frame"):
        multilevel(picture.repeat(2, 1, 1, 1), alpha)
