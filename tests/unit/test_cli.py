"""The command line as a whole: its help, and how it starts."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from commands import Capture
from penumbra_engine.cli import app, main


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if path:
        yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


@pytest.mark.parametrize(("path", "command"), list(commands(typer.main.get_command(app))), ids=str)
def test_every_command_has_a_line_of_help_and_an_example(path: tuple[str, ...], command: Any, capfd: Capture) -> None:
    first, _, rest = command.help.partition("\n")
    assert first.endswith(".")
    assert f"Example: penumbra {path[0]}" in rest
    assert main([*path, "--help"]) == 0
    assert "Usage: penumbra" in capfd.readouterr().out


@pytest.mark.parametrize("path", [[], ["run"], ["cache"]])
def test_a_group_without_a_command_shows_its_help(path: list[str], capfd: Capture) -> None:
    assert main(path) == 2
    said = capfd.readouterr()
    assert "Commands" in said.out
    assert "Name a command" in said.err


def test_the_command_line_starts_without_torch() -> None:
    code = "import sys, penumbra_engine.cli; print({'torch', 'cv2', 'fastapi'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"
