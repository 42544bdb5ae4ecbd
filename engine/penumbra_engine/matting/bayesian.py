"""Bayesian matting (Chuang, Curless, Salesin & Szeliski 2001)."""

import torch
from torch import Tensor

from penumbra_engine.matting.colour_statistics import REACH, Gaussian, gaussian_around
from penumbra_engine.matting.linear_system import Solved
from penumbra_engine.matting.solution import Solution, solve_frames
from penumbra_engine.matting.trimap import dilated

_RING = 3  # px, solved at once
_NOISE = 1e-4  # variance of the picture's
_LEVELS = 64  # alphas that are tried
_AT_ONCE = 16_384  # pixels


def bayesian(
    picture: Tensor,
    trimap: Tensor,
    *,
    start: Tensor | None = None,
    tolerance: float = 1e-6,
    limit: int = 1000,
) -> Solution:
    """The likeliest alpha of each pixel, given the colours around it; what the paper's eq. 4 to 8 say, solved at once.

    picture: T x 3 x H x W, encoded or scene-linear. trimap: T x 1 x H x W: 0 background, 1 foreground, between unknown.
    limit: rings. start, tolerance: taken for the sake of the one signature; nothing here is solved step by step.

    From the known regions inwards, ring by ring; each ring's foreground and background are samples for the next. Each
    side is one Gaussian of colour, weighted by alpha^2 and distance, where the paper splits it into clusters. Its
    alternation between alpha and colours keeps the alpha it begins with wherever both Gaussians are wide; here the
    colours are integrated out and all levels of alpha compared. Raises InputError for a trimap that does not fit or has
    no background.
    """

    def solve(frame: Tensor, unknown: Tensor, known: Tensor, guess: Tensor) -> Solved:
        return _peeled(frame, unknown, known, limit)

    return solve_frames(picture, trimap, start, solve, REACH)


def _peeled(picture: Tensor, unknown: Tensor, known: Tensor, limit: int) -> Solved:
    alpha, rest = known.masked_fill(unknown, 0.5), unknown.clone()
    front, back = picture.clone(), picture.clone()
    rings = 0
    while rest.any() and rings < limit:
        ring = rest & dilated(~rest, _RING)
        y, x = ring.nonzero(as_tuple=True)
        sides = [
            gaussian_around(colours, share.square() * ~rest, y, x)
            for colours, share in ((front, alpha), (back, 1 - alpha))
        ]
        for part in torch.arange(len(y), device=y.device).split(_AT_ONCE):
            at = (y[part], x[part])
            given = [(mean[part], spread[part]) for mean, spread in sides]
            alpha[at], front[:, *at], back[:, *at] = _likeliest(picture[:, *at].T, given[0], given[1])
        rings, rest = rings + 1, rest & ~ring
    return Solved(alpha[unknown].double(), 0.0, rings)


def _likeliest(colour: Tensor, front: Gaussian, back: Gaussian) -> tuple[Tensor, Tensor, Tensor]:
    """Alpha (N), foreground and background (3 x N) of pixels of a colour (N x 3)."""
    levels = torch.linspace(0, 1, _LEVELS + 1).to(colour)
    offset, inverse, spread = _composite(colour[:, None], front, back, levels[None])
    cost = (offset * _times(inverse, offset)).sum(-1) + torch.logdet(spread)
    alpha = levels[cost.argmin(1)]
    offset, inverse, _ = _composite(colour, front, back, alpha)
    push = _times(inverse, offset)
    found = front[0] + alpha[:, None] * _times(front[1], push)
    behind = back[0] + (1 - alpha[:, None]) * _times(back[1], push)
    return alpha, found.T, behind.T


def _composite(colour: Tensor, front: Gaussian, back: Gaussian, alpha: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A colour less the mean of the composites of an alpha, and their inverse covariance and covariance. alpha may have
    one more axis than there are pixels."""
    means, spreads = [
        [side[part].view(len(side[part]), *[1] * (alpha.ndim - 1), *side[part].shape[1:]) for side in (front, back)]
        for part in (0, 1)
    ]
    a, b = alpha[..., None], 1 - alpha[..., None]
    spread = a[..., None].square() * spreads[0] + b[..., None].square() * spreads[1] + _NOISE * torch.eye(3).to(colour)
    return colour - a * means[0] - b * means[1], torch.linalg.inv(spread), spread


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector[..., None])[..., 0]
