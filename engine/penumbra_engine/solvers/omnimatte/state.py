"""State: what each pixel of each frame is known to show, the scene itself, an object, or an effect of one."""

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.disturbance import disturbance
from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.morphology import components_over, dilate
from penumbra_engine.imaging.noise import Noise

MASKED, DISTURBED, CLEAN = 0, 1, 2
_MARGIN = 0.017  # of the longer side: how far a rough mask may fall short of its object
NEARBY = 0.1  # of the longer side: half as far from the objects as this a sample may well be of their effects
_NEAR, _WIDE = 2, 5  # px, the radii of the squares over which evidence is gathered
_CERTAIN = 5.0  # standard deviations of a mean over a square
LIKELY, FAINT = 2.5, 1.8  # the same, next to what is certain: in what is delivered, and in what is but left out
_FELT = 0.5  # of the near square, where the wide one says likely: it reaches beyond the effect
LEAST_CLEAN = 0.02  # of a frame: less than that says nothing of the whole


def margin(longer: int) -> float:
    """Pixels around a rough mask that may be the object's still."""
    return max(3.0, _MARGIN * longer)


def disturbed(
    picture: Tensor,
    background: Tensor,
    objects: np.ndarray,
    noise: Noise,
    tolerance: Tensor,
    uneven: float,
    likely: float,
    sure: np.ndarray | None = None,
    doubt: Tensor | None = None,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """Where there is evidence of an effect, H x W bool: certain somewhere, likely all around it. A faint effect is seen
    over many pixels only, a narrow one over few, so both are asked.

    picture, background: 3 x H x W. objects: H x W bool, what is no effect. tolerance: H x W, what the background may be
    out of place by in pixels. uneven: relative, what it may be too bright or dark by. likely: standard deviations.
    sure: H x W bool, where the background is not taken from beside an edge of depth: what is found mostly beside one,
    and far from the objects, is the edge. doubt: 3 x H x W, as of `disturbance`. known: H x W bool, where an effect is
    certain already.
    """
    apart = torch.from_numpy(~objects)
    # Means over squares that reach into an object would report the object.
    picture = torch.where(apart, picture, background)
    share = box(apart[None, None].float(), _NEAR)[0, 0]
    doubted = None if doubt is None else doubt[None]
    near, wide = (
        disturbance(picture[None], background[None], noise, tolerance, radius, uneven, doubted)[0]
        for radius in (_NEAR, _WIDE)
    )
    near = near / share.clamp(min=0.2)
    certain = ((near > _CERTAIN) | (wide > _CERTAIN)) & apart
    trusted = None if sure is None else sure | dilate(objects, margin(max(objects.shape)))
    seed = certain.numpy() if known is None else certain.numpy() | known
    return components_over(((near > likely) | ((wide > likely) & (near > _FELT))).numpy(), seed, trusted)


def mark(
    state: np.ndarray,
    plate: Tensor,
    background: Tensor,
    noise: Noise,
    tolerance: Tensor,
    uneven: float,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """The state of a frame once its background is known. state: H x W uint8; plate, background: 3 x H x W; tolerance,
    uneven and known: as of `disturbed`. What is hardly likely is left out as well: there are other frames."""
    objects = state == MASKED
    found = disturbed(plate, background, objects, noise, tolerance, uneven, FAINT, known=known)
    return np.where(objects, MASKED, np.where(found, DISTURBED, CLEAN)).astype(np.uint8)


def misfit_of(state: np.ndarray, plate: Tensor, background: Tensor, noise: Noise) -> float:
    """By how many standard deviations the clean part of a frame differs from its background, root mean square; 0 where
    next to nothing of it is clean. state: H x W; plate, background: 3 x H x W."""
    clean = torch.from_numpy(state == CLEAN)
    share = float(clean.float().mean())
    if share <= LEAST_CLEAN:
        return 0.0
    deviation = (plate - background).square_() / noise.variance(background) * clean
    return float((deviation.mean() / share).sqrt())
