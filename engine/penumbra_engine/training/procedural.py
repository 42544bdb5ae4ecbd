"""Training pictures out of nothing: leaves that fall on leaves, splines, strands and smoke, with exact coverage.

Everything is drawn larger and averaged down, in linear light. Pictures are side x side x 3, mattes side x side.
"""

from collections.abc import Callable

import cv2
import numpy as np

from penumbra_engine.imaging.noise import Noise
from penumbra_engine.training.composites import Subject, put_over, streak

_FINER = 4  # times, drawn larger before it is averaged
_LEAVES = 120
_STRANDS = 300
_SMALLEST = 0.02  # of the side: radius of a leaf


def composite(side: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture, its background as a clean plate would show it (a little off in place and gain), and the matte."""
    background, own = leaves(side, random), leaves(side, random)
    alpha = soft_shape(side, random)
    light = shadow(side, random)[..., None]
    noise = Noise(float(10 ** random.uniform(-6, -4.5)), float(10 ** random.uniform(-5, -3.5)))
    subject = Subject(own * alpha[..., None], alpha, light.repeat(3, 2))
    picture = put_over(subject, background, noise, random)
    shift = np.column_stack([np.eye(2), random.uniform(-0.4, 0.4, 2)])
    clean = cv2.warpAffine(background, shift, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    return picture, clean * np.float32(random.uniform(0.97, 1.03)), alpha


def leaves(side: int, random: np.random.Generator) -> np.ndarray:
    """Dead leaves: ellipses of one colour each that hide one another, their radii by a power law, as in natural
    pictures (Lee, Mumford & Huang 2001). Scene-linear, mostly below 1."""
    size = side * 2
    picture = np.empty((size, size, 3), np.float32)
    picture[:] = _colour(random)
    for _ in range(_LEAVES):
        radius = size * _SMALLEST / np.sqrt(random.uniform(0.004, 1))  # density r^-3
        axes = (round(radius) + 1, round(radius * random.uniform(0.3, 1)) + 1)
        centre = (int(random.integers(size)), int(random.integers(size)))
        cv2.ellipse(picture, centre, axes, random.uniform(0, 180), 0, 360, _colour(random), -1)
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


def soft_shape(side: int, random: np.random.Generator) -> np.ndarray:
    """A matte with an edge of some kind: a spline, strands around it, or smoke; sharp, defocused or moving."""
    kind = random.integers(3)
    alpha = smoke(side, random) if kind == 2 else spline(side, random)
    if kind == 1:
        alpha = np.maximum(alpha, strands(side, random))
    if random.random() < 0.3:
        alpha = cv2.GaussianBlur(alpha, (0, 0), random.uniform(0.5, 3))
    if random.random() < 0.3:
        alpha = _moved(alpha, random)
    return np.clip(alpha, 0, 1)


def spline(side: int, random: np.random.Generator) -> np.ndarray:
    """A closed smooth curve, filled: radii over the angle with a few harmonics."""
    angle = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    radius = np.ones_like(angle)
    for harmonic in range(2, 9):
        radius += random.normal(0, 0.3 / harmonic) * np.cos(harmonic * angle + random.uniform(0, 2 * np.pi))
    centre, size = random.uniform(0.3, 0.7, 2), random.uniform(0.15, 0.35)
    points = (centre + size * radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)) * side
    return _drawn(side, lambda canvas: cv2.fillPoly(canvas, [_fine(points)], 1.0))


def strands(side: int, random: np.random.Generator) -> np.ndarray:
    """Hair: bent lines of a quarter of a pixel and more, out of one place."""
    root, lean = random.uniform(0.35, 0.65, 2) * side, random.uniform(0, 2 * np.pi)
    curves, widths = [], []
    along = np.linspace(0, 1, 12)[:, None]
    for _ in range(_STRANDS):
        start = root + random.normal(0, 0.12, 2) * side
        angle = lean + random.normal(0, 0.8)
        reach = np.array([np.cos(angle), np.sin(angle)]) * random.uniform(0.1, 0.35) * side
        bend = random.normal(0, 0.06, 2) * side
        curves.append(_fine(start + reach * along + bend * along**2))
        widths.append(int(random.integers(1, 4)))

    def draw(canvas: np.ndarray) -> None:
        for curve, width in zip(curves, widths, strict=True):
            cv2.polylines(canvas, [curve], False, 1.0, width)

    return _drawn(side, draw)


def smoke(side: int, random: np.random.Generator) -> np.ndarray:
    """Noise summed over octaves (Perlin 1985), faded out towards its rim."""
    total = np.zeros((side, side), np.float32)
    for octave in range(2, 6):
        cells = random.random((2**octave, 2**octave), np.float32)
        total += cv2.resize(cells, (side, side), interpolation=cv2.INTER_CUBIC) / 2 ** (octave - 2)
    total = (total - total.min()) / max(float(np.ptp(total)), 1e-6)
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side - random.uniform(0.35, 0.65, (2, 1, 1))
    return np.clip(total * np.exp(-8 * (x**2 + y**2)) * 1.5, 0, 1).astype(np.float32)


def _drawn(side: int, draw: Callable[[np.ndarray], object]) -> np.ndarray:
    """What is drawn on a finer canvas of zeros, as coverage."""
    canvas = np.zeros((side * _FINER, side * _FINER), np.float32)
    draw(canvas)
    return cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)


def _fine(points: np.ndarray) -> np.ndarray:
    return np.round(points * _FINER).astype(np.int32)


def _colour(random: np.random.Generator) -> tuple[float, float, float]:
    red, green, blue = (random.uniform(0, 1, 3) ** 2.2).tolist()
    return red, green, blue


def _moved(alpha: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Blurred along a line, as by motion while the shutter is open."""
    return cv2.filter2D(alpha, -1, streak(int(random.integers(3, 12)), random.uniform(0, np.pi)))


def shadow(side: int, random: np.random.Generator) -> np.ndarray:
    """What a soft shadow leaves of the light, side x side."""
    if random.random() < 0.5:
        return np.ones((side, side), np.float32)
    shape = cv2.GaussianBlur(spline(side, random), (0, 0), random.uniform(1, 8))
    return (1 - random.uniform(0.2, 0.7) * shape).astype(np.float32)
