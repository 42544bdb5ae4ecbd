"""Nearby: the background of a frame of a turning camera, from the frames near it."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Stack
from penumbra_engine.imaging.background import Gathered, least_doubt
from penumbra_engine.imaging.camera_blur import CameraBlur, View
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.imaging.warp import sample
from penumbra_engine.media.windows import Window
from penumbra_engine.solvers.omnimatte.exposed import Exposed
from penumbra_engine.solvers.omnimatte.mosaic import Mosaic
from penumbra_engine.solvers.omnimatte.state import CLEAN

_NEAR = 12  # neighbours on each side
_FEW = 6  # of them: where fewer show the background, its canvas has a say
_SPARE = 8  # rows more of a source than are asked for at first: the blur of a camera asks for some beside them


class Nearby:
    """What frames show of each other's backgrounds. state: T x 1 x H x W, of each pixel of each frame. shutter: as of
    CameraBlur."""

    def __init__(self, mosaic: Mosaic, exposed: Exposed, state: Stack, noise: Noise, shutter: float = 0.0) -> None:
        self._mosaic, self._exposed, self._state, self._noise = mosaic, exposed, state, noise
        self._blur = CameraBlur(mosaic.to_canvas, mosaic.frame.size, shutter)

    @property
    def shutter(self) -> float:
        return self._blur.shutter

    def measure_shutter(self) -> Iterator[None]:
        """As CameraBlur does it."""
        return self._blur.measure(self._compared, _NEAR)

    def background(self, index: int, part: Window, canvas: Tensor, tolerance: Tensor) -> tuple[Tensor, Tensor]:
        """The background of a part of a frame and the doubt of it, 3 x h x w both, from the clean parts of the frames
        near it, the nearest weighing most: the farther two frames are apart, the less exactly they are registered.

        canvas: as the part sees it, 3 x h x w; it stands in where few of them show it. tolerance: h x w, px.
        """
        near = Gathered(3, part.height, part.width)
        for other in range(max(0, index - _NEAR), min(len(self._state), index + _NEAR + 1)):
            if other == index:
                continue
            picture, clean = self._blur.seen(index, other, self._through(other, part))
            near.add(picture, clean * self._blur.sharpness(index, other) / abs(other - index))
        few = (1 - near.times / _FEW).clamp(min=0)
        background = near.mean * (1 - few) + canvas * few
        return background, least_doubt(near.doubt(self._noise), near.times, background, tolerance)

    def _compared(self, target: int, source: int) -> tuple[Tensor, Tensor, View]:
        clean = torch.from_numpy(self._state[target][0] == CLEAN)
        return self._exposed.read(target), clean, self._through(source, self._mosaic.frame)

    def _through(self, source: int, part: Window) -> View:
        """A frame through homographies from a part of another, and where it is seen with nothing in front of its
        background."""
        height, width = self._mosaic.frame.height, self._mosaic.frame.width
        top, layers = 0, torch.empty(4, 0, width)

        def seen_through(to_source: np.ndarray) -> tuple[Tensor, Tensor]:
            nonlocal top, layers
            points = self._mosaic.through(part, to_source)
            low, high = (int(row) for row in points[..., 1].nan_to_num().clamp(0, height - 1).aminmax())
            first, last = max(low - 2, 0), min(high + 4, height)  # what interpolation looks at
            if first < top or last > top + layers.shape[1]:
                top = max(first - _SPARE, 0)
                layers = self._layers(source, top, min(last + _SPARE, height))
            picture, inside = sample(layers, points - points.new_tensor([0, top]))
            return picture[:3], inside & (picture[3] > 0.95)

        return seen_through

    def _layers(self, index: int, first: int, last: int) -> Tensor:
        """Some rows of a frame, and where they are clean, 4 x h x W."""
        clean = torch.from_numpy(self._state.rows(first, last, [index])[0] == CLEAN)
        rows = Window(0, first, self._mosaic.frame.width, last - first)
        return torch.cat([self._exposed.read(index, rows), clean.float()])
