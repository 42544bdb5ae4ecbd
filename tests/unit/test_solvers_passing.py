"""What neighbouring frames show of an object as it moves."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from moving_disc import HEIGHT, WIDTH, moving_disc
from penumbra_engine.matting.triangulation import by_triangulation
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.passing import asked, passing


def often(index: int) -> torch.Tensor:
    return torch.ones(HEIGHT, WIDTH)


def trimap(away: np.ndarray) -> np.ndarray:
    return np.where(away < 10, 1, np.where(away < 15, 0.5, 0)).astype(np.float32)


def test_it_is_seen_how_much_a_moving_rim_lets_through() -> None:
    for alpha in (0.25, 0.75):
        plates, behind, motion, away = moving_disc(alpha)
        light, noise = torch.ones(3, HEIGHT, WIDTH), torch.full((HEIGHT, WIDTH), 1e-4)
        told = passing(plates, behind, motion, 1, trimap(away), light, noise, often)
        levels = torch.linspace(0, 1, 9)
        rim = torch.from_numpy((away > 10.5) & (away < 13.5))
        through = (1 - levels).expand(int(rim.sum()), -1)
        found = levels[by_triangulation(torch.zeros_like(through), through, told[:, rim]).argmax(1)]
        assert (found - alpha).abs().max() < 0.01


def test_nothing_is_told_where_motion_is_not_known() -> None:
    plates, behind, motion, away = moving_disc()
    light, noise = torch.ones(3, HEIGHT, WIDTH), torch.full((HEIGHT, WIDTH), 1e-4)
    still: Any = Motion("m", 0 * motion.flow)  # type: ignore[operator]
    assert passing(plates, behind, still, 1, trimap(away), light, noise, often).abs().max() == 0
    assert passing(plates, behind, motion, 1, np.minimum(trimap(away), 0.5), light, noise, often).abs().max() == 0


def test_a_guess_at_what_a_neighbouring_frame_hides_hardly_counts() -> None:
    plates, behind, motion, away = moving_disc()
    light, noise = torch.ones(3, HEIGHT, WIDTH), torch.full((HEIGHT, WIDTH), 1e-4)
    rim, told = torch.from_numpy((away > 10.5) & (away < 13.5)), []
    for beside in (1.0, 0.0):

        def seen(index: int, beside: float = beside) -> torch.Tensor:
            return torch.full((HEIGHT, WIDTH), 1.0 if index == 1 else beside)

        told.append(passing(plates, behind, motion, 1, trimap(away), light, noise, seen)[2, rim])
    assert (told[1] < 0.02 * told[0]).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 1), (17, 23)])
def test_what_reaches_the_border_or_leaves_the_picture_is_told_in_numbers(height: int, width: int) -> None:
    random = np.random.default_rng(0)
    drawn = np.ones((height, width), np.float32)
    drawn[-1, -1] = 0.5 if drawn.size > 1 else 1
    wall = random.uniform(0, 50, (3, height, width)).astype(np.float32)
    plates: Any = SimpleNamespace(plate=random.uniform(0, 50, (3, 3, height, width)).astype(np.float32))
    flow = random.normal(0, 30, (3, 6, height, width)).astype(np.float32)
    flow[:, 2::3], flow[-1, :3], flow[0, 3:] = 1, 0, 0
    light, noise, known = torch.ones(3, height, width), torch.full((height, width), 1e-4), torch.ones(height, width)
    for count, index in ((1, 0), (3, 0), (3, 1), (3, 2)):  # one frame alone, the first, one between, the last
        motion = Motion("m", flow[:count] if count > 1 else 0 * flow[:1])  # type: ignore[arg-type]
        told = passing(
            plates, lambda frame: torch.from_numpy(wall), motion, index, drawn, light, noise, lambda frame: known
        )
        assert told.shape == (4, height, width) and bool(told.isfinite().all())
        assert count > 1 or not told.any()


def test_the_frames_beside_one_are_asked() -> None:
    assert asked(0, 5) == [1, 2] and asked(2, 5) == [0, 1, 3, 4] and asked(4, 5) == [2, 3] and asked(0, 1) == []
