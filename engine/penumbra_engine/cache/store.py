"""The content-addressed store: what a stage computed, found again by all that it was computed from."""

import hashlib
import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from penumbra_engine.cache.entry import DONE, Entry
from penumbra_engine.cache.note import Note
from penumbra_engine.files import file_error

_NOTES = "notes"


@dataclass(frozen=True)
class Stored:
    """One entry as `Store.entries` lists it. last_used: seconds since the epoch. complete: False for a checkpoint."""

    stage: str
    key: str
    bytes: int
    last_used: float
    complete: bool
    path: Path


class Store:
    """Entries under one folder: root / stage / first two digits of the key / key. Beside them notes: root / notes.

    Several processes may use one store: an entry appears whole or not at all, and who computes what another process
    is computing just does it twice.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def entry(self, stage: str, **parts: Any) -> "Entry":
        """The entry of a stage for these parts (anything JSON can hold, finite numbers only): whatever the result
        depends on, inputs, parameters, code version. Raises TypeError or ValueError for a part that JSON can't hold."""
        text = json.dumps([stage, parts], sort_keys=True, separators=(",", ":"), allow_nan=False)
        key = hashlib.sha256(text.encode()).hexdigest()
        entry = Entry(self.root / stage / key[:2] / key)
        if entry.complete:
            entry.touch()
        return entry

    def finished(self, stage: str, key: str) -> "Entry | None":
        """The entry of a key that was seen before; None when it was removed to make room, or never finished."""
        entry = Entry(self.root / stage / key[:2] / key)
        if not key or not entry.complete:
            return None
        entry.touch()
        return entry

    def note(self, name: str) -> Note:
        """The note of that name."""
        return Note(self.root / _NOTES / f"{name}.json")

    def entries(self) -> list[Stored]:
        """All entries and checkpoints, the one used longest ago first."""
        found = (self._stored(path) for path in self.root.glob("*/??/*") if path.is_dir())
        return sorted((stored for stored in found if stored), key=lambda stored: stored.last_used)

    def size(self) -> int:
        """Bytes of all entries and checkpoints."""
        return sum(stored.bytes for stored in self.entries())

    def prune(self, max_bytes: int) -> int:
        """Remove what was used longest ago until at most `max_bytes` are left, and the notes of that; bytes removed.
        What is being computed stays."""
        entries = self.entries()
        size, removed = sum(stored.bytes for stored in entries), 0
        for stored in entries:
            if size - removed <= max_bytes:
                break
            if self._remove(stored):
                removed += stored.bytes
        left = {stored.key for stored in self.entries()}
        for path in (self.root / _NOTES).glob("*.json"):
            Note(path).remove_without(left)
        return removed

    def clear(self) -> int:
        """Remove everything that is not being computed; bytes removed."""
        return self.prune(-1)

    def _stored(self, path: Path) -> Stored | None:
        try:
            files = [file.stat() for file in path.rglob("*") if file.is_file()]
            done = path / DONE
            used = done.stat().st_mtime if done.exists() else path.stat().st_mtime
        except FileNotFoundError:  # removed or finished by another process just now
            return None
        size = sum(file.st_size for file in files)
        key = path.name.split(".")[0]
        return Stored(path.parent.parent.name, key, size, used, not path.suffix, path)

    def _remove(self, stored: Stored) -> bool:
        lock = FileLock(stored.path.with_name(stored.key + ".lock"))
        try:
            with lock.acquire(timeout=0):
                # Out of the way first: an entry that is half removed must not be found.
                trash = stored.path.with_name(f"{uuid.uuid4().hex}.trash")
                stored.path.rename(trash)
        except Timeout:
            return False
        except OSError as error:
            raise file_error(error, stored.path) from error
        shutil.rmtree(trash)
        return True
