"""Commands as tests give them, and what they print."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penumbra import launcher
from penumbra_engine.service import server
from serving import Served, lent

Capture = pytest.CaptureFixture[str]


def engine_for_commands() -> Callable[..., Iterator[Served]]:
    """A fixture: the module's `shared` engine where the command line finds it."""

    @pytest.fixture
    def engine(shared: Served) -> Iterator[Served]:
        server.write_runtime(shared.runtime, launcher.runtime_path())
        with lent(shared) as engine:
            yield engine

    return engine


def words(out: Path, how: str = "done", *more: str) -> list[str]:
    command = ["run", "omnimatte", "--plate", f"/fake/{how}", "--frames", "1001-1010", "--colorspace", "ACEScg"]
    return [*command, "--mask", "a=/fake/a.####.png", "--out", str(out), *more]


def only_object(text: str) -> Any:
    """The one JSON object that is all of stdout."""
    assert text.count("\n") == 1
    return json.loads(text)
