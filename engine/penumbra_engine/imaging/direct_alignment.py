"""Camera motion without features: a whole picture brought over another by its slopes, for walls that have no detail."""

import cv2
import numpy as np

_LEVELS = (8, 4, 2)  # times smaller
_STEPS = 12
_CUT = 4.0  # standard deviations: what differs by more moves on its own (Tukey's biweight)
_LEAST_SPREAD = 0.05  # levels, of what smaller pictures of one view differ by
_MISPLACED = 0.25  # px, by which edges err: what little has detail doesn't outweigh all that has none
_SHIFT, _TURN = 0.05, 0.01  # expected: of the longer side from the start on; radians, and relative size
_SETTLED = 0.01  # px of a smaller picture
_OVERLAP = 0.1  # of a picture
_BLUR = 2.0  # px: pictures are compared smoothly, so that noise does not hide a wall's slopes


def align(a: np.ndarray, b: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The shift, turn and change of size (3 x 3, pixels of a to pixels of b) that explain most of a picture, by
    Gauss-Newton from coarse to fine on all pixels (Lucas & Kanade 1981), with what moves on its own given no weight.

    a, b: H x W uint8; start: 3 x 3, from where it is looked for. Where slopes tell next to nothing it stays near the
    start, which then loses next to nothing either.
    """
    found = start.astype(np.float64)
    for level in _LEVELS:
        first, second = (_smaller(x, level) for x in (a, b))
        to_full = np.array([[level, 0, (level - 1) / 2], [0, level, (level - 1) / 2], [0, 0, 1.0]])
        found = to_full @ _refine(first, second, np.linalg.inv(to_full) @ found @ to_full) @ np.linalg.inv(to_full)
    return found / found[2, 2]


def unlike(a: np.ndarray, b: np.ndarray, homography: np.ndarray) -> float:
    """What two pictures (H x W uint8) differ by once a homography (pixels of a to pixels of b) is out, in levels: the
    median, which things on the move don't change much. Infinite where they hardly overlap."""
    first, second = (cv2.GaussianBlur(x.astype(np.float32), (0, 0), _BLUR) for x in (a, b))
    moved, inside = _moved(second, homography)
    if inside.mean() < _OVERLAP:
        return float("inf")
    return float(np.median(np.abs(moved - first)[inside]))


def _smaller(picture: np.ndarray, level: int) -> np.ndarray:
    size = (picture.shape[1] // level, picture.shape[0] // level)
    whole = picture[: size[1] * level, : size[0] * level].astype(np.float32)
    return cv2.resize(whole, size, interpolation=cv2.INTER_AREA)


def _refine(a: np.ndarray, b: np.ndarray, found: np.ndarray) -> np.ndarray:
    height, width = a.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x - (width - 1) / 2, y - (height - 1) / 2
    centre = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1.0]])
    prior = np.array([_SHIFT * max(a.shape), _SHIFT * max(a.shape), _TURN, _TURN]) ** -2.0
    for _ in range(_STEPS):
        moved, inside = _moved(b, found)
        if not inside.any():
            break
        dx, dy = (cv2.Sobel(moved, cv2.CV_32F, *by, scale=1 / 8) for by in ((1, 0), (0, 1)))
        slopes = np.stack([dx, dy, x * dy - y * dx, x * dx + y * dy], -1)[inside]
        error = (moved - a)[inside]
        spread = max(1.4826 * float(np.median(np.abs(error))), _LEAST_SPREAD)
        weight = np.square(1 - np.square(error / (_CUT * spread)).clip(max=1))
        weight /= 1 + (np.square(dx) + np.square(dy))[inside] * (_MISPLACED / spread) ** 2
        normal = (slopes * weight[:, None]).T @ slopes + np.diag(prior) * spread**2
        step = -np.linalg.solve(normal.astype(np.float64), ((slopes * weight[:, None]).T @ error).astype(np.float64))
        shift_x, shift_y, turn, size = step
        moves = np.array([[1 + size, -turn, shift_x], [turn, 1 + size, shift_y], [0, 0, 1]])
        found = found @ (centre @ moves @ np.linalg.inv(centre))
        if np.hypot(shift_x, shift_y) < _SETTLED:
            break
    return found


def _moved(picture: np.ndarray, homography: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture where another's pixels lie in it, and where they do."""
    height, width = picture.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    there = cv2.warpPerspective(np.ones_like(picture), homography, (width, height), flags=flags)
    return cv2.warpPerspective(picture, homography, (width, height), flags=flags), there > 0.999
