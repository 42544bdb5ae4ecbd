"""When the background of a shot is looked for once more, and behind what."""

from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from penumbra_engine.cache import Store
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.trimap import uncover as module
from penumbra_engine.solvers.trimap.uncover import one_sided, uncover
from stages import finished

COUNT = 36


def keyed(*indices: int, other: tuple[int, ...] = (0, COUNT - 1)) -> Keyframes:
    of = [("ball", index) for index in indices] + [("crate", index) for index in other]
    return Keyframes("k", np.zeros((len(of), 1, 2, 2)), tuple(of))  # type: ignore[arg-type]


@pytest.mark.parametrize("indices", [(18,), (0,), (0, 20), (12, 35)])
def test_keyframes_that_leave_many_frames_to_one_side_are_told(indices: tuple[int, ...]) -> None:
    assert one_sided(keyed(*indices), COUNT)
    assert one_sided(keyed(0, 35, other=indices), COUNT)


@pytest.mark.parametrize("indices", [(0, 35), (0, 18, 35), (5, 30)])
def test_those_on_both_sides_of_most_are_not(indices: tuple[int, ...]) -> None:
    assert not one_sided(keyed(*indices), COUNT)


@pytest.mark.parametrize(
    ("indices", "told"), [((0,), True), ((35,), True), ((5,), True), ((18,), False), ((0, 18), False)]
)
def test_before_a_camera_that_stands_it_takes_a_keyframe_near_an_end(indices: tuple[int, ...], told: bool) -> None:
    assert one_sided(keyed(*indices), COUNT, still=True) == told


def steps(result: Any) -> Generator[tuple[int, int], None, Any]:
    yield 0, 1
    return result


def test_it_is_found_behind_all_that_the_sketch_does_not_take_for_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trimaps = np.array([[[[0, 0.5], [1, 0]]], [[[0.5, 0], [0, 0]]]], np.float32)
    behind: list[Masks] = []
    learned: list[str] = []

    def learn(*given: Any) -> Any:
        learned.append(given[5])
        return steps("sketch")

    def look(shot: Any, plates: Any, masks: Masks, store: Store, earlier: Any) -> Any:
        assert earlier is any_, "the geometry of the first is kept"
        behind.append(masks)
        return steps("second")

    monkeypatch.setattr(module, "learn_likeness", learn)
    monkeypatch.setattr(module, "propagate", lambda *given: steps(SimpleNamespace(key="t", trimaps=trimaps)))
    monkeypatch.setattr(module, "background_behind", look)
    any_: Any = SimpleNamespace(frames=(1, 2))
    running = uncover(any_, any_, any_, any_, any_, 0, Store(tmp_path))
    assert finished(running) == "second"
    assert learned == ["sketch"]
    assert all((behind[0].objects(index) == (trimaps[index] > 0)).all() for index in range(2))
