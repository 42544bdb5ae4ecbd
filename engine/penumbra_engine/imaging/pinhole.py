"""Cameras that look at a static scene: where a point of one frame lies in others, given its inverse depth."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penumbra_engine.imaging.warp import pixel_grid

_BEHIND = 1e-6  # a z below that is no point a camera sees
_NOWHERE = -1e4  # pixels: outside of every picture


@dataclass(frozen=True)
class Cameras:
    """One lens and a pose for each frame.

    pose: T x 3 x 4 float64, world to camera, x right, y down, z ahead. focal: pixels. centre: (x, y) pixels, the centre
    of the first pixel being (0, 0). radial: k of the one-term radial model x' = x (1 + k |x|^2).
    """

    pose: Tensor
    focal: float
    centre: tuple[float, float]
    radial: float

    def scaled(self, scale: float) -> "Cameras":
        """The same cameras for pictures that are `scale` times as large."""
        x, y = ((c + 0.5) * scale - 0.5 for c in self.centre)
        return Cameras(self.pose, self.focal * scale, (x, y), self.radial)

    def rays(self, height: int, width: int) -> Tensor:
        """3 x H x W, the direction each pixel looks in, with z = 1. Undistorted by fixed-point iteration."""
        points = pixel_grid(height, width).double()
        distorted = (points - points.new_tensor(self.centre)) / self.focal
        straight = distorted.clone()
        for _ in range(8):
            straight = distorted / (1 + self.radial * straight.square().sum(-1, keepdim=True))
        return torch.cat([straight, torch.ones_like(straight[..., :1])], -1).float().movedim(-1, 0).contiguous()

    def relative(self, source: int, target: int) -> tuple[Tensor, Tensor]:
        """Rotation 3 x 3 and translation 3 from the camera of frame `target` to that of frame `source`."""
        to_source, to_target = self.pose[source], self.pose[target]
        rotation = to_source[:, :3] @ to_target[:, :3].T
        return rotation.float(), (to_source[:, 3] - rotation @ to_target[:, 3]).float()

    def seen_from(self, target: int, sources: Sequence[int], rays: Tensor) -> "Projection":
        """Where the pixels of frame `target`, whose rays are 3 x H x W, lie in frames `sources`."""
        rotations, translations = zip(*(self.relative(s, target) for s in sources), strict=True)
        turned = torch.einsum("sij,jhw->sihw", torch.stack(rotations), rays)
        return Projection(self, turned, torch.stack(translations)[..., None, None])


@dataclass(frozen=True)
class Projection:
    """Pixels of one frame on their way into S others, all but their depth. directions: S x 3 x H x W; translations:
    S x 3 x 1 x 1."""

    cameras: Cameras
    directions: Tensor
    translations: Tensor

    def at(self, inverse_depth: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels S x H x W x 2 for inverse depths H x W (0 is infinitely far, or one number), and their inverse depth
        in each source, S x H x W, which is not positive behind that camera."""
        x, y, z = (torch.addcmul(self.directions[:, i], inverse_depth, self.translations[:, i]) for i in range(3))
        ahead = z > _BEHIND
        over = z.clamp_(min=_BEHIND).reciprocal_()
        x, y = x.mul_(over), y.mul_(over)
        # All in place: these are many large pictures, and memory takes longer than arithmetic.
        scale = (x * x).addcmul_(y, y).clamp_(max=4).mul_(self.cameras.focal * self.cameras.radial)
        scale = scale.add_(self.cameras.focal)
        flat = torch.stack([p.mul_(scale).add_(c) for p, c in zip((x, y), self.cameras.centre, strict=True)], -1)
        there = over.mul_(inverse_depth)
        if not ahead.all():
            flat, there = flat.masked_fill_(~ahead[..., None], _NOWHERE), there.masked_fill_(~ahead, -1.0)
        return flat, there
