"""Pictures out of nothing: the same randomness gives the same picture, coverage is exact, light is linear."""

import numpy as np
import pytest

from penumbra_engine.training import procedural

SIDE = 48


def test_the_same_randomness_gives_the_same_picture() -> None:
    first, second = (procedural.composite(SIDE, np.random.default_rng(4)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    other = procedural.composite(SIDE, np.random.default_rng(5))
    assert not np.array_equal(first[0], other[0])


def test_pictures_and_mattes_are_what_a_network_may_be_given() -> None:
    for seed in range(12):
        picture, clean, alpha = procedural.composite(SIDE, np.random.default_rng(seed))
        assert picture.shape == clean.shape == (SIDE, SIDE, 3) and alpha.shape == (SIDE, SIDE)
        assert picture.dtype == clean.dtype == alpha.dtype == np.float32
        assert np.isfinite(picture).all() and alpha.min() >= 0 and alpha.max() <= 1


def test_where_there_is_no_subject_the_picture_is_its_background_or_darker() -> None:
    compared = 0
    for seed in range(12):
        picture, clean, alpha = procedural.composite(SIDE, np.random.default_rng(seed))
        if (away := alpha == 0).mean() > 0.2:
            compared += 1
            assert np.median((picture - clean * 1.03)[away]) <= 0.02  # shadows darken, gain and grain are small
    assert compared > 3


@pytest.mark.parametrize("shape", [procedural.spline, procedural.strands, procedural.smoke])
def test_every_kind_of_edge_has_pixels_between_nothing_and_all(shape) -> None:  # type: ignore[no-untyped-def]
    alpha = shape(SIDE, np.random.default_rng(1))
    assert alpha.max() > 0.5 and ((alpha > 0.1) & (alpha < 0.9)).mean() > 0.01


def test_leaves_hide_one_another_with_hard_edges_of_many_sizes() -> None:
    picture = procedural.leaves(128, np.random.default_rng(2))
    colours = np.unique((picture.reshape(-1, 3) * 255).round(), axis=0)
    assert picture.min() >= 0 and picture.max() <= 1 and len(colours) > 50
