"""Our block in a file that belongs to the user: put, replace, remove, and never touch anything else."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penumbra.startup_files import Block, NotOurs, check, find, put, remove

BODY = "import sys\nprint(sys.path)\n"

# Any bytes a user may keep in a start-up file, odd line ends and encodings among them.
PIECES = [b"import nuke", b"\xe9t\xe9 # latin", b"\n", b"\r\n", b"\t", b"# comment"]
USERS = st.lists(st.sampled_from(PIECES)).map(b"".join)


@given(before=USERS)
def test_put_then_remove_gives_back_every_byte(before: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    path = home / "init.py"
    path.write_bytes(before)
    assert put(path, BODY, home) == "added"
    assert path.read_bytes().startswith(before)
    assert find(path) == Block(body=BODY, made_file=False)
    assert remove(path, home)
    assert path.read_bytes() == before


@given(before=USERS, after=USERS)
def test_what_the_user_adds_below_the_block_stays(
    before: bytes, after: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    path = home / "init.py"
    path.write_bytes(before)
    put(path, BODY, home)
    path.write_bytes(path.read_bytes() + after)
    assert remove(path, home)
    lines = [line for line in path.read_bytes().splitlines() if line]
    assert lines == [line for line in [*before.splitlines(), *after.splitlines()] if line]


def test_a_file_we_made_goes_with_the_block(tmp_path: Path) -> None:
    path = tmp_path / ".nuke" / "init.py"
    assert put(path, BODY, tmp_path) == "added"
    assert find(path) == Block(body=BODY, made_file=True)
    assert remove(path, tmp_path)
    assert not path.exists()
    assert not remove(path, tmp_path)


def test_a_file_we_made_stays_when_the_user_wrote_into_it(tmp_path: Path) -> None:
    path = tmp_path / "init.py"
    put(path, BODY, tmp_path)
    path.write_bytes(path.read_bytes() + b"print('mine')\n")
    assert remove(path, tmp_path)
    assert path.read_bytes() == b"print('mine')\n"


def test_putting_it_twice_changes_nothing_and_another_body_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "init.py"
    path.write_bytes(b"print('above')\n")
    put(path, BODY, tmp_path)
    once = path.read_bytes()
    assert put(path, BODY, tmp_path) == "unchanged"
    assert path.read_bytes() == once
    path.write_bytes(once + b"print('below')\n")
    assert put(path, "import os\n", tmp_path) == "replaced"
    assert path.read_bytes().startswith(b"print('above')\n") and path.read_bytes().endswith(b"print('below')\n")
    assert find(path) == Block(body="import os\n", made_file=False)


def test_an_editor_that_changes_the_line_ends_is_no_edit(tmp_path: Path) -> None:
    path = tmp_path / "init.py"
    path.write_bytes(b"print('mine')\n")
    put(path, BODY, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert put(path, BODY, tmp_path) == "unchanged"
    assert remove(path, tmp_path)
    assert path.read_bytes() == b"print('mine')\r\n"


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace(b"print(sys.path)", b"print('I know better')"),
        lambda text: text.replace(b"# <<< penumbra <<<\n", b""),
        lambda text: text[text.index(b"\n", text.index(b"# >>> penumbra")) + 1 :],
        lambda text: text + text,
    ],
    ids=["a line changed", "no end", "no beginning", "twice"],
)
def test_a_hand_edited_block_is_left_alone(edit, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "init.py"
    put(path, BODY, tmp_path)
    edited = edit(b"print('mine')\n" + path.read_bytes())
    path.write_bytes(edited)
    for refused in (lambda: put(path, BODY, tmp_path), lambda: remove(path, tmp_path), lambda: check(path, tmp_path)):
        with pytest.raises(NotOurs, match=r"init\.py, line \d+: .*edited by hand"):
            refused()
    assert path.read_bytes() == edited


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
def test_a_link_is_followed_inside_the_home_and_refused_out_of_it(tmp_path: Path) -> None:
    home, shared = tmp_path / "home", tmp_path / "facility"
    for folder in (home / "dotfiles", shared):
        folder.mkdir(parents=True)
        (folder / "init.py").write_bytes(b"print('theirs')\n")
    inside, outside = home / "inside.py", home / "outside.py"
    inside.symlink_to(home / "dotfiles" / "init.py")
    outside.symlink_to(shared / "init.py")
    assert put(inside, BODY, home) == "added"
    assert inside.is_symlink() and BODY.encode() in (home / "dotfiles" / "init.py").read_bytes()
    with pytest.raises(NotOurs, match="others may share it"):
        put(outside, BODY, home)
    assert (shared / "init.py").read_bytes() == b"print('theirs')\n"


def test_a_write_protected_file_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "init.py"
    path.write_bytes(b"print('locked')\n")
    path.chmod(0o444)
    with pytest.raises(NotOurs, match="write-protected"):
        put(path, BODY, tmp_path)
    assert path.read_bytes() == b"print('locked')\n"


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "init.py").mkdir()
    with pytest.raises(NotOurs, match=r"init\.py is no file"):
        put(tmp_path / "init.py", BODY, tmp_path)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / ".nuke").write_bytes(b"")
    with pytest.raises(NotOurs, match=r"can't write in .*\.nuke"):
        put(tmp_path / ".nuke" / "init.py", BODY, tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no such modes")
def test_the_mode_of_the_file_stays_and_nothing_else_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "init.py"
    path.write_bytes(b"")
    path.chmod(0o640)
    put(path, BODY, tmp_path)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["init.py"]
