"""What differs from a background, and what only seems to."""

import pytest
import torch
from torch import Tensor

from penumbra_engine.imaging.disturbance import disturbance, slope, unevenness, unlike_a_shadow, unlike_in_colour
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.imaging.warp import warp

NOISE = Noise(read=1e-5, shot=1e-4)
HEIGHT, WIDTH = 16, 20


@pytest.fixture
def clean() -> Tensor:
    return 0.2 + 0.4 * torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(5))


def noisy(picture: Tensor, seed: int = 0) -> Tensor:
    grain = torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed))
    return picture + NOISE.variance(picture).sqrt() * grain


def test_noise_alone_is_no_disturbance(clean: Tensor) -> None:
    found = disturbance(noisy(clean)[None], clean[None], NOISE, torch.zeros(HEIGHT, WIDTH))
    assert found.shape == (1, HEIGHT, WIDTH)
    assert found.median() < 2 and (found > 3.5).float().mean() < 0.01


@pytest.mark.parametrize("radius", [2, 5])
def test_noise_is_no_more_at_the_border(radius: int) -> None:
    wall = torch.full((400, 3, HEIGHT, WIDTH), 0.4)
    found = disturbance(noisy(wall), wall, NOISE, torch.zeros(HEIGHT, WIDTH), radius, uneven=0.0).square().mean(0)
    assert found.max() < 1.4 * found.min()


@pytest.mark.parametrize("tolerance", [0.0, 0.2])
def test_a_shadow_is_a_disturbance(tolerance: float) -> None:
    wall = torch.full((3, HEIGHT, WIDTH), 0.4)
    shaded = wall.clone()
    shaded[..., 10:] *= 0.8
    found = disturbance(noisy(shaded)[None], wall[None], NOISE, torch.full((HEIGHT, WIDTH), tolerance))[0]
    assert found[:, 12:].min() > 5 and found[:, :8].max() < 3.5


@pytest.mark.parametrize("radius", [2, 5])
def test_an_edge_out_of_place_within_tolerance_is_no_disturbance(radius: int) -> None:
    edge = torch.full((3, HEIGHT, WIDTH), 0.2)
    edge[..., 10:] = 0.8
    shift = torch.tensor([[1, 0, 0.3], [0, 1, 0], [0, 0, 1.0]])
    moved, _ = warp(edge, shift, HEIGHT, WIDTH, "bilinear")
    strict = disturbance(moved[None], edge[None], NOISE, torch.zeros(HEIGHT, WIDTH), radius)
    lenient = disturbance(moved[None], edge[None], NOISE, torch.full((HEIGHT, WIDTH), 0.3), radius)
    assert strict.max() > 5 and lenient.max() < 2.5


def test_a_faint_shadow_on_a_rough_wall_shows_over_a_wide_part() -> None:
    wall = 0.3 + 0.2 * torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(5))
    shaded = wall.clone()
    shaded[..., 20:] *= 0.94
    found = disturbance(noisy(shaded)[None], wall[None], NOISE, torch.full((40, 40), 0.3), 5)[0]
    assert found[12:-12, 26:34].median() > 3 and found[12:-12, 6:14].max() < 1.5


@pytest.mark.parametrize("radius", [1, 5])
def test_a_background_in_doubt_is_disturbed_by_more(clean: Tensor, radius: int) -> None:
    still, shaded = torch.zeros(HEIGHT, WIDTH), clean * 0.8
    doubt = torch.zeros_like(clean)
    doubt[..., :10] = 0.3**2
    doubts = (None, doubt[None])
    plain, doubted = (disturbance(shaded[None], clean[None], NOISE, still, radius, doubt=d) for d in doubts)
    assert plain.min() > 5
    assert doubted[0, :, : 10 - radius].max() < 2
    assert doubted[0, :, 10 + radius :].min() > 5


def test_unevenness_is_what_wide_parts_differ_by() -> None:
    wall = torch.full((3, 64, 64), 0.4)
    half = torch.ones(64, 64, dtype=torch.bool)
    half[:, :20] = False
    tinted = wall * (1 + 0.01 * torch.linspace(-1, 1, 64)[:, None])
    assert unevenness([(noisy(wall), wall, half)], NOISE) == pytest.approx(0.004)
    assert unevenness([(noisy(tinted), wall, half)], NOISE) == pytest.approx(0.0058, abs=0.001)  # 0.8 % by 1.28
    assert unevenness([(noisy(1.2 * wall), wall, half)], NOISE) == 0.015
    assert unevenness([(wall, wall, ~half & half)], NOISE) == 0.015  # nothing was seen


def test_slope_of_a_ramp_is_its_step() -> None:
    ramp = (0.03 * torch.arange(10.0)).expand(1, 1, 5, 10)
    torch.testing.assert_close(slope(ramp)[..., 2:-2], torch.full((1, 1, 5, 6), 0.03))


def test_slope_of_a_step_reaches_two_pixels() -> None:
    step = torch.tensor([0.0, 0, 0, 0, 1, 1, 1, 1]).expand(1, 1, 5, 8)
    expected = torch.tensor([0, 0, 1 / 6, 1 / 3, 1 / 3, 1 / 6, 0, 0]).expand(1, 1, 5, 8)
    torch.testing.assert_close(slope(step), expected)


def test_a_shadow_of_any_depth_is_like_the_background_and_an_object_as_dark_is_not(clean: Tensor) -> None:
    darkness = torch.full((1, HEIGHT, WIDTH), 0.4)
    darkness[:, :, WIDTH // 2 :] = 0.9
    shadowed, exact = noisy(clean * darkness, seed=3), torch.zeros(HEIGHT, WIDTH)
    inside = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    inside[:, WIDTH // 2 - 4 : WIDTH // 2 + 4] = False  # where two depths meet no one depth explains the pixels
    assert unlike_a_shadow(shadowed, clean, NOISE, exact)[inside].max() < 1.5
    other = noisy(0.4 * clean.flip(1), seed=4)
    assert unlike_a_shadow(other, clean, NOISE, exact)[2:-2].median() > 3


def test_the_edge_of_a_shadow_has_the_backgrounds_colour_and_an_object_another() -> None:
    clean = torch.tensor([0.5, 0.2, 0.1])[:, None, None].expand(3, HEIGHT, WIDTH).clone()
    darkness = torch.where(torch.arange(WIDTH) < WIDTH // 2, 0.2, 1.0)
    exact, bluish = torch.zeros(HEIGHT, WIDTH), torch.tensor([0.95, 1.0, 1.05])[:, None, None]
    shadowed = noisy(clean * darkness, seed=3)
    assert unlike_a_shadow(shadowed, clean, NOISE, exact).max() > 3  # five pixels across, of two depths
    assert unlike_in_colour(shadowed, clean, NOISE, exact).max() < 2
    assert unlike_in_colour(noisy(clean * 0.3 * bluish, seed=4), clean, NOISE, exact).median() < 1.2
    grey = noisy(torch.full_like(clean, 0.15), seed=5)
    assert unlike_in_colour(grey, clean, NOISE, exact).median() > 3
