"""Odd masks: frames whose mask of an object contradicts the masks before and after it."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.state import margin

_REACH = 4  # frames between two masks that others between them are held against
_AGREE = 0.5  # intersection over union: two masks show an object of one shape
_ODD = 0.5  # of that: a mask between them that lies no better where the object has to be shows something else
_WIDTH = 240  # px: where an object is need not be known more finely
_SEEN = 0.5  # of an object: more has to be in view, past the objects in front, to tell anything


def odd_masks(masks: Masks) -> list[tuple[int, int]]:
    """(object, frame) by index of masks that are empty, elsewhere or of another shape between masks that agree.

    Two masks a few frames apart say where the object is between them, if it moves on evenly and keeps its shape. A mask
    is odd when most of the pairs around it that agree speak against it. At the ends of the shot, where an object may
    come and go, nothing is said.
    """
    count, objects = masks.masks.shape[:2]
    stride = max(1, masks.masks.shape[-1] // _WIDTH)
    grown = margin(max(masks.masks.shape[-2:]) // stride)  # rough masks, and thin objects that hardly overlap
    against, asked = np.zeros((objects, count)), np.zeros((objects, count))
    window: list[np.ndarray] = []
    for last in range(count):
        coarse = masks.objects(last)[:, ::stride, ::stride]
        window = [*window[-_REACH:], np.stack([dilate(mask, grown) & mask.any() for mask in coarse])]
        for first in range(len(window) - 2):
            for k in range(objects):
                for ahead, odd in _judged(window[first:], k):
                    index = last - len(window) + 1 + first + ahead
                    asked[k, index] += 1
                    against[k, index] += odd
    return [(int(k), int(index)) for k, index in np.argwhere(against > asked / 2)]


def _judged(frames: Sequence[np.ndarray], k: int) -> Iterator[tuple[int, bool]]:
    """Of frames (objects x H x W each, front to back) those between the first and the last that object k of these two
    tells anything of: the index, and whether the mask there is odd."""
    before, after = frames[0][k], frames[-1][k]
    step = (_centre(after) - _centre(before)) / (len(frames) - 1)
    agreement = _overlap(_moved(before, step * (len(frames) - 1)), after)
    if agreement <= _AGREE:
        return
    for ahead, frame in enumerate(frames[1:-1], 1):
        expected, in_view = _moved(before, step * ahead), ~frame[:k].any(0)
        if np.count_nonzero(expected & in_view) > _SEEN * np.count_nonzero(expected):
            yield ahead, _overlap(expected & in_view, frame[k] & in_view) < _ODD * agreement


def _centre(mask: np.ndarray) -> np.ndarray:
    """x and y of an H x W mask, 0 when it is empty."""
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    return np.array([moments["m10"], moments["m01"]]) / max(moments["m00"], 1)


def _moved(mask: np.ndarray, by: np.ndarray) -> np.ndarray:
    """An H x W mask, some pixels to the right and down."""
    shift = np.array([[1, 0, by[0]], [0, 1, by[1]]])
    return cv2.warpAffine(mask.view(np.uint8), shift, mask.shape[::-1], flags=cv2.INTER_NEAREST) > 0


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union, 0 where both are empty."""
    return int(np.count_nonzero(a & b)) / max(int(np.count_nonzero(a | b)), 1)
