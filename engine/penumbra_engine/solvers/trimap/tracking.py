"""Tracking: what a pixel is, told from all frames along the motion where its own frame leaves it open."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from penumbra_engine.cache import Stack
from penumbra_engine.solvers.motion import Motion

_STAYS = 0.9  # how likely a pixel still is what motion brings; else it may be anything
_REACH = 0.01  # of the longer side: what motion brings speaks for its neighbours too
_LITTLE = 0.1  # trust: where there is less, motion says little


def track(likely: Callable[[int], np.ndarray], motion: Motion | None, tracked: Stack) -> Iterator[None]:
    """Fill T x C x H x W with how likely each pixel is of each of C classes, 1 over all of them; yields twice a frame.

    likely: how well each class explains what is seen on a frame, C x H x W above 0, by its index. Without motion each
    frame speaks for itself. The forward-backward algorithm (Rabiner 1989, section III), its states carried along the
    flow: what is known on one frame is remembered on those where the same part looks like something else.
    """
    frames = range(len(tracked))
    for order in (frames, reversed(frames)):
        last: tuple[int, np.ndarray] | None = None
        for index in order:
            said = likely(index)
            before = _brought(*last, index, motion) if last and motion else np.full_like(said, 1 / len(said))
            last = index, _shared(before * said)
            tracked[index] = last[1] if order is frames else _shared(tracked[index] * before)
            yield


def _brought(source: int, classes: np.ndarray, target: int, motion: Motion) -> np.ndarray:
    """The classes of a frame's neighbour, C x H x W, as far as motion can bring them."""
    size = (2 * int(_REACH * max(classes.shape[1:])) + 1,) * 2
    carried = [motion.carry(plane, source, target) for plane in classes]
    trusted = carried[0][1]
    heard = np.stack([cv2.blur(plane * trusted, size) for plane, _ in carried]) + _LITTLE / len(classes)
    return _STAYS * _shared(heard) + (1 - _STAYS) / len(classes)


def _shared(classes: np.ndarray) -> np.ndarray:
    """Classes, C x H x W, that are 1 together."""
    return (classes / classes.sum(0)).astype(np.float32)
