"""A disc with a rim that is half transparent, which moves before a wall of all colours."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from penumbra_engine.solvers.motion import Motion

HEIGHT, WIDTH, COUNT, STEP = 40, 160, 4, 2


def moving_disc(alpha: float = 0.5) -> tuple[Any, Callable[[int], torch.Tensor], Motion, np.ndarray]:
    """Moving by STEP px a frame, with a rim of some alpha: plates, background, motion, which is known inside the disc
    alone, and how far a pixel is from the disc's middle on the second frame (the disc 10 px, the rim 4 px more)."""
    random = np.random.default_rng(0)
    wall = random.uniform(0, 1, (3, HEIGHT, WIDTH)).astype(np.float32)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    plate, flow = np.zeros((COUNT, 3, HEIGHT, WIDTH), np.float32), np.zeros((COUNT, 6, HEIGHT, WIDTH), np.float32)
    for index in range(COUNT):
        away = np.hypot(y - 20, x - 70 - STEP * index)
        covered = np.where(away < 10, 1, np.where(away < 14, alpha, 0)).astype(np.float32)
        plate[index] = 0.3 * covered + (1 - covered) * wall
        flow[index, 0::3], flow[index, 2::3] = np.where(away < 10, STEP, 0), away < 10
        flow[index, 3] *= -1
    flow[-1, :3], flow[0, 3:] = 0, 0
    away = np.hypot(y - 20, x - 70 - STEP)
    plates: Any = SimpleNamespace(plate=plate)
    return plates, lambda index: torch.from_numpy(wall), Motion("m", flow), away  # type: ignore[arg-type]
