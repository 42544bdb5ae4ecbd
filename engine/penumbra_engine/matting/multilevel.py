"""Multi-level foreground estimation (Germer, Uelwer, Conrad & Harmeling 2020)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.errors import InputError

_SMALL = 32  # px: levels up to here are cheap, and colours travel far on them
_SMALL_PASSES, _PASSES = 10, 2
_SURE = 0.9  # alpha from which a pixel's colour counts for the foreground's mean; 1 less it for the background's


class Colours(NamedTuple):
    """foreground, background: T x 3 x H x W, not premultiplied; what a pixel does not show is continued from around."""

    foreground: Tensor
    background: Tensor


def multilevel(
    picture: Tensor, alpha: Tensor, *, regularisation: float = 1e-5, gradient_weight: float = 1.0
) -> Colours:
    """Foreground and background colours that compose to the picture and are smooth where alpha is (eq. 4).

    picture: T x 3 x H x W, any range. alpha: T x 1 x H x W. regularisation: how smooth colours are where alpha is flat.
    gradient_weight: how much smoother across its edges. From the smallest level to the picture's own, each pixel takes
    the mean of its neighbours, weighted, and corrects it by what its composite lacks: the 2 x 2 system of eq. 10
    solved in closed form, free of the cancellation it has for flat alpha. Colours stay within the picture's range.
    Raises InputError when the sizes differ.
    """
    if alpha.shape != (len(picture), 1, *picture.shape[-2:]):
        raise InputError(
            f"the alpha is {tuple(alpha.shape)}, the picture {tuple(picture.shape)}: give one for each frame"
        )
    colours = [
        _frame(picture[t : t + 1], alpha[t : t + 1], regularisation, gradient_weight) for t in range(len(picture))
    ]
    both = torch.cat(colours)
    return Colours(both[:, :3], both[:, 3:])


def _frame(picture: Tensor, alpha: Tensor, regularisation: float, gradient_weight: float) -> Tensor:
    """1 x 6 x H x W, foreground and background."""
    low, high = picture.amin((2, 3), keepdim=True), picture.amax((2, 3), keepdim=True)
    low, high = torch.cat([low, low], 1), torch.cat([high, high], 1)
    both = torch.cat([_mean(picture, alpha > _SURE), _mean(picture, alpha < 1 - _SURE)], 1)
    for height, width in _sizes(*picture.shape[-2:]):
        small, matte = (F.interpolate(x, (height, width), mode="nearest") for x in (picture, alpha))
        both = F.interpolate(both, (height, width), mode="nearest")
        passes = _SMALL_PASSES if max(height, width) <= _SMALL else _PASSES
        both = _relaxed(both, small, matte, regularisation, gradient_weight, passes, low, high)
    return both


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Halved from the picture's own down to one pixel; smallest first."""
    sizes = [(height, width)]
    while max(sizes[-1]) > 1:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes[::-1]


def _mean(picture: Tensor, chosen: Tensor) -> Tensor:
    """Mean colour of the chosen pixels, of the whole picture where none is; 1 x 3 x 1 x 1."""
    weight = chosen.to(picture.dtype) if chosen.any() else torch.ones_like(picture[:, :1])
    return (picture * weight).sum((2, 3), keepdim=True) / weight.sum()


def _relaxed(
    both: Tensor,
    picture: Tensor,
    alpha: Tensor,
    regularisation: float,
    gradient_weight: float,
    passes: int,
    low: Tensor,
    high: Tensor,
) -> Tensor:
    around = F.pad(alpha, (1, 1, 1, 1), mode="replicate")
    weights = [regularisation + gradient_weight * (alpha - other).abs() for other in _neighbours(around)]
    total = weights[0] + weights[1] + weights[2] + weights[3]
    weights = [weight / total for weight in weights]
    rest = 1 - alpha
    scale = 1 / (alpha.square() + rest.square() + total)
    share = torch.cat([(alpha * scale).expand_as(picture), (rest * scale).expand_as(picture)], 1)
    for _ in range(passes):
        mean = torch.zeros_like(both)
        for weight, other in zip(weights, _neighbours(F.pad(both, (1, 1, 1, 1), mode="replicate")), strict=True):
            mean.addcmul_(weight, other)
        lack = picture - alpha * mean[:, :3] - rest * mean[:, 3:]
        both = (mean + share * torch.cat([lack, lack], 1)).clamp_(low, high)
    return both


def _neighbours(padded: Tensor) -> list[Tensor]:
    """Left, right, upper and lower neighbours of all pixels but the outermost."""
    return [padded[..., 1:-1, :-2], padded[..., 1:-1, 2:], padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]]
