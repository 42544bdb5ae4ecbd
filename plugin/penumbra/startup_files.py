"""One marked block of lines in a host's own start-up file: put it there, find it, take it out again.

The file belongs to the user. Everything outside the block stays as it is, byte for byte; a block that somebody has
edited is theirs too, so it is neither replaced nor removed. The marker carries a digest of the block to tell.
"""

import hashlib
import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

_BLOCK = re.compile(
    rb"^# >>> penumbra (?P<digest>[0-9a-f]{16}) (?P<file>old|new)-file >>>[^\n]*\n"
    rb"(?P<body>.*?)^# <<< penumbra <<<\r?\n?",
    re.DOTALL | re.MULTILINE,
)
_MARKER = re.compile(rb"^#\s*(>>>|<<<) penumbra", re.MULTILINE)
_NOTE = "Written by Penumbra's install.py; `install.py uninstall` takes it out. Do not edit it here."


class NotOurs(Exception):
    """The file can't be changed without touching what belongs to the user. The message says what to do."""


@dataclass(frozen=True)
class Block:
    """Our block as found in a file. `made_file` says that the file did not exist before we wrote the block."""

    body: str
    made_file: bool


def find(path: Path) -> Optional[Block]:
    """Our block in the file, or None when the file or the block is not there. Raises NotOurs when it was edited."""
    if not path.is_file():
        return None
    match = _match(path, path.read_bytes())
    if not match:
        return None
    return Block(match.group("body").decode("utf-8").replace("\r\n", "\n"), match.group("file") == b"new")


def check(path: Path, home: Path) -> None:
    """Raise NotOurs when put() or remove() would, so that several files can be changed all or none.

    That is when the file is a link out of `home`, is not writable, or its block was edited.
    """
    target = path.resolve()
    if home.resolve() not in target.parents:
        raise NotOurs(
            "{} is a link to {}, outside {}, where others may share it. Run this again with --home and the folder "
            "that it should be installed in.".format(path, target, home)
        )
    if not target.exists():
        return
    if not target.is_file():
        raise NotOurs("{} is no file. Move it away, then run this again.".format(path))
    _match(path, target.read_bytes())
    # The bits as well as access(): to root everything looks writable, also what its owner locked.
    if not (target.stat().st_mode & stat.S_IWRITE and os.access(str(target), os.W_OK)):
        raise NotOurs("{} is write-protected. Allow writing (chmod u+w), then run this again.".format(path))


def put(path: Path, body: str, home: Path) -> str:
    """Make `body` (lines of ASCII Python) our block in the file; returns "added", "replaced" or "unchanged".

    A file that is not there is made, with its folder. Raises NotOurs as check() does, or when the folder refuses.
    """
    if not body.endswith("\n"):
        raise ValueError("the body of a block ends with a line end")
    check(path, home)
    there = path.exists()
    text = path.read_bytes() if there else b""
    match = _match(path, text)
    if match and match.group("body").decode("utf-8").replace("\r\n", "\n") == body:
        return "unchanged"
    origin = match.group("file").decode() if match else ("old" if there else "new")
    block = "# >>> penumbra {} {}-file >>> {}\n{}# <<< penumbra <<<\n".format(
        _digest(body.encode("ascii")), origin, _NOTE, body
    ).encode("ascii")
    if match:
        _write(path, text[: match.start()] + block + text[match.end() :])
        return "replaced"
    # The line end before the block ends a last line that lacks one; remove() takes it back out.
    _write(path, text + (b"\n" if text else b"") + block)
    return "added"


def remove(path: Path, home: Path) -> bool:
    """Take our block out, and the file with it when we made it and nothing else is in it. False when there is none."""
    if not path.is_file():
        return False
    text = path.read_bytes()
    match = _match(path, text)
    if not match:
        return False
    check(path, home)
    before, after = text[: match.start()], text[match.end() :]
    without_line_end = re.sub(rb"\r?\n\Z", b"", before)
    if not after or without_line_end.endswith(b"\n"):  # else it ends the line above what the user wrote below us
        before = without_line_end
    rest = before + after
    if not rest and match.group("file") == b"new":
        path.resolve().unlink()
    else:
        _write(path, rest)
    return True


def _match(path: Path, text: bytes) -> "Optional[re.Match[bytes]]":
    """The one intact block of the file. Raises NotOurs when there are markers but no such block."""
    match = _BLOCK.search(text)
    intact = (
        match is not None
        and len(_MARKER.findall(text)) == 2
        and match.group("digest").decode() == _digest(match.group("body").replace(b"\r\n", b"\n"))
    )
    if intact:
        return match
    marker = _MARKER.search(text)
    if marker:
        raise NotOurs(
            "{}, line {}: Penumbra's lines were edited by hand, so they are left alone. Take out everything from "
            "'# >>> penumbra' to '# <<< penumbra <<<' yourself, keep what you want of it, then run this again.".format(
                path, text.count(b"\n", 0, marker.start()) + 1
            )
        )
    return None


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


def _write(path: Path, text: bytes) -> None:
    """Replace the file in one step, behind any links, keeping its mode. Raises NotOurs when the folder refuses."""
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=target.name + ".", dir=str(target.parent))
    except OSError as error:
        raise NotOurs("{}: can't write in {} ({}).".format(path, target.parent, error.strerror)) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text)
        if target.exists():
            shutil.copymode(str(target), temporary)
        else:
            os.chmod(temporary, 0o644)
        os.replace(temporary, str(target))
    except BaseException:
        os.unlink(temporary)
        raise
