"""A shot: the plate, its frames, its colour space and its hints, checked before any work is done."""

import functools
import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from penumbra.protocol import AUTO, Job, Keyframe, Mask, WordError, parse_frames, validate
from penumbra_engine.errors import InputError, UsageError
from penumbra_engine.files import file_error
from penumbra_engine.media.colour import ColourSpace, Config
from penumbra_engine.media.picture import Header, Picture, Typed, Value, read_header, read_mask, read_picture
from penumbra_engine.media.sequence import Sequence
from penumbra_engine.media.windows import Window, place

_CODED = 10  # bits of a code value: so few hold no scene-linear picture without steps in its dark parts


@dataclass(frozen=True)
class Shot:
    """All that a solve depends on. Make one with `open`.

    frames: ascending. window: the union of the plate's data windows over the frames (overscan too): every array a shot
    gives has its size. display, pixel_aspect: of the plate. bits: of its code values, 0 for floats. masks: (name,
    sequence) in front-to-back order. keyframes: (name, frame, file) in the order of the job. clean_plate: None where
    the job names no file. warnings: what the user should know though nothing is wrong.
    """

    plate_files: Sequence
    frames: tuple[int, ...]
    space: ColourSpace
    masks: tuple[tuple[str, Sequence], ...]
    mask_missing: str
    keyframes: tuple[tuple[str, int, Sequence], ...]
    clean_plate: Sequence | None
    window: Window
    display: Window
    pixel_aspect: float
    bits: int
    warnings: tuple[str, ...]
    _metadata: Mapping[int, Mapping[str, Value]] = field(repr=False)

    @classmethod
    def open(cls, job: Job) -> "Shot":
        """Check everything that can be checked without reading pixels, and give the shot.

        Raises UsageError for a request that is not well formed. Raises InputError, naming file, frame and argument,
        for a file that is missing or unreadable, a plate whose size, pixel aspect or channels change, a hint that
        fits neither the plate's display window nor its data window, an unknown colour space and an unreadable config.
        """
        try:
            validate(job)
            frames = parse_frames(job.frames)
        except WordError as error:
            raise UsageError(str(error), error.argument) from error
        space = Config.load(job.ocio).space(job.colorspace)
        plate = Sequence.parse(job.plate)
        plate.require(frames)
        given: list[Mask] = getattr(job, "masks", [])
        masks = tuple((mask.name, Sequence.parse(mask.pattern, f"--mask {mask.name}")) for mask in given)
        mask_missing: str = getattr(job, "mask_missing", "error")
        _check_twins(masks)
        for _, files in masks:
            if mask_missing == "error":
                _require_mask(files, frames)
        keyed: list[Keyframe] = getattr(job, "keyframes", [])
        keyframes = tuple((key.name, key.frame, Sequence.parse(key.pattern, f"--keyframe {key.name}")) for key in keyed)
        clean_plate = _clean_plate(getattr(job, "clean_plate", ""), frames)
        headers = {frame: _read(read_header, plate, frame, plate.select or "rgb") for frame in frames}
        _check_plate(plate, frames, headers)
        first = headers[frames[0]]
        window = functools.reduce(Window.union, (header.window for header in headers.values()))
        shot = cls(
            plate_files=plate,
            frames=frames,
            space=space,
            masks=masks,
            mask_missing=mask_missing,
            keyframes=keyframes,
            clean_plate=clean_plate,
            window=window,
            display=first.display,
            pixel_aspect=first.pixel_aspect,
            bits=first.bits,
            warnings=(*_still_warnings(plate, frames), *_colour_warnings(plate, first, space)),
            _metadata={frame: header.metadata for frame, header in headers.items()},
        )
        for frame, files in shot._hints():
            shot._hint_window(files, frame, _read(read_header, files, frame, files.select))
        return shot

    def _hints(self) -> Iterator[tuple[int, Sequence]]:
        """Every file that guides the solve, with its frame."""
        for _, files in self.masks:
            yield from ((frame, files) for frame in self.frames if not files.missing((frame,)))
        for _, frame, files in self.keyframes:
            files.require((frame,))
            yield frame, files
        if self.clean_plate:
            yield from ((frame, self.clean_plate) for frame in self.clean_plate_frames)

    @property
    def width(self) -> int:
        return self.window.width

    @property
    def height(self) -> int:
        return self.window.height

    @property
    def names(self) -> tuple[str, ...]:
        """The objects' names, front to back."""
        return tuple(name for name, _ in self.masks)

    @property
    def clean_plate_frames(self) -> tuple[int, ...]:
        """The frames on which the clean plate has a picture of its own: one for a still, none without a clean plate."""
        if self.clean_plate is None:
            return ()
        return self.frames[:1] if self.clean_plate.still else self.frames

    def plate(self, frame: int) -> np.ndarray:
        """The plate in the working space: H x W x 3 float32 over `window`, 0 where that frame's data window is smaller.

        Raises InputError when the file is damaged or holds values that aren't finite.
        """
        picture = _read(read_picture, self.plate_files, frame, self.plate_files.select or "rgb")
        rgb = picture.pixels[..., [picture.channels.index(name) for name in "RGB"]]
        return self.space.to_working(place(rgb, picture.window, self.window))

    def levels(self) -> np.ndarray:
        """The values of a grey plate's successive codes in the working space, ascending: float32, none for floats."""
        codes = np.linspace(0, 1, 2**self.bits, dtype=np.float32) if self.bits else np.zeros(0, np.float32)
        return self.space.to_working(np.repeat(codes[:, None], 3, 1)).mean(1)

    def mask(self, name: str, frame: int) -> np.ndarray:
        """The mask of an object: H x W float32 in [0, 1] over `window`; what lies below 0 or above 1 is cut.

        0 outside the mask's own data window, and everywhere on a frame without a file when `mask_missing` is `empty`.
        Raises InputError when the file is damaged or holds values that aren't finite.
        """
        files = self._files(name)
        if files.missing((frame,)):
            return np.zeros((self.height, self.width), np.float32)
        return self._hint(files, frame)

    def keyframe(self, name: str, frame: int) -> np.ndarray:
        """The trimap or matte that is given on a frame: H x W float32 in [0, 1] over `window`, as `mask`."""
        return self._hint(self._keyframe_file(name, frame), frame)

    def clean(self, frame: int) -> np.ndarray:
        """The clean plate in the working space: H x W x 3 float32 over `window`; it has the plate's colour space.

        Raises InputError when the file is damaged, has no R, G and B, or holds values that aren't finite.
        """
        files = self.clean_plate
        assert files is not None
        picture = _read(read_picture, files, frame, files.select or "rgb")
        _check_channels(files, frame, picture)
        rgb = picture.pixels[..., [picture.channels.index(name) for name in "RGB"]]
        return self.space.to_working(place(rgb, self._hint_window(files, frame, picture), self.window))

    def _hint(self, files: Sequence, frame: int) -> np.ndarray:
        picture = _read(read_mask, files, frame, files.select)
        window = self._hint_window(files, frame, picture)
        return np.clip(place(picture.pixels[..., 0], window, self.window), 0, 1)

    def header(self, frame: int) -> dict[str, Value]:
        """The metadata of the plate's file, to be passed through: time code, frame rate, chromaticities, any attribute.

        What tells the colour space is that of `space.working`, where it is known.
        """
        metadata = dict(self._metadata[frame])
        if not self.space.is_linear or self.space.interop_id:  # else the plate's own word is the best there is
            metadata.pop("chromaticities", None)
            metadata.pop("colorInteropID", None)
        if self.space.interop_id:
            metadata["colorInteropID"] = self.space.interop_id
        if self.space.chromaticities:
            metadata["chromaticities"] = Typed("float[8]", self.space.chromaticities)
        return metadata

    def digest_plate(self, frame: int) -> str:
        """A hash of what is read of the plate on a frame: the file's content, and the selection."""
        return _digest(self.plate_files, frame)

    def digest_mask(self, name: str, frame: int) -> str:
        """The same of a mask; `empty` where it has no file."""
        files = self._files(name)
        return "empty" if files.missing((frame,)) else _digest(files, frame)

    def digest_keyframe(self, name: str, frame: int) -> str:
        """The same of a keyframe's file."""
        return _digest(self._keyframe_file(name, frame), frame)

    def digest_clean(self, frame: int) -> str:
        """The same of the clean plate."""
        assert self.clean_plate is not None
        return _digest(self.clean_plate, frame)

    def _files(self, name: str) -> Sequence:
        return dict(self.masks)[name]

    def _keyframe_file(self, name: str, frame: int) -> Sequence:
        return next(files for of, at, files in self.keyframes if (of, at) == (name, frame))

    def _hint_window(self, files: Sequence, frame: int, hint: Header | Picture) -> Window:
        """Where a hint's pixels lie. One with the plate's display window lies by its own data window; one of the size
        of the plate's data window (a PNG of an overscan plate) lies over that."""
        if hint.display.size == self.display.size:
            return hint.window._replace(
                x=hint.window.x + self.display.x - hint.display.x, y=hint.window.y + self.display.y - hint.display.y
            )
        if hint.window.size == self.window.size:
            return self.window
        plate = f"{self.display.width}x{self.display.height}"
        if self.window.size != self.display.size:
            plate += f" (data window {self.window.width}x{self.window.height})"
        what = {"--mask": "mask", "--keyframe": "keyframe"}.get(files.argument.split()[0], "clean plate")
        raise InputError(
            f"{files.argument}, frame {frame}: {files.path(frame)} is {hint.display.width}x{hint.display.height}, "
            f"the plate is {plate}; render the {what} at the plate's size",
            files.argument,
        )


def check_out(path: str | Path, argument: str = "--out") -> Path:
    """Make the output folder, try that files can be written to it, and give its absolute path.

    Raises UsageError for an empty path, InputError when it can't be made or written to.
    """
    if not str(path).strip():
        raise UsageError(f"{argument} is empty; name the folder to write to", argument)
    folder = Path(path).absolute()
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{argument} {folder} is a file; name a folder", argument)
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f".penumbra-{uuid.uuid4().hex}"
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise file_error(error, folder, argument) from error
    return folder


def _clean_plate(pattern: str, frames: tuple[int, ...]) -> Sequence | None:
    if pattern in ("", AUTO):
        return None
    files = Sequence.parse(pattern, "--clean-plate")
    files.require(frames)
    return files


def _check_twins(masks: tuple[tuple[str, Sequence], ...]) -> None:
    """Raise UsageError for two objects with one mask: the second would be nowhere in view."""
    known: dict[tuple[str, str], str] = {}
    for name, files in masks:
        twin = known.setdefault((str(files), files.select), name)
        if twin != name:
            raise UsageError(
                f"{files.argument} {files} is the mask of {twin} too; give each object a mask of its own",
                files.argument,
            )


def _require_mask(files: Sequence, frames: tuple[int, ...]) -> None:
    try:
        files.require(frames)
    except InputError as error:
        hint = "if the object is off screen there, say --mask-missing empty"
        raise InputError(f"{error}; {hint}", error.argument) from error


_Read = TypeVar("_Read", Header, Picture)


def _read(reader: Callable[[Path, str], _Read], files: Sequence, frame: int, select: str) -> _Read:
    """A frame's header or pixels; an error names argument and frame too, and pixels are finite."""
    try:
        read = reader(files.path(frame), select)
    except InputError as error:
        raise InputError(f"{files.argument}, frame {frame}: {error}", files.argument) from error
    if isinstance(read, Picture) and not (finite := np.isfinite(read.pixels).all(axis=2)).all():
        rows, columns = np.nonzero(~finite)
        raise InputError(
            f"{files.argument}, frame {frame}: {files.path(frame)} has {rows.size} pixels that are NaN or infinite, "
            f"the first at x={read.x + columns[0]} y={read.y + rows[0]} (from the top left); replace them before "
            "solving, for instance by an expression that sets what isn't a number to 0",
            files.argument,
        )
    return read


def _check_plate(files: Sequence, frames: tuple[int, ...], headers: Mapping[int, Header]) -> None:
    """Raise InputError unless every frame has R, G and B, and size and pixel aspect of the first."""
    first = headers[frames[0]]
    for frame, header in headers.items():
        where = f"{files.argument}, frame {frame}: {files.path(frame)}"
        _check_channels(files, frame, header)
        if header.display != first.display:
            raise InputError(
                f"{where} is {header.display}, but frame {frames[0]} is {first.display}; all frames must have one size",
                files.argument,
            )
        if header.pixel_aspect != first.pixel_aspect:
            raise InputError(
                f"{where} has the pixel aspect {header.pixel_aspect:g}, but frame {frames[0]} has "
                f"{first.pixel_aspect:g}; all frames must have one",
                files.argument,
            )


def _check_channels(files: Sequence, frame: int, header: Header | Picture) -> None:
    if not {"R", "G", "B"} <= set(header.channels):
        raise InputError(
            f"{files.argument}, frame {frame}: {files.path(frame)}@{files.select} has the channels "
            f"{', '.join(header.channels)}; a plate needs R, G and B",
            files.argument,
        )


def _still_warnings(files: Sequence, frames: tuple[int, ...]) -> Iterator[str]:
    if files.still and len(frames) > 1:
        yield f"{files} is one still, held on all {len(frames)} frames; a sequence is spelled plate.####.exr"


def _colour_warnings(files: Sequence, header: Header, space: ColourSpace) -> Iterator[str]:
    """What the plate's file says of its colour that the job's word contradicts. The job's word holds."""
    if not space.is_linear:
        return
    if 0 < header.bits <= _CODED:
        yield (
            f"{files} holds code values of {header.bits} bits, but its colour space was given as {space.name}, which "
            "is linear; so few bits are mostly encoded (srgb_tx for PNG and JPEG), and taken for light they give wrong "
            "edges and shadows"
        )
    tag = header.metadata.get("colorInteropID")
    if tag and space.interop_id and tag != space.interop_id:
        yield f"{files} is tagged {tag}, but its colour space was given as {space.name}, which is used"
    said = header.metadata.get("chromaticities")
    ours = space.chromaticities
    if isinstance(said, Typed) and ours and not np.allclose(said.value, ours, atol=1e-3):
        yield f"{files} has chromaticities which are not those of {space.name}, the colour space given, which is used"


@functools.lru_cache(maxsize=65536)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(files: Sequence, frame: int) -> str:
    path = files.path(frame)
    try:
        status = path.stat()
        content = _sha256(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise InputError(
            f"{files.argument}, frame {frame}: {path} can't be read ({error.strerror})", files.argument
        ) from error
    return f"{content}@{files.select}" if files.select else content
