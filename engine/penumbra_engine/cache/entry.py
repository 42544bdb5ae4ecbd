"""One entry of the store: built in a folder of its own, then there in one step."""

import contextlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from filelock import FileLock, Timeout

from penumbra_engine.cache.stack import Stack
from penumbra_engine.errors import EngineError
from penumbra_engine.files import file_error, write_atomically

DONE = "done.json"
PARTIAL = ".partial"


class Entry:
    """Arrays, stacks and a dictionary that a stage computed.

    While it is incomplete it lives in `key.partial`, locked, so that what a run had saved when it ended or crashed is
    there for the next one (`has`, `load`, `stack`). When another process holds the lock, this one builds a copy of
    its own under another name; whoever finishes first is kept. Use it as a context manager: leaving lets go of the
    lock.
    """

    def __init__(self, path: Path) -> None:
        self.key = path.name
        self._final = path
        self._partial: Path | None = None
        self._lock: FileLock | None = None
        self._stacks: list[Stack] = []
        self._scratch: list[Path] = []

    def __enter__(self) -> "Entry":
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()

    @property
    def complete(self) -> bool:
        """Whether the entry is finished, by this process or another."""
        return (self._final / DONE).is_file()

    @property
    def path(self) -> Path:
        """The folder of the complete entry, or the one in which it is being built."""
        return self._final if self.complete else self.partial

    @property
    def partial(self) -> Path:
        """The folder in which the entry is being built, with what an earlier run left there."""
        if self._partial is None:
            try:
                self._final.parent.mkdir(parents=True, exist_ok=True)
                lock = FileLock(self._final.with_name(self.key + ".lock"), timeout=0, thread_local=False)
                try:
                    lock.acquire()
                    self._lock = lock
                    folder = self._final.with_name(self.key + PARTIAL)
                except Timeout:
                    folder = self._final.with_name(f"{self.key}.{uuid.uuid4().hex}{PARTIAL}")
                folder.mkdir(exist_ok=True)
            except OSError as error:
                raise file_error(error, self._final) from error
            self._partial = folder
        return self._partial

    @property
    def meta(self) -> dict[str, Any]:
        """What `finish` was given."""
        return json.loads((self._final / DONE).read_text(encoding="utf-8"))

    def touch(self) -> None:
        """Note that the complete entry was used now; the store removes what was used longest ago."""
        with contextlib.suppress(FileNotFoundError):  # removed by another process just now: then it isn't complete
            os.utime(self._final / DONE)

    def has(self, name: str) -> bool:
        """Whether arrays or a stack of that name were saved, by this run or an earlier one."""
        return any((self.path / (name + suffix)).is_file() for suffix in (".npy", ".safetensors"))

    def create_stack(
        self, name: str, shape: tuple[int, int, int, int], dtype: Any = np.float32, scratch: bool = False
    ) -> Stack:
        """A new T x C x H x W stack of zeros to write to, closed by `finish`. scratch: what only this stage reads, and
        `finish` removes. Errors as Stack.create."""
        stack = Stack.create(self._building() / f"{name}.npy", shape, dtype)
        self._stacks.append(stack)
        if scratch:
            self._scratch.append(stack.path)
        return stack

    def copy_stack(self, name: str, other: "Entry") -> Stack:
        """A stack of a complete entry, to be changed here. Raises EngineError when the disk is full."""
        into = self._building() / f"{name}.npy"
        try:
            shutil.copyfile(other.path / into.name, into)
        except OSError as error:
            raise file_error(error, into) from error
        return self.stack(name)

    def stack(self, name: str) -> Stack:
        """A stack that was saved; writable while the entry is incomplete. Raises EngineError when it is damaged."""
        building = not self.complete
        stack = Stack(self.path / f"{name}.npy", writable=building)
        if building:
            self._stacks.append(stack)
        return stack

    def save(self, name: str, **arrays: np.ndarray) -> None:
        """Save arrays of any shape under one name, in the place of earlier ones. Raises EngineError on a full disk."""
        contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        write_atomically(self._building() / f"{name}.safetensors", safetensors.numpy.save(contiguous))

    def load(self, name: str) -> dict[str, np.ndarray]:
        """The arrays that `save` was given. Raises EngineError when the file is damaged."""
        path = self.path / f"{name}.safetensors"
        try:
            return safetensors.numpy.load_file(path)
        except safetensors.SafetensorError as error:
            raise EngineError(f"{path} is damaged; run `penumbra cache clear` and solve again") from error

    def finish(self, meta: dict[str, Any] | None = None) -> None:
        """Make the entry complete, with `meta` (anything JSON can hold). Closes its stacks."""
        folder = self._building()
        for stack in self._stacks:
            stack.close()
        self._stacks.clear()
        for path in self._scratch:
            path.unlink()
        self._scratch.clear()
        write_atomically(folder / DONE, json.dumps(meta or {}, indent=1).encode())
        try:
            folder.rename(self._final)
        except OSError as error:
            if not self.complete:  # else another process was first, with the same result
                raise file_error(error, self._final) from error
            shutil.rmtree(folder)
        self.release()

    def release(self) -> None:
        """Let go of the entry. What was saved stays for the next run, unless another process was building it too."""
        if self._partial is not None and self._lock is None and self._partial.exists():
            shutil.rmtree(self._partial)
        if self._lock is not None:
            self._lock.release()
        self._partial = self._lock = None

    def _building(self) -> Path:
        if self._partial is None and self.complete:
            raise ValueError(f"{self._final} is complete")
        return self.partial
