"""Pictures of the mattes for a screen: the overview of a solve, and the preview of one that is still learning."""

import time
from pathlib import Path

import torch
from torch import nn

from penumbra_engine.files import write_atomically
from penumbra_engine.imaging.composite import over
from penumbra_engine.media import Shot
from penumbra_engine.solvers.clock import Clock
from penumbra_engine.solvers.contact_sheet import checkerboard, contact_sheet, seen_as_is, three_of
from penumbra_engine.solvers.layer import foreground_layer
from penumbra_engine.solvers.matte.predict import Mattes, predict
from penumbra_engine.solvers.matte.scene import Scene
from penumbra_engine.solvers.plates import Plates

_EVERY = 5.0  # seconds between previews


def overview(shot: Shot, plates: Plates, names: tuple[str, ...], mattes: Mattes, frames: tuple[int, ...]) -> bytes:
    """A PNG with a row for each of up to three of `frames`: plate, and each object over a checkerboard with its matte,
    and the confidence."""
    rows = []
    for frame in three_of(frames):
        index = shot.frames.index(frame)
        plate = torch.from_numpy(plates.plate[index])
        row = {f"plate {frame}": plate}
        for name, matte in zip(names, torch.from_numpy(mattes.mattes[index]), strict=True):
            row[name] = over(foreground_layer(plate, matte)[None], checkerboard(shot))
            row[f"{name} alpha"] = seen_as_is(matte)
        row["confidence"] = seen_as_is(torch.from_numpy(mattes.confidence[index]))
        rows.append(row)
    return contact_sheet(shot, rows)


class Preview:
    """Keeps a PNG of the mattes so far in a file while a network learns, and says so in the job's progress."""

    def __init__(self, path: Path, scene: Scene, clock: Clock) -> None:
        self.path, self.clock = path, clock
        self.begin(scene, 0)
        self._due = time.monotonic() + _EVERY

    def begin(self, scene: Scene, before: int) -> None:
        """Go on with a scene. before: steps that were learned up to here."""
        self.scene, self.before = scene, before

    def __call__(self, network: nn.Module, step: int) -> None:
        """Show a network in evaluation mode, if it is time. Large plates are shown less often: it takes a tenth at
        most."""
        began = time.monotonic()
        if began >= self._due:
            write_atomically(self.path, preview(self.scene, network), "--out")
            self.clock.message = f"step {self.before + step}, preview {self.path}"
            self._due = time.monotonic() + max(_EVERY, 10 * (time.monotonic() - began))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def preview(scene: Scene, network: nn.Module) -> bytes:
    """A PNG with a row for each of up to three frames, keyed ones last: the plate and each matte so far."""
    free = [index for index in range(len(scene.shot.frames)) if index not in scene.keyed]
    chosen = [*free[len(free) // 3 :: max(1, len(free) // 3)][:2], scene.keyed[0]]
    rows = []
    for index in chosen:
        row = {f"plate {scene.shot.frames[index]}": torch.from_numpy(scene.plates.plate[index])}
        found = torch.from_numpy(predict(network, scene.whole(index)))
        row |= {f"{name} alpha": seen_as_is(matte) for name, matte in zip(scene.names, found, strict=True)}
        rows.append(row)
    return contact_sheet(scene.shot, rows)
