"""The store: found by what it was computed from, whole or not at all, shared by processes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra_engine.cache import Entry, Store
from penumbra_engine.errors import EngineError, InputError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache é")


def finished(store: Store, stage: str, size: int = 100, used: float | None = None, **parts: Any) -> Entry:
    with store.entry(stage, **parts) as entry:
        entry.save("arrays", a=np.zeros(size, np.uint8))
        entry.finish()
    if used is not None:
        os.utime(entry.path / "done.json", (used, used))
    return entry


def test_what_was_saved_is_found_by_the_same_parts(store: Store) -> None:
    parts = {"frames": [1001, 1002], "digest": "ab", "scale": 0.5, "nested": {"b": None, "a": True}}
    with store.entry("register", **parts) as entry:
        assert not entry.complete and not entry.has("homographies")
        entry.save("homographies", h=np.eye(3), inliers=np.arange(5))
        stack = entry.create_stack("flow", (2, 2, 3, 4), np.float16)
        stack[1] = np.ones((2, 3, 4), np.float32)
        entry.finish({"residual": 0.3})
    again = store.entry("register", nested={"a": True, "b": None}, scale=0.5, digest="ab", frames=(1001, 1002))
    assert again.complete and again.key == entry.key and again.meta == {"residual": 0.3}
    assert again.path == store.root / "register" / again.key[:2] / again.key
    assert again.has("homographies") and again.has("flow") and not again.has("other")
    np.testing.assert_array_equal(again.load("homographies")["h"], np.eye(3))
    with again.stack("flow") as stack:
        assert stack[1].all() and not stack[0].any()


def test_scratch_lasts_until_an_entry_is_complete(store: Store) -> None:
    with store.entry("alphas", seed=0) as first:
        first.create_stack("each", (2, 1, 3, 4), scratch=True)
    with store.entry("alphas", seed=0) as entry:
        assert entry.has("each")
        scratch, kept = (
            entry.create_stack("each", (2, 1, 3, 4), scratch=True),
            entry.create_stack("alpha", (2, 1, 3, 4)),
        )
        scratch[1] = np.ones((1, 3, 4), np.float32)
        kept[0] = scratch[1]
        entry.finish()
    again = store.entry("alphas", seed=0)
    assert not again.has("each") and again.stack("alpha")[0].all()


@pytest.mark.parametrize("other", [{"seed": 1}, {"seed": 0, "cold": False}, {"seed": "0"}, {"seed": 0.5}])
def test_other_parts_are_another_entry(store: Store, other: dict[str, Any]) -> None:
    assert store.entry("fit", **other).key != store.entry("fit", seed=0).key
    assert store.entry("flow", seed=0).key != store.entry("fit", seed=0).key


@pytest.mark.parametrize("part", [np.float32(1), float("nan"), b"x", Path("a")])
def test_parts_are_plain(store: Store, part: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        store.entry("fit", part=part)


def test_an_incomplete_entry_is_resumed(store: Store) -> None:
    with store.entry("fit", seed=0) as first:
        first.save("checkpoint", step=np.array([200]))
        stack = first.create_stack("alpha", (2, 1, 3, 4))
        stack[0] = np.ones((1, 3, 4), np.float32)
    with store.entry("fit", seed=0) as second:
        assert not second.complete
        assert second.load("checkpoint")["step"] == 200
        resumed = second.stack("alpha")
        assert resumed[0].all()
        resumed[1] = resumed[0]
        second.save("checkpoint", step=np.array([400]))
        second.finish()
    assert store.entry("fit", seed=0).stack("alpha")[1].all()


def test_arrays_come_back_as_they_went(store: Store) -> None:
    arrays = {
        "half": np.float16([[1.5]]),
        "mask": np.array([True, False]),
        "strided": np.arange(12.0).reshape(3, 4).T[::2],
        "scalar": np.array(3),
        "empty": np.zeros((0, 3), np.float32),
    }
    with store.entry("x") as entry:
        entry.save("all", **arrays)
        loaded = entry.load("all")
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def test_a_complete_entry_is_not_written_again(store: Store) -> None:
    finished(store, "fit", seed=0)
    entry = store.entry("fit", seed=0)
    for write in (lambda: entry.save("x", a=np.zeros(1)), lambda: entry.create_stack("y", (1, 1, 1, 1))):
        with pytest.raises(ValueError, match="is complete"):
            write()


def test_two_builders_do_not_meet(store: Store) -> None:
    with store.entry("fit", seed=0) as first, store.entry("fit", seed=0) as second:
        first.save("a", value=np.array([1]))
        assert second.path != first.path and not second.has("a")
        second.save("a", value=np.array([1]))
        second.finish({"by": 2})
        assert first.complete
        first.save("b", value=np.array([2]))  # still building its own, unharmed
        first.finish({"by": 1})
    entry = store.entry("fit", seed=0)
    assert entry.meta == {"by": 2} and not entry.has("b")
    assert [stored.complete for stored in store.entries()] == [True]


def test_the_second_builder_leaves_nothing_when_it_stops(store: Store) -> None:
    with store.entry("fit", seed=0) as first:
        first.save("a", value=np.array([1]))
        with store.entry("fit", seed=0) as second:
            second.save("a", value=np.array([1]))
        assert len(store.entries()) == 1 and first.has("a")


BUILDER = """
import sys, time
from pathlib import Path
import numpy as np
from penumbra_engine.cache import Store

with Store(Path(sys.argv[1])).entry("fit", seed=0) as entry:
    entry.save("mine", who=np.array([7]))
    print("building", flush=True)
    sys.stdin.readline()
"""


def test_a_crash_keeps_the_checkpoint_and_frees_the_lock(store: Store) -> None:
    command = [sys.executable, "-c", BUILDER, str(store.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "building\n"
        with store.entry("fit", seed=0) as entry:
            assert not entry.has("mine")  # the other process holds it
        assert store.clear() == 0 and len(store.entries()) == 1  # and it is not cleared away under its feet
        other.kill()
    with store.entry("fit", seed=0) as entry:
        assert entry.load("mine")["who"] == 7


def test_prune_removes_what_was_used_longest_ago(store: Store) -> None:
    for index in range(4):
        finished(store, "fit", size=1000, used=1000.0 + index, seed=index)
    each = store.entries()[0].bytes
    assert store.size() == 4 * each and all(stored.stage == "fit" and stored.complete for stored in store.entries())
    store.entry("fit", seed=0)  # used again: now the youngest
    assert store.prune(4 * each) == 0
    assert store.prune(2 * each + 10) == 2 * each
    assert [store.entry("fit", seed=index).complete for index in range(4)] == [True, False, False, True]
    assert store.clear() == 2 * each and store.entries() == []
    assert not [path for path in store.root.rglob("*") if path.is_dir() and path.parent.parent.parent == store.root]


def test_what_another_was_made_from_counts_as_used(store: Store) -> None:
    keys = [finished(store, "fit", size=1000, used=1000.0 + index, seed=index).path.name for index in range(2)]
    assert store.finished("fit", keys[0]) and store.finished("fit", "") is None
    store.prune(store.size() - 1)
    assert [store.entry("fit", seed=index).complete for index in range(2)] == [True, False]


def test_a_note_goes_with_the_last_of_its_entries(store: Store) -> None:
    first, last = (finished(store, "fit", size=1000, used=1000.0 + index, seed=index).key for index in range(2))
    store.note("fit-shot").write({"last": last}, of=[first, last])
    assert store.note("fit-shot").content == {"last": last} and store.note("other").content == {}
    store.prune(store.size() - 1)  # the first is gone, and what the note says of the last still holds
    assert store.note("fit-shot").content == {"last": last}
    store.prune(store.size() - 1)
    assert store.note("fit-shot").content == {} and not list((store.root / "notes").iterdir())


def test_an_empty_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "never made")
    assert (store.entries(), store.size(), store.clear()) == ([], 0, 0)


def test_damage_is_named(store: Store) -> None:
    entry = finished(store, "fit", seed=0)
    (entry.path / "arrays.safetensors").write_bytes(b"nothing")
    (entry.path / "flow.npy").write_bytes(b"nothing")
    with pytest.raises(EngineError, match=r"arrays\.safetensors is damaged; run `penumbra cache clear`"):
        entry.load("arrays")
    with pytest.raises(EngineError, match=r"flow\.npy is damaged; run `penumbra cache clear`"):
        entry.stack("flow")


def test_a_root_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="can't be written"):
        Store(tmp_path / "file").entry("fit").save("a", a=np.zeros(1))
