"""Multi-level foreground estimation (Germer, Uelwer, Conrad & Harmeling 2020)."""

from typing import NamedTuple

import torch
from torch import Tensor

from penumbra_engine.errors import InputError

_SMALL = 32  # px: levels up to here are cheap, and colours travel far on them
_SMALL_PASSES, _PASSES, _LAST_PASSES = 10, 3, 1  # the last level costs three times what all the others do
_FARTHER = 1.4  # than the neighbours ask
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
    solved in closed form, free of the cancellation it has for flat alpha. Colours stay within the picture's range, and
    at the end of each level they are made to compose to it as far as that allows.
    Raises InputError when the sizes differ.
    """
    if alpha.shape != (len(picture), 1, *picture.shape[-2:]):
        raise InputError(
            f"the alpha is {tuple(alpha.shape)}, the picture {tuple(picture.shape)}: give one for each frame"
        )
    both = picture.new_empty(len(picture), 6, *picture.shape[-2:])
    for t in range(len(picture)):
        _fill(both[t], picture[t], alpha[t], regularisation, gradient_weight)
    return Colours(both[:, :3], both[:, 3:])


def _fill(both: Tensor, picture: Tensor, alpha: Tensor, regularisation: float, gradient_weight: float) -> None:
    """Foreground and background of one frame, 6 x H x W; picture 3 x H x W, alpha 1 x H x W."""
    low, high = picture.flatten(1).aminmax(dim=1)
    bounds = torch.cat([low, low])[:, None], torch.cat([high, high])[:, None]
    smaller = torch.cat([_mean(picture, alpha > _SURE), _mean(picture, alpha < 1 - _SURE)])[:, None, None]
    for height, width in _sizes(*alpha.shape[-2:]):
        small, matte = _resized(picture, height, width), _resized(alpha, height, width)
        level = _resize(smaller, both if both.shape[1:] == (height, width) else both.new_empty(6, height, width))
        level[:3].lerp_(small, (matte > _OPAQUE).to(both.dtype))  # all or nothing, and quicker than to choose
        level[3:].lerp_(small, (matte < 1 - _OPAQUE).to(both.dtype))
        passes = _SMALL_PASSES if max(height, width) <= _SMALL else _PASSES
        if level.shape == both.shape:
            passes = min(passes, _LAST_PASSES)
        _relax(level.flatten(1), small.flatten(1), matte[0], regularisation, gradient_weight, passes, bounds)
        smaller = level


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Halved from the picture's own down to one pixel; smallest first."""
    sizes = [(height, width)]
    while max(sizes[-1]) > 1:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes[::-1]


def _mean(picture: Tensor, chosen: Tensor) -> Tensor:
    """Mean colour of the chosen pixels of 1 x H x W, of the whole picture where none is; 3."""
    weight = chosen.flatten().to(picture.dtype)
    count = weight.sum()
    return picture.flatten(1) @ weight / count if count else picture.flatten(1).mean(1)


def _resized(picture: Tensor, height: int, width: int) -> Tensor:
    """C x H x W by the nearest pixels of another size."""
    if picture.shape[-2:] == (height, width):
        return picture
    return _resize(picture, picture.new_empty(len(picture), height, width))


def _resize(picture: Tensor, result: Tensor) -> Tensor:
    row, column = (
        torch.arange(size, device=picture.device) * other // size
        for size, other in zip(result.shape[1:], picture.shape[1:], strict=True)
    )
    nearest = (row[:, None] * picture.shape[2] + column).flatten()
    torch.index_select(picture.flatten(1), 1, nearest, out=result.view(len(result), -1))
    return result


def _relax(
    both: Tensor,
    picture: Tensor,
    alpha: Tensor,
    regularisation: float,
    gradient_weight: float,
    passes: int,
    bounds: tuple[Tensor, Tensor],
) -> None:
    """Update, in place, the colours of pixels that show both sides; those that show one have its colour already.

    both: 6 x H W. picture: 3 x H W. alpha: H x W. Red pixels and black ones of a chessboard by turns (Gauss & Seidel),
    for all neighbours of one are of the other kind, each taken a little farther than they ask (successive
    over-relaxation, Young 1954).
    """
    flat = alpha.flatten()
    pixel = ((flat > 1 - _OPAQUE) & (flat < _OPAQUE)).nonzero()[:, 0]
    if not len(pixel):
        return
    black = (pixel // alpha.shape[1] + pixel % alpha.shape[1]) % 2 > 0
    sides = [
        _Side.of(kind, picture, alpha, regularisation, gradient_weight)
        for kind in (pixel[~black], pixel[black])
        if len(kind)
    ]
    for _ in range(passes):
        for side in sides:
            both.index_copy_(1, side.pixel, side.solved(both).clamp_(*bounds))
    for side in sides:  # what one side had to leave to its bounds, the other takes
        found = side.composed(both.index_select(1, side.pixel), side.shares / side.shares.square().sum(0))
        both.index_copy_(1, side.pixel, found.clamp_(*bounds))


class _Side(NamedTuple):
    """What stays the same from pass to pass for N pixels of one kind.

    pixel: N. others, weights: of their four neighbours, N each. shares: 2 x 1 x N, of foreground and background in the
    composite. scale: 2 x 1 x N, how much of what the composite lacks each of them takes. seen: 3 x N.
    """

    pixel: Tensor
    others: list[Tensor]
    weights: list[Tensor]
    shares: Tensor
    scale: Tensor
    seen: Tensor

    @classmethod
    def of(
        cls, pixel: Tensor, picture: Tensor, alpha: Tensor, regularisation: float, gradient_weight: float
    ) -> "_Side":
        height, width = alpha.shape
        y, x = pixel // width, pixel % width
        flat = alpha.flatten()
        front = flat.index_select(0, pixel)
        weights, others = [], []
        for inside, step in ((x > 0, -1), (x < width - 1, 1), (y > 0, -width), (y < height - 1, width)):
            other = pixel + step * inside  # itself at the border
            weights.append((front - flat.index_select(0, other)).abs_().mul_(gradient_weight).add_(regularisation))
            others.append(other)
        total = weights[0] + weights[1] + weights[2] + weights[3]
        shares = torch.stack([front, 1 - front])[:, None]
        scale = shares / (shares.square().sum(0) + total)
        return cls(pixel, others, [of / total for of in weights], shares, scale, picture.index_select(1, pixel))

    def solved(self, both: Tensor) -> Tensor:
        """The 6 x N colours that compose to the picture and fit best to those of the neighbours, taken a little
        farther."""
        mean = both.index_select(1, self.others[0]).mul_(self.weights[0])
        for other, weight in zip(self.others[1:], self.weights[1:], strict=True):
            mean.addcmul_(both.index_select(1, other), weight)
        return self.composed(both.index_select(1, self.pixel).lerp_(mean, _FARTHER), self.scale)

    def composed(self, colours: Tensor, scale: Tensor) -> Tensor:
        """6 x N colours, changed in place by `scale` of what their composite lacks."""
        front, back = colours[:3], colours[3:]
        lack = torch.addcmul(self.seen, self.shares[0], front, value=-1).addcmul_(self.shares[1], back, value=-1)
        front.addcmul_(scale[0], lack)
        back.addcmul_(scale[1], lack)
        return colours
