"""Alpha along a boundary over a known background, on a disc whose alpha is known."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from penumbra_engine.imaging.filters import box
from penumbra_engine.matting.known_background import Effect, known_background_alpha

SIDE, RADIUS, BAND = 72, 20.0, 6.0
SIGMA = 0.005
SHADOW = 0.6


@dataclass
class Scene:
    """A soft-edged disc over a textured wall; behind its right half and beyond, if asked, a shadow."""

    picture: Tensor
    background: Tensor
    alpha: Tensor
    shade: Tensor  # what the shadow leaves, 1 or SHADOW
    distance: Tensor  # from the disc's edge, < 0 inside

    @property
    def unknown(self) -> np.ndarray:
        return (self.distance.abs() < BAND).numpy()

    def solve(self, foreground: np.ndarray | None = None, unknown: np.ndarray | None = None) -> tuple[Tensor, Tensor]:
        variance = torch.full_like(self.picture, SIGMA**2)
        ratio = box((self.picture / self.background)[None], 1)[0]
        effect = Effect(ratio, variance / self.background.square() / 9, torch.ones(3), self.shade.expand(3, -1, -1))
        return known_background_alpha(
            self.picture,
            self.background,
            variance,
            effect,
            (self.distance < -3).numpy() if foreground is None else foreground,
            self.unknown if unknown is None else unknown,
            (0.5 - self.distance / (2 * BAND)).clamp(0, 1),
        )


def scene(shaded: bool = False, mottled: float = 0.0) -> Scene:
    random = torch.Generator().manual_seed(2)
    background = 0.35 + 0.8 * box(torch.rand(1, 3, SIDE, SIDE, generator=random) - 0.5, 1)[0]
    y, x = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
    distance = torch.hypot(x - SIDE / 2, y - SIDE / 2) - RADIUS
    alpha = (0.5 - distance / 4).clamp(0, 1)  # an edge four pixels soft
    shade = torch.where((x > SIDE / 2) & shaded, SHADOW, 1.0)
    colour = torch.tensor([0.8, 0.2, 0.1])[:, None, None]
    colour = colour * (1 + mottled * torch.randn(SIDE, SIDE, generator=random))
    picture = alpha * colour + (1 - alpha) * shade * background
    picture = picture + SIGMA * torch.randn(picture.shape, generator=random)
    return Scene(picture, background, alpha, shade, distance)


@pytest.mark.parametrize("mottled, allowed", [(0.0, 0.015), (0.05, 0.02)])
def test_a_soft_edge_over_a_known_background(mottled: float, allowed: float) -> None:
    disc = scene(mottled=mottled)
    alpha, _ = disc.solve()
    prior = (0.5 - disc.distance / (2 * BAND)).clamp(0, 1)
    assert (prior - disc.alpha)[disc.unknown].abs().mean() > 0.1  # what the rough mask alone would give
    assert (alpha - disc.alpha)[disc.unknown].abs().mean() < allowed


def test_a_soft_edge_over_a_shadow() -> None:
    disc = scene(shaded=True)
    alpha, _ = disc.solve()
    assert (alpha - disc.alpha)[disc.unknown].abs().mean() < 0.03


def test_a_shadow_outside_is_an_effect_and_no_object() -> None:
    disc = scene(shaded=True)
    alpha, bare = disc.solve()
    dark = (disc.shade < 1) & (disc.distance > 3) & (disc.distance < BAND)
    body = (disc.distance < -2.5) & (disc.distance > -BAND)
    assert bare[dark].min() > 0.5 and bare[dark].mean() > 0.95 and alpha[dark].mean() < 0.02
    assert bare[body].max() < 0.1 and alpha[body].mean() > 0.97


def test_pixels_that_are_known_keep_the_prior() -> None:
    disc = scene()
    alpha, bare = disc.solve()
    known = torch.from_numpy(~disc.unknown)
    assert torch.equal(alpha[known], (0.5 - disc.distance / (2 * BAND)).clamp(0, 1)[known])
    assert torch.equal(bare[known], 1 - alpha[known])
    assert alpha.min() >= 0 and alpha.max() <= 1 and bare.min() >= 0 and bare.max() <= 1


def test_one_foreground_pixel_is_enough() -> None:
    disc = scene()
    single = np.zeros((SIDE, SIDE), bool)
    single[SIDE // 2, SIDE // 2] = True
    alpha, _ = disc.solve(foreground=single)
    assert (alpha - disc.alpha)[disc.unknown].abs().mean() < 0.02


def test_without_foreground_or_unknown_pixels_the_prior_is_the_answer() -> None:
    disc = scene()
    nothing = np.zeros((SIDE, SIDE), bool)
    prior = (0.5 - disc.distance / (2 * BAND)).clamp(0, 1)
    for alpha, bare in (disc.solve(foreground=nothing), disc.solve(unknown=nothing)):
        assert torch.equal(alpha, prior) and torch.equal(bare, 1 - prior)
