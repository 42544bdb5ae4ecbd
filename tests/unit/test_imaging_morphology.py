"""Binary shapes: grown and shrunk by true distances."""

import numpy as np
import pytest

from penumbra_engine.imaging.morphology import components_over, dilate, distance_outside, erode


def point(height: int = 11, width: int = 13) -> np.ndarray:
    shape = np.zeros((height, width), bool)
    shape[5, 6] = True
    return shape


def test_distances_are_euclidean() -> None:
    distance = distance_outside(point())
    assert distance[5, 6] == 0 and distance[5, 9] == 3 and distance[9, 9] == 5 and distance.dtype == np.float32


def test_nothing_is_infinitely_far() -> None:
    assert np.isinf(distance_outside(np.zeros((3, 4), bool))).all()
    assert not dilate(np.zeros((3, 4), bool), 100).any()


def test_what_fills_the_picture_is_not_eroded_from_its_edges() -> None:
    assert erode(np.ones((3, 4), bool), 100).all()


@pytest.mark.parametrize("radius, pixels", [(0, 1), (0.9, 1), (1, 5), (1.5, 9), (2, 13)])
def test_a_point_grows_to_a_disc(radius: float, pixels: int) -> None:
    assert dilate(point(), radius).sum() == pixels


@pytest.mark.parametrize("radius", [1, 4.6, 7, 100, np.inf])
def test_growth_is_that_of_the_distances_of_the_whole_picture(radius: float) -> None:
    shape = np.random.default_rng(3).random((60, 80)) > 0.995
    assert 0 < shape.sum() < 40
    shape[:20] = shape[:, 50:] = False
    assert np.array_equal(dilate(shape, radius), distance_outside(shape) <= radius)


def test_erosion_leaves_what_is_farther_inside_than_the_radius() -> None:
    square = np.zeros((9, 9), bool)
    square[2:7, 2:7] = True
    assert erode(square, 0).sum() == 25
    assert erode(square, 1).sum() == 9 and erode(square, 1)[3:6, 3:6].all()
    assert erode(square, 2).sum() == 1 and not erode(square, 3).any()


def test_parts_with_a_seed_are_kept_whole() -> None:
    rows = ["##..#..#", ".#..#..#", "..#....."]  # three parts, the first one touches only by a corner
    shape = np.array([[c == "#" for c in row] for row in rows])
    seed = np.zeros_like(shape)
    seed[2, 2] = seed[0, 5] = seed[1, 7] = True  # in the first part, in none, in the third
    kept = components_over(shape, seed)
    assert np.array_equal(kept, shape & ~np.array([[c == 4 for c in range(8)]] * 3))


def test_no_part_without_seed_or_shape() -> None:
    assert not components_over(point(), np.zeros((11, 13), bool)).any()
    assert not components_over(np.zeros((11, 13), bool), np.ones((11, 13), bool)).any()


def test_a_part_is_kept_where_a_fifth_of_its_seed_is_trusted() -> None:
    shape = np.array([[True] * 5 + [False] + [True] * 6])
    trusted = np.array([[True] + [False] * 5 + [True] + [False] * 5])  # one of five, one of six
    assert components_over(shape, shape, trusted).tolist() == [[True] * 5 + [False] * 7]
