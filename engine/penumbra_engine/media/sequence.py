"""Picture sequences as the command line spells them: `a.####.exr`, `a.%04d.exr`, a folder, or one still."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from penumbra.protocol import format_frames
from penumbra_engine.errors import InputError, UsageError

EXTENSIONS = (".exr", ".dpx", ".tif", ".tiff", ".png", ".jpg", ".jpeg")

_PLACEHOLDER = re.compile(r"#+|%0?(\d*)d")
_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>(?:(?<![^._ ])-)?\d+)(?P<suffix>\.[^.]+)\Z", re.DOTALL)


@dataclass(frozen=True)
class Sequence:
    """The files of one picture sequence, or one still that is held on every frame.

    `select` is what stands behind the `@`: the layer or channel to read, "" for the picture itself.
    """

    pattern: str
    select: str
    argument: str
    still: bool
    _folder: Path
    _prefix: str
    _padding: int
    _suffix: str
    _files: dict[int, str] = field(repr=False)

    @classmethod
    def parse(cls, pattern: str, argument: str = "--plate") -> "Sequence":
        """The sequence that `pattern` names, with the files that are there now.

        A path that holds an `@` and exists as spelled is that path; otherwise what stands behind the last `@` selects
        a layer or channel. Raises UsageError for an empty pattern, InputError when no file fits; the message lists
        what is there.
        """
        if not pattern.strip():
            raise UsageError(f"{argument} is empty; name a file pattern such as plate.####.exr", argument)
        path, select = Path(pattern), ""
        found = cls._find(pattern, path, select, argument)
        if found is None and "@" in path.name:
            name, select = path.name.rsplit("@", 1)
            if name and select:
                path = path.with_name(name)
                found = cls._find(pattern, path, select, argument)
        return found or cls._nothing(path, argument)

    @classmethod
    def _find(cls, pattern: str, path: Path, select: str, argument: str) -> "Sequence | None":
        if path.is_file():
            return cls(pattern, select, argument, True, path.parent, path.name, 0, "", {})
        if path.is_dir():
            return cls._only_one(pattern, path, select, argument)
        places = list(_PLACEHOLDER.finditer(path.name))
        if not places or not path.parent.is_dir():
            return None
        place = places[-1]
        padding = len(place[0]) if place[0].startswith("#") else int(place[1] or 1)
        prefix, suffix = path.name[: place.start()], path.name[place.end() :]
        files = _numbered(path.parent, prefix, padding, suffix, argument)
        return cls(pattern, select, argument, False, path.parent, prefix, padding, suffix, files) if files else None

    @classmethod
    def _only_one(cls, pattern: str, folder: Path, select: str, argument: str) -> "Sequence":
        groups = _groups(folder)
        if len(groups) != 1:
            there = f"several: {_listing(folder)}; name one of them" if groups else f"none; {_there(folder)}"
            raise InputError(
                f"{argument} {folder}: a folder must hold one picture sequence, but it holds {there}", argument
            )
        (prefix, padding, suffix), files = groups.popitem()
        return cls(pattern, select, argument, False, folder, prefix, padding, suffix, files)

    @staticmethod
    def _nothing(path: Path, argument: str) -> "Sequence":
        if not path.parent.is_dir():
            raise InputError(f"{argument} {path}: there is no folder {path.parent}", argument)
        raise InputError(f"{argument} {path}: no such file; {_there(path.parent)}", argument)

    def __str__(self) -> str:
        return str(self._folder / (self._prefix + "#" * self._padding + self._suffix))

    def path(self, frame: int) -> Path:
        """The file of a frame, whether it is there or not."""
        if self.still:
            return self._folder / self._prefix
        name = self._files.get(frame) or f"{self._prefix}{_spellings(frame, self._padding)[0]}{self._suffix}"
        return self._folder / name

    def frames(self) -> tuple[int, ...]:
        """The frames that were on disk when the sequence was parsed, ascending; none for a still."""
        return tuple(sorted(self._files))

    def missing(self, frames: tuple[int, ...]) -> tuple[int, ...]:
        """Those of `frames` that have no file. A still misses none."""
        return () if self.still else tuple(frame for frame in frames if frame not in self._files)

    def require(self, frames: tuple[int, ...]) -> None:
        """Raise InputError unless every one of `frames` has a file."""
        missing = self.missing(frames)
        if missing:
            raise InputError(
                f"{self.argument} {self}: no file for frame{'s' * (len(missing) > 1)} {format_frames(missing)} "
                f"(expected {self.path(missing[0]).name}); files {format_frames(self.frames())} exist",
                self.argument,
            )


def _spellings(frame: int, padding: int) -> tuple[str, str]:
    """A frame number as C's %04d prints it, where a sign counts as a digit (-005), and with all its digits (-0005)."""
    return f"{frame:0{padding}d}", f"{'-' if frame < 0 else ''}{abs(frame):0{padding}d}"


def _numbered(folder: Path, prefix: str, padding: int, suffix: str, argument: str) -> dict[int, str]:
    """Files of `folder` by frame number."""
    files: dict[int, str] = {}
    for name in _names(folder):
        if not (name.startswith(prefix) and name.endswith(suffix)):
            continue
        number = name[len(prefix) : len(name) - len(suffix)]
        if not re.fullmatch(r"-?[0-9]+", number):
            continue
        frame = int(number)
        if number not in _spellings(frame, padding):
            continue
        if frame in files:
            raise InputError(f"{argument} {folder}: frame {frame} is there twice, {files[frame]} and {name}", argument)
        files[frame] = name
    return files


def _groups(folder: Path) -> dict[tuple[str, int, str], dict[int, str]]:
    """The numbered picture sequences of a folder by (prefix, padding, suffix)."""
    numbers: dict[tuple[str, str], list[str]] = {}
    for name in _names(folder):
        match = _NUMBERED.match(name)
        if match and match["suffix"].lower() in EXTENSIONS and not name.startswith("."):
            numbers.setdefault((match["prefix"], match["suffix"]), []).append(match["number"])
    groups = {}
    for (prefix, suffix), spelled in numbers.items():
        while spelled:
            padding = min(map(len, spelled))
            fitting = [number for number in spelled if number in _spellings(int(number), padding)]
            groups[prefix, padding, suffix] = {int(number): f"{prefix}{number}{suffix}" for number in fitting}
            spelled = [number for number in spelled if number not in fitting]
    return groups


def _listing(folder: Path) -> str:
    groups = sorted(_groups(folder).items())
    shown = [f"{p}{'#' * n}{s} ({format_frames(tuple(sorted(files)))})" for (p, n, s), files in groups[:8]]
    return ", ".join(shown) + (f" and {len(groups) - 8} more" if len(groups) > 8 else "")


def _there(folder: Path) -> str:
    if listing := _listing(folder):
        return f"{folder} holds {listing}"
    return f"{folder} holds no numbered pictures ({', '.join(EXTENSIONS)})"


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} can't be read ({error.strerror}); check its permissions") from error
