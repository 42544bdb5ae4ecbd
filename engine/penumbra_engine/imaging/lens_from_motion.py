"""The bend of a lens, from what homographies between frames of a turning camera miss."""

from collections.abc import Iterable

import cv2
import numpy as np

from penumbra_engine.imaging.registration import Frame, apply, matches

_BENDS = np.linspace(-0.12, 0.12, 13)
_FAR = 3.0  # px: matches that miss by more are wrong, or on something that moves
_EXPLAINS = 0.95  # of what is missed without a bend: what has to be left


def measure_bend(pairs: Iterable[tuple[Frame, Frame]]) -> float:
    """The bend of the lens (see `Lens`) with which homographies miss the matches of pairs of frames least.

    0 where it explains little of what they miss: parallax bends too.
    """
    matched = [(a, *found) for a, b in pairs if (found := matches(a, b)) is not None]
    if not matched:
        return 0.0

    def miss(bend: float) -> float:
        return float(np.mean([_miss(a.flat(s, bend), a.flat(t, bend)) for a, s, t in matched]))

    misses = [miss(bend) for bend in _BENDS]
    best = int(np.argmin(misses))
    if misses[best] > _EXPLAINS * misses[len(_BENDS) // 2]:
        return 0.0
    if best in (0, len(_BENDS) - 1):
        return float(_BENDS[best])
    before, here, after = misses[best - 1 : best + 2]
    step = _BENDS[1] - _BENDS[0]
    return float(_BENDS[best] + step * (before - after) / (2 * (before - 2 * here + after)))


def _miss(source: np.ndarray, target: np.ndarray) -> float:
    """Mean distance in pixels, cut at 3, of matches from the homography that most of them follow."""
    homography, _ = cv2.findHomography(source, target, cv2.USAC_MAGSAC, 2.0, maxIters=2000, confidence=0.999)
    distance = np.full(len(source), _FAR)
    for _ in range(3):
        if homography is None:
            break
        distance = np.linalg.norm(apply(homography, source) - target, axis=1)
        agree = distance < _FAR
        if agree.sum() < 12:
            break
        homography, _ = cv2.findHomography(source[agree], target[agree], 0)
    return float(np.minimum(distance, _FAR).mean())
