"""Meeting: the trimaps of objects that touch or cross agree with each other."""

from collections.abc import Sequence

import numpy as np

from penumbra_engine.imaging.morphology import dilate

_MEET = 0.25  # of an object's depth, the lesser of two: how close to another's foreground none is sure
_BESIDE = 0.5  # of its depth: how far beside an object's foreground another's unknown pixels are its own as well


def brought_to_agree(trimaps: Sequence[np.ndarray], keyed: Sequence[bool], depths: Sequence[float]) -> list[np.ndarray]:
    """The trimaps of all objects on a frame, H x W each, so that an edge between two is unknown in both, and none is
    unknown where another one is sure.

    keyed: whose are keyframes; these stay as they are, and no other object is sure where they aren't background: what
    the artist left unknown holds the edge of whatever is beside it. depths: how far inside its edge each is sure, px.
    """
    if len(trimaps) == 1:
        return list(trimaps)
    every = range(len(trimaps))

    def others(k: int) -> list[int]:  # that one gives way to
        return [j for j in every if j != k and not keyed[k]]

    apart = list(trimaps)
    for k in every:
        for j in others(k):
            near = trimaps[j] > 0 if keyed[j] else _around(trimaps[j], _MEET * min(depths[j], depths[k]))
            apart[k] = np.where(near, np.minimum(apart[k], 0.5), apart[k])
    shared = list(apart)
    for k in every:
        around = _around(trimaps[k], _BESIDE * depths[k])
        for j in others(k):
            shared[k] = np.where((shared[k] == 0) & around & (apart[j] == 0.5), 0.5, shared[k])
    taken = np.sum([trimap == 1 for trimap in shared], 0) > 0
    return [of if keyed[k] else np.where((of != 1) & taken, 0, of).astype(np.float32) for k, of in enumerate(shared)]


def _around(trimap: np.ndarray, radius: float) -> np.ndarray:
    """What lies within so many pixels of a foreground, H x W bool; nothing where there is none."""
    sure = trimap == 1
    return dilate(sure, radius) if sure.any() else sure
