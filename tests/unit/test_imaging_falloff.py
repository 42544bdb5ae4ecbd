"""The fall-off of a lens, from a panning camera."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from penumbra_engine.imaging.falloff import measure_falloff, spread

HEIGHT, WIDTH, STEP, COUNT = 54, 96, 6, 12
Pair = tuple[Tensor, Tensor, Tensor, Tensor]


def lens(edge: float) -> Tensor:
    """1 in the middle, and less by `edge` in the corners, 3 x H x W."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    square = ((x - (WIDTH - 1) / 2) ** 2 + (y - (HEIGHT - 1) / 2) ** 2) / ((WIDTH / 2) ** 2 + (HEIGHT / 2) ** 2)
    return torch.from_numpy(1 - edge * square).float().expand(3, HEIGHT, WIDTH)


def pan(light: Tensor, shadow: float = 1.0) -> Iterator[Pair]:
    """Frames of a wall, each with one `STEP` * 4 px to the right of it. shadow: what a spot that stays in the middle of
    the frame leaves."""
    random = np.random.default_rng(1)
    wall = torch.from_numpy(0.2 + 0.5 * random.random((3, HEIGHT, WIDTH + STEP * (COUNT + 4)))).float()
    spot = torch.ones(HEIGHT, WIDTH)
    spot[20:34, 38:58] = shadow
    x, y = torch.meshgrid(torch.arange(WIDTH), torch.arange(HEIGHT), indexing="xy")

    def frame(index: int) -> Tensor:
        seen = wall[:, :, STEP * index : STEP * index + WIDTH] * light * spot
        return seen + 0.003 * torch.from_numpy(random.standard_normal(seen.shape)).float()

    for index in range(COUNT):
        by = 4 * STEP
        other = torch.zeros(3, HEIGHT, WIDTH)
        other[:, :, by:] = frame(index + 4)[:, :, : WIDTH - by]
        yield frame(index), other, x >= by, torch.stack([x - by, y], -1).float()


@pytest.mark.parametrize("edge", [0.15, 0.4])
def test_a_pan_tells_what_the_lens_leaves(edge: float) -> None:
    found = spread(measure_falloff(pan(lens(edge)), HEIGHT, WIDTH), HEIGHT, WIDTH)
    relative = found / found[:, HEIGHT // 2, WIDTH // 2, None, None]
    assert (relative - lens(edge)).abs().max() < 0.02


def test_a_lens_that_leaves_all_light_is_left_alone() -> None:
    assert (measure_falloff(pan(lens(0)), HEIGHT, WIDTH) == 1).all()


def test_a_shadow_that_goes_with_the_camera_is_no_lens() -> None:
    assert (measure_falloff(pan(lens(0), shadow=0.6), HEIGHT, WIDTH) == 1).all()


def test_without_pairs_there_is_none() -> None:
    assert spread(measure_falloff([], HEIGHT, WIDTH), 4, 6).tolist() == torch.ones(3, 4, 6).tolist()


def test_a_frame_lower_than_what_is_compared_at_a_time_is_taken() -> None:
    low = ((a[:, :2], b[:, :2], valid[:2], places[:2]) for a, b, valid, places in pan(lens(0.0)))
    assert torch.equal(measure_falloff(low, 2, WIDTH), torch.ones(3, 1, 1))
