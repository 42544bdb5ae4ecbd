"""The rules of the house that a machine can hold: floors, the host side's Python, names, commands in the documents."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
HOST_SIDE = sorted([*(REPO / "plugin").rglob("*.py"), *(REPO / "gizmos").rglob("*.py")])
ENGINE_SIDE = sorted((REPO / "engine").rglob("*.py"))
SOURCES = [*HOST_SIDE, *ENGINE_SIDE, REPO / "install.py"]
DOCUMENTS = [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]

#: What a host brings along; only the files that talk to it may ask for it.
HOST_MODULES = {"nuke", "nukescripts", "NatronEngine", "NatronGui", "qtpy", "PySide2", "PySide6"}
TALKS_TO_A_HOST = ("plugin/penumbra/hosts/", "plugin/startup/", "gizmos/")


def name(path: Path) -> str:
    return path.relative_to(REPO).as_posix()


def imported(path: Path) -> Iterator[str]:
    """Top-level names of all absolute imports of the file, wherever they stand in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def program(word: str) -> str:
    return str(Path(sys.executable).with_name(word + (".exe" if sys.platform == "win32" else "")))


def test_imports_go_down_the_floors() -> None:
    command = [program("lint-imports"), "--no-cache"]
    answer = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


def test_the_host_side_is_written_in_python_3_7() -> None:
    command = [program("vermin"), "--target=3.7-", "--no-tips", "--violations", *map(str, HOST_SIDE)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize("path", HOST_SIDE, ids=name)
def test_the_host_side_needs_the_standard_library_alone(path: Path) -> None:
    allowed = set(sys.stdlib_module_names) | {"penumbra"}
    if name(path).startswith(TALKS_TO_A_HOST):
        allowed |= HOST_MODULES | {other.stem for other in path.parent.glob("*.py")}
    assert set(imported(path)) - allowed == set()


@pytest.mark.parametrize("path", ENGINE_SIDE, ids=name)
def test_the_engine_knows_no_host_and_no_pickle(path: Path) -> None:
    assert set(imported(path)) & (HOST_MODULES | {"pickle", "dill", "joblib"}) == set()


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_file_says_what_its_one_idea_is(path: Path) -> None:
    assert path.stem.lower() not in {"util", "utils", "helper", "helpers", "common", "misc", "lib"}
    text = path.read_text(encoding="utf-8")
    documented = ast.get_docstring(ast.parse(text)) or "gizmos/" in name(path)
    assert documented, "the file has no docstring"
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text), "unfinished work belongs in an issue"


def test_the_bundled_shot_is_small() -> None:
    size = sum(path.stat().st_size for path in (REPO / "tests" / "data").rglob("*") if path.is_file())
    assert size <= 8e6


def in_code(document: Path, pattern: str) -> list[str]:
    """Every match of the pattern's group in the document's code, in blocks or inline."""
    code = re.findall(r"```.*?\n(.*?)```|`([^`\n]+)`", document.read_text(encoding="utf-8"), re.DOTALL)
    return re.findall(pattern, "\n".join(block or inline for block, inline in code), re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_the_documents_name_files_that_exist(document: Path) -> None:
    named = in_code(document, r"(?<![\w./-])((?:docs|tests|plugin|engine|gizmos)/[\w./-]*\w)")
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8"))
    missing = [path for path in named if not (REPO / path).exists()]
    missing += [path for path in linked if not (document.parent / path).exists()]
    assert missing == []


def test_the_documents_name_commands_of_install_py_that_exist() -> None:
    help_text = subprocess.run(
        [sys.executable, str(REPO / "install.py"), "--help"], capture_output=True, text=True, check=True
    ).stdout
    there = set(re.findall(r"^    (\w+)(?: |$)", help_text, re.MULTILINE))
    for document in DOCUMENTS:
        assert set(in_code(document, r"install\.py (\w+)")) <= there, name(document)
    assert set(in_code(REPO / "README.md", r"install\.py (\w+)")) == there == {
        "demo", "test", "nuke", "natron", "uninstall", "doctor",
    }  # fmt: skip


def test_the_documents_name_commands_of_penumbra_that_exist() -> None:
    import typer

    from penumbra_engine.cli import app

    command = typer.main.get_command(app)
    there = set(command.commands)  # type: ignore[attr-defined]
    for document in DOCUMENTS:
        assert set(in_code(document, r"(?:^|[\s/|])penumbra ([a-z]+)\b")) <= there, name(document)
