"""Multi-level foreground estimation (Germer, Uelwer, Conrad & Harmeling 2020)."""

from typing import NamedTuple

import torch
from torch import Tensor

from penumbra_engine.errors import InputError

_SMALLEST = 8  # px, of the level that is begun with: from one side to the other in a few passes
_ROUGH = 64  # px: up to here colours spread through pixels that hide them, and so past what is solid
_SMALLEST_PASSES, _PASSES, _LAST_PASSES = 10, 2, 1  # the last level costs as much as all the others do
_FARTHER = 1.6  # than the neighbours ask
_OPAQUE = 0.999  # alpha from which only the foreground shows


class Unmixed(NamedTuple):
    """foreground, background: T x 3 x H x W, not premultiplied; what a pixel does not show is continued from around."""

    foreground: Tensor
    background: Tensor


def multilevel(
    picture: Tensor, alpha: Tensor, *, regularisation: float = 1e-5, gradient_weight: float = 1.0
) -> Unmixed:
    """Foreground and background colours that compose to the picture and are smooth where alpha is (eq. 4).

    picture: T x 3 x H x W, any range. alpha: T x 1 x H x W. regularisation: how smooth colours are where alpha is flat.
    gradient_weight: how much smoother across its edges. From the smallest level to the picture's own, each pixel takes
    the mean of its neighbours, weighted, and corrects it by what its composite lacks: the 2 x 2 system of eq. 10
    solved in closed form, free of the cancellation it has for flat alpha. Colours stay within the picture's range, and
    at the end of each level they are made to compose to it as far as that allows. On all but small levels only pixels
    that show both sides are looked at.
    Raises InputError when the sizes differ.
    """
    if alpha.shape != (len(picture), 1, *picture.shape[-2:]):
        raise InputError(
            f"the alpha is {tuple(alpha.shape)}, the picture {tuple(picture.shape)}: give one for each frame"
        )
    both = picture.new_empty(len(picture), 6, *picture.shape[-2:])
    for t in range(len(picture)):
        _fill(both[t], picture[t], alpha[t, 0], regularisation, gradient_weight)
    return Unmixed(both[:, :3], both[:, 3:])


def _fill(both: Tensor, picture: Tensor, alpha: Tensor, regularisation: float, gradient_weight: float) -> None:
    """Foreground and background of one frame, 6 x H x W; picture 3 x H x W, alpha H x W."""
    low, high = (edge.repeat(2)[:, None] for edge in (picture.amin((1, 2)), picture.amax((1, 2))))
    levels = [(picture, alpha)]
    while max(levels[-1][1].shape) > _SMALLEST:
        seen, matte = levels[-1]
        levels.append((seen[:, ::2, ::2].contiguous(), matte[::2, ::2].contiguous()))
    smaller, passes = None, _SMALLEST_PASSES
    while levels:
        seen, matte = levels.pop()
        level = both.new_empty(6, *matte.shape) if levels else both
        if smaller is None:
            level[:3], level[3:] = _mean(picture, alpha), _mean(picture, 1 - alpha)
        else:
            _double(smaller, level)
            passes = _PASSES if levels else _LAST_PASSES
        front, back = (share.add(1 - _OPAQUE).floor_() for share in (matte, 1 - matte))  # 1 where only that shows
        level[:3].lerp_(seen, front)  # all or nothing, and quicker than to choose
        level[3:].lerp_(seen, back)
        chosen = (front == back) | (max(matte.shape) <= _ROUGH)
        sides = _sides(level.flatten(1), seen.flatten(1), matte, chosen, regularisation, gradient_weight)
        for left in range(passes - 1, -1, -1):
            for side in sides:
                side.relax(low, high, last=not left)
        smaller = level


def _mean(picture: Tensor, share: Tensor) -> Tensor:
    """Mean colour of the pixels that hold the largest shares, each counted by the eighth power of its own; of the
    whole picture where none holds any. share: H x W; 3 x 1 x 1."""
    weight = share.square().square_().square_().flatten()
    total = weight.sum()
    colours = picture.flatten(1)
    return (colours @ weight / total if total else colours.mean(1))[:, None, None]


def _double(smaller: Tensor, level: Tensor) -> None:
    """Each pixel of C x H x W twice across and down, for a level that ends at the last or the last but one."""
    height, width = level.shape[1:]
    wide = level.new_empty(*smaller.shape[:2], width)
    wide[..., ::2], wide[..., 1::2] = smaller, smaller[..., : width // 2]
    level[:, ::2], level[:, 1::2] = wide, wide[:, : height // 2]


def _sides(
    both: Tensor, picture: Tensor, alpha: Tensor, chosen: Tensor, regularisation: float, gradient_weight: float
) -> list["_Side"]:
    """The chosen pixels in two parts: red ones and black ones of a chessboard, for all neighbours of one are of the
    other kind.

    both: 6 x H W. picture: 3 x H W. alpha: H x W. chosen: H x W bool.
    """
    height, width = alpha.shape
    y, x = chosen.nonzero(as_tuple=True)
    black = ((y + x) & 1).bool()
    red = (~black).nonzero()[:, 0]
    order = torch.cat([red, black.nonzero()[:, 0]])
    y, x = y.index_select(0, order), x.index_select(0, order)
    pixel = y * width + x
    others = torch.stack(
        [
            y * width + (x - 1).clamp_(min=0),  # itself at the border
            y * width + (x + 1).clamp_(max=width - 1),
            (y - 1).clamp_(min=0) * width + x,
            (y + 1).clamp_(max=height - 1) * width + x,
        ]
    )
    flat = alpha.flatten()
    front = flat.index_select(0, pixel)
    weights = flat.index_select(0, others.flatten()).view_as(others)
    weights.sub_(front).abs_().mul_(gradient_weight).add_(regularisation)
    total = weights.sum(0)
    weights /= total
    shares = torch.stack([front, 1 - front])[:, None]
    scale = shares / (shares.square().sum(0) + total)
    parts = [len(red), len(pixel) - len(red)]
    split = [values.split(parts, -1) for values in (pixel, others, weights, shares, scale)]
    seen, own = picture.index_select(1, pixel).split(parts, 1), both.index_select(1, pixel).split(parts, 1)
    return [_Side(both, *given) for given in zip(*split, seen, own, strict=True) if given[0].numel()]


class _Side(NamedTuple):
    """N pixels of one kind. Their colours are found in place.

    both: 6 x H W, the colours of all. pixel: N. others, weights: of their four neighbours, 4 x N each. shares: 2 x 1 x
    N, of foreground and background in the composite. scale: 2 x 1 x N, how much of what the composite lacks each of
    them takes. seen: 3 x N. own: 6 x N, their own colours.
    """

    both: Tensor
    pixel: Tensor
    others: Tensor
    weights: Tensor
    shares: Tensor
    scale: Tensor
    seen: Tensor
    own: Tensor

    def relax(self, low: Tensor, high: Tensor, last: bool) -> None:
        """The colours that compose to the picture and fit best to those of the neighbours as they are now (Gauss &
        Seidel), each taken a little farther than they ask (successive over-relaxation, Young 1954). At last, what one
        side had to leave to its bounds, the other takes."""
        mean = self.both.index_select(1, self.others[0]).mul_(self.weights[0])
        for other, weight in zip(self.others[1:], self.weights[1:], strict=True):
            mean.addcmul_(self.both.index_select(1, other), weight)
        self.own.lerp_(mean, _FARTHER)
        for scale in (self.scale, self.shares / self.shares.square().sum(0))[: 1 + last]:
            front, back = self.own[:3], self.own[3:]
            lack = torch.addcmul(self.seen, self.shares[0], front, value=-1).addcmul_(self.shares[1], back, value=-1)
            front.addcmul_(scale[0], lack)
            back.addcmul_(scale[1], lack)
            self.own.clamp_(min=low).clamp_(max=high)  # one bound after the other: quicker than both
        self.both.index_copy_(1, self.pixel, self.own)
