"""The measures of mattes on cases that can be worked on paper, and on ones that an independent program worked."""

import math

import cv2
import numpy as np
import pytest

from penumbra_engine.imaging.metrics.mattes import (
    connectivity_error,
    dtssd,
    dtssd_by_step,
    gradient_error,
    image_scores,
    video_scores,
)


def test_sad_is_a_sum_over_the_unknown_region_in_thousands() -> None:
    truth = np.zeros((40, 50), np.float32)
    alpha = np.full_like(truth, 0.5)
    unknown = np.zeros(truth.shape, bool)
    unknown[:20] = True
    scores = image_scores(alpha, truth, unknown)
    assert scores["sad"] == pytest.approx(0.5)  # 1000 pixels, half off
    assert scores["mse"] == pytest.approx(0.25)
    assert scores["grad"] == pytest.approx(0)  # both flat
    assert image_scores(alpha, truth, np.zeros_like(unknown)) == {"sad": 0, "mse": 0, "grad": 0, "conn": 0}


def test_video_mad_is_in_thousandths_and_dtssd_counts_the_first_frame_as_right() -> None:
    truth = np.zeros((4, 1, 8, 8), np.float32)
    alpha = np.zeros_like(truth)
    alpha[2:] = 0.2  # right, right, then 0.2 off: one step of four frames, of three steps
    scores = video_scores(alpha, truth)
    assert scores["mad_e3"] == pytest.approx(100)
    assert scores["mse_e3"] == pytest.approx(20)
    assert scores["dtssd"] == pytest.approx(100 * 0.2 / 4, rel=1e-6)
    assert dtssd(alpha, truth) == pytest.approx(100 * 0.2 / 3, rel=1e-6)
    assert dtssd_by_step(alpha, truth) == pytest.approx([0, 20, 0], abs=1e-6)


def test_a_steady_error_does_not_flicker() -> None:
    truth = np.random.default_rng(1).random((3, 1, 6, 6)).astype(np.float32)
    assert dtssd(truth + 0.25, truth) == pytest.approx(0, abs=1e-4)


def test_one_frame_has_no_change() -> None:
    assert math.isnan(dtssd(np.zeros((1, 1, 4, 4)), np.ones((1, 1, 4, 4))))
    assert video_scores(np.zeros((1, 1, 4, 4)), np.ones((1, 1, 4, 4)))["dtssd"] == 0


def test_gradient_of_an_edge_that_is_missing() -> None:
    # Along a row the filter of unit energy meets a step: its response is the sum of the slope's weights up to there.
    edge = np.zeros((41, 41), np.float32)
    edge[:, 20:] = 1
    x = np.arange(-4, 5)
    smooth, slope = np.exp(-(x**2) / 3.92), x * np.exp(-(x**2) / 3.92)
    smooth, slope = smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)
    for column in (14, 18, 19, 20, 23, 26):
        response = smooth.sum() * slope[x + column >= 20].sum()
        assert gradient_error(edge, np.zeros_like(edge))[20, column] == pytest.approx(response**2, abs=1e-9)


def test_gradient_agrees_with_a_two_dimensional_filter() -> None:
    random = np.random.default_rng(3)
    alpha, truth = random.random((2, 30, 37))
    y, x = np.mgrid[-4:5, -4:5]
    kernel = x * np.exp(-(x**2 + y**2) / (2 * 1.4**2))
    kernel = kernel / np.sqrt((kernel**2).sum())

    def magnitude(picture: np.ndarray) -> np.ndarray:
        along = [cv2.filter2D(picture, -1, k, borderType=cv2.BORDER_REPLICATE) for k in (kernel, kernel.T)]
        return np.hypot(*along)

    np.testing.assert_allclose(gradient_error(alpha, truth), (magnitude(alpha) - magnitude(truth)) ** 2, atol=1e-12)


def test_normalising_stretches_a_flat_looking_matte() -> None:
    truth = np.zeros((1, 1, 20, 20), np.float32)
    truth[..., 10:] = 1
    assert video_scores(0.5 * truth, truth)["grad"] > 0.01
    assert video_scores(0.5 * truth, truth, normalise=True)["grad"] == pytest.approx(0)


def test_an_island_is_adrift() -> None:
    # A block of 3 x 3 that both agree on, and one pixel apart that only the truth is sure of to 0.4.
    truth = np.zeros((5, 8), np.float32)
    truth[1:4, 1:4] = 1
    alpha = truth.copy()
    truth[2, 6] = 0.45
    error = connectivity_error(alpha, truth)
    assert error[2, 6] == pytest.approx(0.45)
    assert error.sum() == pytest.approx(0.45)


def test_connectivity_forgives_less_than_theta() -> None:
    # The whole is connected up to level 0.6, the lower of both; 0.1 above it is forgiven, 0.3 is not.
    truth = np.full((6, 6), 0.9, np.float32)
    assert connectivity_error(np.full_like(truth, 0.65), np.full_like(truth, 0.7)).sum() == pytest.approx(0)
    assert connectivity_error(np.full_like(truth, 0.65), truth)[3, 3] == pytest.approx(0.3, abs=1e-6)


def test_parts_that_touch_at_a_corner_are_apart() -> None:
    truth = np.zeros((4, 4), np.float32)
    truth[:2, :2] = 1
    truth[2, 2] = 1
    assert connectivity_error(0.5 * truth, truth)[2, 2] == pytest.approx(0.5)  # level 0: 1 against 0.5
    assert connectivity_error(0.5 * truth, truth)[1, 1] == pytest.approx(0.5)  # level 0.5: 0.5 against 0
