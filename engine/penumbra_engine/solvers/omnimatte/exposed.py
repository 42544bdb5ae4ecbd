"""Exposed: the frames of a shot as if all had the exposure of its background and a lens that leaves all light."""

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Stack
from penumbra_engine.imaging.falloff import spread
from penumbra_engine.media.windows import Window, pixels


class Exposed:
    """A plate, T x 3 x H x W on disk, without what was measured of its exposure and its lens; with all of it at first.

    gains: T x 3, the exposure of each frame over that of the background. falloff: 3 x h x w, what the lens leaves of
    the light, coarsely over the frame.
    """

    def __init__(self, plate: Stack) -> None:
        self.plate = plate
        self.gains = np.ones((len(plate), 3))
        self.take_out(torch.ones(3, 1, 1))

    def take_out(self, falloff: Tensor) -> None:
        """Look at frames as a lens shows them that leaves all light everywhere."""
        self.falloff, self._lens = falloff, spread(falloff, *self.plate.shape[2:])

    def read(self, index: int, part: Window | None = None) -> Tensor:
        """A frame, 3 x H x W, or a part of it, 3 x h x w."""
        gains = torch.from_numpy(self.gains[index]).float()[:, None, None]
        if part is None:
            return torch.from_numpy(self.plate[index]) / (gains * self._lens)
        rows, columns = pixels(part)
        plate = torch.from_numpy(self.plate.rows(part.y, part.bottom, [index])[0, ..., columns])
        return plate / (gains * self._lens[:, rows, columns])
