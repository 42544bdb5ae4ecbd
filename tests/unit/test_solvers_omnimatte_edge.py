"""The edge of an object over a known background, on discs whose alpha is known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from penumbra_engine.imaging.filters import box
from penumbra_engine.matting.triangulation import triangulation
from penumbra_engine.solvers.omnimatte.edge import ROUNDS, light_under, rough_trimap, solve_edge

SIDE, BAND, SIGMA, SHADOW = 96, 8.0, 0.005, 0.6


def wall() -> Tensor:
    random = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    return 0.35 + 0.8 * box(random - 0.5, 1)[0]


def disc(softness: float, shade: Tensor, mottled: float = 0.0) -> tuple[Tensor, Tensor, np.ndarray]:
    """A picture of a disc before a wall on which light is `shade`, its alpha, and a rough mask of it."""
    random = torch.Generator().manual_seed(3)
    y, x = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
    distance = torch.hypot(x - SIDE / 2, y - SIDE / 2) - 30
    alpha = (0.5 - distance / softness).clamp(0, 1)
    colour = torch.tensor([0.8, 0.2, 0.1])[:, None, None] * (1 + mottled * torch.randn(SIDE, SIDE, generator=random))
    picture = alpha * colour + (1 - alpha) * shade * wall()
    rough = torch.hypot(x - SIDE / 2 - 2, y - SIDE / 2) < 29
    return picture + SIGMA * torch.randn(picture.shape, generator=random), alpha, rough.numpy()


def solve(picture: Tensor, shade: Tensor, mask: np.ndarray, rounds: int = ROUNDS) -> Tensor:
    variance = torch.full((SIDE, SIDE), SIGMA**2)
    behind = wall() * light_under(shade.expand(3, -1, -1), mask, BAND)
    return solve_edge(picture, behind, variance, mask, BAND, rounds=rounds)


@pytest.mark.parametrize("softness, mottled", [(1.0, 0.0), (4.0, 0.0), (4.0, 0.05)])
def test_an_edge_is_as_soft_as_it_is(softness: float, mottled: float) -> None:
    lit = torch.ones(SIDE, SIDE)
    picture, alpha, mask = disc(softness, lit, mottled)
    near = (alpha > 0) & (alpha < 1) | (torch.from_numpy(mask) != (alpha > 0.5))
    before = (torch.from_numpy(mask).float() - alpha)[near].abs().mean()
    assert (solve(picture, lit, mask) - alpha)[near].abs().mean() < min(0.05, before / 4)


def test_a_shadow_beside_the_object_is_no_object() -> None:
    shade = torch.where(torch.arange(SIDE) > SIDE // 2, SHADOW, 1.0).expand(SIDE, SIDE)
    picture, alpha, mask = disc(4.0, shade)
    found = solve(picture, shade, mask)
    assert (found - alpha)[(alpha > 0) & (alpha < 1)].abs().mean() < 0.05
    assert found[(alpha == 0) & (shade < 1)].mean() < 0.01


def test_an_edge_softer_than_the_band_is_followed_inwards() -> None:
    lit = torch.ones(SIDE, SIDE)
    picture, alpha, mask = disc(36.0, lit)
    found = solve(picture, lit, mask)
    deep = (alpha < 0.9) & torch.from_numpy(mask) & (alpha > 0.75)  # more than the band inside the mask
    assert (found - alpha)[deep].abs().mean() < 0.7 * (1 - alpha)[deep].mean()
    once = solve(picture, lit, mask, rounds=1)
    assert (once[deep] == 1).float().mean() > (found[deep] == 1).float().mean() + 0.3, "it reaches as far as the band"


def test_a_mask_that_leaves_nothing_out_or_holds_nothing_is_the_answer() -> None:
    lit = torch.ones(SIDE, SIDE)
    picture, _, mask = disc(4.0, lit)
    for value in (0.0, 1.0):
        assert torch.equal(solve(picture, lit, np.full_like(mask, bool(value))), torch.full((SIDE, SIDE), value))


def test_an_object_nearly_as_large_as_the_frame_has_an_edge() -> None:
    lit = torch.ones(SIDE, SIDE)
    picture = wall()
    picture[:, 2:-2, 2:-2] = torch.tensor([0.8, 0.2, 0.1])[:, None, None]
    mask = np.ones((SIDE, SIDE), bool)
    mask[:2] = mask[-2:] = mask[:, :2] = mask[:, -2:] = False
    found = solve(picture, lit, mask)
    assert found[8:-8, 8:-8].min() > 0.99 and found[0].max() < 0.1


def test_a_part_beside_the_edge_that_is_known_to_show_its_own_colour_is_solid() -> None:
    """A pole of another colour than the disc that holds it: of colours deep inside the mask there is none like it."""
    lit = torch.ones(SIDE, SIDE)
    picture, alpha, mask = disc(4.0, lit)
    pole = np.zeros((SIDE, SIDE), bool)
    pole[4:18, 46:50] = True
    picture[:, torch.from_numpy(pole)] = 0.02
    variance = torch.full((SIDE, SIDE), SIGMA**2)
    without, with_it = (solve_edge(picture, wall(), variance, mask | pole, BAND, shown=shown) for shown in (None, pole))
    assert with_it[pole].mean() > 0.95 and with_it[pole].mean() > without[pole].mean()
    assert with_it[:, :38][alpha[:, :38] == 0].mean() < 0.01


def test_other_frames_are_heard_where_colours_say_nothing() -> None:
    """A disc of the wall's own colour, which was before another wall a frame ago."""
    _, alpha, mask = disc(8.0, torch.ones(SIDE, SIDE))
    random = torch.Generator().manual_seed(4)
    plain = torch.full((3, SIDE, SIDE), 0.4)
    picture, other = (plain + SIGMA * torch.randn(plain.shape, generator=random) for _ in range(2))
    beside = alpha * plain + (1 - alpha) * wall() + (other - plain)
    variance = torch.full((SIDE, SIDE), SIGMA**2)
    told = triangulation(picture, plain, [(beside, wall(), 2 * variance)])
    near = (alpha > 0) & (alpha < 1)
    with_it, without = (
        (solve_edge(picture, plain, variance, mask, BAND, told=of) - alpha)[near].abs().mean() for of in (told, None)
    )
    assert with_it < 0.1 and with_it < without / 2


def test_a_rough_mask_leaves_a_band_in_doubt() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[30:60, 30:60] = True
    trimap = rough_trimap(mask, BAND)
    assert trimap[45, [20, 24, 28, 31, 36, 45]].tolist() == [0, 0.5, 0.5, 0.5, 1, 1]
    assert rough_trimap(np.zeros_like(mask), BAND).max() == 0 and rough_trimap(np.ones_like(mask), BAND).min() == 1
