"""J, F and F1 of small masks."""

import numpy as np
import pytest

from penumbra_engine.imaging.metrics.segmentation import contour_accuracy, pixel_f1, region_similarity


def square(left: int, size: int = 20) -> np.ndarray:
    mask = np.zeros((100, 100), bool)
    mask[40 : 40 + size, left : left + size] = True
    return mask


def test_a_square_moved_by_half() -> None:
    assert region_similarity(square(40), square(50)) == pytest.approx(1 / 3)
    assert pixel_f1(square(40), square(50)) == pytest.approx(0.5)


def test_unknown_pixels_do_not_count() -> None:
    known = np.zeros((100, 100), bool)
    known[:, :60] = True  # of 400 pixels each: 400 and 200 known, 200 of them in both
    assert pixel_f1(square(40), square(50), known) == pytest.approx(2 * 200 / 600)


def test_nothing_where_nothing_is_is_right() -> None:
    nothing = np.zeros((100, 100), bool)
    assert region_similarity(nothing, nothing) == pixel_f1(nothing, nothing) == contour_accuracy(nothing, nothing) == 1
    assert region_similarity(nothing, square(40)) == pixel_f1(nothing, square(40)) == 0
    assert contour_accuracy(nothing, square(40)) == contour_accuracy(square(40), nothing) == 0


def test_a_contour_matches_within_two_pixels_of_a_hundred() -> None:
    # 0.008 of the diagonal of 100 x 100 is 1.13, rounded up 2.
    assert contour_accuracy(square(42), square(40)) == 1
    moved = contour_accuracy(square(43), square(40))
    # Three pixels: the sides no longer match but for their ends, top and bottom still do.
    assert 0.5 < moved < 0.8
