"""Depth of a frame from its neighbours: plane sweep (Collins 1996), semi-global matching (Hirschmueller 2008)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.imaging.pinhole import Cameras

_TRUNCATED = 0.15  # of an encoded picture: a worse match says no more
_SMALL, _LARGE = 0.004, 0.05  # what a step of one plane, and any step, between neighbours costs
_BENT = 3.0  # steps between planes: more than that is no noise
_BESIDE, _ACROSS = 6, 4  # px: where an edge of depth may belong, and from how far away another depth is taken
_CLEARLY, _HARDLY = 0.01, 0.004  # of a match: what makes another depth better, and what hardly makes it worse
_LIFT = 1.0  # pictures are lifted by that, so that 0 stands for what is hidden or outside, and matches nothing


class Match:
    """How well the pixels of a frame match its neighbours at given depths.

    pictures: T x C x H x W in about [0, 1], encoded. hidden: T x H x W bool, what is not the static scene. rays:
    3 x H x W. The cost is the smaller of the mean over the earlier and over the later sources (Kang & Szeliski 2004:
    what is occluded on one side is seen on the other), taken over 3 x 3 pixels. Hidden pixels cost the same at each
    depth, so that only their neighbours decide.
    """

    def __init__(
        self, pictures: Tensor, hidden: Tensor, cameras: Cameras, rays: Tensor, target: int, sources: Sequence[int]
    ) -> None:
        ordered = sorted(sources)
        self._early = sum(s < target for s in ordered)
        self._target, self._hidden = pictures[target] + _LIFT, hidden[target]
        self._sources = torch.where(hidden[ordered][:, None], 0.0, pictures[ordered] + _LIFT)
        self._projection = cameras.seen_from(target, ordered, rays)
        self._scale = 2 / rays.new_tensor([rays.shape[2] - 1, rays.shape[1] - 1])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frame."""
        return self._hidden.shape[0], self._hidden.shape[1]

    def cost(self, inverse_depth: Tensor) -> Tensor:
        """H x W, for inverse depths H x W or one for all pixels."""
        grid = self._projection.at(inverse_depth)[0].mul_(self._scale).sub_(1)
        seen = F.grid_sample(self._sources, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        difference = seen.sub_(self._target).abs_().mean(1).clamp_(max=_TRUNCATED)
        sides = [side.mean(0) for side in (difference[: self._early], difference[self._early :]) if len(side)]
        least = sides[0] if len(sides) == 1 else torch.minimum(*sides)
        return box(least[None, None], 1)[0, 0].masked_fill_(self._hidden, _TRUNCATED / 2)


def sweep(match: Match, planes: Tensor) -> Tensor:
    """Cost of each of D inverse depths at each pixel, D x H x W."""
    return torch.stack([match.cost(plane) for plane in planes])


def smooth(cost: Tensor, guide: Tensor) -> Tensor:
    """Cost summed along the four directions of the grid, each path allowed to step in depth at a price that falls
    where the guide changes. cost: D x H x W; guide: C x H x W; D x H x W."""
    total = torch.zeros_like(cost)
    for axis in (1, 2):
        step = (guide.diff(dim=axis)).abs().mean(0)
        price = _LARGE / (1 + 20 * step)
        for reverse in (False, True):
            total += _along(cost, price, axis, reverse)
    return total


def _along(cost: Tensor, price: Tensor, axis: int, reverse: bool) -> Tensor:
    """One direction of semi-global matching (eq. 13)."""
    slices = cost.movedim(axis, 0).contiguous()
    prices = price.movedim(axis - 1, 0)
    order = range(len(slices) - 1, -1, -1) if reverse else range(len(slices))
    result = torch.empty_like(slices)
    before: Tensor | None = None
    for index in order:
        here = slices[index]
        if before is not None:
            best = before.amin(0)
            jump = best + prices[index if reverse else index - 1]
            padded = F.pad(before[None], (0, 0, 1, 1), mode="replicate")[0] + _SMALL
            near = torch.minimum(padded[:-2], padded[2:])
            here = here + torch.minimum(torch.minimum(before, near), jump) - best
        result[index] = before = here
    return result.movedim(0, axis)


def best_depth(cost: Tensor, planes: Tensor) -> Tensor:
    """The inverse depth of least cost, between planes by a parabola. D x H x W and D evenly spaced; H x W."""
    least = cost.argmin(0).clamp(1, len(planes) - 2)
    below, here, above = (cost.gather(0, (least + k)[None])[0] for k in (-1, 0, 1))
    return planes[least] + _vertex(below, here, above) * (planes[1] - planes[0])


def sharpen(match: Match, coarse: Tensor, step: float) -> Tensor:
    """Inverse depth at the size of the match from one of half that size: of the four coarse depths around a pixel the
    one that matches best, moved by up to a half of `step`. h x w; H x W."""
    height, width = match.size
    corners = [_corner(coarse, height, width, dy, dx) for dy in (-1, 1) for dx in (-1, 1)]
    costs = torch.stack([match.cost(corner) for corner in corners])
    here, chosen = costs.min(0)
    depth = torch.stack(corners).gather(0, chosen[None])[0]
    below, above = (match.cost(depth + sign * step / 2) for sign in (-1, 1))
    return depth + _vertex(below, here, above) * (step / 2)


def tighten(match: Match, depth: Tensor, step: float) -> Tensor:
    """Inverse depth H x W with its edges where the pictures have theirs: matching over squares widens what lies in
    front by some pixels, and what is seen there is then fetched from the wrong places.

    Beside an edge a pixel may take the depth of one some pixels away. That of a surface behind needs to match about as
    well, that of one in front better. step: as of `breaks`.
    """
    beside = torch.from_numpy(dilate(breaks(depth, step).numpy(), _BESIDE))
    padded = F.pad(depth[None, None], (_ACROSS,) * 4, mode="replicate")[0, 0]
    (height, width), here, best = depth.shape, match.cost(depth), depth
    for down, right in ((1, 2), (1, 0), (2, 1), (0, 1)):
        other = padded[down * _ACROSS :, right * _ACROSS :][:height, :width]
        cost = match.cost(other)
        better = beside & ((cost < here - _CLEARLY) | ((other < best) & (cost < here + _HARDLY)))
        best, here = torch.where(better, other, best), torch.where(better, cost, here)
    return best


def breaks(depth: Tensor, step: float) -> Tensor:
    """Where inverse depth H x W is bent or torn, H x W bool: on a plane its second difference is 0. step: between the
    planes that it was measured by."""
    padded = F.pad(depth[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    across = padded[1:-1, :-2] + padded[1:-1, 2:] - 2 * depth
    down = padded[:-2, 1:-1] + padded[2:, 1:-1] - 2 * depth
    return torch.maximum(across.abs(), down.abs()) > _BENT * step


def _corner(coarse: Tensor, height: int, width: int, dy: int, dx: int) -> Tensor:
    """Of the coarse pixels around each fine one, the one on the side (dy, dx)."""
    rows, columns = (
        ((torch.arange(fine) + 0.5) * small / fine - 0.5 + 0.25 * side).round().long().clamp(0, small - 1)
        for fine, small, side in ((height, coarse.shape[0], dy), (width, coarse.shape[1], dx))
    )
    return coarse[rows[:, None], columns]


def _vertex(below: Tensor, here: Tensor, above: Tensor) -> Tensor:
    """Where the parabola through three costs a step apart is least, in [-1/2, 1/2] steps."""
    curve = below - 2 * here + above
    return torch.where(curve > 1e-9, (below - above) / (2 * curve.clamp(min=1e-9)), 0.0).clamp(-0.5, 0.5)
