"""Samples: what all frames show of a part of the canvas."""

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Entry, Stack
from penumbra_engine.imaging.background import REACH
from penumbra_engine.imaging.warp import pixel_grid, sample
from penumbra_engine.media.windows import Window, grown, pixels
from penumbra_engine.solvers.omnimatte.exposed import Exposed
from penumbra_engine.solvers.omnimatte.mosaic import Mosaic
from penumbra_engine.solvers.omnimatte.state import MASKED

_BAND_BYTES = 112 << 20  # what the samples of the rows that are looked at together may take
_SAMPLE_BYTES, _PIXEL_BYTES = 32, 128  # of a sample; of a pixel where a frame is worked on


class Samples:
    """The frames as an area of the canvas sees them, and what lies around it and decides about it.

    Before a static camera the plate is that itself. Before another each frame is to be taken in once; it is laid on
    disk with a fourth channel that says where it reaches, and in the exposure of then.
    """

    def __init__(self, mosaic: Mosaic, exposed: Exposed, area: Window, entry: Entry) -> None:
        """entry: where what is taken in is kept."""
        self._mosaic, self._exposed = mosaic, exposed
        self._around = grown(area, REACH, mosaic.whole)
        self._count = len(exposed.plate)
        self._row_bytes = self._count * self._around.width * _SAMPLE_BYTES
        self._held: np.ndarray | None = None
        if mosaic.static:
            self._stack, self._gains = exposed.plate, np.ones((self._count, 3))
        else:
            shape = (self._count, 4, self._around.height, self._around.width)
            self._stack, self._gains = entry.create_stack("warped", shape), exposed.gains

    @property
    def rows(self) -> int:
        """How many rows of the area may be held at a time."""
        return _BAND_BYTES // self._row_bytes

    def as_pixels(self, rows: int) -> int:
        """The pixels of a frame that take as much memory as the samples of so many rows."""
        return rows * self._row_bytes // _PIXEL_BYTES

    def take(self, index: int) -> None:
        """Take a frame in."""
        points = self._mosaic.in_frame(index, _texels(self._around))
        picture, inside = sample(self._exposed.read(index), points)
        self._stack[index] = torch.cat([picture, inside[None].float()]).numpy()

    def frame(self, index: int, *of: np.ndarray) -> list[Tensor]:
        """A frame that was taken in, 3 x h x w, where it reaches, h x w bool, and what each of some arrays over its
        pixels, H x W, tells of it, h x w."""
        sampled, points = torch.from_numpy(self._stack[index]), self._mosaic.in_frame(index, _texels(self._around))
        gain = torch.from_numpy(self._exposed.gains[index] / self._gains[index]).float()
        told = (_nearest(torch.from_numpy(array), points) for array in of)
        return [sampled[:3] / gain[:, None, None], sampled[3] > 0.5, *told]

    def band(self, part: Window, states: Stack) -> tuple[Tensor, Tensor]:
        """The samples of a part of the canvas, T x 3 x h x w, and their states, T x h x w uint8, by those of the
        frames, T x 1 x H x W."""
        state = self.told(states, part)
        if self._mosaic.static:
            picture = torch.from_numpy(self._plate(part))
        else:
            rows, columns = pixels(part, self._around)
            sampled = torch.from_numpy(self._stack.rows(rows.start, rows.stop)[..., columns])
            picture, state = sampled[:, :3], torch.where(sampled[:, 3] > 0.5, state, MASKED)
        return picture / torch.from_numpy(self._exposed.gains / self._gains).float()[:, :, None, None], state

    def _plate(self, part: Window) -> np.ndarray:
        """What a static camera's frames show of a part of the canvas, T x 3 x h x w. A small area is read once for all
        passes."""
        around = self._around
        if around.height > self.rows:
            return self._stack.rows(part.y, part.bottom)[..., pixels(part)[1]]
        if self._held is None:
            self._held = self._stack.rows(around.y, around.bottom)[..., pixels(around)[1]].copy()
        return self._held[..., *pixels(part, around)]

    def told(self, of: Stack, part: Window) -> Tensor:
        """What a stack over the frames, T x 1 x H x W, tells of the samples of a part of the canvas, T x h x w."""
        if self._mosaic.static:
            return torch.from_numpy(of.rows(part.y, part.bottom)[:, 0, :, pixels(part)[1]])
        points = _texels(part)
        return torch.stack(
            [
                _nearest(torch.from_numpy(of[index][0]), self._mosaic.in_frame(index, points))
                for index in range(self._count)
            ]
        )


def _nearest(frame: Tensor, points: Tensor) -> Tensor:
    """What lies nearest to each point, or to that of the border nearest to it. H x W and h x w x 2; h x w."""
    x, y = points.round().long().unbind(-1)
    return frame[y.clamp(0, frame.shape[0] - 1), x.clamp(0, frame.shape[1] - 1)]


def _texels(part: Window) -> Tensor:
    """The points of a part of the canvas, h x w x 2."""
    return pixel_grid(part.height, part.width) + torch.tensor([part.x, part.y])
