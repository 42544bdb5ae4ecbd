"""A host that is not there: Nuke as a stub, and an engine that does what a test tells it to."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fake_engine import Engine

from penumbra.hosts import solve

STUBS = Path(__file__).parent / "stubs"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    monkeypatch.setattr(solve, "any_engine", made.connect)
    monkeypatch.setattr(solve, "running_engine", made.connect)
    return made


@pytest.fixture
def nuke(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The stub as `nuke`, in a terminal with an empty script; `nuke.reset(gui=True)` puts a user in front of it."""
    monkeypatch.syspath_prepend(str(STUBS))
    import nuke

    nuke.reset()
    yield nuke
    solve.leave_all()
