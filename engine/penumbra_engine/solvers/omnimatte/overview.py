"""The overview picture: plate, each layer over a checkerboard, alpha and background, three frames of the shot."""

import cv2
import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.composite import over
from penumbra_engine.media import Shot
from penumbra_engine.media.encoding import srgb_encode
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.plates import Plates
from penumbra_engine.solvers.omnimatte.refine import Layers

_WIDTH = 420  # px of one picture
_CHECK = 12
_INK = (235, 235, 235)


def overview(shot: Shot, plates: Plates, canvas: Canvas, layers: Layers, frames: tuple[int, ...]) -> bytes:
    """A PNG with a row for each of up to three of `frames`: the columns are labelled."""
    chosen = sorted({frames[0], frames[len(frames) // 2], frames[-1]})
    rows = []
    for frame in chosen:
        index = shot.frames.index(frame)
        each, background = layers.read(index, plates, canvas)
        plate = torch.from_numpy(plates.plate[index])
        pictures = {f"plate {frame}": plate}
        for name, layer in zip(shot.names, each, strict=True):
            pictures[name] = over(layer[None], _checkerboard(shot))
        pictures["alpha"] = (1 - (1 - each[:, 3]).prod(0)).expand(3, -1, -1) ** 2.2  # seen as it is, not encoded
        pictures["background"] = background
        rows.append(np.hstack([_labelled(shot, picture, label) for label, picture in pictures.items()]))
    done, png = cv2.imencode(".png", np.vstack(rows)[..., ::-1])
    if not done:
        raise ValueError("the overview picture can't be encoded")
    return png.tobytes()


def _checkerboard(shot: Shot) -> Tensor:
    y, x = np.mgrid[0 : shot.height, 0 : shot.width]
    size = max(1, round(_CHECK * shot.width / _WIDTH))
    return torch.from_numpy(np.where((y // size + x // size) % 2, 0.32, 0.18).astype(np.float32)).expand(3, -1, -1)


def _labelled(shot: Shot, picture: Tensor, label: str) -> np.ndarray:
    """H x W x 3 uint8 for a screen."""
    rec709 = shot.space.working_to_lin_rec709(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()))
    height = round(_WIDTH * shot.height / shot.width / shot.pixel_aspect)
    small = cv2.resize(rec709, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    image = np.round(srgb_encode(small) * 255).astype(np.uint8)
    bar = np.full((22, _WIDTH, 3), 24, np.uint8)
    cv2.putText(bar, label, (6, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
    return np.vstack([bar, image])
