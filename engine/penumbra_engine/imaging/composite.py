"""The algebra of premultiplied layers (Porter & Duff 1984), and the one recomposition that is exact."""

import torch
from torch import Tensor

_EFFECT_WEIGHT = 0.02  # of an effect's alpha beside that of an object


def over(layers: Tensor, background: Tensor) -> Tensor:
    """Layers K x 4 x H x W, front to back and premultiplied, over a background 3 x H x W; 3 x H x W."""
    picture = background
    for layer in layers.flip(0):
        picture = layer[:3] + (1 - layer[3:]) * picture
    return picture


def visibility(alphas: Tensor) -> Tensor:
    """How much of each layer is seen: the product of (1 - alpha) of those before it. K x H x W to K + 1 x H x W, the
    last for the background."""
    passed = torch.cumprod(1 - alphas, 0)
    return torch.cat([torch.ones_like(passed[:1]), passed])


def share_out(plate: Tensor, background: Tensor, alphas: Tensor, solid: Tensor) -> tuple[Tensor, Tensor]:
    """Layers that give the plate back exactly.

    plate, background: 3 x H x W. alphas: K x H x W, front to back. solid: K x H x W, how much of each object itself,
    without its effects, is seen. What the plate holds besides the background is shared out by that: an effect has
    next to no colour of its own where there is an object; where there is none, effects share by their visible alpha.
    Returns the layers K x 4 x H x W, and the background 3 x H x W: the plate itself where no layer has alpha.
    """
    seen = visibility(alphas)
    visible = seen[:-1] * alphas
    weight = torch.where(alphas > 0, torch.minimum(solid, seen[:-1]) + _EFFECT_WEIGHT * visible, 0.0)
    total = weight.sum(0)
    covered = total > 0
    missed = plate - seen[-1] * background
    part = weight / torch.where(covered, total, 1.0) / torch.where(seen[:-1] > 0, seen[:-1], 1.0)
    return torch.cat([part[:, None] * missed, alphas[:, None]], 1), torch.where(covered, background, plate)
