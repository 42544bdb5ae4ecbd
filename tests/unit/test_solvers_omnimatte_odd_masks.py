"""Masks that contradict their neighbours."""

from pathlib import Path

import numpy as np

from penumbra_engine.cache import Store
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.odd_masks import odd_masks


def masks_of(folder: Path, lefts: list[int | None]) -> Masks:
    """One object, a square of 20 pixels; None leaves the frame empty."""
    with Store(folder).entry("masks", test=str(lefts)) as entry:
        stack = entry.create_stack("masks", (len(lefts), 1, 40, 100), np.uint8)
        for index, left in enumerate(lefts):
            frame = np.zeros((1, 40, 100), np.uint8)
            if left is not None:
                frame[0, 10:30, left : left + 20] = 255
            stack[index] = frame
        entry.finish()
        return Masks(entry.key, entry.stack("masks"))


def test_an_object_that_moves_on_is_not_odd(tmp_path: Path) -> None:
    assert odd_masks(masks_of(tmp_path, [3 * t for t in range(12)])) == []
    assert odd_masks(masks_of(tmp_path, [18 * t for t in range(5)])) == []  # faster than its width


def test_empty_and_strayed_masks_between_good_ones_are(tmp_path: Path) -> None:
    lefts: list[int | None] = [2 * t for t in range(12)]
    lefts[4] = lefts[5] = None
    lefts[9] = 70
    assert odd_masks(masks_of(tmp_path, lefts)) == [(0, 4), (0, 5), (0, 9)]


def test_an_object_may_come_and_go(tmp_path: Path) -> None:
    assert odd_masks(masks_of(tmp_path, [None, None, 10, 12, 14, None, None, None])) == []


def test_what_an_object_in_front_hides_is_not_odd(tmp_path: Path) -> None:
    with Store(tmp_path).entry("masks", test="hidden") as entry:
        stack = entry.create_stack("masks", (9, 2, 40, 100), np.uint8)
        for index in range(9):
            frame = np.zeros((2, 40, 100), np.uint8)
            frame[0, 5:35, 12 * index : 12 * index + 30] = 255  # crosses the other one
            frame[1, 10:30, 40:60] = 255
            frame[1][frame[0] > 0] = 0
            stack[index] = frame
        entry.finish()
        assert odd_masks(Masks(entry.key, entry.stack("masks"))) == []
