"""Whether two pictures are one view: how far the one lies from the other block by block, and whether a homography
explains more than none does."""

import cv2
import numpy as np

_ROWS, _COLUMNS = 12, 16
_BLUR = 1.0  # px: what is compared is smooth enough for its slopes, and resampling changes little of it
_STEEP = 1.0  # levels a pixel, root mean square over a block: below that a block tells nothing
_CUT = 3.0  # times the median: larger differences moved on their own
_EDGE = 4  # px


def displacement(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """How far, in pixels, the larger part of one picture lies from the other: the median over blocks of the shift that
    explains the difference by the slopes (Lucas & Kanade 1981), and how many blocks could tell. H x W uint8 both.

    Not for pictures that are more than a pixel apart, where it only says that they are. 0 where nothing is steep.
    """
    a, b = (cv2.GaussianBlur(x.astype(np.float32), (0, 0), _BLUR) for x in (a, b))
    dx, dy = _slopes((a + b) / 2)
    xx, xy, yy = _blocks(dx * dx), _blocks(dx * dy), _blocks(dy * dy)
    determinant, trace = xx * yy - xy * xy, xx + yy
    weakest = trace / 2 - np.sqrt(np.maximum(trace * trace / 4 - determinant, 0))
    told = weakest > _STEEP**2 / 2
    if not told.any():
        return 0.0, 0
    x, y = _blocks(dx * (a - b)), _blocks(dy * (a - b))
    shift = np.hypot(yy * x - xy * y, xx * y - xy * x)[told] / determinant[told]
    return float(np.median(shift)), int(told.sum())


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


def _blocks(picture: np.ndarray) -> np.ndarray:
    """Means over the blocks."""
    return np.asarray(cv2.resize(picture, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA), np.float64)
