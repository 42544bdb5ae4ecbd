"""Stacks: the same pixels by frame and by band, however they were written."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penumbra_engine.cache import Stack
from penumbra_engine.errors import EngineError

SHAPE = (5, 3, 7, 4)


def pixels(dtype: Any = np.float32) -> np.ndarray:
    return (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 251).astype(dtype)


@pytest.fixture(params=[np.float32, np.float16, np.uint8])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Stack:
    made = Stack.create(tmp_path / "a.npy", SHAPE, request.param)
    made[:] = pixels(request.param)
    return made


@pytest.mark.parametrize(
    "index", [0, -1, np.int64(3), slice(None), slice(1, 4), slice(None, None, 2), [4, 0, 0], (), range(2)]
)
def test_frames_by_any_index(stack: Stack, index: Any) -> None:
    read = stack[index]
    assert read.dtype == stack.dtype
    np.testing.assert_array_equal(read, pixels(stack.dtype)[list(index) if isinstance(index, tuple | range) else index])


def test_bands_of_rows(stack: Stack) -> None:
    np.testing.assert_array_equal(stack.rows(2, 5), pixels(stack.dtype)[:, :, 2:5])
    np.testing.assert_array_equal(stack.rows(0, 7, [3, 1]), pixels(stack.dtype)[[3, 1]])
    assert stack.rows(3, 3).shape == (5, 3, 0, 4)


@given(data=st.data())
def test_writing_by_band_and_frame_is_like_an_array(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    expected = np.zeros(SHAPE, np.float32)
    path = tmp_path_factory.getbasetemp() / "written.npy"
    with Stack.create(path, SHAPE) as stack:
        for value in range(1, data.draw(st.integers(1, 6)) + 1):
            frames = data.draw(st.lists(st.integers(0, 4), max_size=5, unique=True))
            first = data.draw(st.integers(0, 7))
            last = data.draw(st.integers(first, 7))
            if data.draw(st.booleans()):
                stack.write_rows(first, np.full((len(frames), 3, last - first, 4), value, np.float32), frames)
                expected[frames, :, first:last] = value
            else:
                stack[frames] = np.full((len(frames), *SHAPE[1:]), value, np.float32)
                expected[frames] = value
        np.testing.assert_array_equal(stack[:], expected)
    np.testing.assert_array_equal(np.load(path), expected)  # any tool can read it


def test_what_was_never_written_is_zero(tmp_path: Path) -> None:
    assert not Stack.create(tmp_path / "a.npy", SHAPE, np.float16)[:].any()


def test_opened_again(tmp_path: Path) -> None:
    with Stack.create(tmp_path / "a.npy", SHAPE) as made:
        made[2] = pixels()[2]
    with Stack(tmp_path / "a.npy") as again:
        assert (again.shape, again.dtype, len(again)) == (SHAPE, np.float32, 5)
        np.testing.assert_array_equal(again[2], pixels()[2])
        with pytest.raises(OSError):
            os.pwrite(again._file.fileno(), b"x", 200)
    with Stack(tmp_path / "a.npy", writable=True) as writable:
        writable[2] = 0 * pixels()[2]
        assert not writable[:].any()


def test_floats_may_change_their_size_but_nothing_is_bent(tmp_path: Path) -> None:
    half = Stack.create(tmp_path / "half.npy", SHAPE, np.float16)
    half[:] = pixels(np.float64)
    np.testing.assert_array_equal(half[:], pixels(np.float16))
    with pytest.raises(FloatingPointError):
        half[0] = np.full(SHAPE[1:], 1e5, np.float32)
    bytes_ = Stack.create(tmp_path / "bytes.npy", SHAPE, np.uint8)
    with pytest.raises(TypeError, match="pixels of float32 for a stack of uint8"):
        bytes_[0] = pixels()[0]
    with pytest.raises(TypeError, match="pixels of uint8 for a stack of float16"):
        half[0] = pixels(np.uint8)[0]
    with pytest.raises(TypeError, match="a stack holds float32, float16, uint8, not int64"):
        Stack.create(tmp_path / "int.npy", SHAPE, np.int64)


def test_what_does_not_fit_is_refused(stack: Stack) -> None:
    with pytest.raises(IndexError, match="frame 5 of a stack of 5"):
        stack[5]
    with pytest.raises(IndexError, match="rows 5 to 8 of a stack with 7"):
        stack.rows(5, 8)
    with pytest.raises(ValueError, match=r"pixels \(3, 7, 5\) for a place of \(3, 7, 4\)"):
        stack[0] = np.zeros((3, 7, 5), stack.dtype)
    with pytest.raises(ValueError, match=r"pixels \(1, 3, 2, 4\) for a place of \(5, 3, 2, 4\)"):
        stack.write_rows(0, np.zeros((1, 3, 2, 4), stack.dtype))


def test_strided_arrays_are_written_as_they_are_seen(tmp_path: Path) -> None:
    stack = Stack.create(tmp_path / "a.npy", SHAPE)
    seen = np.moveaxis(np.ascontiguousarray(np.moveaxis(pixels(), 1, 3)), 3, 1)
    stack[:] = seen
    np.testing.assert_array_equal(stack[:], pixels())


def test_threads_share_a_stack(tmp_path: Path) -> None:
    stack = Stack.create(tmp_path / "a.npy", SHAPE)
    threads = [threading.Thread(target=stack.__setitem__, args=(frame, pixels()[frame])) for frame in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(stack[:], pixels())


def test_where_files_have_no_offsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way it goes on Windows."""
    monkeypatch.setattr(Stack, "_read_at", Stack._seek_and_read)
    monkeypatch.setattr(Stack, "_write_at", Stack._seek_and_write)
    stack = Stack.create(tmp_path / "a.npy", SHAPE)
    stack[:] = pixels()
    np.testing.assert_array_equal(stack.rows(1, 6), pixels()[:, :, 1:6])


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack.create(tmp_path / "flow.npy", SHAPE)

    def full(stack: Stack, view: memoryview, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Stack, "_write_at", full)
    with pytest.raises(EngineError, match=r"flow\.npy: the disk is full"):
        stack[0] = pixels()[0]


def test_a_file_cut_short_is_noticed(tmp_path: Path) -> None:
    Stack.create(tmp_path / "a.npy", SHAPE).close()
    with (tmp_path / "a.npy").open("r+b") as file:
        file.truncate(300)
    with pytest.raises(EngineError, match=r"a\.npy is damaged"):
        Stack(tmp_path / "a.npy")
