"""What each frame counts for when frames are asked for the background: one that repeats another tells nothing new."""

from collections.abc import Iterable

import numpy as np

_ALIKE = 8  # power of the overlap: objects that share nine tenths of their pixels have half of their effects in common


def witnesses(objects: Iterable[np.ndarray]) -> np.ndarray:
    """What each frame counts for, T, 1 at most, by where its objects lie in the scene (H x W bool each).

    An object that stands still shows its shadow and its reflection at rest on every frame of it, and the longer it
    stands the more these look like the background. Such frames are alike, and n alike ones count as the root of n.
    """
    held = np.stack([frame.reshape(-1) for frame in objects]).astype(np.float32)
    both, area = held @ held.T, held.sum(1)
    overlap = both / np.maximum(area[:, None] + area - both, 1)
    alike = np.maximum(overlap**_ALIKE, np.eye(len(held))).sum(1)
    return np.sqrt(alike.min() / alike)
