"""What a rough mask says of alpha, believed as far as the colours of the same frame bear it out."""

import itertools
import math

import torch
from torch import Tensor

_SHARPNESS = (0.35, 0.7, 1.4, 2.8, 5.6, 11.0)  # px over which the odds of being covered change by e
_BEYOND = (-8.0, -4.0, -2.0, 0.0, 2.0, 4.0, 8.0)  # px by which the true edge lies outside the rough one
_SOFTNESS = (0.25, 0.5, 1.0, 2.0, 4.0)  # how likely the alphas between 0 and 1 are, times what was taken beforehand
_COUNTS = 2.5  # a mask's word beside that of the colours, whose neighbours repeat each other's mistakes
_SUREST = 20.0  # log odds
_ENOUGH = 2048  # pixels that all this is learned from


def by_rough_edge(likely: Tensor, levels: Tensor, before: Tensor, distance: Tensor) -> Tensor:
    """How likely each alpha is when the rough edge is heard as well: N x L, log and but for a constant each pixel.

    likely: N x L, the same by the colours alone, `before` included. levels: L, the alphas. before: L, their frequency
    that was taken beforehand. distance: N, pixels outside the rough edge, less than 0 inside.

    The log odds of being covered fall with the distance. How fast, from where on, and how common soft pixels are, is
    what explains the colours of the frame best (maximum marginal likelihood). So a mask drawn with care decides where
    the foreground looks like the background, and one laid about fur hardly says anything.
    """
    thin = slice(None, None, -(-len(likely) // _ENOUGH))
    soft = (levels > 0) & (levels < 1)
    # Both apart, soft alphas and others: their sums follow from those without `often`. L x N: sums go along rows.
    by_colour = _parted((likely[thin] - likely[thin].amax(1, keepdim=True)).exp().T, soft)
    beforehand = _parted((before / before.sum())[:, None], soft)
    exponents = _parted(levels[:, None], soft)
    best, chosen = -math.inf, (1.0, 0.0, 1.0)
    for pixels, beyond in itertools.product(_SHARPNESS, _BEYOND):
        covered = _covered(distance[thin], pixels, beyond)
        heard = [(exponent * covered).exp_() for exponent in exponents]
        (soft_seen, seen), (soft_any, some) = (
            [(of * part).sum(0) for of, part in zip(heard, parts, strict=True)] for parts in (by_colour, beforehand)
        )
        for often in _SOFTNESS:
            explained = float(((seen + often * soft_seen) / (some + often * soft_any)).log_().mean())
            if explained > best:
                best, chosen = explained, (pixels, beyond, often)
    return likely + _COUNTS * _heard(levels, before, distance, *chosen)


def _heard(levels: Tensor, before: Tensor, distance: Tensor, pixels: float, beyond: float, often: float) -> Tensor:
    """By how much (log) each alpha is likelier at a distance from the rough edge than beforehand, N x L."""
    prior = (before / before.sum()).log()
    soft = math.log(often) * ((levels > 0) & (levels < 1))
    return torch.log_softmax(prior + soft + levels * _covered(distance, pixels, beyond)[:, None], 1) - prior


def _covered(distance: Tensor, pixels: float, beyond: float) -> Tensor:
    """The log odds of being covered at a distance from the rough edge, N."""
    return ((beyond - distance) / pixels).clamp(-_SUREST, _SUREST)


def _parted(of_levels: Tensor, soft: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of soft alphas, and the others."""
    return of_levels[soft].contiguous(), of_levels[~soft].contiguous()
