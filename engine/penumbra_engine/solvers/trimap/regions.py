"""Regions: what a keyframe says of each pixel: surely the object, surely not, or unknown."""

from collections.abc import Iterable

import numpy as np

from penumbra_engine.imaging.morphology import dilate, distance_outside, erode

_BLACK, _WHITE = 0.1, 0.9  # of a trimap: a grey kept in 8 bits is no exact half
_GREY = 0.15  # how far the grey of a trimap may lie from a half
_CLEAR, _SOLID = 0.02, 0.98  # of a matte
_BAND = 2.0  # px: how far beside its soft pixels a matte is taken for unknown


def regions(keyframe: np.ndarray) -> np.ndarray:
    """0 background, 0.5 unknown, 1 foreground, H x W float32, of a trimap or of a finished matte (H x W in [0, 1]).

    A picture whose greys are all near a half is a trimap. Any other one is a matte, hard roto too: its soft pixels and
    all near an edge are unknown.
    """
    grey = (keyframe > _BLACK) & (keyframe < _WHITE)
    if grey.any() and (np.abs(keyframe[grey] - 0.5) <= _GREY).mean() > 0.95:
        foreground, background = keyframe >= _WHITE, keyframe <= _BLACK
    else:
        foreground, background = erode(keyframe >= _SOLID, _BAND), ~dilate(keyframe > _CLEAR, _BAND)
    return np.where(foreground, 1, np.where(background, 0, 0.5)).astype(np.float32)


def depth(keyframes: Iterable[np.ndarray]) -> float:
    """How far inside the background's border an object of some keyframes is sure, px: the median of where its
    foreground ends. Infinite where none has both."""
    depths = []
    for keyframe in keyframes:
        found = regions(keyframe)
        rim = (found == 1) & dilate(found < 1, 1)
        depths.append(distance_outside(found == 0)[rim])
    every = np.concatenate(depths)
    return float(np.median(every)) if len(every) else float("inf")


def wrong(keyframe: np.ndarray) -> str:
    """What is wrong with a keyframe, in words that follow its file; "" for nothing. No foreground is legal: smoke and
    glass have none."""
    found = regions(keyframe)
    if not (found == 0).any():
        return "has no background (black); paint black where the object surely is not"
    if not (found > 0).any():
        return (
            "has neither foreground nor an unknown region; paint white inside and grey along the edge, or name the "
            "channel it is in, as in trimap.exr@A"
        )
    return ""
