"""A wall without detail, and something with detail that moves before it."""

import cv2
import numpy as np

from penumbra_engine.imaging.direct_alignment import align, unlike

HEIGHT, WIDTH = 180, 320


def taken(camera: float, thing: int, seed: int) -> np.ndarray:
    """The wall from a camera that has moved to the right by some pixels, a thing in front, and some noise."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    shading = 120 + 25 * np.sin((x + camera) / 60) * np.cos(y / 50)
    random = np.random.default_rng(0)
    pattern = 40 + 170 * cv2.GaussianBlur(random.random((60, 60)), (0, 0), 1.5)
    shading[70:130, thing : thing + 60] = pattern
    noise = 1.5 * np.random.default_rng(seed).standard_normal(shading.shape)
    return np.clip(np.round(shading + noise), 0, 255).astype(np.uint8)


def centre(homography: np.ndarray) -> np.ndarray:
    """How the middle of the picture moves."""
    middle = np.array([WIDTH / 2, HEIGHT / 2, 1])
    moved = homography @ middle
    return moved[:2] / moved[2] - middle[:2]


def test_the_shading_of_a_wall_tells_the_camera_whatever_has_detail() -> None:
    a, b = taken(0, 100, 1), taken(9, 112, 2)
    found = align(a, b, np.eye(3))
    np.testing.assert_allclose(centre(found), [-9, 0], atol=0.5)
    with_the_thing = np.array([[1, 0, 12], [0, 1, 0], [0, 0, 1.0]])
    assert unlike(a, b, found) < 0.5 * unlike(a, b, with_the_thing)


def test_where_nothing_tells_nothing_is_moved() -> None:
    blank = np.full((HEIGHT, WIDTH), 128, np.uint8)
    np.testing.assert_allclose(align(blank, blank, np.eye(3)), np.eye(3), atol=1e-6)


def test_pictures_that_do_not_overlap_can_not_be_compared() -> None:
    far = np.array([[1, 0, 2 * WIDTH], [0, 1, 0], [0, 0, 1.0]])
    assert unlike(taken(0, 100, 1), taken(0, 100, 2), far) == float("inf")
