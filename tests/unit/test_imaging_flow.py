"""Optical flow and the trust in it."""

import cv2
import numpy as np

from penumbra_engine.imaging.flow import dense_flow, fetched, round_trip_confidence


def test_a_shifted_texture_has_one_flow() -> None:
    texture = cv2.GaussianBlur(np.random.default_rng(0).random((140, 180)).astype(np.float32), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    a, b = texture[20:116, 20:148], texture[22:118, 17:145]  # b shows what a shows 3 px right of it, 2 px higher
    flow = dense_flow(np.ascontiguousarray(a), np.ascontiguousarray(b))
    assert flow.shape == (2, 96, 128) and flow.dtype == np.float32
    inner = flow[:, 10:-10, 10:-10]
    assert np.quantile(np.hypot(inner[0] - 3, inner[1] + 2), 0.95) < 0.25


def test_no_motion_is_trusted() -> None:
    still = np.zeros((2, 6, 8), np.float32)
    assert np.array_equal(round_trip_confidence(still, still), np.ones((6, 8), np.float32))


def test_a_round_trip_that_comes_home_is_trusted() -> None:
    forward = np.stack([np.full((6, 8), 1.5, np.float32), np.full((6, 8), -2, np.float32)])
    np.testing.assert_allclose(round_trip_confidence(forward, -forward), 1)


def test_trust_falls_by_the_distance_missed() -> None:
    forward = np.zeros((2, 6, 8), np.float32)
    backward = np.zeros_like(forward)
    backward[0, 2, 3] = 0.25
    backward[1, 4, 4] = 7
    confidence = round_trip_confidence(forward, backward)
    assert confidence[2, 3] == 0.75 and confidence[4, 4] == 0 and confidence.sum() == 48 - 0.25 - 1


def test_planes_are_fetched_from_between_pixels_and_beyond_the_edge_as_on_it() -> None:
    planes = np.arange(24, dtype=np.float32).reshape(3, 4, 2).transpose(2, 0, 1)  # not in one piece
    x = np.array([[0.5, 2, -7, 99]], np.float32)
    y = np.array([[0, 1.5, 0, 99]], np.float32)
    first = np.array([[1, 16, 0, 22]], np.float32)
    assert np.array_equal(fetched(planes, x, y), np.stack([first, first + 1]))
