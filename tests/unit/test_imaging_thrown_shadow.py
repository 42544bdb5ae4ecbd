"""The shadow that lies on a place on all frames, known from what the same masks do beside it."""

import cv2
import numpy as np
import pytest
import torch

from penumbra_engine.imaging.noise import Noise
from penumbra_engine.imaging.thrown_shadow import ThrownShadow

HEIGHT, WIDTH, SIGMA, COUNT = 72, 128, 0.004, 16
NOISE = Noise(SIGMA**2, 0.0)


def solved(deep: float) -> tuple[np.ndarray, np.ndarray]:
    """What the light of a wall at its brightest lacks, and the logarithm of the gain that is found for it: a disc goes
    from left to right, and throws a wide shadow to its right, as deep as that."""
    random = np.random.default_rng(0)
    wall = 0.3 + 0.4 * cv2.GaussianBlur(random.random((HEIGHT, WIDTH, 3)), (0, 0), 1.5)
    light, masks = [], []
    for index in range(COUNT):
        mask = cv2.circle(np.zeros((HEIGHT, WIDTH)), (20 + 3 * index, 36), 12, 1.0, -1)
        beside = cv2.circle(np.zeros((HEIGHT, WIDTH)), (50 + 3 * index, 36), 14, 1.0, -1)
        light.append(np.exp(-deep * cv2.GaussianBlur(beside, (0, 0), 12)))
        masks.append(mask > 0)
    brightest = np.where(np.stack(masks), 0, np.stack(light)).max(0)

    def picture(of: np.ndarray) -> torch.Tensor:
        return torch.from_numpy((wall * of[..., None]).transpose(2, 0, 1)).float()

    shadow = ThrownShadow(picture(brightest), NOISE, COUNT)
    for lit, mask in zip(light, masks, strict=True):
        noisy = picture(lit) + SIGMA * torch.from_numpy(random.standard_normal((3, HEIGHT, WIDTH))).float()
        shadow.see(noisy, torch.from_numpy(~mask), torch.from_numpy(mask))
    return -np.log(brightest), shadow.full_light(torch.ones(HEIGHT, WIDTH)).log().mean(0).numpy()


def test_a_shadow_that_never_leaves_is_told_from_what_it_does_beside() -> None:
    lacks, found = solved(deep=0.5)
    assert lacks.max() > 0.12
    assert np.abs(lacks - found).mean() < 0.4 * lacks.mean()
    assert found.min() >= 0


def test_light_is_given_back_in_the_colour_of_what_shadows_take() -> None:
    background = torch.full((3, HEIGHT, WIDTH), 0.5)
    shadow = ThrownShadow(background, NOISE, frames=4)
    nothing = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    taken = torch.tensor([0.05, 0.1, 0.15])[:, None, None]
    for index in range(4):
        lit = background.clone()
        lit[:, :, 16 * index : 16 * index + 16] *= (-taken).exp()
        shadow.see(lit, ~nothing, nothing)
    brighter = torch.ones(HEIGHT, WIDTH)
    brighter[:, 96:] = 1.1
    red, green, blue = shadow.full_light(brighter).log()[:, :, 112:].mean((1, 2)).tolist()
    assert green == pytest.approx(np.log(1.1), rel=0.05)
    assert red == pytest.approx(green / 2, rel=0.05)
    assert blue == pytest.approx(green * 1.5, rel=0.05)


def test_cells_tell_of_the_brightest_light_themselves() -> None:
    background = torch.full((3, HEIGHT, WIDTH), 0.5)
    background[:, :, 64:] *= 0.9  # in shadow on most frames
    shadow = ThrownShadow(background, NOISE, frames=10)
    nothing = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    for index in range(10):
        lit = torch.full((3, HEIGHT, WIDTH), 0.5)
        lit[:, :, 64:] *= 1.0 if index < 3 else 0.9
        shadow.see(lit, ~nothing, nothing)
    found = shadow.full_light()
    assert found[:, :, :60].max() < 1.002
    assert found[:, :, 70:].mean() == pytest.approx(1 / 0.9, rel=0.01)


def test_where_no_light_changes_none_is_lacking() -> None:
    _, found = solved(deep=0.0)
    assert found.max() < 0.002


def test_nothing_seen_is_nothing_told() -> None:
    shadow = ThrownShadow(torch.full((3, HEIGHT, WIDTH), 0.5), NOISE, frames=1)
    everywhere = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    shadow.see(torch.full((3, HEIGHT, WIDTH), 0.2), ~everywhere, everywhere)
    assert torch.equal(shadow.full_light(torch.ones(HEIGHT, WIDTH)), torch.ones(3, HEIGHT, WIDTH))
