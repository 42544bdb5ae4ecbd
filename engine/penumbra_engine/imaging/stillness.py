"""Whether pictures are one view: how far the one lies from the other block by block, whether a homography explains more
than none does, and whether a part of the view never moves."""

from collections.abc import Iterable

import cv2
import numpy as np

_ROWS, _COLUMNS = 12, 16
_FINER = 2  # times: between leaves on the move, what stands is small
_BLUR = 1.0  # px: what is compared is smooth enough for its slopes, and resampling changes little of it
_STEEP = 1.0  # levels a pixel, root mean square over a block: below that a block tells nothing
_CUT = 3.0  # times the median: larger differences moved on their own
_EDGE = 4  # px
_FRAME_MOVED = 2.0  # times what blocks at rest lie from where they were: a frame in which half of them lie farther


def displacement(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """How far, in pixels, the larger part of one picture lies from the other: the median over blocks of the shift that
    explains the difference by the slopes (Lucas & Kanade 1981), and how many blocks could tell. H x W uint8 both.

    Not for pictures that are more than a pixel apart, where it only says that they are. 0 where nothing is steep.
    """
    shift = _shifts(a, b, _ROWS, _COLUMNS)
    told = np.isfinite(shift)
    return (float(np.median(shift[told])), int(told.sum())) if told.any() else (0.0, 0)


def at_rest(frames: Iterable[np.ndarray], reference: np.ndarray, within: float) -> float:
    """The part of the blocks that can tell which stay within some pixels of where the reference has them, in the median
    over the frames; 0 if in any frame half of them don't. H x W uint8 each.

    A camera that moves takes all of its view along: by chance a block lies near its place on one frame, not on most.
    Leaves, cloth and water leave what is between them where it was, however much of the picture they fill.
    """
    shifts = np.stack([_shifts(frame, reference, _FINER * _ROWS, _FINER * _COLUMNS) for frame in frames])
    told = np.isfinite(shifts).any(0)
    typical = np.full(told.shape, np.inf)
    typical[told] = np.nanmedian(shifts[:, told], 0)
    rest = typical < within
    if not rest.any():
        return 0.0
    moved = np.nan_to_num(shifts[:, rest], nan=0.0) > _FRAME_MOVED * within
    return 0.0 if (moved.mean(1) > 0.5).any() else float(rest.sum() / told.sum())


def _shifts(a: np.ndarray, b: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """How far each block of one picture lies from the other, in pixels, rows x columns; NaN where it can't tell."""
    a, b = (cv2.GaussianBlur(x.astype(np.float32), (0, 0), _BLUR) for x in (a, b))
    dx, dy = _slopes((a + b) / 2)
    xx, xy, yy, x, y = (_blocks(p, rows, columns) for p in (dx * dx, dx * dy, dy * dy, dx * (a - b), dy * (a - b)))
    determinant, trace = xx * yy - xy * xy, xx + yy
    weakest = trace / 2 - np.sqrt(np.maximum(trace * trace / 4 - determinant, 0))
    told = weakest > _STEEP**2 / 2
    shift = np.full((rows, columns), np.nan)
    shift[told] = np.hypot(yy * x - xy * y, xx * y - xy * x)[told] / determinant[told]
    return shift


def explained(a: np.ndarray, b: np.ndarray, homography: np.ndarray) -> float:
    """By what factor a homography (pixels of a to pixels of b) lessens the difference of two pictures where they are
    steep; H x W uint8 both. Below 1 it makes them differ more. What moved on its own is cut off."""
    height, width = a.shape
    first, second = (cv2.GaussianBlur(x.astype(np.float32), (0, 0), _BLUR) for x in (a, b))
    flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    size = (width, height)
    aligned = cv2.warpPerspective(second, homography, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    slope = np.hypot(*_slopes(first))
    steep = slope >= np.quantile(slope, 0.75)
    steep[:_EDGE], steep[-_EDGE:], steep[:, :_EDGE], steep[:, -_EDGE:] = False, False, False, False
    without, with_it = np.abs(first - second)[steep], np.abs(first - aligned)[steep]
    if not len(without):
        return 1.0
    cut = _CUT * min(float(np.median(without)), float(np.median(with_it))) + 1
    return float(np.minimum(without, cut).mean() / max(np.minimum(with_it, cut).mean(), 1e-6))


def _slopes(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Along x and y, levels a pixel."""
    return cv2.Sobel(picture, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(picture, cv2.CV_32F, 0, 1, scale=1 / 8)


def _blocks(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Means over the blocks."""
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA), np.float64)
