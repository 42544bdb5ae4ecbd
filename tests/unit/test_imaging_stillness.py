"""One view or two: a wall, moved by a known part of a pixel."""

import cv2
import numpy as np
import pytest

from penumbra_engine.imaging.stillness import displacement, explained

HEIGHT, WIDTH = 240, 320


def wall() -> np.ndarray:
    random = np.random.default_rng(0)
    blurs = (cv2.GaussianBlur(random.random((HEIGHT, WIDTH)).astype(np.float32), (0, 0), s) * s for s in (2, 5, 12))
    return cv2.normalize(sum(blurs), None, 20, 235, cv2.NORM_MINMAX)


def taken(scene: np.ndarray, seed: int, sigma: float = 2.0) -> np.ndarray:
    """A picture of it with some levels of noise."""
    noisy = scene + sigma * np.random.default_rng(seed).standard_normal(scene.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def shift(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def moved(scene: np.ndarray, by: np.ndarray) -> np.ndarray:
    return cv2.warpPerspective(scene, by, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("x, y", [(0.3, 0.0), (0.12, -0.16), (-0.5, 0.0)])
def test_a_part_of_a_pixel_is_measured(x: float, y: float) -> None:
    apart, blocks = displacement(taken(wall(), 1, 0.5), taken(moved(wall(), shift(x, y)), 2, 0.5))
    assert apart == pytest.approx(np.hypot(x, y), rel=0.15)
    assert blocks > 150


def test_noise_and_something_that_enters_are_no_motion() -> None:
    other = wall()
    other[60:180, 100:220] = 40 + 5 * moved(wall(), shift(30, 0))[60:180, 100:220] % 150
    apart, _ = displacement(taken(wall(), 1), taken(other, 2))
    assert apart < 0.06


def test_a_blank_picture_tells_nothing() -> None:
    blank = np.full((HEIGHT, WIDTH), 128, np.uint8)
    assert displacement(blank, blank) == (0.0, 0)


def test_the_true_homography_explains_and_a_wrong_one_does_not() -> None:
    by = shift(0.4, 0.2)
    a, b = taken(wall(), 1), taken(moved(wall(), by), 2)
    assert explained(a, b, by) > 1.5
    assert explained(a, b, np.eye(3)) == pytest.approx(1)
    stretched = np.array([[1.004, 0, 0], [0, 1.004, 0], [0, 0, 1.0]])  # what a car on the move makes of it
    assert explained(a, taken(wall(), 3), stretched) < 1
