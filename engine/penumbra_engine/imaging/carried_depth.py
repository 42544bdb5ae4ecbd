"""Depth of what a frame does not show, carried in from frames that do."""

from collections.abc import Sequence

import torch
from torch import Tensor

from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.pinhole import Cameras

_RELATIVE, _STEPS = 0.02, 0.75  # inverse depths this much apart are of one surface
_IN_FRONT = 1.5  # times the inverse depth: what stands so far in front is no outline on a surface


def alike(a: Tensor, b: Tensor, step: float) -> Tensor:
    """Whether inverse depths are of one surface. step: of the sweep that measured them."""
    return (a - b).abs() < _RELATIVE * b + _STEPS * step


def nearest(picture: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Values of a picture ... x H x W at the nearest pixels to H' x W' x 2, and where those lie inside it."""
    height, width = picture.shape[-2:]
    x, y = pixels.round().long().unbind(-1)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return picture[..., y.clamp(0, height - 1), x.clamp(0, width - 1)], inside


def agreement(
    depth: Tensor, hidden: Tensor, cameras: Cameras, rays: Tensor, target: int, sources: Sequence[int], step: float
) -> Tensor:
    """How many of the sources measured the same surface, H x W. depth, hidden: T x H x W, inverse depth and bool."""
    count = torch.zeros(depth.shape[1:])
    for source, pixels, there in zip(sources, *cameras.seen_from(target, sources, rays).at(depth[target]), strict=True):
        measured, inside = nearest(depth[source], pixels)
        lost, _ = nearest(hidden[source], pixels)
        count += inside & ~lost & alike(measured, there, step)
    return count


def carry(
    depth: Tensor, valid: Tensor, cameras: Cameras, rays: Tensor, target: int, sources: Sequence[int], step: float
) -> Tensor:
    """Inverse depth H x W of frame `target`: its own where valid, else the foremost surface that three sources (or as
    many as there are) put there, else a smooth continuation. depth, valid: T x H x W, inverse depth and bool."""
    height, width = depth.shape[1:]
    found = []
    for source in sources:
        pixels, there = (part[0] for part in cameras.seen_from(source, [target], rays).at(depth[source]))
        # What lies outside goes to a border of one pixel, and what is not valid puts nothing anywhere.
        x, y = (at.clamp(-1, n).add_(1.5).long() for at, n in zip(pixels.unbind(-1), (width, height), strict=True))
        put = torch.where(valid[source], there, 0.0).clamp_(min=0)
        splat = torch.zeros((height + 2) * (width + 2))
        splat.scatter_reduce_(0, (y * (width + 2) + x).flatten(), put.flatten(), "amax")
        found.append(splat.reshape(height + 2, width + 2)[1:-1, 1:-1])
    candidates = torch.stack(found)
    chosen = torch.where(valid[target], depth[target], 0.0)
    chosen[~valid[target]] = _foremost(candidates[:, ~valid[target]], step)
    # What one frame measures is noisy, and a pixel is fetched from frames far away: the mean of all that agree.
    same = (candidates > 0) & alike(candidates, chosen, step)
    own = valid[target].float()
    mean = (own * depth[target] + torch.where(same, candidates, 0.0).sum(0)) / (own + same.sum(0)).clamp(min=1)
    return fill_smoothly(mean[None], (mean > 0).float())[0]


def keep_in_front(before: Tensor, after: Tensor) -> Tensor:
    """Inverse depth carried anew without what effects were found on, but what stood clearly in front stays: next to a
    pole something is found on many frames, for want of a better background, and that took the pole away. H x W all."""
    return torch.where(before > _IN_FRONT * after, before, after)


def _foremost(candidates: Tensor, step: float) -> Tensor:
    """Of S inverse depths at N pixels, 0 for none, the largest that as many as three agree on, or as do on any; N."""
    support = torch.stack([(alike(candidates, c, step) & (candidates > 0)).sum(0) for c in candidates])
    support = support * (candidates > 0)
    trusted = (candidates > 0) & (support >= support.amax(0).clamp(max=3))
    return torch.where(trusted, candidates, 0.0).amax(0)
