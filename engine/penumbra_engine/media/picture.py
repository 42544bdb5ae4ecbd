"""One picture: float pixels over a data window, with everything its file says about them. Files by OpenImageIO."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import OpenImageIO as oiio

from penumbra_engine.errors import EngineError, InputError
from penumbra_engine.files import replacing
from penumbra_engine.media.windows import Window, crop

HALF_MAX = 65504.0
_EXPONENT = 0x7C00  # bits of a half float, all set where it is infinite or no number

_ORDER = {"r": 0, "g": 1, "b": 2, "a": 3}

#: Attributes that describe the file rather than the picture, or that a float EXR file would make untrue.
_OF_THE_FILE = ("compression", "PixelAspectRatio", "ICCProfile", "multiView", "view")
_OF_THE_FILE_PREFIXES = ("openexr:", "oiio:", "ICCProfile:")


class Typed(NamedTuple):
    """A metadata value of several parts, with its OpenImageIO type, such as `timecode` or `float[8]`."""

    type: str
    value: tuple


Value = str | int | float | Typed


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels and what is known of them.

    pixels: H x W x C float32 over the data window, or float16 where that is what will be written. channels: C names.
    x, y: where the data window begins. display: the display window, or the data window when left out. metadata:
    everything else the file says (time code, chromaticities, any attribute), by name.
    """

    pixels: np.ndarray
    channels: tuple[str, ...]
    x: int = 0
    y: int = 0
    display: Window = field(default=None)  # type: ignore[assignment]
    pixel_aspect: float = 1.0
    metadata: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != len(self.channels):
            raise ValueError(f"pixels {self.pixels.shape} don't hold the channels {', '.join(self.channels)}")
        display = self.window if self.display is None else Window(*self.display)
        object.__setattr__(self, "display", display)

    @property
    def window(self) -> Window:
        """The data window."""
        return Window(self.x, self.y, self.pixels.shape[1], self.pixels.shape[0])

    def cropped(self) -> "Picture":
        """The picture cropped to what it holds plus one black pixel; see windows.crop."""
        pixels, window = crop(self.pixels, self.window, self.display)
        return replace(self, pixels=pixels, x=window.x, y=window.y)


@dataclass(frozen=True)
class Header:
    """What a file says of its picture before any pixel is read: the channels that `select` picks, and the windows.

    bits: of the code values of an integer file, 0 where there are floats.
    """

    channels: tuple[str, ...]
    window: Window
    display: Window
    pixel_aspect: float
    metadata: Mapping[str, Value]
    bits: int = 0


def exceeds_half(pixels: np.ndarray) -> bool:
    """Whether any value lies beyond what a half float holds (65504), so that the frame must be written as 32-bit."""
    return bool(pixels.size) and max(float(pixels.max()), -float(pixels.min())) > HALF_MAX


def _finite(pixels: np.ndarray) -> bool:
    """Whether all values are numbers. Of half floats by their bits: NumPy reckons with these one by one."""
    if pixels.dtype == np.float16:
        return bool(((pixels.view(np.uint16) & _EXPONENT) != _EXPONENT).all())
    return bool(np.isfinite(pixels).all())


def read_header(path: str | Path, select: str = "") -> Header:
    """The header of the picture that `select` picks in a file. Errors as read_picture."""
    file = _open(Path(path))
    try:
        return _chosen(file, Path(path), select)[1]
    finally:
        file.close()


def read_picture(path: str | Path, select: str = "") -> Picture:
    """Read a picture: all channels, or those `select` picks.

    select: a layer (`char`: its channels, named R, G, B, A ...), a channel (`char.a`), or `rgb` (the three colour
    channels of the picture itself); letter case is free. Integer files give 0..1. Colour is not transformed and not
    premultiplied. Raises InputError when the file is missing, corrupt, deep, or has no such channels.
    """
    path = Path(path)
    file = _open(path)
    try:
        indices, header = _chosen(file, path, select)
        return _picture(_pixels(file, path, indices), header)
    finally:
        file.close()


def read_mask(path: str | Path, select: str = "") -> Picture:
    """Read a mask as a picture with the one channel A: alpha if there is one, else the one channel, else R.

    Integer files give 0..1. Raises InputError as read_picture, and when none of these channels is there.
    """
    path = Path(path)
    file = _open(path)
    try:
        indices, header = _chosen(file, path, select)
        names = [_canonical(name) for name in header.channels]
        of_mask = 0 if len(names) == 1 else next((names.index(name) for name in ("a", "r") if name in names), None)
        if of_mask is None:
            raise InputError(
                f"{path} has the channels {', '.join(header.channels)}: no alpha, more than one, and no R; "
                "name the channel of the mask behind the path, as in mask.####.exr@char.a"
            )
        return _picture(_pixels(file, path, [indices[of_mask]]), replace(header, channels=("A",)))
    finally:
        file.close()


def write_picture(path: str | Path, picture: Picture, *, float32: bool = False, argument: str = "--out") -> None:
    """Write a picture as an EXR file: one part, ZIPS, half floats, or 32-bit where `float32` says so.

    The file appears whole or not at all. Raises InputError when the folder refuses it, EngineError when the disk is
    full. Raises ValueError for what no file should hold: values that aren't finite, or beyond half's range in a half
    file (ask exceeds_half first).
    """
    path = Path(path)
    pixels = picture.pixels
    if not _finite(pixels):
        raise ValueError(f"{path}: the picture holds values that are not finite")
    if not float32 and pixels.dtype != np.float16 and exceeds_half(pixels):
        raise ValueError(f"{path}: the picture holds values beyond half's range; write it as 32-bit float")
    stored = np.ascontiguousarray(pixels, dtype=np.float32 if float32 else np.float16)
    with replacing(path, argument) as temporary:
        _write(temporary, _spec(picture, "float" if float32 else "half"), stored, path, argument)


def _open(path: Path) -> oiio.ImageInput:
    hints = oiio.ImageSpec()
    hints.attribute("oiio:UnassociatedAlpha", 1)  # or PNG and TIFF colour comes back multiplied by alpha
    file = oiio.ImageInput.open(str(path), hints)
    if file is not None:
        return file
    why = oiio.geterror()
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path} is not a file")
    raise InputError(f"{path} can't be read as a picture ({_one_line(why)}); render or copy it again")


def _chosen(file: oiio.ImageInput, path: Path, select: str) -> tuple[list[int], Header]:
    """Channel indices and header of what `select` picks; leaves `file` at the part which holds it."""
    offered: list[str] = []
    part = 0
    while file.seek_subimage(part, 0):
        spec = file.spec()
        if spec.deep:
            raise InputError(f"{path} is a deep EXR file; flatten it before it is used here")
        picked = _pick(spec.channelnames, spec.get_string_attribute("oiio:subimagename"), select)
        if picked:
            display = Window(spec.full_x, spec.full_y, spec.full_width, spec.full_height)
            window = Window(spec.x, spec.y, spec.width, spec.height)
            aspect = spec.get_float_attribute("PixelAspectRatio", 1.0)
            return list(picked), Header(tuple(picked.values()), window, display, aspect, _metadata(spec), _bits(spec))
        offered += spec.channelnames
        part += 1
    what = "R, G and B, which a plate needs" if select.lower() == "rgb" else f"layer or channel {select!r}"
    raise InputError(f"{path} has no {what}; it has the channels {', '.join(offered)}")


def _bits(spec: oiio.ImageSpec) -> int:
    """Bits of a code value, 0 for floats. Ten bits lie in sixteen with a note beside them."""
    if spec.format.basetype in (oiio.HALF, oiio.FLOAT, oiio.DOUBLE):
        return 0
    return int(spec.get_int_attribute("oiio:BitsPerSample", 8 * spec.format.size()))


def _pixels(file: oiio.ImageInput, path: Path, indices: list[int]) -> np.ndarray:
    """H x W x C float32 of those channels of the current part."""
    first, last = min(indices), max(indices) + 1
    pixels = file.read_image(file.current_subimage(), 0, first, last, "float")
    # Some readers hand out a half-read picture with a message: that is no picture.
    if pixels is None or file.has_error:
        raise InputError(f"{path} is damaged or incomplete ({_one_line(file.geterror())}); render or copy it again")
    if indices != list(range(first, last)):
        pixels = pixels[..., [index - first for index in indices]]
    return np.ascontiguousarray(pixels)


def _picture(pixels: np.ndarray, header: Header) -> Picture:
    x, y = header.window.x, header.window.y
    return Picture(pixels, header.channels, x, y, header.display, header.pixel_aspect, header.metadata)


def _pick(channels: tuple[str, ...], part: str, select: str) -> dict[int, str]:
    """Index and name of the channels that `select` picks of one part of a file; empty where it has none of them."""
    if not select:
        return dict(enumerate(channels))
    picked = _pick_named([_canonical(name) for name in channels], _canonical(select))
    if not picked and part:  # some writers say the layer in the part's name only
        picked = _pick_named([_canonical(f"{part}.{name}") for name in channels], _canonical(select))
    return picked


def _pick_named(names: list[str], wanted: str) -> dict[int, str]:
    """The same of canonical names: a channel, the picture's own colour, or a layer, as R, G, B, A and then the rest."""
    if wanted in names:
        return {names.index(wanted): wanted.rpartition(".")[2].upper()}
    if wanted in ("rgb", "rgba"):
        return {names.index(name): name.upper() for name in wanted if name in names} if {*"rgb"} <= {*names} else {}
    inside = {
        index: name.removeprefix(wanted + ".") for index, name in enumerate(names) if name.startswith(wanted + ".")
    }
    ordered = sorted(inside, key=lambda index: _ORDER.get(inside[index], len(_ORDER)))
    return {index: inside[index].upper() for index in ordered if "." not in inside[index]}


def _canonical(name: str) -> str:
    """Channel name as EXR files spell it, in lower case: Nuke's `rgba.alpha` is `a`, `char.red` is `char.r`."""
    layer, _, channel = name.lower().rpartition(".")
    channel = {"red": "r", "green": "g", "blue": "b", "alpha": "a"}.get(channel, channel)
    return channel if layer in ("", "rgb", "rgba") else f"{layer}.{channel}"


def _metadata(spec: oiio.ImageSpec) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for attribute in spec.extra_attribs:
        if attribute.name in _OF_THE_FILE or attribute.name.startswith(_OF_THE_FILE_PREFIXES):
            continue
        value = attribute.value
        if isinstance(value, str | int | float):
            found[attribute.name] = value
        elif isinstance(value, tuple):
            found[attribute.name] = Typed(str(attribute.type), value)
    return found


def _spec(picture: Picture, format: str) -> oiio.ImageSpec:
    height, width, channels = picture.pixels.shape
    spec = oiio.ImageSpec(width, height, channels, format)
    spec.channelnames = picture.channels
    spec.x, spec.y = picture.x, picture.y
    spec.full_x, spec.full_y, spec.full_width, spec.full_height = picture.display
    for name, value in picture.metadata.items():
        if isinstance(value, Typed):
            spec.attribute(name, oiio.TypeDesc(value.type), value.value)
        else:
            spec.attribute(name, value)
    spec.attribute("compression", "zips")
    spec.attribute("PixelAspectRatio", float(picture.pixel_aspect))
    if "DateTime" not in picture.metadata:
        spec.attribute("DateTime", "")  # or the time of writing goes in, and the same result gives other bytes
    return spec


def _write(temporary: Path, spec: oiio.ImageSpec, pixels: np.ndarray, path: Path, argument: str) -> None:
    """Write pixels with OpenImageIO; raise OSError or EngineError when they did not all reach the file."""
    file = oiio.ImageOutput.create(str(temporary))
    if file is None or not file.open(str(temporary), spec):
        why = file.geterror() if file else oiio.geterror()
        temporary.touch()  # raises what the system has against it
        raise EngineError(f"{path} can't be written ({_one_line(why)})", argument)
    written = file.write_image(pixels)
    why = file.geterror()
    if not (file.close() and written and _whole(temporary)):
        _fill(temporary, pixels.nbytes)
        raise EngineError(f"{path} could not be written whole ({_one_line(why)}); run again", argument)


def _whole(path: Path) -> bool:
    """Whether the last line of a file can be read: a disk that fills up as the file is closed goes unreported."""
    file = oiio.ImageInput.open(str(path))
    if file is None:
        oiio.geterror()
        return False
    spec = file.spec()
    last = file.read_scanline(spec.y + spec.height - 1, 0, "half")
    whole = last is not None and not file.has_error
    file.geterror()
    file.close()
    return whole


def _fill(path: Path, size: int) -> None:
    """Write that many bytes over a failed file, so that a full disk says so itself: OpenImageIO does not tell why."""
    block = bytes(1 << 20)
    with path.open("wb") as file:
        for _ in range(size // len(block) + 1):
            file.write(block)


def _one_line(text: str) -> str:
    return " ".join(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip())) or "no reason given"
