"""Closed-form matting (Levin, Lischinski & Weiss 2008)."""

from torch import Tensor

from penumbra_engine.matting.linear_system import Solved
from penumbra_engine.matting.matting_laplacian import matting_laplacian
from penumbra_engine.matting.solution import Solution, solve_frames
from penumbra_engine.matting.two_level import TwoLevel


def closed_form(
    picture: Tensor,
    trimap: Tensor,
    *,
    start: Tensor | None = None,
    tolerance: float = 1e-6,
    limit: int = 1000,
    epsilon: float = 1e-7,
) -> Solution:
    """The alpha that is affine in the colour within every 3 x 3 window, as far as the trimap allows (eq. 12 and 13).

    picture: T x 3 x H x W; the same answer for any affine change of colour, but for epsilon. trimap: T x 1 x H x W: 0
    background, 1 foreground, between unknown. start: T x 1 x H x W, an alpha to start from; each frame else starts from
    the one before. tolerance: of |b - A x| / |b|. limit: iterations for each frame. epsilon: summed squares of colour
    differences below which a window counts as flat; more makes smoother alpha.

    Raises InputError for a trimap that does not fit or has no background.
    """

    def solve(frame: Tensor, unknown: Tensor, known: Tensor, guess: Tensor) -> Solved:
        system = matting_laplacian(frame, unknown, known, epsilon)
        return TwoLevel(system, frame).solve(guess, tolerance, limit)

    return solve_frames(picture, trimap, start, solve)
