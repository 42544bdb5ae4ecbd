"""Note: what is known of a shot beside the entries of its stages, and changes from solve to solve."""

import json
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from penumbra_engine.files import write_atomically


class Note:
    """A small dictionary in a file of its own, empty until it is written. It goes when the last of the entries that it
    is of was removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    @property
    def content(self) -> dict[str, Any]:
        """What was written last."""
        return self._known.get("content", {})

    @property
    def of(self) -> list[str]:
        """The keys of the entries that it is of."""
        return self._known.get("of", [])

    def write(self, content: dict[str, Any], of: Iterable[str]) -> None:
        """Keep content (anything JSON can hold) in the place of what was there. Raises EngineError on a full disk."""
        known = {"of": sorted(set(of)), "content": content}
        if known != self._known:
            self._known = known
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, json.dumps(known).encode())

    def remove_without(self, keys: Container[str]) -> None:
        """Remove the file where none of its entries is among those that are left."""
        if not any(key in keys for key in self.of):
            self._path.unlink(missing_ok=True)
