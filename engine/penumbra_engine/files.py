"""Files appear whole or not at all, and what the file system refuses is said as one message."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from penumbra_engine.errors import EngineError, InputError, PenumbraError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


def file_error(error: OSError, path: Path, argument: str = "") -> PenumbraError:
    """The error to raise, in the user's words, when writing `path` failed with `error`."""
    if error.errno in _FULL:
        return EngineError(f"{path}: the disk is full or its quota is used up; free some space and run again", argument)
    why = error.strerror or str(error)
    if error.errno in _REFUSED:
        return InputError(f"{path} can't be written ({why}); choose a folder that you may write to", argument)
    return EngineError(f"{path} can't be written ({why})", argument)


@contextmanager
def replacing(path: Path, argument: str = "") -> Iterator[Path]:
    """Yield a temporary name in the folder of `path` to write to; then it takes the place of `path` in one step.

    When the block fails nothing is left behind. Raises InputError when the folder refuses the file, EngineError when
    the disk is full.
    """
    temporary = path.with_name(f".penumbra-{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:  # some file systems tell only now that there is no room
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise file_error(error, path, argument) from error
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):  # it took its place, or never came to be
            temporary.unlink()


def write_atomically(path: str | Path, data: bytes, argument: str = "") -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, never a part. Errors as `replacing`."""
    with replacing(Path(path), argument) as temporary:
        temporary.write_bytes(data)
