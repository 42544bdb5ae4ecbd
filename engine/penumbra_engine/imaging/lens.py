"""Radial distortion: where a lens shows what a pinhole would show elsewhere."""

from dataclasses import dataclass

import torch
from torch import Tensor

_FARTHEST = 1.7  # squared half diagonals: beyond that the polynomial is only continued
_STEPS = 6  # of Newton's method; four are enough for single precision


@dataclass(frozen=True)
class Lens:
    """A pixel r half diagonals from the middle shows what a pinhole shows at r (1 + bend r^2) (Brown 1966, his first
    term). bend: positive for a barrel, 0 for a pinhole. width, height: of the frame in pixels."""

    bend: float
    width: int
    height: int

    def flat(self, points: Tensor) -> Tensor:
        """Pixels of a frame, ... x 2, to those of the pinhole."""
        return self._scaled(points, self._squares(points).mul(self.bend).add(1)) if self.bend else points

    def bent(self, points: Tensor) -> Tensor:
        """Pixels of the pinhole, ... x 2, to those of a frame."""
        if not self.bend:
            return points
        squares = self._squares(points).clamp(max=_FARTHEST) * self.bend
        scale = torch.ones_like(squares)
        for _ in range(_STEPS):
            stretch = squares * scale.square()
            scale = scale - (scale * (1 + stretch) - 1) / stretch.mul_(3).add_(1)
        return self._scaled(points, scale)

    def _middle(self, points: Tensor) -> Tensor:
        return points.new_tensor([(self.width - 1) / 2, (self.height - 1) / 2])

    def _squares(self, points: Tensor) -> Tensor:
        x, y = (points - self._middle(points)).split(1, -1)
        return (x * x + y * y) * (4 / (self.width**2 + self.height**2))

    def _scaled(self, points: Tensor, scale: Tensor) -> Tensor:
        middle = self._middle(points)
        return middle + (points - middle) * scale
