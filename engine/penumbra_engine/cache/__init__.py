"""The content-addressed store of per-shot stages."""

from penumbra_engine.cache.entry import Entry
from penumbra_engine.cache.note import Note
from penumbra_engine.cache.stack import Stack
from penumbra_engine.cache.store import Store

__all__ = ["Entry", "Note", "Stack", "Store"]
