"""What every alpha solver returns, and how frames follow each other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from penumbra_engine.imaging.extent import box_of
from penumbra_engine.matting.linear_system import Solved
from penumbra_engine.matting.trimap import split

_MARGIN = 2  # px: what a window that holds an unknown pixel reaches to
_AT_ONCE = 1 << 20  # unknown pixels of the frames that are solved at a time: about 2 GB

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

    With n of torch's threads, n frames at a time: on one frame's arrays they would mostly wait for each other. A frame
    then starts from the n-th before, whatever is ready sooner, so that the answer doesn't hang on who was faster.

    picture: T x C x H x W. trimap: T x 1 x H x W. margin: px round that box which the solver looks at. Raises
    InputError for a trimap that does not fit or has no background.
    """
    unknown, foreground = split(picture, trimap)
    alpha = foreground.to(picture.dtype)
    solution = Solution(alpha, [0.0] * len(picture), [0] * len(picture))

    def solve_every(step: int, first: int) -> None:
        guess = trimap[first, 0].double()
        for t in range(first, len(picture), step):
            if not unknown[t].any():
                continue
            rows, columns = box_of(unknown[t, 0], margin)
            inside = unknown[t, 0, rows, columns]
            before = (guess if start is None else start[t, 0])[rows, columns][inside].double()
            solved = solve(picture[t, :, rows, columns], inside, alpha[t, 0, rows, columns], before)
            alpha[t, 0, rows, columns][inside] = solved.values.clamp(0, 1).to(alpha.dtype)
            solution.residual[t], solution.iterations[t] = solved.residual, solved.iterations
            guess = alpha[t, 0].double()
            guess[rows, columns][inside] = solved.values  # what was clamped would start the next far from its answer

    chains = _chains(unknown)
    if chains < 2:
        solve_every(1, 0)
        return solution
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(chains, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for done in [pool.submit(solve_every, chains, first) for first in range(chains)]:
                done.result()
    finally:
        torch.set_num_threads(threads)  # torch may take what one thread says for all
    return solution


def _chains(unknown: Tensor) -> int:
    """How many frames are solved at a time: as many as there are threads, and as fit into memory."""
    if unknown.is_cuda or len(unknown) < 2:
        return 1
    most = int(unknown.flatten(1).sum(1).max())
    return max(1, min(torch.get_num_threads(), len(unknown), _AT_ONCE // max(most, 1)))
