"""A stack of pictures on disk, read and written by frame or by band of rows, whatever its length."""

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from penumbra_engine.errors import EngineError
from penumbra_engine.files import file_error

DTYPES = (np.dtype("float32"), np.dtype("float16"), np.dtype("uint8"))


class Stack:
    """T x C x H x W in one .npy file (its header and the flat pixels), never held in memory as a whole.

    `stack[t]` is C x H x W, `stack[a:b]` and `stack[[t, u]]` are T x C x H x W; all can be assigned to. `rows` and
    `write_rows` give and take bands over frames. Arrays come in the stack's dtype; float arrays may be written to any
    float stack, other dtypes must agree. Reading and writing from several threads is safe.
    """

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        """Open the stack in a file made by `create`. Raises EngineError when the file is damaged."""
        self.path = path
        try:
            header = np.lib.format.open_memmap(path, mode="r")
        except ValueError as error:
            raise EngineError(f"{path} is damaged; run `penumbra cache clear` and solve again") from error
        self.shape: tuple[int, int, int, int] = header.shape
        self.dtype: np.dtype = header.dtype
        self._start = int(header.offset)
        del header
        self._file = path.open("r+b" if writable else "rb", buffering=0)
        self._lock = threading.Lock()

    @classmethod
    def create(cls, path: Path, shape: tuple[int, int, int, int], dtype: Any = np.float32) -> "Stack":
        """Make a stack of zeros. Raises EngineError when the disk is full."""
        dtype = np.dtype(dtype)
        if dtype not in DTYPES:
            raise TypeError(f"a stack holds {', '.join(map(str, DTYPES))}, not {dtype}")
        try:
            np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=tuple(int(n) for n in shape))
        except OSError as error:
            raise file_error(error, path) from error
        return cls(path, writable=True)

    def __len__(self) -> int:
        return self.shape[0]

    def __enter__(self) -> "Stack":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def __getitem__(self, index: int | slice | Iterable[int]) -> np.ndarray:
        frames = self._frames(index)
        pixels = np.empty((len(frames), *self.shape[1:]), self.dtype)
        for frame, into in zip(frames, pixels, strict=True):
            self._read(into, frame * into.nbytes)
        return pixels[0] if isinstance(index, int | np.integer) else pixels

    def __setitem__(self, index: int | slice | Iterable[int], pixels: np.ndarray) -> None:
        frames = self._frames(index)
        shape = self.shape[1:] if isinstance(index, int | np.integer) else (len(frames), *self.shape[1:])
        stored = self._stored(pixels, shape).reshape(len(frames), *self.shape[1:])
        for frame, picture in zip(frames, stored, strict=True):
            self._write(picture, frame * picture.nbytes)

    def rows(self, first: int, last: int, frames: Iterable[int] | None = None) -> np.ndarray:
        """Rows first .. last - 1 of all frames, or of `frames`: T x C x rows x W."""
        chosen = self._frames(slice(None) if frames is None else frames)
        band = np.empty((len(chosen), self.shape[1], *self._band(first, last)), self.dtype)
        for frame, picture in zip(chosen, band, strict=True):
            for channel, into in enumerate(picture):
                self._read(into, self._offset(frame, channel, first))
        return band

    def write_rows(self, first: int, pixels: np.ndarray, frames: Iterable[int] | None = None) -> None:
        """Write T x C x rows x W to the rows from `first` on of all frames, or of `frames`."""
        chosen = self._frames(slice(None) if frames is None else frames)
        rows = self._band(first, first + pixels.shape[2])
        stored = self._stored(pixels, (len(chosen), self.shape[1], *rows))
        for frame, picture in zip(chosen, stored, strict=True):
            for channel, band in enumerate(picture):
                self._write(band, self._offset(frame, channel, first))

    def _frames(self, index: int | slice | Iterable[int]) -> list[int]:
        if isinstance(index, slice):
            return list(range(len(self)))[index]
        wanted = [int(index)] if isinstance(index, int | np.integer) else [int(frame) for frame in index]
        outside = [frame for frame in wanted if not -len(self) <= frame < len(self)]
        if outside:
            raise IndexError(f"frame {outside[0]} of a stack of {len(self)}")
        return [frame % len(self) for frame in wanted]

    def _band(self, first: int, last: int) -> tuple[int, int]:
        if not 0 <= first <= last <= self.shape[2]:
            raise IndexError(f"rows {first} to {last} of a stack with {self.shape[2]}")
        return last - first, self.shape[3]

    def _offset(self, frame: int, channel: int, row: int) -> int:
        _, channels, height, width = self.shape
        return ((frame * channels + channel) * height + row) * width * self.dtype.itemsize

    def _stored(self, pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        if pixels.shape != shape:
            raise ValueError(f"pixels {pixels.shape} for a place of {shape}")
        if pixels.dtype != self.dtype and not (pixels.dtype.kind == self.dtype.kind == "f"):
            raise TypeError(f"pixels of {pixels.dtype} for a stack of {self.dtype}")
        with np.errstate(over="raise"):  # a value that a half float can't hold is an error, not infinity
            return np.ascontiguousarray(pixels, dtype=self.dtype)

    def _read(self, into: np.ndarray, offset: int) -> None:
        view, offset = into.reshape(-1).view(np.uint8).data, self._start + offset
        while view:
            got = self._read_at(view, offset)
            if not got:
                raise EOFError(f"{self.path} is shorter than its header says")
            view, offset = view[got:], offset + got

    def _write(self, pixels: np.ndarray, offset: int) -> None:
        view, offset = pixels.reshape(-1).view(np.uint8).data, self._start + offset
        try:
            while view:
                put = self._write_at(view, offset)
                view, offset = view[put:], offset + put
        except OSError as error:
            raise file_error(error, self.path) from error

    def _seek_and_read(self, view: memoryview, offset: int) -> int:
        with self._lock:
            self._file.seek(offset)
            return self._file.readinto(view) or 0

    def _seek_and_write(self, view: memoryview, offset: int) -> int:
        with self._lock:
            self._file.seek(offset)
            return self._file.write(view) or 0

    if hasattr(os, "preadv"):

        def _read_at(self, view: memoryview, offset: int) -> int:
            return os.preadv(self._file.fileno(), [view], offset)

        def _write_at(self, view: memoryview, offset: int) -> int:
            return os.pwrite(self._file.fileno(), view, offset)

    else:  # Windows
        _read_at, _write_at = _seek_and_read, _seek_and_write
