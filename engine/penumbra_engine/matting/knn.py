"""KNN matting (Chen, Li & Tang 2013)."""

import numpy as np
import scipy.sparse
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from penumbra_engine.matting.linear_system import LinearSystem, Solved
from penumbra_engine.matting.solution import Solution, solve_frames
from penumbra_engine.matting.sparse import of_scipy

_NEIGHBOURS = ((20, 2.0), (10, 0.1))  # how many, and how much a picture's length counts beside black to white
_REACH = 64  # px beyond the box of the unknown pixels where known ones are looked for


def knn(
    picture: Tensor,
    trimap: Tensor,
    *,
    start: Tensor | None = None,
    tolerance: float = 1e-6,
    limit: int = 2000,
) -> Solution:
    """The alpha that agrees best with that of pixels which look alike, wherever they are: nonlocal, so it goes through
    holes and tangles.

    picture: T x 3 x H x W, encoded rather than scene-linear: distances of colours are compared with distances in the
    picture. trimap: T x 1 x H x W: 0 background, 1 foreground, between unknown. start: T x 1 x H x W, an alpha to start
    from; each frame else starts from the one before. tolerance: of |b - A x| / |b|. limit: iterations for each frame.

    Each unknown pixel is tied to its nearest neighbours by colour and place, and they to it where they are unknown (eq.
    5, with a binary kernel). Trees of neighbours are a matter of the CPU; the solve runs on the picture's device.
    Raises InputError for a trimap that does not fit or has no background.
    """

    def solve(frame: Tensor, unknown: Tensor, known: Tensor, guess: Tensor) -> Solved:
        system = _ties(frame, unknown, known)
        inverse = 1 / system.diagonal
        return system.solve(lambda residual: inverse * residual, guess, tolerance, limit)

    return solve_frames(picture, trimap, start, solve, _REACH)


def _ties(picture: Tensor, unknown: Tensor, known: Tensor) -> LinearSystem:
    chosen = unknown.cpu().numpy().ravel()
    count = int(chosen.sum())
    number = np.full(len(chosen), -1)
    number[chosen] = np.arange(count)
    there, right, total = [], np.zeros(count), np.zeros(count)
    value = known.cpu().numpy().ravel()
    for neighbours, distance in _NEIGHBOURS:
        feature = _features(picture, distance)
        neighbours = min(neighbours, len(feature))
        _, near = cKDTree(feature).query(feature[chosen], neighbours, workers=-1)
        near = near.reshape(count, neighbours)
        column = number[near]
        bound = column < 0
        right += 2 * (value[near] * bound).sum(1)  # tied both ways, as unknown neighbours are
        total += 2 * bound.sum(1)
        row = np.broadcast_to(np.arange(count)[:, None], column.shape)
        there.append(np.stack([row[~bound], column[~bound]]))
    row, column = np.concatenate(there, 1)
    tie = scipy.sparse.csr_array((np.ones(len(row)), (row, column)), shape=(count, count))
    tie = tie + tie.T
    tie.setdiag(0)
    total += tie.sum(1)
    matrix = scipy.sparse.csr_array(scipy.sparse.diags_array(total) - tie)
    device = picture.device
    return LinearSystem(
        of_scipy(matrix, device), torch.from_numpy(total).to(device), torch.from_numpy(right).to(device), unknown
    )


def _features(picture: Tensor, distance: float) -> np.ndarray:
    """Colour and weighted place of every pixel: H W x 5."""
    height, width = picture.shape[-2:]
    y, x = np.divmod(np.arange(height * width), width)
    place = np.stack([y, x], 1) * (distance / max(height, width))
    return np.concatenate([picture.cpu().numpy().reshape(3, -1).T, place], 1)
