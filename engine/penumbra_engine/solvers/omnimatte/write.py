"""Write: the files of the contract, frame by frame, checked before they are written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.errors import EngineError
from penumbra_engine.imaging.composite import over
from penumbra_engine.imaging.grain import transplant_grain
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.media import Picture, Shot, exceeds_half, write_picture
from penumbra_engine.media.picture import Value
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.plates import Plates
from penumbra_engine.solvers.omnimatte.refine import Layers
from penumbra_engine.solvers.steps import Steps

FLOAT_TOLERANCE, HALF_TOLERANCE = 1e-5, 2e-3  # of recomposition, relative to max(1, |I|, |P|, |B|)
_REMOVED = 0.25  # alpha above which an in-painter should work
_REMOVAL_MARGIN = 20 / 854  # of the width


@dataclass
class Written:
    """What the report says of the files: recomposition error per frame before and after rounding, relative to
    max(1, |I|, |P|, |B|), and the frames that needed 32-bit floats."""

    exact: dict[int, float] = field(default_factory=dict)
    rounded: dict[int, float] = field(default_factory=dict)
    float32: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Destination:
    """Where and how files are written. metadata: added to the plate's own on every file."""

    out: Path
    frames: tuple[int, ...]
    metadata: Mapping[str, Value]
    full_window: bool
    float32: bool


def write_layers(shot: Shot, plates: Plates, canvas: Canvas, layers: Layers, to: Destination) -> Steps[Written]:
    """Write every frame of `to.frames`; each file appears whole or not at all.

    Raises EngineError when a frame would not give its plate back, and what write_picture raises.
    """
    written = Written()
    for done, frame in enumerate(to.frames):
        index = shot.frames.index(frame)
        plate = torch.from_numpy(plates.plate[index])
        each, background = layers.read(index, plates, canvas)
        _check(written, frame, plate, each, background)
        _Frame(shot, to, frame, written).write(index, plate, each, background, canvas, layers)
        yield done + 1, len(to.frames)
    return written


def _check(written: Written, frame: int, plate: Tensor, layers: Tensor, background: Tensor) -> None:
    for half, errors, tolerance in ((False, written.exact, FLOAT_TOLERANCE), (True, written.rounded, HALF_TOLERANCE)):
        if half and any(exceeds_half(t.numpy()) for t in (layers, background)):
            continue  # that frame is written as it is
        p, b = (t.half().float() if half else t for t in (layers, background))
        scale = torch.stack([plate.abs(), p[:, :3].abs().amax(0), b.abs()]).amax(0).clamp(min=1)
        errors[frame] = float(((over(p, b) - plate).abs() / scale).max())
        if not errors[frame] < tolerance:
            raise EngineError(
                f"frame {frame}: the layers miss the plate by {errors[frame]:.2g}, more than {tolerance:g}; nothing "
                "was written for this frame. This is a fault of the engine: please report it with report.json"
            )


class _Frame:
    """The files of one frame."""

    def __init__(self, shot: Shot, to: Destination, frame: int, written: Written) -> None:
        self.shot, self.to, self.frame, self.written = shot, to, frame, written
        self.metadata = {**shot.header(frame), **to.metadata}

    def write(
        self, index: int, plate: Tensor, layers: Tensor, background: Tensor, canvas: Canvas, matte: Layers
    ) -> None:
        one = torch.ones_like(plate[:1])
        for name, layer in zip(self.shot.names, layers, strict=True):
            self._write(name, "RGBA", layer, cropped=True)
        self._write("background", "RGBA", torch.cat([background, one]))
        behind, seen = canvas.background(index), canvas.seen(index)
        self._write("canvas", "RGBA", torch.cat([behind, seen[None]]))
        covered = (layers[:, 3] > 0).any(0)
        grain = self._grain(plate, behind, covered, canvas)
        self._write("background_grain", "RGBA", torch.cat([background + grain, one]))
        alpha = 1 - (1 - layers[:, 3]).prod(0)
        removed = dilate((alpha > _REMOVED).numpy(), _REMOVAL_MARGIN * self.shot.width)
        self._write("removal", "A", torch.from_numpy(removed)[None].float(), cropped=True)
        self._write("confidence", "A", torch.from_numpy(matte.confidence[index]))
        self._write_all(plate, layers, background)

    def _grain(self, plate: Tensor, behind: Tensor, covered: Tensor, canvas: Canvas) -> Tensor:
        """The plate's grain on the part of the background that comes from the canvas; 3 x H x W."""
        deviation = canvas.noise.variance(behind).sqrt()
        grain = transplant_grain((plate - behind) / deviation, ~covered, covered, self.frame & 0x7FFFFFFF)
        return grain * deviation

    def _write_all(self, plate: Tensor, layers: Tensor, background: Tensor) -> None:
        one = torch.ones_like(plate[:1])
        names, pixels = list("RGBA"), [plate, one]
        for name, layer in [*zip(self.shot.names, layers, strict=True), ("background", torch.cat([background, one]))]:
            names += [f"{name}.{channel}" for channel in "RGBA"]
            pixels.append(layer)
        order = ",".join([*self.shot.names, "background"])
        self._write("layers", names, torch.cat(pixels), extra={"penumbra:layerOrder": order})

    def _write(
        self,
        name: str,
        channels: str | list[str],
        pixels: Tensor,
        cropped: bool = False,
        extra: Mapping[str, Value] | None = None,
    ) -> None:
        array = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
        wide = self.to.float32 or exceeds_half(array)
        if wide and not self.to.float32 and self.frame not in self.written.float32:
            self.written.float32.append(self.frame)
        picture = Picture(
            array,
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
        write_picture(folder / f"{name}.{self.frame:04d}.exr", picture, float32=wide)
