"""The brightest light of a background, and what is none."""

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.full_light import FullLight
from penumbra_engine.imaging.noise import Noise

HEIGHT, WIDTH, SIGMA = 48, 64, 0.006
NOISE = Noise(SIGMA**2, 0.0)
random = np.random.default_rng(0)
WALL = torch.from_numpy(0.3 + 0.4 * random.random((3, HEIGHT, WIDTH))).float()
SEEN = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)


def full_light(background: Tensor, frames: list[tuple[Tensor, Tensor]], noise: Noise = NOISE) -> Tensor:
    light = FullLight(background, noise)
    for picture, seen in frames:
        light.see(picture, seen)
    return light.gain()


def noisy(picture: Tensor) -> Tensor:
    return picture + SIGMA * torch.from_numpy(random.standard_normal(picture.shape)).float()


def test_one_frame_without_the_shadow_is_enough() -> None:
    shade = torch.ones(HEIGHT, WIDTH)
    shade[:, 20:44] = 0.85  # a shadow that stays, and is gone on the last frame
    depths = torch.linspace(1, 1.6, 10)  # it changes all the time
    frames = [(noisy(WALL * shade ** float(depth)), SEEN) for depth in depths] + [(noisy(WALL), SEEN)]
    gain = full_light(WALL * shade, frames)
    inside, outside = gain[8:-8, 26:38], gain[8:-8, :16]
    assert (inside * 0.85 - 1).abs().max() < 0.015
    assert outside.max() < 1.01 and outside.mean() < 1.001


def test_a_reflection_brightens_and_is_no_light() -> None:
    added = torch.from_numpy(0.3 * random.random((3, HEIGHT, WIDTH))).float()
    added[..., :32] = 0
    gain = full_light(WALL, [(noisy(WALL), SEEN)] * 5 + [(noisy(WALL + added), SEEN)] * 5)
    assert gain.max() < 1.02


def test_light_thrown_for_a_while_is_no_light() -> None:
    frames = [(noisy(WALL), SEEN)] * 7
    bright = WALL.clone()
    bright[..., 20:44] *= 1.1
    assert full_light(WALL, [*frames, (noisy(bright), SEEN), (noisy(bright), SEEN)]).max() < 1.005


def test_what_objects_hide_gives_no_light() -> None:
    hidden = SEEN.clone()
    hidden[:, 30:] = False
    bright = torch.where(hidden, WALL, 1.1 * WALL)
    gain = full_light(WALL, [(noisy(bright), hidden), (noisy(WALL), SEEN)])
    assert gain.max() < 1.02


def test_a_frame_in_another_exposure_brightens_nothing() -> None:
    gain = full_light(WALL, [(noisy(1.03 * WALL), SEEN), (noisy(WALL), SEEN)])
    assert gain.max() < 1.01


def test_noise_is_no_light() -> None:
    """A plate so noisy that of 36 frames the brightest seems 3 % too bright."""
    sigma = 0.06
    frames = [(WALL + sigma / SIGMA * (noisy(WALL) - WALL), SEEN) for _ in range(36)]
    gain = full_light(WALL, frames, Noise(sigma**2, 0.0))[4:-4, 4:-4]
    assert gain.mean() < 1.005 and gain.quantile(0.99) < 1.03
