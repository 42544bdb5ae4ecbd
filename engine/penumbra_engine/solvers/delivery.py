"""Delivery: the files of one frame, each under its own name and folder, as the contract has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from penumbra_engine.media import Picture, Shot, exceeds_half, write_picture
from penumbra_engine.media.picture import Value


@dataclass(frozen=True)
class Destination:
    """Where and how files are written. metadata: added to the plate's own on every file. widened: the frames that went
    beyond half's range so far and were written as 32-bit floats."""

    out: Path
    frames: tuple[int, ...]
    metadata: Mapping[str, Value]
    full_window: bool
    float32: bool
    widened: list[int] = field(default_factory=list)


class Delivery:
    """Writes the files of one frame; files: those that are written."""

    def __init__(self, shot: Shot, to: Destination, frame: int) -> None:
        self.shot, self.to, self.frame = shot, to, frame
        self.metadata = {**shot.header(frame), **to.metadata}
        self.files: list[Path] = []

    def write(
        self,
        name: str,
        channels: str | list[str],
        pixels: Tensor,
        cropped: bool = False,
        extra: Mapping[str, Value] | None = None,
        float32: bool = False,
    ) -> None:
        """Write `NAME/NAME.####.exr`. pixels: C x H x W over the shot's window. cropped: to what the picture holds,
        unless the destination wants whole windows. float32: 32-bit whatever the destination says.

        Raises what write_picture raises.
        """
        beyond = exceeds_half(pixels.numpy())
        if beyond and not (self.to.float32 or float32) and self.frame not in self.to.widened:
            self.to.widened.append(self.frame)
        wide = self.to.float32 or float32 or beyond
        stored = pixels if wide else pixels.half()  # before its channels are put side by side: half as much to move
        picture = Picture(
            np.ascontiguousarray(stored.permute(1, 2, 0).numpy()),
            tuple(channels),
            self.shot.window.x,
            self.shot.window.y,
            self.shot.display,
            self.shot.pixel_aspect,
            {**self.metadata, **(extra or {})},
        )
        if cropped and not self.to.full_window:
            picture = picture.cropped()
        folder = self.to.out / name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.{self.frame:04d}.exr"
        write_picture(path, picture, float32=wide)
        self.files.append(path)
