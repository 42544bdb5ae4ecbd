"""Earlier files: what the last solve of a shot wrote, for frames on which nothing changed since."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from penumbra_engine.cache import Store
from penumbra_engine.files import replacing
from penumbra_engine.media.restamp import restamp
from penumbra_engine.solvers.delivery import Destination


class EarlierFiles:
    """The files that were written last for a shot, by what their frames were made from.

    Compressing pictures is the most of writing them. Where a frame is made from the same, its files are copied from
    where they are, if nobody changed them, and say of themselves what the new ones have to. shot: a key that stays
    while hints change.
    """

    def __init__(self, store: Store, shot: str) -> None:
        self._kept = store.note(f"files-{shot}")
        self._now: dict[str, Any] = {}
        self._folders: set[Path] = set()  # that are there

    def copy(self, content: str, to: Destination) -> dict[str, Any] | None:
        """Write a frame's files again, and give what was noted of it; None where one of them is gone or was changed.

        content: a key of all that the frame is made from. Errors as write_atomically.
        """
        known, said, rest = self._kept.content.get(content), _texts(to), _rest(to)
        if not known or known["said"] != rest:
            return None
        files: dict[str, tuple[bytes, memoryview, str]] = {}
        for name, digest in known["files"].items():
            try:
                data = (Path(known["out"]) / name).read_bytes()
                header = restamp(data, said)
            except (OSError, ValueError):
                return None
            pixels = memoryview(data)[len(header) :]
            as_it_was, as_it_will_be = _digests(pixels, data[: len(header)], header)
            if as_it_was != digest:
                return None
            files[name] = header, pixels, as_it_will_be
        for name, (header, pixels, _) in files.items():
            path = to.out / name
            if path.parent not in self._folders:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._folders.add(path.parent)
            with replacing(path, "--out") as temporary, temporary.open("wb") as file:
                file.writelines([header, pixels])
        self._note(content, to, {name: digest for name, (_, _, digest) in files.items()}, known["noted"])
        return known["noted"]

    def note(self, content: str, to: Destination, files: Iterable[Path], noted: dict[str, Any]) -> None:
        """Note the files that were written of a frame, and what else the report has to say of it."""
        digests = {}
        for path in files:
            data = path.read_bytes()
            header = restamp(data, {})
            [digests[str(path.relative_to(to.out))]] = _digests(memoryview(data)[len(header) :], header)
        self._note(content, to, digests, noted)

    def save(self, of: str) -> None:
        """Keep what was noted, in the place of what the solve before wrote. of: the key of the entry that files were
        made from."""
        self._kept.write(self._now, of=[of])

    def _note(self, content: str, to: Destination, digests: dict[str, str], noted: dict[str, Any]) -> None:
        self._now[content] = {"out": str(to.out), "said": _rest(to), "files": digests, "noted": noted}


def _digests(pixels: memoryview, *headers: bytes) -> list[str]:
    """Of the file with each of some headers; the pixels, which are nearly all of it, are hashed once."""
    begun, found = hashlib.sha256(pixels), []
    for header in headers:
        whole = begun.copy()
        whole.update(header)
        found.append(whole.hexdigest())
    return found


def _texts(to: Destination) -> dict[str, str]:
    """What files say of how they were made, as far as it is text."""
    return {name: value for name, value in to.metadata.items() if isinstance(value, str)}


def _rest(to: Destination) -> dict[str, Any]:
    """What they say in numbers, which a header can't be given anew."""
    return {name: value for name, value in to.metadata.items() if not isinstance(value, str)}
