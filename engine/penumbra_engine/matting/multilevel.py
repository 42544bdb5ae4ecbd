"""Multi-level foreground estimation (Germer, Uelwer, Conrad & Harmeling 2020)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.errors import InputError

_SMALL = 32  # px: levels up to here are cheap, and colours travel far on them
_SMALL_PASSES, _PASSES = 10, 5
_OPAQUE = 0.999  # alpha from which only the foreground shows
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
    colours = [_frame(picture[t], alpha[t], regularisation, gradient_weight) for t in range(len(picture))]
    both = torch.stack(colours)
    return Colours(both[:, :3], both[:, 3:])


def _frame(picture: Tensor, alpha: Tensor, regularisation: float, gradient_weight: float) -> Tensor:
    """6 x H x W, foreground and background; picture 3 x H x W, alpha 1 x H x W."""
    low, high = picture.amin((1, 2)), picture.amax((1, 2))
    bounds = torch.cat([low, low]), torch.cat([high, high])
    both = torch.cat([_mean(picture, alpha > _SURE), _mean(picture, alpha < 1 - _SURE)])[:, None, None]
    for height, width in _sizes(*alpha.shape[-2:]):
        small, matte, both = (_resized(x, height, width) for x in (picture, alpha, both))
        passes = _SMALL_PASSES if max(height, width) <= _SMALL else _PASSES
        both[:3] = torch.where(matte > _OPAQUE, small, both[:3])
        both[3:] = torch.where(matte < 1 - _OPAQUE, small, both[3:])
        _relax(both, small, matte, regularisation, gradient_weight, passes, bounds)
    return both


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Halved from the picture's own down to one pixel; smallest first."""
    sizes = [(height, width)]
    while max(sizes[-1]) > 1:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes[::-1]


def _mean(picture: Tensor, chosen: Tensor) -> Tensor:
    """Mean colour of the chosen pixels of 1 x H x W, of the whole picture where none is; 3."""
    weight = chosen.to(picture.dtype) if chosen.any() else torch.ones_like(picture[:1])
    return (picture * weight).sum((1, 2)) / weight.sum()


def _resized(picture: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(picture[None], (height, width), mode="nearest")[0]


def _relax(
    both: Tensor,
    picture: Tensor,
    alpha: Tensor,
    regularisation: float,
    gradient_weight: float,
    passes: int,
    bounds: tuple[Tensor, Tensor],
) -> None:
    """Update, in place, the colours of pixels that show both sides; those that show one have its colour already."""
    height, width = alpha.shape[-2:]
    pixel = ((alpha > 1 - _OPAQUE) & (alpha < _OPAQUE)).flatten().nonzero()[:, 0]
    y, x = pixel // width, pixel % width
    beside = [(y, (x - 1).clamp(min=0)), (y, (x + 1).clamp(max=width - 1))]
    beside += [((y - 1).clamp(min=0), x), ((y + 1).clamp(max=height - 1), x)]
    others = [row * width + column for row, column in beside]
    flat = alpha.flatten()
    front = flat[pixel][:, None]
    weights = [regularisation + gradient_weight * (front - flat[other][:, None]).abs() for other in others]
    total = weights[0] + weights[1] + weights[2] + weights[3]
    shares = torch.cat([front, 1 - front], 1)
    scale = shares / (shares.square().sum(1, keepdim=True) + total)
    weights = [weight / total for weight in weights]
    seen = picture.flatten(1).T[pixel]
    colours = both.flatten(1).T.contiguous()  # pixels in rows: a neighbour is one read
    for _ in range(passes):
        mean = weights[0] * colours[others[0]]
        for weight, other in zip(weights[1:], others[1:], strict=True):
            mean.addcmul_(weight, colours[other])
        lack = seen - shares[:, :1] * mean[:, :3] - shares[:, 1:] * mean[:, 3:]
        mean[:, :3].addcmul_(scale[:, :1], lack)
        mean[:, 3:].addcmul_(scale[:, 1:], lack)
        colours[pixel] = mean.clamp_(*bounds)
    both.copy_(colours.T.reshape(both.shape))
