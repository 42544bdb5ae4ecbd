"""Restamp: what an EXR file says of itself, changed without touching its pixels."""

from collections.abc import Mapping

_BEGIN = 8  # magic number and version


def restamp(data: bytes, said: Mapping[str, str]) -> bytes:
    """The header of a single-part EXR file, whose bytes are given, with other values of text attributes that it has.
    It is as long as before, and the rest of the file stays as it is.

    Raises ValueError when it lacks one of them, or a value is of another length: lengths are part of what the table of
    its lines counts on. (OpenEXR File Layout, "Header".)
    """
    changed, at, left = bytearray(data[:_BEGIN]), _BEGIN, dict(said)
    while data[at : at + 1] not in (b"\0", b""):
        begun = at
        name, kind, at = _word(data, at)
        size = int.from_bytes(data[at : at + 4], "little")
        at += 4
        value = left.pop(name, "").encode()
        if value and (kind != "string" or len(value) != size):
            raise ValueError(f"{name} holds {size} bytes, not {len(value)}")
        changed += data[begun:at] + (value or data[at : at + size])
        at += size
    if left:
        raise ValueError(f"the file says nothing of {', '.join(left)}")
    return bytes(changed + data[at : at + 1])


def _word(data: bytes, at: int) -> tuple[str, str, int]:
    """Name and type of the attribute that begins at a byte, and where its size stands."""
    middle = data.index(b"\0", at)
    end = data.index(b"\0", middle + 1)
    return data[at:middle].decode(), data[middle + 1 : end].decode(), end + 1
