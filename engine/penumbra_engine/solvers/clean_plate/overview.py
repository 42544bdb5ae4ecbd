"""The overview picture: plate, subject, effects, alpha and background, three frames of the shot."""

import torch

from penumbra_engine.imaging.composite import over
from penumbra_engine.media import Shot
from penumbra_engine.solvers.clean_plate.matte import Matte
from penumbra_engine.solvers.contact_sheet import checkerboard, contact_sheet, seen_as_is, three_of
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.plates import Plates


def overview(
    shot: Shot, plates: Plates, canvas: Canvas, matte: Matte, names: tuple[str, ...], frames: tuple[int, ...]
) -> bytes:
    """A PNG with a row for each of up to three of `frames`: the columns are labelled."""
    rows = []
    for frame in three_of(frames):
        index = shot.frames.index(frame)
        layers, background = matte.read(index, plates, canvas, merge=len(names) == 1)
        row = {f"plate {frame}": torch.from_numpy(plates.plate[index])}
        for name, layer in zip(names, layers, strict=True):
            row[name] = over(layer[None], checkerboard(shot))
        row["alpha"] = seen_as_is(layers[0, 3])
        row["background"] = background
        rows.append(row)
    return contact_sheet(shot, rows)
