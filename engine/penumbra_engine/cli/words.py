"""The words that the commands of `penumbra run` share: their options, and how patterns and configs are spelled out."""

import os
from typing import Annotated

import typer

from penumbra.protocol import Keyframe, Mask
from penumbra_engine.errors import UsageError

Plate = Annotated[str, typer.Option(metavar="P", help="Pattern of the plate: a.####.exr, a.%04d.exr or a folder.")]
Frames = Annotated[str, typer.Option(metavar="R", help="Frames to read and solve: 1001-1036, 1001-1036x2, 1,3,5.")]
Colorspace = Annotated[str, typer.Option(metavar="S", help="The plate's space: name, alias or role in the config.")]
Out = Annotated[str, typer.Option(metavar="DIR", help="Folder for the layers.")]
Write = Annotated[str, typer.Option(metavar="R", help="Frames to write; all when left out.")]
Ocio = Annotated[str, typer.Option(metavar="FILE", help="OCIO config; else $OCIO, else a pinned built-in.")]
MaskMissing = Annotated[str, typer.Option(metavar="error|empty", help="What a missing mask file means.")]
Keyframes = Annotated[list[str], typer.Option(metavar="[NAME:]FRAME=P", help="Trimap or finished matte on one frame.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Same seed, same result.")]
Cold = Annotated[bool, typer.Option("--cold", help="Start from no earlier solve of the shot.")]
FullWindow = Annotated[bool, typer.Option("--full-window", help="Don't crop layers to what they hold.")]
Float32 = Annotated[bool, typer.Option("--float", help="Write 32-bit float instead of half.")]
InProcess = Annotated[bool, typer.Option("--in-process", help="Solve here, without the engine.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one result object on stdout.")]


def mask(word: str) -> Mask:
    """The mask that NAME=PATTERN says. Raises UsageError."""
    name, equals, pattern = word.partition("=")
    if not equals:
        raise UsageError(f"--mask {word!r}: write NAME=PATTERN, such as runner=roto/runner.####.png", "--mask")
    return Mask(name, absolute(pattern))


def keyframe(word: str) -> Keyframe:
    """The keyframe that [NAME:]FRAME=FILE says. Raises UsageError."""
    key, equals, pattern = word.partition("=")
    name, colon, frame = key.rpartition(":")
    try:
        number = int(frame)
    except ValueError:
        equals = ""
    if not equals:
        raise UsageError(
            f"--keyframe {word!r}: write FRAME=FILE or NAME:FRAME=FILE, such as 1001=trimap.1001.png", "--keyframe"
        )
    return Keyframe(name if colon else "matte", number, absolute(pattern))


def absolute(path: str) -> str:
    """The whole path; the engine works in another folder. Shells leave ~ alone behind `NAME=`."""
    return os.path.abspath(os.path.expanduser(path)) if path else path  # noqa: PTH100, PTH111  (keeps @layer as it is)


def config(ocio: str) -> str:
    """The config as the engine can find it: a file by its whole path, the name of a built-in as it is."""
    is_file = "://" not in ocio and (os.path.exists(ocio) or os.path.dirname(ocio))  # noqa: PTH110, PTH120
    return absolute(ocio) if is_file else ocio


def default_config() -> str:
    """The config of this shell. The engine may have been started with another $OCIO."""
    from penumbra_engine.media.colour import BUILT_IN

    return config(os.environ.get("OCIO", "")) or BUILT_IN
