"""Foreground estimation in closed form (Levin, Lischinski & Weiss 2008, eq. 19)."""

import torch
from torch import Tensor

from penumbra_engine.matting.multilevel import Unmixed, multilevel


def closed_form_foreground(
    picture: Tensor,
    alpha: Tensor,
    *,
    regularisation: float = 1e-5,
    gradient_weight: float = 1.0,
    tolerance: float = 1e-5,
    limit: int = 300,
) -> Unmixed:
    """The colours that compose to the picture and change least where alpha changes most: least squares, solved whole.

    picture: T x 3 x H x W, any range. alpha: T x 1 x H x W. regularisation, gradient_weight: as for multilevel, whose
    answer this starts from. tolerance: of |b - A x| / |b|. limit: iterations for each frame. Conjugate gradients by
    differences of neighbours, without a matrix; preconditioned by each pixel's own 2 x 2 block. Colours stay within the
    picture's range. Raises InputError when the sizes differ.
    """
    begin = multilevel(picture, alpha, regularisation=regularisation, gradient_weight=gradient_weight)
    fronts, backs = [], []
    for t in range(len(picture)):
        normal = _Normal(alpha[t].double(), regularisation, gradient_weight)
        start = torch.stack([begin.foreground[t], begin.background[t]]).double()
        both = _solved(normal, picture[t].double(), start, tolerance, limit).to(picture.dtype)
        low, high = (edge[:, None, None] for edge in (picture[t].amin((1, 2)), picture[t].amax((1, 2))))
        fronts.append(both[0].clamp(low, high))
        backs.append(both[1].clamp(low, high))
    return Unmixed(torch.stack(fronts), torch.stack(backs))


class _Normal:
    """The normal equations of one frame, for foreground and background as 2 x 3 x H x W. alpha: 1 x H x W."""

    def __init__(self, alpha: Tensor, regularisation: float, gradient_weight: float) -> None:
        self.shares = torch.stack([alpha, 1 - alpha])
        self._across = regularisation + gradient_weight * alpha.diff(dim=2).abs()
        self._down = regularisation + gradient_weight * alpha.diff(dim=1).abs()
        total = torch.zeros_like(alpha)
        total[:, :, 1:] += self._across
        total[:, :, :-1] += self._across
        total[:, 1:] += self._down
        total[:, :-1] += self._down
        self._total, self._square = total, self.shares.square().sum(0)

    def times(self, both: Tensor) -> Tensor:
        """A x."""
        result = self.shares * (self.shares * both).sum(0)
        across, down = self._across * both.diff(dim=3), self._down * both.diff(dim=2)
        result[..., 1:] += across
        result[..., :-1] -= across
        result[..., 1:, :] += down
        result[..., :-1, :] -= down
        return result

    def precondition(self, residual: Tensor) -> Tensor:
        """Solve each pixel's block: its weights to neighbours plus the square of its composite."""
        composed = (self.shares * residual).sum(0) / (self._square + self._total)
        return (residual - self.shares * composed) / self._total


def _solved(normal: _Normal, picture: Tensor, start: Tensor, tolerance: float, limit: int) -> Tensor:
    """Preconditioned conjugate gradients (Hestenes & Stiefel 1952)."""
    right = normal.shares * picture
    x, residual = start, right - normal.times(start)
    bound = tolerance * float(right.norm())
    direction, last = torch.zeros_like(x), 1.0
    for _ in range(limit):
        if float(residual.norm()) <= bound:
            break
        step = normal.precondition(residual)
        product = float((residual * step).sum())
        direction = step + product / last * direction
        spread = normal.times(direction)
        length = product / float((direction * spread).sum())
        x, residual, last = x + length * direction, residual - length * spread, product
    return x
