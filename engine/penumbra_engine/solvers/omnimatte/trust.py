"""Trust: how far what a frame shows is to be taken for the background."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from penumbra_engine.imaging.morphology import distance_outside
from penumbra_engine.imaging.witnesses import witnesses
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.mosaic import Mosaic
from penumbra_engine.solvers.omnimatte.state import NEARBY

_COARSE = 160  # pixels along a frame: finely enough to tell where objects stand


def measure_trust(masks: Masks, mosaic: Mosaic, frames: Iterable[int]) -> Iterator[np.ndarray]:
    """Of each of some frames, H x W uint8, of 255: effects lie where objects are, and an object that stands shows them
    at rest."""
    count, longer = len(mosaic.to_canvas), max(mosaic.frame.height, mosaic.frame.width)
    voices = witnesses(_objects_on_canvas(masks.union(index), mosaic, index) for index in range(count))
    for index in frames:
        distance = np.minimum(distance_outside(masks.union(index)), longer)
        trust = voices[index] * np.square(distance / (distance + NEARBY * longer))
        yield np.ceil(255 * trust).astype(np.uint8)


def _objects_on_canvas(union: np.ndarray, mosaic: Mosaic, index: int) -> np.ndarray:
    """Where a frame's objects, H x W bool, lie on the canvas, coarsely, h x w bool."""
    coarse = max(1, round(max(mosaic.frame.height, mosaic.frame.width) / _COARSE))
    to_coarse = np.diag([1 / coarse, 1 / coarse, 1]) @ mosaic.to_canvas[index]
    size = (-(-mosaic.whole.width // coarse), -(-mosaic.whole.height // coarse))
    return cv2.warpPerspective(union.astype(np.uint8), to_coarse, size, flags=cv2.INTER_NEAREST) > 0
