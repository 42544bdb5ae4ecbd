"""The host side on the oldest Python a host has: 3.7, in Nuke 13."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PURE = ["tests/unit/test_nodes.py", "tests/unit/test_staging.py"]


def python37() -> str | None:
    """A Python 3.7 that works: of pyenv, or on PATH (where pyenv may leave a name with nothing behind it)."""
    found = [str(path) for path in sorted(Path.home().glob(".pyenv/versions/3.7*/bin/python"))]
    for candidate in (*found, shutil.which("python3.7")):
        if candidate:
            answer = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
            if answer.stdout.startswith("Python 3.7"):
                return candidate
    return None


PYTHON = python37()
pytestmark = pytest.mark.skipif(PYTHON is None, reason="no Python 3.7 found")


def run(*arguments: str) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO / "plugin"), "LC_ALL": "C.UTF-8"}
    command = [str(PYTHON), "-B", *arguments]
    answer = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("path", PURE)
def test_the_pure_tests_pass(path: str) -> None:
    run(path)


@pytest.mark.parametrize(
    "module", sorted(path.stem for path in (REPO / "plugin" / "penumbra").glob("*.py") if path.stem != "__init__")
)
def test_every_module_can_be_imported(module: str) -> None:
    run("-c", f"import penumbra.{module}")


def test_the_host_modules_can_be_imported() -> None:
    code = """
import sys, types
for name in ("nuke", "NatronEngine"):
    fake = sys.modules[name] = types.ModuleType(name)
    fake.Node = fake.Knob = fake.Group = object
import penumbra.hosts.nuke, penumbra.hosts.natron
"""
    run("-c", code)
