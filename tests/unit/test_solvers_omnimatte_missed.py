"""What a rough mask misses of its object, and what beside it is none of it."""

import numpy as np

from penumbra_engine.solvers.omnimatte.missed import with_missed

SIZE, UNLIKE = 320, 4.0  # standard deviations


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    shape = np.zeros((SIZE, SIZE), bool)
    shape[top:bottom, left:right] = True
    return shape


def test_a_car_of_which_the_bonnet_was_found_is_whole() -> None:
    car, windscreen = box(103, 130, 100, 140), box(106, 110, 106, 134)  # this one shows the grey of the road
    bonnet = box(110, 127, 105, 135)
    unlike = np.where(box(101, 132, 98, 142) & ~windscreen, UNLIKE, 0)  # felt two pixels before the car's edge
    found = with_missed(bonnet, unlike)
    assert (found & car).sum() > 0.95 * car.sum()
    assert (found & ~car).sum() < 0.15 * car.sum()


def test_a_mask_that_was_drawn_stays_as_it_is() -> None:
    drawn = box(100, 160, 100, 160)
    edge_of_its_shadow = box(150, 155, 160, 190)
    gap_between_its_legs = box(140, 160, 125, 132)
    unlike = np.where(box(98, 162, 98, 162) | edge_of_its_shadow, UNLIKE, 0)
    mask = drawn & ~gap_between_its_legs
    assert np.array_equal(with_missed(mask, unlike), mask)


def test_each_piece_is_judged_on_its_own() -> None:
    whole, part, missed = box(200, 260, 200, 260), box(20, 26, 105, 135), box(14, 26, 100, 140)
    unlike = np.where(box(198, 262, 198, 262) | box(12, 28, 98, 142), UNLIKE, 0)
    found = with_missed(whole | part, unlike)
    assert np.array_equal(found[150:], whole[150:])
    assert (found & missed)[:150].sum() > 0.95 * missed.sum()


def test_an_object_that_the_frame_cuts_reaches_to_its_edge() -> None:
    found = with_missed(box(6, 12, 105, 135), np.where(box(0, 16, 98, 142), UNLIKE, 0))
    assert found[:6, 102:138].all()


def test_nothing_is_added_to_an_empty_mask() -> None:
    assert not with_missed(np.zeros((SIZE, SIZE), bool), np.full((SIZE, SIZE), UNLIKE)).any()


def test_no_more_is_added_than_lies_near_the_mask() -> None:
    car = box(100, 130, 100, 140)
    found = with_missed(box(105, 125, 105, 135), np.where(box(98, 200, 98, 142), UNLIKE, 0))  # and its reflection
    assert (found & car).sum() > 0.95 * car.sum()
    assert not found[135:].any()


def test_a_tall_picture_is_judged_as_a_wide_one() -> None:
    mask, unlike = box(105, 125, 105, 135)[:160], np.where(box(98, 132, 98, 142), UNLIKE, 0)[:160]
    found = with_missed(mask, unlike)
    assert found.sum() > 1.5 * mask.sum() and np.array_equal(with_missed(mask.T, unlike.T), found.T)
