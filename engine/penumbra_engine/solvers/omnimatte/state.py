"""State: what each pixel of each frame is known to show, the scene itself, an object, or an effect of one."""

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.background import disturbance
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.imaging.noise import Noise

MASKED, DISTURBED, CLEAN = 0, 1, 2
_MARGIN = 0.017  # of the width: how far a rough mask may fall short of its object
_DISTURBED = 3.5  # standard deviations
LEAST_CLEAN = 0.02  # of a frame: less than that says nothing of the whole


def margin(width: int) -> float:
    """Pixels around a rough mask that may be the object's still."""
    return max(3.0, _MARGIN * width)


def mark(state: np.ndarray, plate: Tensor, background: Tensor, noise: Noise, tolerance: Tensor) -> np.ndarray:
    """The state of a frame once its background is known. state: H x W uint8; plate, background: 3 x H x W; tolerance:
    H x W, what the background may be out of place by in pixels."""
    differs = disturbance(plate[None], background[None], noise, tolerance)[0] > _DISTURBED
    marked = np.where(dilate(differs.numpy(), 2), DISTURBED, CLEAN).astype(np.uint8)
    return np.where(state == MASKED, MASKED, marked).astype(np.uint8)


def misfit_of(state: np.ndarray, plate: Tensor, background: Tensor, noise: Noise) -> float:
    """By how many standard deviations the clean part of a frame differs from its background, root mean square; 0 where
    next to nothing of it is clean. state: H x W; plate, background: 3 x H x W."""
    clean = torch.from_numpy(state == CLEAN)
    if clean.float().mean() <= LEAST_CLEAN:
        return 0.0
    deviation = (plate - background)[:, clean].square() / noise.variance(background[:, clean])
    return float(deviation.mean().sqrt())
