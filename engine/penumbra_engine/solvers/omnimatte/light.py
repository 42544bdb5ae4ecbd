"""Light: the exposure and the noise of frames, what the lens leaves of it, and how even it is on backgrounds."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.disturbance import unevenness
from penumbra_engine.imaging.falloff import measure_falloff
from penumbra_engine.imaging.gain import exposure_ratio
from penumbra_engine.imaging.median import median
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.solvers.abreast import abreast
from penumbra_engine.solvers.omnimatte.state import LEAST_CLEAN
from penumbra_engine.solvers.steps import Steps

_PLAIN = 0.02  # a change of exposure below that may be the estimate's own error
_BLACK = 1e-3  # of scene-linear white: what is no brighter has no exposure that can be told
_FAR_APART, _PAIRS = (4, 12), 16  # frames that the fall-off of the lens is measured on, and how many pairs of them
_JUDGED = 8  # frames that tell how even the light is

#: (target, source): frame `source` as frame `target` sees it, 3 x H x W, and where it does, H x W bool. A frame sees
#: itself as it is. What brings the one over the other is the caller's: nothing, a homography or depth.
See = Callable[[int, int], tuple[Tensor, Tensor]]
#: Where a frame shows objects, or nothing but the scene, H x W bool.
Where = Callable[[int], np.ndarray]
#: What belongs to a frame, 3 x H x W in one exposure.
Picture = Callable[[int], Tensor]


def measure_exposures(
    count: int, see: See, hidden: Where, static: bool, tick: Callable[[], tuple[int, int]]
) -> Steps[np.ndarray]:
    """The gains of all frames over the middle one, T x 3; all 1 where they hardly differ. Before anything is compared
    over time: a change of exposure is a difference everywhere, which no search for effects can tell from one.

    static: frames are compared with the middle one, else each with its neighbour. tick: what each frame yields.
    """
    middle = count // 2
    gains = np.ones((count, 3))

    def source_of(index: int) -> int:
        return middle if static else index + (1 if index < middle else -1)

    def ratio(index: int) -> Tensor:
        source = source_of(index)
        (plate, _), (other, visible) = see(index, index), see(index, source)
        return exposure_ratio(plate, other, visible & _apart(hidden, index, source))

    outwards = sorted(range(count), key=lambda t: abs(t - middle))[1:]
    for index, found in zip(outwards, abreast(ratio, outwards, see(middle, middle)[1].numel()), strict=True):
        gains[index] = gains[source_of(index)] * found.double().numpy()
        yield tick()
    return gains if np.abs(gains - 1).max() > _PLAIN else np.ones_like(gains)


def gain_over(background: Tensor, plate: Tensor, clean: np.ndarray) -> np.ndarray:
    """By what the clean part of a plate is brighter than its background, one factor a channel; 1 where next to nothing
    of it is clean, or most of it is black. 3 x H x W both, and H x W bool; 3."""
    if clean.mean() <= LEAST_CLEAN:
        return np.ones(3)
    chosen = torch.from_numpy(clean)
    lit = (background > _BLACK).logical_and_(chosen).sum((1, 2)) > chosen.sum() / 2
    ratio = median((plate / background.clamp(min=1e-4))[:, chosen])
    return torch.where(lit, ratio, 1.0).numpy()


def measure_unevenness(count: int, plate: Picture, background: Picture, clean: Where, noise: Noise) -> float:
    """By what share backgrounds are too bright or dark over wide parts, by the clean parts of some frames."""
    some = _spread(count, _JUDGED)
    shown = (torch.from_numpy(clean(index)) for index in some)
    return unevenness(zip(map(plate, some), map(background, some), shown, strict=True), noise)


def neighbours(
    count: int, wanted: int, see: See, hidden: Where, step: int = 1
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Up to `wanted` frames, each with the one `step` frames later as it sees it, and where both show no object."""
    for index in _spread(count - step, wanted):
        other, visible = see(index, index + step)
        yield see(index, index)[0], other, visible & _apart(hidden, index, index + step)


def measure_lens(
    count: int, see: See, near: Where, places: Callable[[int, int], Tensor], size: tuple[int, int]
) -> Tensor:
    """The fall-off of a lens as of `measure_falloff`, by frames between which the camera has moved on. near: where
    effects are likely. places: (target, source), where in the source each pixel of the target lies, H x W x 2. size:
    height, width of a frame."""
    return measure_falloff(_far_apart(count, see, near, places), *size)


def _far_apart(
    count: int, see: See, near: Where, places: Callable[[int, int], Tensor]
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    for step in (step for step in _FAR_APART if step < count):
        for index in _spread(count - step, _PAIRS):
            other, visible = see(index, index + step)
            shown = visible & ~torch.from_numpy(near(index))
            yield see(index, index)[0], other, shown, places(index, index + step)


def _apart(hidden: Where, a: int, b: int) -> Tensor:
    return ~torch.from_numpy(hidden(a) | hidden(b))


def _spread(count: int, wanted: int) -> list[int]:
    """Up to `wanted` of `count` frames, evenly spread."""
    return np.unique(np.linspace(0, count - 1, wanted).round().astype(int)).tolist()
