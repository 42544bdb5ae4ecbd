"""The overview picture: plate, trimap, matte over a checkerboard and alpha, three frames of the shot."""

import torch

from penumbra_engine.imaging.composite import over
from penumbra_engine.media import Shot
from penumbra_engine.solvers.alpha import Alphas
from penumbra_engine.solvers.contact_sheet import checkerboard, contact_sheet, seen_as_is, three_of
from penumbra_engine.solvers.layer import foreground_layer
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.trimap.propagate import Trimaps


def overview(
    shot: Shot, plates: Plates, names: tuple[str, ...], trimaps: Trimaps, alphas: Alphas, frames: tuple[int, ...]
) -> bytes:
    """A PNG with a row for each of up to three of `frames`: the columns are labelled."""
    rows = []
    for frame in three_of(frames):
        index = shot.frames.index(frame)
        plate = torch.from_numpy(plates.plate[index])
        row = {f"plate {frame}": plate}
        for k, name in enumerate(names):
            alpha = torch.from_numpy(alphas.alpha[index][k])
            row[f"{name} trimap"] = seen_as_is(torch.from_numpy(trimaps.trimaps[index][k]))
            row[f"{name} alpha"] = seen_as_is(alpha)
            row[name] = over(foreground_layer(plate, alpha)[None], checkerboard(shot))
        rows.append(row)
    return contact_sheet(shot, rows)
