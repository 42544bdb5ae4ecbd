"""Write: the files of the contract, frame by frame, checked before they are written."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from penumbra_engine.cache import Store
from penumbra_engine.errors import EngineError
from penumbra_engine.imaging.composite import over
from penumbra_engine.imaging.grain import transplant_grain
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.media import Shot, exceeds_half
from penumbra_engine.solvers.abreast import abreast
from penumbra_engine.solvers.delivery import Delivery, Destination
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.earlier_files import EarlierFiles
from penumbra_engine.solvers.omnimatte.geometry import Geometry
from penumbra_engine.solvers.omnimatte.refine import Layers
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version

FLOAT_TOLERANCE, HALF_TOLERANCE = 1e-5, 2e-3  # of recomposition, relative to max(1, |I|, |P|, |B|)
_REMOVED = 0.25  # alpha above which an in-painter should work
_FARTHEST = 1e-6  # inverse depth of what is infinitely far
_REMOVAL_MARGIN = 20 / 854  # of the width


@dataclass
class Written:
    """What the report says of the files: recomposition error per frame before and after rounding, relative to
    max(1, |I|, |P|, |B|)."""

    exact: dict[int, float] = field(default_factory=dict)
    rounded: dict[int, float] = field(default_factory=dict)

    def of(self, frame: int, to: Destination) -> dict[str, Any]:
        """What is said of a frame."""
        return {"exact": self.exact[frame], "rounded": self.rounded.get(frame), "widened": frame in to.widened}

    def take(self, frame: int, said: dict[str, Any], to: Destination) -> None:
        """Say the same of it."""
        self.exact[frame] = said["exact"]
        if said["rounded"] is not None:
            self.rounded[frame] = said["rounded"]
        if said["widened"]:
            to.widened.append(frame)


def write_layers(
    shot: Shot, plates: Plates, canvas: Canvas, geometry: Geometry, layers: Layers, to: Destination, store: Store
) -> Steps[Written]:
    """Write every frame of `to.frames`; each file appears whole or not at all. What the last solve of the shot wrote of
    a frame that is made from the same is copied.

    Raises EngineError when a frame would not give its plate back, and what write_picture raises.
    """
    written, earlier = Written(), EarlierFiles(store, plates.key)
    common = f"{code_version()} {geometry.key if geometry.cameras else ''} {shot.names} {to.full_window} {to.float32}"

    def write(frame: int) -> None:
        index = shot.frames.index(frame)
        content = f"{common} {frame} {layers.contents[index]} {canvas.picture(index)}"
        if noted := earlier.copy(content, to):
            written.take(frame, noted, to)
            return
        plate = torch.from_numpy(plates.plate[index])
        each, background = layers.read(index, plates, canvas)
        check_recomposition(written, frame, plate, each, background)
        files = _Frame(shot, to, frame)
        files.layers(index, plate, each, background, canvas, layers)
        if geometry.cameras is not None:
            files.depth(geometry.inverse_depth(index, shot.height, shot.width))
        earlier.note(content, to, files.files, written.of(frame, to))

    for done, _ in enumerate(abreast(write, to.frames, shot.height * shot.width)):
        yield done + 1, len(to.frames)
    earlier.save(of=layers.key)
    to.widened.sort()
    return written


def check_recomposition(written: Written, frame: int, plate: Tensor, layers: Tensor, background: Tensor) -> None:
    """Note by how much the layers of a frame miss its plate, as they are and as half floats.

    Raises EngineError when that is more than the contract allows.
    """
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


class _Frame(Delivery):
    """The files of one frame."""

    def layers(
        self, index: int, plate: Tensor, layers: Tensor, background: Tensor, canvas: Canvas, matte: Layers
    ) -> None:
        one = torch.ones_like(plate[:1])
        for name, layer in zip(self.shot.names, layers, strict=True):
            self.write(name, "RGBA", layer, cropped=True)
        self.write("background", "RGBA", torch.cat([background, one]))
        behind, seen = canvas.background(index), canvas.seen(index)
        self.write("canvas", "RGBA", torch.cat([behind, seen[None]]))
        covered = (layers[:, 3] > 0).any(0)
        grain = self._grain(plate, behind, covered, canvas)
        self.write("background_grain", "RGBA", torch.cat([background + grain, one]))
        alpha = 1 - (1 - layers[:, 3]).prod(0)
        removed = dilate((alpha > _REMOVED).numpy(), _REMOVAL_MARGIN * self.shot.width)
        self.write("removal", "A", torch.from_numpy(removed)[None].float(), cropped=True)
        self.write("confidence", "A", torch.from_numpy(matte.confidence[index]))
        self._write_all(plate, layers, background)

    def depth(self, inverse: Tensor) -> None:
        """How far the static scene behind the objects is along the camera's axis, in the units of camera.nk."""
        self.write("depth", "Z", 1 / inverse.clamp(min=_FARTHEST)[None], float32=True)

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
        self.write("layers", names, torch.cat(pixels), extra={"penumbra:layerOrder": order})
