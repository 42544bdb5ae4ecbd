"""Triangulation: the alpha of an object that passes other parts of the background; its own colours stay as they are."""

from collections.abc import Iterable

import torch
from torch import Tensor

_LEAST = 1e-9  # variance, and what is told apart from none


def triangulation(picture: Tensor, background: Tensor, others: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """What frames tell together of how much a pixel lets through, 4 x H x W: for by_triangulation.

    picture, background: 3 x H x W, scene-linear. others: the same of other frames, moved to where the object is in this
    one, and H x W the variance of what they differ by beyond what is let through; infinite where they say nothing.
    """
    told = torch.zeros(4, *picture.shape[1:]).to(picture)
    for beside, behind, variance in others:
        seen, hidden = beside - picture, behind - background
        weight = 1 / variance.clamp(min=_LEAST)
        sums = [weight * (a * b).sum(0) for a, b in ((seen, seen), (seen, hidden), (hidden, hidden))]
        told += torch.stack([*sums, len(picture) * (weight > 0).to(weight)])
    return told


def by_triangulation(likely: Tensor, light: Tensor, told: Tensor) -> Tensor:
    """How likely each alpha is when other frames are heard as well: N x L, log and but for a constant each pixel.

    likely: N x L, the same by the colours of one frame. light: N x L, how much of the background each lets through.
    told: 4 x N, by triangulation.

    Smith & Blinn 1996 (Triangulation matting): the same foreground before two backgrounds differs by what is let
    through of their difference, whatever its colours are. Where no light explains what differs, the object didn't move
    along, and its variance is taken to be so much larger.
    """
    square, product, length, number = (plane[:, None] for plane in told)
    best = (product / length.clamp(min=_LEAST)).clamp(0, 1)
    least, off = (square - 2 * part * product + part.square() * length for part in (best, light))
    return likely - 0.5 * off * (number / least.clamp(min=_LEAST)).clamp(max=1)
