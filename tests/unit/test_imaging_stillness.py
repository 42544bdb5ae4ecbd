"""One view or two: a wall, moved by a known part of a pixel."""

import cv2
import numpy as np
import pytest

from penumbra_engine.imaging.stillness import at_rest, displacement, explained

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


def swaying(by: float) -> np.ndarray:
    """The wall, three quarters of it hung with cloth that is some pixels to the right."""
    scene = wall()
    cloth = np.ones(scene.shape, bool)
    cloth[:, ::80] = False
    cloth = cv2.erode(cloth.astype(np.uint8), np.ones((20, 20))) > 0
    return np.where(cloth, moved(scene, shift(by, 0.3 * by)), scene)


def test_what_stands_between_cloth_that_sways_tells_a_camera_that_stands() -> None:
    sways = 4 * np.sin(np.arange(1, 10))
    reference = taken(swaying(0), 0)
    frames = [taken(swaying(by), seed) for seed, by in enumerate(sways, 1)]
    assert np.median([displacement(frame, reference)[0] for frame in frames]) > 1
    assert at_rest(frames, reference, 0.12) > 0.05
    # One knock of the camera.
    frames[4] = moved(frames[4], shift(3, 1))
    assert at_rest(frames, reference, 0.12) == 0


def test_a_camera_that_shakes_leaves_nothing_at_rest() -> None:
    frames = [taken(moved(wall(), shift(2 * np.sin(3 * t), 2 * np.cos(2 * t))), t) for t in range(1, 10)]
    assert at_rest(frames, taken(wall(), 0), 0.12) == 0
