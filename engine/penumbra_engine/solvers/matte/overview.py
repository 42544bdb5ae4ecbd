"""Pictures of the mattes for a screen: the overview of a solve, and the preview of one that is still learning."""

import torch

from penumbra_engine.imaging.composite import over
from penumbra_engine.media import Shot
from penumbra_engine.models.small_matte import SmallMatte
from penumbra_engine.solvers.contact_sheet import checkerboard, contact_sheet, seen_as_is, three_of
from penumbra_engine.solvers.layer import foreground_layer
from penumbra_engine.solvers.matte.predict import Mattes, predict
from penumbra_engine.solvers.matte.scene import Scene
from penumbra_engine.solvers.plates import Plates


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


def preview(scene: Scene, network: SmallMatte) -> bytes:
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
