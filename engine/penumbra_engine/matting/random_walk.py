"""Random-walk matting (Grady, Schiwietz, Aharon & Westermann 2005)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.matting.linear_system import LinearSystem, Solved
from penumbra_engine.matting.solution import Solution, solve_frames
from penumbra_engine.matting.two_level import TwoLevel

_LEAST = 1e-5  # weight of the hardest edge: every walk ends, and within the precision of the solve


def random_walk(
    picture: Tensor,
    trimap: Tensor,
    *,
    start: Tensor | None = None,
    tolerance: float = 1e-6,
    limit: int = 1000,
    stiffness: float = 900.0,
) -> Solution:
    """The chance that a walk from a pixel, which shuns edges, meets foreground before background.

    picture: T x C x H x W. trimap: T x 1 x H x W: 0 background, 1 foreground, between unknown. start: T x 1 x H x W, an
    alpha to start from; each frame else starts from the one before. tolerance: of |b - A x| / |b|. limit: iterations
    for each frame. stiffness: beta in the weight exp(-beta |difference of colours|^2) of a step to one of the eight
    neighbours (eq. 1).

    Raises InputError for a trimap that does not fit or has no background.
    """

    def solve(frame: Tensor, unknown: Tensor, known: Tensor, guess: Tensor) -> Solved:
        system = _walks(frame, unknown, known, stiffness)
        return TwoLevel(system, frame[:0]).solve(guess, tolerance, limit)

    return solve_frames(picture, trimap, start, solve)


def _walks(picture: Tensor, unknown: Tensor, known: Tensor, stiffness: float) -> LinearSystem:
    beyond = F.pad(picture.double(), (1, 1, 1, 1), value=float("inf"))
    y, x = unknown.nonzero(as_tuple=True)
    here = beyond[:, y + 1, x + 1]
    stencil = torch.zeros(9, len(y), dtype=torch.float64, device=picture.device)
    for place in range(9):
        dy, dx = divmod(place, 3)
        if place != 4:
            there = beyond[:, y + dy, x + dx]
            weight = torch.exp(-stiffness * (here - there).square().sum(0)).clamp(min=_LEAST)
            stencil[place] = -weight.masked_fill(there[0].isinf(), 0)
    stencil[4] = -stencil.sum(0)
    return LinearSystem.of_stencils([stencil.T.contiguous()], 1, unknown, known)
