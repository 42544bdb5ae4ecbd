"""Hosts for tests: Nuke as a stub, Natron as it is, and an engine that does what a test tells it to."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fake_engine import Engine
from real_natron import REPO, Natron

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


@pytest.fixture(scope="session")
def natron_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's home after `install.py natron`."""
    home = tmp_path_factory.mktemp("natron") / "home"
    home.mkdir()
    subprocess.run([sys.executable, str(REPO / "install.py"), "natron", "--home", str(home)], check=True)
    return home


@pytest.fixture
def natron(natron_home: Path, tmp_path: Path) -> Natron:
    return Natron(natron_home, tmp_path / "a shot, é")
