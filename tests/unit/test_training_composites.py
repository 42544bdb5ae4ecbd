"""Pictures made for training: what is lifted and put back is the plate, and light and grain match."""

import numpy as np
import pytest

from penumbra_engine.imaging.noise import Noise
from penumbra_engine.training.composites import Subject, heaped, lift, put_over, random_view, resampled, streak

QUIET = Noise(0.0, 0.0)
SIZE = (40, 30)


def scene(shade: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture, background and matte of a disc of (0.9, 0.2, 0.1) on a ramp, the right half of which is in shadow."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]].astype(np.float32)
    background = np.stack([0.2 + x / 100, 0.3 + y / 100, np.full_like(x, 0.4)], 2)
    alpha = np.clip(6.5 - np.hypot(x - 10, y - 15), 0, 1)
    light = np.where(x >= 25, shade, 1.0)[..., None].astype(np.float32)
    picture = alpha[..., None] * np.float32([0.9, 0.2, 0.1]) + (1 - alpha[..., None]) * background * light
    return picture, background, alpha


@pytest.mark.parametrize("shade", [1.0, 0.5])
def test_a_subject_put_back_where_it_was_is_the_plate(shade: float) -> None:
    picture, background, alpha = scene(shade)
    again = put_over(lift(picture, background, alpha), background, QUIET, np.random.default_rng(0))
    away = np.abs(np.arange(SIZE[0]) - 24.5) > 8  # from the shadow's edge, which is smoothed
    assert np.abs(again - picture)[:, away].max() < 2e-3


def test_the_colour_is_premultiplied_and_nothing_where_there_is_no_subject() -> None:
    picture, background, alpha = scene()
    subject = lift(picture, background, alpha)
    assert np.abs(subject.premultiplied - alpha[..., None] * np.float32([0.9, 0.2, 0.1])).max() < 1e-3
    assert not subject.premultiplied[alpha == 0].any()


def test_shadows_stay_behind_when_they_are_not_wanted() -> None:
    picture, background, alpha = scene(0.5)
    assert (lift(picture, background, alpha, effects=False).shade == 1).all()
    assert lift(picture, background, alpha).shade[15, 36] == pytest.approx([0.5] * 3, abs=1e-3)


def test_the_background_gets_the_grain_of_the_plate_and_the_subject_keeps_its_own() -> None:
    flat, alpha = np.full((200, 200, 3), 0.25, np.float32), np.zeros((200, 200), np.float32)
    alpha[:, :100] = 1
    subject = lift(flat, flat, alpha)
    picture = put_over(subject, flat, Noise(1e-4, 4e-4), np.random.default_rng(1))
    assert picture[:, 100:].std() == pytest.approx(np.sqrt(2e-4), rel=0.03)
    assert picture[:, :100].std() == 0


def test_outside_its_picture_a_subject_is_not_there_and_casts_no_shadow() -> None:
    picture, background, alpha = scene(0.5)
    far = lift(picture, background, alpha).moved(np.array([[1.0, 0, 1000], [0, 1, 0]]), (16, 16))
    assert not far.alpha.any() and not far.premultiplied.any() and (far.shade == 1).all()


def test_a_subject_that_hops_leaves_its_shadow_away_from_where_it_stood() -> None:
    picture, background, alpha = scene(0.5)
    subject, still = lift(picture, background, alpha), np.array([[1.0, 0, 0], [0, 1, 0]])
    size = (alpha.shape[1], alpha.shape[0])
    stood, hopped = subject.moved(still, size), subject.moved(still, size, (-3, 2))
    assert np.array_equal(hopped.alpha, stood.alpha) and np.array_equal(hopped.premultiplied, stood.premultiplied)
    assert stood.shade.min() < 0.6
    assert np.allclose(hopped.shade[:-2, 3:], stood.shade[2:, :-3], atol=1e-6)


def test_a_view_has_its_centre_in_the_middle() -> None:
    y, x = np.mgrid[0:30, 0:40].astype(np.float32)
    place = np.stack([x, y], 2)
    view = random_view((17.0, 12.0), 9, np.random.default_rng(2))
    assert resampled(place, view, (9, 9))[4, 4] == pytest.approx([17, 12], abs=1e-3)


def test_the_same_randomness_gives_the_same_view() -> None:
    first, second = (random_view((3, 4), 8, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, second)


def flat(alpha: float, red: float) -> Subject:
    """A subject of one alpha and one red everywhere, premultiplied, in full light."""
    colour = np.zeros((4, 6, 3), np.float32)
    colour[..., 0] = alpha * red
    return Subject(colour, np.full((4, 6), alpha, np.float32), np.ones_like(colour))


def test_what_is_behind_another_subject_is_seen_through_it() -> None:
    heap, seen = heaped([flat(0.25, 1.0), flat(0.8, 0.5)])
    assert seen[0][0, 0] == pytest.approx(0.25) and seen[1][0, 0] == pytest.approx(0.75 * 0.8)
    assert heap.alpha[0, 0] == pytest.approx(1 - 0.75 * 0.2)
    assert heap.premultiplied[0, 0, 0] == pytest.approx(0.25 + 0.75 * 0.8 * 0.5)


def test_a_solid_subject_hides_all_behind_it_but_not_its_shadow() -> None:
    dark = Subject(np.zeros((4, 6, 3), np.float32), np.ones((4, 6), np.float32), np.full((4, 6, 3), 0.5, np.float32))
    heap, seen = heaped([flat(1.0, 0.3), dark])
    assert not seen[1].any() and (heap.premultiplied[..., 0] == np.float32(0.3)).all()
    assert (heap.shade == 0.5).all()


@pytest.mark.parametrize(("angle", "axis"), [(0.0, 1), (np.pi / 2, 0)])
def test_a_streak_spreads_a_point_along_its_motion_alone(angle: float, axis: int) -> None:
    point = np.zeros((21, 21), np.float32)
    point[10, 10] = 1
    moved = Subject(np.repeat(point[..., None], 3, 2), point, np.ones((21, 21, 3), np.float32)).streaked(
        streak(7, angle)
    )
    assert moved.alpha.sum() == pytest.approx(1, abs=1e-5)
    extent = [np.ptp(places) + 1 for places in np.nonzero(moved.alpha > 1e-6)]
    assert extent[axis] == 7 and extent[1 - axis] == 1
    assert np.array_equal(moved.premultiplied[..., 2], moved.alpha)
