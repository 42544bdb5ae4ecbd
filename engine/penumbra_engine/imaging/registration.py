"""Camera motion between frames as homographies: features, MAGSAC, ECC, and one solution for all frames.

Everything here sees encoded 8-bit luminance. No mask is needed: a robust fit follows the larger part of the picture,
and pixels that move on their own are left out of the polish.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import spsolve

from penumbra_engine.imaging.lens import Lens

_GRID = 8  # correspondences along each side that stand for a homography in the global solution
_MAX_SIDE = 960  # features and ECC gain nothing from more pixels
_FEATURES = 2000
_CORNER = 3e-4  # of AKAZE's response: a third of what is usual, for plain walls
_RATIO = 0.8  # of the distances of the nearest descriptor and the next
_INLIER = 1.0  # px
_REFITS = 8
_TYPICAL, _EXACT = 3.0, 0.2  # times the median distance, and px: what a match may miss by in the end
_PLENTY = 100  # matches: what they agree on is more exact than what intensities, of which some move, add to it
_SAME = 3.0  # of 255: what noise changes


@dataclass(frozen=True)
class Pair:
    """A measured homography between two frames.

    source, target: indices. homography: 3 x 3, pixels of source to pixels of target. inliers: matches that agree with
    it. residual: their root mean square distance in pixels. correlation: of the luminance after the polish, 0 to 1.
    """

    source: int
    target: int
    homography: np.ndarray
    inliers: int
    residual: float
    correlation: float


class Frame:
    """The luminance (H x W uint8) of one frame at the size that is registered, with its features. corners: whether
    those of AKAZE are used, too: for pictures that may have less in common than the frames of one shot."""

    def __init__(self, luminance: np.ndarray, corners: bool = False) -> None:
        self.corners = corners
        self.bend = 0.0  # of the lens; features are where a pinhole would show them
        self.scale = min(1.0, _MAX_SIDE / max(luminance.shape))
        if self.scale < 1:
            luminance = cv2.resize(luminance, None, fx=self.scale, fy=self.scale, interpolation=cv2.INTER_AREA)
        self.luminance = luminance

    @property
    def to_full(self) -> np.ndarray:
        """The homography from pixels of `luminance` to those of the frame. A pixel's centre is (0, 0) here, so scaling
        by area moves it by half a pixel of the difference."""
        middle = 0.5 / self.scale - 0.5
        return np.array([[1 / self.scale, 0, middle], [0, 1 / self.scale, middle], [0, 0, 1]])

    @property
    def features(self) -> tuple[np.ndarray, np.ndarray]:
        """Points N x 2 and RootSIFT descriptors N x 128 (Arandjelovic & Zisserman 2012), found when first asked for."""
        points, descriptors = self._features
        return self.flat(points, self.bend), descriptors

    @functools.cached_property
    def corner_features(self) -> tuple[np.ndarray, np.ndarray]:
        """Points N x 2 and binary descriptors N x 61 of AKAZE (Alcantarilla, Nuevo & Bartoli 2013)."""
        keypoints, descriptors = cv2.AKAZE.create(threshold=_CORNER).detectAndCompute(self.luminance, None)
        if descriptors is None:
            return np.zeros((0, 2), np.float32), np.zeros((0, 61), np.uint8)
        return self.flat(np.array([k.pt for k in keypoints], np.float32), self.bend), descriptors

    @functools.cached_property
    def _features(self) -> tuple[np.ndarray, np.ndarray]:
        return _features(self.luminance)

    def flat(self, points: np.ndarray, bend: float) -> np.ndarray:
        """Points N x 2 of `luminance` to where a pinhole would show them."""
        height, width = self.luminance.shape
        return Lens(bend, width, height).flat(torch.from_numpy(points)).numpy()


def _features(luminance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    keypoints, descriptors = cv2.SIFT.create(
        _FEATURES, contrastThreshold=0.02, enable_precise_upscale=True
    ).detectAndCompute(luminance, None)
    if descriptors is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    descriptors = np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-6))
    return np.array([k.pt for k in keypoints], np.float32), descriptors.astype(np.float32)


def register_pair(frames: tuple[Frame, Frame], indices: tuple[int, int], polish: bool) -> Pair | None:
    """The homography between two frames, or None when there is nothing to find one by.

    Matches pass Lowe's ratio test and MAGSAC (Barath et al. 2020), then least squares over those that agree; where
    these are few, `polish` maximises the enhanced correlation coefficient (Evangelidis & Psarakis 2008) over the pixels
    that follow the first estimate. Frames with fewer than 12 features that agree are the same view when most of their
    pixels are.
    """
    a, b = frames
    found = _match(a, b)
    if found is None:
        same = float(np.median(cv2.absdiff(a.luminance, b.luminance))) <= _SAME
        return Pair(*indices, np.eye(3), 0, 0.0, 0.0) if same else None
    homography, inliers, residual = found
    correlation = 0.0
    if polish:
        homography, correlation = _polish(a.luminance, b.luminance, homography, inliers < _PLENTY)
    full = a.to_full @ homography @ np.linalg.inv(a.to_full)
    return Pair(*indices, full / full[2, 2], inliers, residual / a.scale, correlation)


def matches(a: Frame, b: Frame) -> tuple[np.ndarray, np.ndarray] | None:
    """Points of matching features in both frames, N x 2 each; None for fewer than 12."""
    found = [_matched(a.features, b.features, _by_angle)]
    if a.corners and b.corners:
        found.append(_matched(a.corner_features, b.corner_features, _by_bits))
    source, target = (np.concatenate(points) for points in zip(*found, strict=True))
    return (source, target) if len(source) >= 12 else None


def _matched(
    a: tuple[np.ndarray, np.ndarray],
    b: tuple[np.ndarray, np.ndarray],
    nearest: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Points of a and of b whose descriptors are nearest, and by Lowe's ratio test much nearer than the next."""
    if min(len(a[0]), len(b[0])) < 2:
        return a[0][:0], b[0][:0]
    at, distance = nearest(a[1], b[1])
    good = distance[0] < _RATIO * distance[1]
    return a[0][good], b[0][at[good]]


def _by_angle(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each of N descriptors of length 1 the nearest one of others, N indices, and the distances to that and to the
    next, 2 x N. All products at once take a third of the time of a search."""
    alike = torch.from_numpy(a) @ torch.from_numpy(b).T
    most, at = alike.max(1)
    next_to = alike.scatter_(1, at[:, None], -2).amax(1)
    return at.numpy(), (2 - 2 * torch.stack([most, next_to])).clamp(min=0).sqrt().numpy()


def _by_bits(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of binary descriptors."""
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(a, b, 2)
    return np.array([m.trainIdx for m, _ in pairs]), np.array([[p[k].distance for p in pairs] for k in (0, 1)])


def _match(a: Frame, b: Frame) -> tuple[np.ndarray, int, float] | None:
    """The homography that most feature matches agree on, how many do, and their root mean square distance in pixels."""
    found = matches(a, b)
    if found is None:
        return None
    source, target = found
    homography, inlier = cv2.findHomography(source, target, cv2.USAC_MAGSAC, _INLIER, maxIters=5000, confidence=0.9999)
    if homography is None or inlier.sum() < 12:
        return None
    # What the search ends with follows the few matches of its last sample; all that agree are several times as exact,
    # the more so without those of what moves slowly on its own.
    limit = _INLIER
    for _ in range(_REFITS):
        distance = np.linalg.norm(apply(homography, source) - target, axis=1)
        agree = distance < limit
        if agree.sum() < 12:
            return None
        homography, _ = cv2.findHomography(source[agree], target[agree], 0)
        if homography is None:
            return None
        limit = float(np.clip(_TYPICAL * np.median(distance[agree]), _EXACT, _INLIER))
    return homography, int(agree.sum()), float(np.sqrt(np.mean(distance[agree] ** 2)))


def _polish(a: np.ndarray, b: np.ndarray, homography: np.ndarray, move: bool) -> tuple[np.ndarray, float]:
    """ECC from a first estimate, which stays where that does not converge or wanders off, and unless it is to move;
    and the correlation that it has."""
    height, width = a.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    aligned = cv2.warpPerspective(b, homography, (width, height), flags=flags)
    inside = cv2.warpPerspective(np.full_like(b, 255), homography, (width, height), flags=flags) == 255
    difference = cv2.blur(cv2.absdiff(a, aligned), (5, 5)).astype(np.float32)
    follows = inside & (difference <= max(4.0, 3 * float(np.median(difference[inside])))) if inside.any() else inside
    if follows.mean() < 0.1:
        return homography, 0.0
    if not move:
        return homography, float(cv2.computeECC(a, aligned, follows.astype(np.uint8)))
    # ECC masks the picture that it warps, not the one that it warps to.
    follows = cv2.warpPerspective(follows.astype(np.uint8), homography, (width, height), flags=cv2.INTER_NEAREST)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-6)
    try:
        correlation, polished = cv2.findTransformECC(
            a, b, homography.astype(np.float32), cv2.MOTION_HOMOGRAPHY, criteria, follows, 3
        )
    except cv2.error:  # its way to say that it did not converge
        return homography, 0.0
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)[:, None]
    drift = cv2.perspectiveTransform(corners, polished) - cv2.perspectiveTransform(
        corners, homography.astype(np.float32)
    )
    if np.abs(drift).max() > 3:
        return homography, 0.0
    return polished.astype(np.float64), float(correlation)


def solve_cameras(pairs: Iterable[Pair], count: int, reference: int, size: tuple[int, int]) -> np.ndarray:
    """The homographies (count x 3 x 3, frame pixels to pixels of the reference frame) that agree best with all pairs.

    Starts from the chain of neighbours and minimises, over all pairs, the distance in the reference between a grid of
    points of one frame and where the pair puts them in the other (Gauss-Newton, Huber weights at 1 px). size: width,
    height. Raises ValueError when the pairs don't connect every frame.
    """
    pairs = list(pairs)
    cameras = _chain(pairs, count, reference)
    width, height = size
    grid = np.stack(np.meshgrid(np.linspace(0, width - 1, _GRID), np.linspace(0, height - 1, _GRID)), -1).reshape(-1, 2)
    for _ in range(8):
        step = _gauss_newton(pairs, cameras, reference, grid, size)
        # The last element of each homography stays 1; the update has the other eight.
        cameras = cameras + np.concatenate([step, np.zeros((count, 1))], 1).reshape(-1, 3, 3)
        if np.abs(step).max() < 1e-7:
            break
    return cameras


def _chain(pairs: list[Pair], count: int, reference: int) -> np.ndarray:
    """Each frame's homography along the fewest, best pairs."""
    links: dict[int, list[tuple[int, np.ndarray]]] = {}
    for pair in sorted(pairs, key=lambda p: abs(p.source - p.target)):
        links.setdefault(pair.target, []).append((pair.source, pair.homography))
        links.setdefault(pair.source, []).append((pair.target, np.linalg.inv(pair.homography)))
    cameras = {reference: np.eye(3)}
    queue = [reference]
    while queue:
        frame = queue.pop(0)
        for other, homography in links.get(frame, []):
            if other not in cameras:
                camera = cameras[frame] @ homography
                cameras[other] = camera / camera[2, 2]
                queue.append(other)
    lost = [frame for frame in range(count) if frame not in cameras]
    if lost:
        raise ValueError(lost)
    return np.stack([cameras[frame] for frame in range(count)])


def _gauss_newton(
    pairs: list[Pair], cameras: np.ndarray, reference: int, grid: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """One step for all cameras at once, count x 8; the reference stays."""
    rows, columns, values, errors = [], [], [], []
    offset = 0
    for pair in pairs:
        moved = apply(pair.homography, grid)
        inside = ((moved > -0.5) & (moved < np.array(size) - 0.5)).all(1)
        if not inside.any():
            continue
        a, b = grid[inside], moved[inside]
        at_a, jacobian_a = _project(cameras[pair.source], a)
        at_b, jacobian_b = _project(cameras[pair.target], b)
        error = at_a - at_b
        length = np.linalg.norm(error, axis=1)
        # Near pairs are the most exact; a Huber weight keeps one bad pair from bending its neighbours.
        weight = np.sqrt(np.minimum(1, 1 / np.maximum(length, 1e-9)) / abs(pair.source - pair.target))
        for camera, jacobian, sign in ((pair.source, jacobian_a, 1.0), (pair.target, jacobian_b, -1.0)):
            if camera == reference:
                continue
            block = sign * jacobian * weight[:, None, None]
            index = offset + np.arange(2 * len(a))
            rows.append(np.repeat(index, 8))
            columns.append(np.tile(np.arange(8) + 8 * camera, 2 * len(a)))
            values.append(block.reshape(-1))
        errors.append((error * weight[:, None]).reshape(-1))
        offset += 2 * len(a)
    unknowns = 8 * len(cameras)
    design = sparse.csr_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(offset, unknowns)
    )
    # A tiny ridge scaled to each unknown: the reference has no equation, translations and perspective no common unit.
    normal = design.T @ design
    ridge = sparse.diags(normal.diagonal() * 1e-9 + 1e-12)
    return -spsolve((normal + ridge).tocsc(), design.T @ np.concatenate(errors)).reshape(-1, 8)


def apply(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points N x 2 through a 3 x 3 homography."""
    moved = points @ homography[:, :2].T + homography[:, 2]
    return moved[:, :2] / moved[:, 2:]


def _project(camera: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points N x 2 through a homography, and the derivative N x 2 x 8 by its first eight elements."""
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], 1)
    x, y, w = (homogeneous @ camera.T).T
    at = np.stack([x / w, y / w], 1)
    jacobian = np.zeros((len(points), 2, 8))
    scaled = homogeneous / w[:, None]
    jacobian[:, 0, 0:3] = scaled
    jacobian[:, 1, 3:6] = scaled
    jacobian[:, 0, 6:8] = -at[:, :1] * scaled[:, :2]
    jacobian[:, 1, 6:8] = -at[:, 1:] * scaled[:, :2]
    return at, jacobian
