"""Lineage: which result of a stage came last for a shot, and what each one started from."""

import json
from typing import Any

from penumbra_engine.cache import Store
from penumbra_engine.files import write_atomically


class Lineage:
    """The results of one stage for one shot, so that the same request finds its own again and a changed one starts from
    the last. shot: a key that stays while hints change."""

    def __init__(self, store: Store, stage: str, shot: str) -> None:
        self.path = store.root / "lineage" / f"{stage}-{shot}.json"
        self.known: dict[str, Any] = {"last": "", "parents": {}}
        if self.path.exists():
            self.known = json.loads(self.path.read_text(encoding="utf-8"))

    @property
    def last(self) -> str:
        """The key of the one that was finished last, "" for none."""
        return self.known["last"]

    def parent_of(self, inputs: str) -> str:
        """The key of the result that these inputs start from, "" for none."""
        return self.known["parents"].get(inputs, self.last)

    def record(self, inputs: str, parent: str, result: str) -> None:
        """Note a result that was finished."""
        known = {"last": result, "parents": {**self.known["parents"], inputs: parent}}
        if known != self.known:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps(known, indent=1).encode())
