"""Two boxes side by side, and one that an artist has drawn."""

import numpy as np

from penumbra_engine.solvers.trimap.meeting import brought_to_agree

DEPTH = 8.0


def box(first: int, last: int, rim: int) -> np.ndarray:
    """A trimap that is sure between two columns, and unknown for some more."""
    drawn = np.zeros((20, 80), np.float32)
    drawn[:, first - rim : last + rim] = 0.5
    drawn[:, first:last] = 1
    return drawn


def middle(*trimaps: np.ndarray, keyed: tuple[bool, ...] = (False, False)) -> list[np.ndarray]:
    return [of[10] for of in brought_to_agree(trimaps, keyed, [DEPTH] * len(trimaps))]


def test_where_two_touch_neither_is_sure() -> None:
    left, right = middle(box(10, 40, 0), box(40, 70, 0))
    assert (left[38:42] == 0.5).all() and (right[38:42] == 0.5).all()
    assert (left[10:38] == 1).all() and (right[42:70] == 1).all()
    assert (left[42:] == 0).all() and (right[:38] == 0).all()


def test_what_is_unknown_beside_one_is_unknown_of_both() -> None:
    left, right = middle(box(10, 40, 0), box(45, 70, 4))
    assert (right[41:45] == 0.5).all() and (left[41:44] == 0.5).all()
    assert (left[45:] == 0).all(), "there the other is sure"


def test_a_keyframe_stays_and_leaves_none_sure_where_it_is_in_doubt() -> None:
    drawn, found = box(20, 40, 6), box(36, 70, 3)
    kept, beside = middle(drawn, found, keyed=(True, False))
    assert np.array_equal(kept, drawn[10])
    assert (beside[20:40] == 0).all() and (beside[40:46] == 0.5).all() and (beside[46:70] == 1).all()


def test_objects_far_apart_and_single_ones_stay_as_they_are() -> None:
    left, right, smoke = box(5, 20, 3), box(50, 70, 3), np.where(box(30, 35, 0) > 0, 0.5, 0).astype(np.float32)
    found = brought_to_agree([left, right, smoke], [False] * 3, [DEPTH, DEPTH, np.inf])
    assert all(np.array_equal(a, b) for a, b in zip(found, (left, right, smoke), strict=True))
    assert np.array_equal(brought_to_agree([left], [False], [DEPTH])[0], left)
