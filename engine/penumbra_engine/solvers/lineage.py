"""Lineage: which result of a stage came last for a shot, and what each one started from."""

from penumbra_engine.cache import Store


class Lineage:
    """The results of one stage for one shot, so that the same request finds its own again and a changed one starts from
    the last. shot: a key that stays while hints change."""

    def __init__(self, store: Store, stage: str, shot: str) -> None:
        self._note = store.note(f"{stage}-{shot}")
        self._parents: dict[str, str] = self._note.content.get("parents", {})

    @property
    def last(self) -> str:
        """The key of the one that was finished last, "" for none."""
        return self._note.content.get("last", "")

    def parent_of(self, inputs: str) -> str:
        """The key of the result that these inputs start from, "" for none."""
        return self._parents.get(inputs, self.last)

    def record(self, inputs: str, parent: str, result: str) -> None:
        """Note a result that was finished."""
        self._parents[inputs] = parent
        self._note.write({"last": result, "parents": self._parents}, of=[*self._note.of, result])
