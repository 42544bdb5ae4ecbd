"""Pixels seen through windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from penumbra_engine.media.windows import Window, crop, grown, pixels, place

origins = st.integers(-20, 20)
sizes = st.integers(1, 12)
windows = st.builds(Window, origins, origins, sizes, sizes)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[np.ndarray, Window]:
    window = draw(windows)
    values = st.sampled_from([0.0, 0.0, 0.0, 1000.0, -0.5])
    return draw(arrays(np.float32, (window.height, window.width, 2), elements=values)), window


@given(pictures(), windows)
def test_crop_keeps_all_that_is_held_with_black_around_it(picture: tuple[np.ndarray, Window], display: Window) -> None:
    pixels, window = picture
    cropped, target = crop(pixels, window, display)
    assert cropped.shape == (target.height, target.width, 2)
    everything = window.union(target)
    np.testing.assert_array_equal(place(cropped, target, everything), place(pixels, window, everything))
    border = np.concatenate([cropped[0], cropped[-1], cropped[:, 0], cropped[:, -1]])
    assert not border.any()
    if pixels.any():
        inner = cropped[1:-1, 1:-1]
        for edge in (inner[0], inner[-1], inner[:, 0], inner[:, -1]):
            assert edge.any()  # one pixel of black, not more
    else:
        assert target == Window(display.x, display.y, 1, 1)


@given(pictures(), windows)
def test_place_there_and_back(picture: tuple[np.ndarray, Window], other: Window) -> None:
    pixels, window = picture
    larger = window.union(other)
    np.testing.assert_array_equal(place(place(pixels, window, larger), larger, window), pixels)
    np.testing.assert_array_equal(place(place(pixels, window, larger), larger, other), place(pixels, window, other))


def test_place_of_a_mask_shifts_by_the_origin() -> None:
    mask = np.arange(6, dtype=np.float32).reshape(2, 3)
    placed = place(mask, Window(-1, 5, 3, 2), Window(0, 4, 3, 3))
    np.testing.assert_array_equal(placed, [[0, 0, 0], [1, 2, 0], [4, 5, 0]])


def test_pixels_must_fill_their_window() -> None:
    with pytest.raises(ValueError, match="3x2 don't fill the window 2x3"):
        place(np.zeros((2, 3)), Window(0, 0, 2, 3), Window(0, 0, 1, 1))


def test_union_and_intersection() -> None:
    a, b = Window(-8, -8, 16, 16), Window(0, 0, 20, 4)
    assert a.union(b) == Window(-8, -8, 28, 16)
    assert a.intersection(b) == Window(0, 0, 8, 4)
    assert a.intersection(Window(50, 50, 2, 2)).size == (0, 0)
    assert str(a) == "16x16-8-8"


def test_a_part_is_found_in_an_array_over_a_window_wherever_that_begins() -> None:
    plane = np.arange(48).reshape(6, 8)
    around, part = Window(2, 1, 5, 4), Window(3, 2, 2, 3)
    np.testing.assert_array_equal(plane[pixels(part)], plane[2:5, 3:5])
    np.testing.assert_array_equal(plane[pixels(around)][pixels(part, around)], plane[pixels(part)])


def test_a_margin_ends_where_the_window_around_it_does() -> None:
    assert grown(Window(3, 2, 2, 3), 2, Window(0, 0, 6, 20)) == Window(1, 0, 5, 7)
