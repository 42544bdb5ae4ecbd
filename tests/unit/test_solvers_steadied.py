"""An edge and what was found of it on the frames beside."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moving_disc import COUNT, HEIGHT, STEP, WIDTH, moving_disc
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.steadied import looked_at, steadied

TRUE, OFF = 0.5, 0.15


def guessed(random: np.random.Generator) -> list[np.ndarray]:
    """The disc's alpha on every frame, its rim's a guess that is off by about OFF."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    found = []
    for index in range(COUNT):
        away = np.hypot(y - 20, x - 70 - STEP * index)
        rim = TRUE + random.uniform(-2 * OFF, 2 * OFF, away.shape)
        found.append(np.where(away < 10, 1, np.where(away < 14, rim, 0)).astype(np.float32))
    return found


def solve(plates: Any, wall: Tensor, motion: Motion, found: list[np.ndarray]) -> Tensor:
    return steadied(1, lambda t: found[t], plates, lambda t: wall, motion, torch.ones(3, HEIGHT, WIDTH))


def test_guesses_at_a_moving_rim_are_nearer_the_truth_together() -> None:
    plates, behind, motion, away = moving_disc(TRUE)
    found = guessed(np.random.default_rng(0))
    rim = (away > 10.5) & (away < 13.5)
    steady = solve(plates, behind(1), motion, found).numpy()
    assert np.abs(steady - TRUE)[rim].mean() < 0.8 * np.abs(found[1] - TRUE)[rim].mean()
    assert (steady[away < 9] == 1).all() and (steady[away > 17] == 0).all()


def test_it_is_the_same_in_another_light() -> None:
    plates, behind, motion, _ = moving_disc(TRUE)
    found, bright = guessed(np.random.default_rng(0)), SimpleNamespace(plate=8 * plates.plate)
    both = solve(plates, behind(1), motion, found), solve(bright, 8 * behind(1), motion, found)
    assert (both[0] - both[1]).abs().max() < 1e-5


def test_what_stands_before_the_object_on_the_frames_beside_takes_nothing_of_it() -> None:
    plates, behind, motion, away = moving_disc(TRUE)
    found, rows = guessed(np.random.default_rng(0)), slice(16, 20)
    for index in (0, 2):
        plates.plate[index][:, rows] = np.array([0.9, 0.0, 0.0])[:, None, None]
        found[index][rows] = 0
    steady = solve(plates, behind(1), motion, found).numpy()
    hidden = np.zeros_like(away, bool)
    hidden[rows] = (away < 14)[rows]
    assert (found[1] - steady)[hidden].mean() < 0.05, "where the mean of both would lack a quarter or more"


def test_what_is_whole_keeps_no_hole_of_the_frames_beside() -> None:
    plates, behind, motion, away = moving_disc(TRUE)
    found = guessed(np.random.default_rng(0))
    for index in (0, 2):
        found[index][19:22, 60:80] *= 0.9
    assert (solve(plates, behind(1), motion, found).numpy()[away < 9] == 1).all()


def test_an_edge_that_is_whole_nowhere_stays_as_it_was_found() -> None:
    plates, behind, motion, _ = moving_disc(TRUE)
    found = [0.9 * alpha for alpha in guessed(np.random.default_rng(0))]
    assert np.array_equal(solve(plates, behind(1), motion, found).numpy(), found[1])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 1), (17, 23)])
def test_what_reaches_the_border_or_leaves_the_picture_stays_a_number(height: int, width: int) -> None:
    random = np.random.default_rng(0)
    plates: Any = SimpleNamespace(plate=random.uniform(0, 50, (3, 3, height, width)).astype(np.float32))
    wall = torch.from_numpy(random.uniform(0, 50, (3, height, width)).astype(np.float32))
    alphas = random.uniform(0, 1, (3, height, width)).astype(np.float32)
    alphas[:, 0, 0] = 1
    flow = random.normal(0, 30, (3, 6, height, width)).astype(np.float32)
    flow[:, 2::3], flow[-1, :3], flow[0, 3:] = 1, 0, 0
    light = torch.ones(3, height, width)
    for index in range(3):
        motion = Motion("m", flow)  # type: ignore[arg-type]
        steady = steadied(index, lambda t: alphas[t], plates, lambda t: wall, motion, light)
        assert steady.shape == (height, width) and bool(((steady >= 0) & (steady <= 1)).all())


def test_a_frame_and_those_beside_it_are_looked_at() -> None:
    assert looked_at(0, 3) == [0, 1] and looked_at(1, 3) == [0, 1, 2] and looked_at(0, 1) == [0]
