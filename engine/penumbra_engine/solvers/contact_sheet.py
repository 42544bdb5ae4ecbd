"""Contact sheets: labelled pictures side by side, for a screen."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from penumbra_engine.media import Shot
from penumbra_engine.media.encoding import srgb_encode

_WIDTH = 420  # px of one picture
_CHECK = 12
_INK = (235, 235, 235)


def three_of(frames: tuple[int, ...]) -> list[int]:
    """The first, the middle and the last of some frames, each once."""
    return sorted({frames[0], frames[len(frames) // 2], frames[-1]})


def contact_sheet(shot: Shot, rows: Sequence[Mapping[str, Tensor]]) -> bytes:
    """A PNG with a row for each mapping of label to picture (3 x H x W, scene-linear in the shot's working space)."""
    image = np.vstack([np.hstack([_labelled(shot, picture, label) for label, picture in row.items()]) for row in rows])
    done, png = cv2.imencode(".png", image[..., ::-1])
    if not done:
        raise ValueError("the overview picture can't be encoded")
    return png.tobytes()


def seen_as_is(alpha: Tensor) -> Tensor:
    """An alpha (H x W or 1 x H x W) as a picture whose values a screen shows as they are; 3 x H x W."""
    return alpha.expand(3, *alpha.shape[-2:]) ** 2.2


def checkerboard(shot: Shot) -> Tensor:
    """What lies behind a layer to show its alpha, 3 x H x W."""
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
