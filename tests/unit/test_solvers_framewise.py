"""Stages that make each frame of its own inputs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penumbra_engine.cache import Entry, Store
from penumbra_engine.solvers.framewise import frame_by_frame
from stages import finished


def solved(store: Store, inputs: Sequence[str], made: list[int], layers: int = 1, dtype: type = np.float32) -> Entry:
    """A stage whose pictures hold how many frames were made before them."""

    def make(index: int) -> dict[str, np.ndarray]:
        made.append(index)
        return {"picture": np.full((layers, 2, 3), len(made), dtype)}

    return finished(frame_by_frame(store, "stage", "shot", inputs, {"picture": (layers, 2, 3)}, make, dtype))


def test_only_frames_with_other_inputs_are_made(tmp_path: Path) -> None:
    store, made = Store(tmp_path), list[int]()
    first = solved(store, ["a", "b", "c"], made)
    again = solved(store, ["a", "x", "c"], made)
    assert made == [0, 1, 2, 1]
    assert first.stack("picture")[:].max((1, 2, 3)).tolist() == [1, 2, 3]
    assert again.stack("picture")[:].max((1, 2, 3)).tolist() == [1, 4, 3]
    assert solved(store, ["a", "b", "c"], made).key == first.key and len(made) == 4


def test_another_number_of_frames_is_made_anew(tmp_path: Path) -> None:
    store, made = Store(tmp_path), list[int]()
    solved(store, ["a", "b", "c"], made)
    assert len(solved(store, ["a", "b"], made).stack("picture")) == 2
    assert made == [0, 1, 2, 0, 1]


def test_without_the_last_entry_all_are_made(tmp_path: Path) -> None:
    store, made = Store(tmp_path), list[int]()
    solved(store, ["a", "b"], made)
    store.clear()
    solved(store, ["a", "x"], made)
    assert made == [0, 1, 0, 1]


def test_pictures_of_another_kind_are_made_anew(tmp_path: Path) -> None:
    store, made = Store(tmp_path), list[int]()
    solved(store, ["one a", "one b"], made)
    assert solved(store, ["two a", "two b"], made, layers=2, dtype=np.uint8).stack("picture")[:].shape == (2, 2, 2, 3)
    assert made == [0, 1, 0, 1]
