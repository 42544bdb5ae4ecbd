"""What every alpha solver returns, and how frames follow each other."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from penumbra_engine.matting.linear_system import Solved
from penumbra_engine.matting.trimap import box_of, split

_MARGIN = 2  # px: what a window that holds an unknown pixel reaches to

#: Solves one frame: picture C x H x W, unknown H x W bool, known H x W, a guess for the N unknown pixels.
FrameSolver = Callable[[Tensor, Tensor, Tensor, Tensor], Solved]


class Solution(NamedTuple):
    """alpha: T x 1 x H x W in [0, 1]. residual: |b - A x| / |b| reached on each frame, 0 where nothing was to
    solve. iterations: on each frame."""

    alpha: Tensor
    residual: list[float]
    iterations: list[int]


def solve_frames(
    picture: Tensor, trimap: Tensor, start: Tensor | None, solve: FrameSolver, margin: int = _MARGIN
) -> Solution:
    """Solve frame after frame, each within the box of its unknown pixels, from `start` or from the frame before.

    picture: T x C x H x W. trimap: T x 1 x H x W. margin: px round that box which the solver looks at. Raises
    InputError for a trimap that does not fit or has no background.
    """
    unknown, foreground = split(picture, trimap)
    alpha = foreground.to(picture.dtype)
    solution = Solution(alpha, [0.0] * len(picture), [0] * len(picture))
    guess = trimap[0, 0].double()
    for t in range(len(picture)):
        if not unknown[t].any():
            continue
        rows, columns = box_of(unknown[t, 0], margin)
        inside = unknown[t, 0, rows, columns]
        before = (guess if start is None else start[t, 0])[rows, columns][inside].double()
        solved = solve(picture[t, :, rows, columns], inside, alpha[t, 0, rows, columns], before)
        alpha[t, 0, rows, columns][inside] = solved.values.clamp(0, 1).to(alpha.dtype)
        solution.residual[t], solution.iterations[t] = solved.residual, solved.iterations
        guess = alpha[t, 0].double()
        guess[rows, columns][inside] = solved.values  # what was clamped would start the next frame far from its answer
    return solution
