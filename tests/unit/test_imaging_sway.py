"""What sways in front of a camera that stands, and what only passes."""

from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.noise import Noise
from penumbra_engine.imaging.sway import strayed, sway
from penumbra_engine.solvers.omnimatte.light import neighbours

HEIGHT, WIDTH, BLOCK, SIGMA = 64, 96, 32, 0.004
NOISE = Noise(SIGMA**2, 0.0)


def frames(count: int = 12) -> list[Tensor]:
    """A wall; leaves in the first block swing by half a pixel, a shadow crosses the last one."""
    random = np.random.default_rng(0)
    wall = cv2.GaussianBlur(random.random((HEIGHT, WIDTH, 3)), (0, 0), 1.5) * 2
    pictures = []
    for index in range(count):
        picture = wall.copy()
        by = np.array([[1, 0, 0.5 * (-1) ** index], [0, 1, 0]])
        picture[:32, :32] = cv2.warpAffine(wall, by, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)[:32, :32]
        left = 64 + 8 * (index - 4)
        picture[40:60, max(left, 64) : max(left + 6, 64)] *= 0.5  # gone after four frames
        picture = picture + SIGMA * random.standard_normal(picture.shape)
        pictures.append(torch.from_numpy(picture.transpose(2, 0, 1)).float())
    return pictures


def wall() -> Tensor:
    grain = np.random.default_rng(0).random((HEIGHT, WIDTH, 3))
    return torch.from_numpy(cv2.GaussianBlur(grain, (0, 0), 1.5) * 2).permute(2, 0, 1).float()


def noisy_walls(count: int = 12) -> list[Tensor]:
    random = np.random.default_rng(1)
    return [wall() + SIGMA * torch.from_numpy(random.standard_normal(wall().shape)).float() for _ in range(count)]


def swaying(pictures: list[Tensor]) -> Tensor:
    everywhere = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    return sway(((a, b, everywhere) for a, b in pairwise(pictures)), NOISE, BLOCK)


def test_leaves_sway_and_a_shadow_passes() -> None:
    found = swaying(frames())
    assert found.shape == (2, 3)
    assert 0.5 < found[0, 0] < 2.5  # each step is a pixel
    assert found.flatten()[1:].max() == 0


def test_a_soft_shadow_that_never_leaves_sways_nothing() -> None:
    assert swaying([wall() * (0.6 + 0.03 * index) for index in range(12)]).max() == 0


def test_a_reflection_that_never_leaves_a_block_sways_nothing() -> None:
    pictures = noisy_walls()
    for index, picture in enumerate(pictures):
        picture[:, 8:16, 2 + 2 * index : 8 + 2 * index] = 0.3
    assert swaying(pictures).max() == 0


def test_a_reflection_that_turns_in_place_sways_nothing() -> None:
    pictures = noisy_walls()
    for index, picture in enumerate(pictures):
        picture[:, 6:18, 6:18] = torch.rand(3, 1, 1, generator=torch.Generator().manual_seed(index))
    assert swaying(pictures).max() == 0


def test_a_block_that_objects_hide_tells_nothing() -> None:
    pictures = frames()
    seen = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    seen[:32, :32] = False
    assert sway(zip(pictures, pictures[1:], [seen] * 11, strict=False), NOISE, BLOCK).max() == 0


def test_what_sways_slowly_is_seen_some_frames_later() -> None:
    random = np.random.default_rng(0)
    wall = cv2.GaussianBlur(random.random((HEIGHT, WIDTH, 3)), (0, 0), 1.5) * 2
    pictures = []
    for index in range(24):
        by = np.array([[1, 0, 2 * np.sin(index / 8)], [0, 1, 0]])
        moved = cv2.warpAffine(wall, by, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        picture = moved + SIGMA * random.standard_normal(moved.shape)
        pictures.append(torch.from_numpy(picture.transpose(2, 0, 1)).float())

    def strays(step: int) -> float:
        everywhere = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
        nowhere = np.zeros((HEIGHT, WIDTH), bool)
        pairs = neighbours(24, 16, lambda _, source: (pictures[source], everywhere), lambda _: nowhere, step)
        return float(sway(pairs, NOISE, BLOCK)[0, 0])

    assert strays(1) < 0.2 < strays(4)


def test_a_twig_that_sways_is_doubted_and_a_shadow_that_passes_is_not() -> None:
    random = np.random.default_rng(0)
    pictures = np.full((20, 3, 16, 40), 0.5)
    for index in range(20):
        pictures[index, :, :, 8 + index % 3] = 0.1  # one of three places
        pictures[index, :, :, 24:30] *= 0.6 if index < 3 else 1
    samples = torch.from_numpy(pictures + SIGMA * random.standard_normal(pictures.shape)).float()
    told = torch.ones(20, 16, 40, dtype=torch.bool)
    doubt = strayed(samples, told, torch.full((3, 16, 40), 0.5), NOISE)
    assert doubt[:, :, 7:12].min().sqrt() > 0.25
    assert doubt[:, :, 20:].max().sqrt() < 2 * SIGMA  # the shadow changes by .2
