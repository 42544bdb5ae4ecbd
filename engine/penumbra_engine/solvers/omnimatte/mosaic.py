"""Mosaic: where the frames of a camera that stands or turns lie on the one canvas under all of them."""

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.errors import UnsolvableError
from penumbra_engine.imaging.extent import box_of
from penumbra_engine.imaging.warp import pixel_grid, sample, transform, warp
from penumbra_engine.media.windows import Window, grown, pixels
from penumbra_engine.solvers.omnimatte.register import Registration

_MAX_CANVAS = 16  # times the frame
_COARSE = 8  # px: finely enough to find in a frame what lies on the canvas


class Mosaic:
    """The pixels of all frames on one canvas. Points are ... x 2, x and y.

    static: every frame lies on the whole canvas as it is. to_canvas: T x 3 x 3, from the pixels of a frame, as a
    pinhole takes it, to those of the canvas. frame, whole: the window of a frame, and of the canvas.
    """

    def __init__(self, registration: Registration, height: int, width: int) -> None:
        """height, width: of a frame. Raises UnsolvableError when the canvas would be too large."""
        self.static = registration.model == "static"
        self.frame = Window(0, 0, width, height)
        self._lens = registration.lens
        self._pinhole = self._lens.flat(pixel_grid(height, width))
        self.to_canvas, self.whole = registration.cameras, self.frame
        if not self.static:
            self._extend()

    def _extend(self) -> None:
        """Let the canvas hold what all frames show."""
        grid = self._pinhole
        border = torch.cat([grid[0], grid[-1], grid[:, 0], grid[:, -1]]).double()  # a lens bends its lines
        moved = torch.cat([transform(border, torch.from_numpy(c)) for c in self.to_canvas]).numpy()
        low, high = np.floor(moved.min(0)) - 1, np.ceil(moved.max(0)) + 1
        width, height = (high - low + 1).astype(int).tolist()
        if width * height > _MAX_CANVAS * self.frame.width * self.frame.height:
            raise UnsolvableError(
                f"the camera turns or zooms too far for one background: it would take {width}x{height} pixels for a "
                f"plate of {self.frame.width}x{self.frame.height}. Split --frames in two or more ranges",
                "--frames",
            )
        shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]])
        self.to_canvas, self.whole = shift @ self.to_canvas, Window(0, 0, width, height)

    def on_canvas(self, index: int, part: Window) -> Tensor:
        """Where a part of a frame lies on the canvas, h x w x 2."""
        return transform(self._pinhole[pixels(part)], torch.from_numpy(self.to_canvas[index]))

    def in_frame(self, index: int, points: Tensor) -> Tensor:
        """Where points of the canvas lie in a frame."""
        return self._lens.bent(transform(points, torch.from_numpy(np.linalg.inv(self.to_canvas[index]))))

    def surroundings(self, index: int, area: Window) -> Window:
        """A part of a frame beyond which nothing of an area of the canvas lies."""
        if self.static:
            return area
        places = transform(self._pinhole[::_COARSE, ::_COARSE], torch.from_numpy(self.to_canvas[index]))
        steps = torch.cat([places.diff(dim=dim).abs().flatten() for dim in (0, 1)])
        beside = 2 * float(steps.amax()) if len(steps) else np.inf
        x, y = places.unbind(-1)
        near = (x > area.x - beside) & (x < area.right + beside) & (y > area.y - beside) & (y < area.bottom + beside)
        if not near.any():
            return Window(0, 0, 0, 0)
        rows, columns = box_of(near, 0)
        top, bottom, left, right = (_COARSE * at for at in (rows.start, rows.stop, columns.start, columns.stop))
        return grown(Window(left, top, right - left, bottom - top), _COARSE, self.frame)

    def in_other(self, target: int, source: int) -> Tensor:
        """Where in the source the pixels of the target lie, H x W x 2."""
        return self.in_frame(source, self.on_canvas(target, self.frame))

    def through(self, part: Window, homography: np.ndarray) -> Tensor:
        """Where a homography puts a part of a frame in another, h x w x 2."""
        return self._lens.bent(transform(self._pinhole[pixels(part)], torch.from_numpy(homography)))

    def view(self, canvas: Tensor, index: int, part: Window) -> Tensor:
        """The canvas, C x H x W, as a part of a frame sees it, C x h x w."""
        if self.static:
            return canvas[:, *pixels(part)]
        return sample(canvas, self.on_canvas(index, part))[0]

    def see(self, picture: Tensor, target: int, source: int) -> tuple[Tensor, Tensor]:
        """The picture of the source, C x H x W, as the target sees it, and where it does."""
        height, width = self.frame.height, self.frame.width
        if self.static or target == source:
            return picture, torch.ones(height, width, dtype=torch.bool)
        to_source = torch.from_numpy(np.linalg.inv(self.to_canvas[source]) @ self.to_canvas[target])
        return warp(picture, to_source, height, width, lens=self._lens)
