"""Training pictures made on the fly: a subject lifted off one place and put over another, with its light and grain.

Pictures are H x W x 3, mattes H x W, all float32 and scene-linear.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from penumbra_engine.imaging.noise import Noise

_FREE = 0.01  # alpha below which a pixel shows the background and what the subject does to its light
_SPREAD = 2.0  # px: effects are smoother than the grain
_DARK = 1e-3  # scene-linear: no ratio is taken to less
_BRIGHTEST = 2.0


@dataclass(frozen=True)
class Subject:
    """A subject apart from its background. premultiplied: H x W x 3. alpha: H x W. shade: H x W x 3, by what its
    shadow multiplies the background."""

    premultiplied: np.ndarray
    alpha: np.ndarray
    shade: np.ndarray

    def moved(self, matrix: np.ndarray, size: tuple[int, int], away: tuple[float, float] = (0, 0)) -> "Subject":
        """The subject as seen from elsewhere. matrix: 2 x 3, pixels of the result to pixels of the subject. size:
        width, height. away: (x, y), where its shadow is taken from besides, in pixels of the subject: as if it hopped.
        Outside its picture there is neither subject nor shadow."""
        shadow = matrix + np.array([[0, 0, away[0]], [0, 0, away[1]]])
        return Subject(
            resampled(self.premultiplied, matrix, size, cv2.BORDER_CONSTANT, 0),
            resampled(self.alpha, matrix, size, cv2.BORDER_CONSTANT, 0),
            resampled(self.shade, shadow, size, cv2.BORDER_CONSTANT, 1),
        )

    def streaked(self, kernel: np.ndarray) -> "Subject":
        """The subject as it looks when it moves while the shutter is open. kernel: by `streak`."""
        colour, alpha = (cv2.filter2D(part, -1, kernel) for part in (self.premultiplied, self.alpha))
        return Subject(colour, alpha, self.shade)


def streak(length: int, angle: float) -> np.ndarray:
    """The kernel of a motion of `length` pixels at an angle in radians while the shutter is open; it sums to 1."""
    kernel = np.zeros((length, length), np.float32)
    middle = (length - 1) / 2
    ends = [tuple(round(middle * (1 + sign * d)) for d in (np.cos(angle), np.sin(angle))) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return kernel / kernel.sum()


def heaped(subjects: Sequence[Subject]) -> tuple[Subject, list[np.ndarray]]:
    """Subjects of one size in front of each other, front to back, as one, and what is seen of each one's alpha."""
    through, shade = np.ones_like(subjects[0].alpha), np.ones_like(subjects[0].shade)
    colour, seen = np.zeros_like(subjects[0].premultiplied), []
    for subject in subjects:
        seen.append(through * subject.alpha)
        colour = colour + through[..., None] * subject.premultiplied
        through, shade = through * (1 - subject.alpha), shade * subject.shade
    return Subject(colour, 1 - through, shade), seen


def lift(picture: np.ndarray, background: np.ndarray, alpha: np.ndarray, effects: bool = True) -> Subject:
    """Take a subject off a background that is known.

    effects: the shadow is the ratio of picture and background around the subject, smooth, continued under soft edges.
    """
    shade = np.ones_like(picture)
    if effects:
        free = (alpha < _FREE).astype(np.float32)
        ratio = np.clip(picture / np.maximum(background, _DARK), 0, _BRIGHTEST)
        weight = cv2.GaussianBlur(free, (0, 0), _SPREAD)[..., None]
        total = cv2.GaussianBlur(ratio * free[..., None], (0, 0), _SPREAD)
        shade = np.where(weight > 1e-3, total / np.maximum(weight, 1e-3), 1).astype(np.float32)
    through = (1 - alpha)[..., None]
    premultiplied = np.where(alpha[..., None] > 0, picture - through * background * shade, 0)
    return Subject(premultiplied.astype(np.float32), alpha, shade)


def put_over(subject: Subject, background: np.ndarray, noise: Noise, random: np.random.Generator) -> np.ndarray:
    """The subject and its shadow over a background without grain, which gets the plate's; H x W x 3."""
    through = (1 - subject.alpha)[..., None]
    behind = background * subject.shade
    deviation = np.sqrt(noise.read + noise.shot * np.maximum(behind, 0))
    grain = random.standard_normal(behind.shape, np.float32) * deviation
    return (subject.premultiplied + through * (behind + grain)).astype(np.float32)


def resampled(
    picture: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border: int = cv2.BORDER_REFLECT_101, value: int = 0
) -> np.ndarray:
    """A picture through an affine map; matrix: 2 x 3, pixels of the result to pixels of the picture."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=border, borderValue=(value,) * 4)


def random_view(
    centre: tuple[float, float], side: int, random: np.random.Generator, turn: float = 10, zoom: float = 1.2
) -> np.ndarray:
    """A 2 x 3 map from a square of `side` pixels to a picture, its middle at `centre` (x, y), turned by up to `turn`
    degrees and scaled by up to `zoom` either way."""
    angle, scale = np.radians(random.uniform(-turn, turn)), zoom ** random.uniform(-1, 1)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (side - 1) / 2
    return np.column_stack([linear, np.asarray(centre) - linear @ [middle, middle]])
