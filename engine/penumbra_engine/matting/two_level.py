"""A preconditioner for what the matting Laplacian hardly sees: alpha that is affine in the colour over a region."""

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import Tensor

from penumbra_engine.matting.linear_system import LinearSystem
from penumbra_engine.matting.sparse import by_rows, of_scipy, to_scipy

_SIDE = 4  # px, of an aggregate
_LARGEST = 60_000  # aggregates; beyond it they grow, so that the coarse system can be factorised
_DAMPING = 1.5  # over the largest eigenvalue: smooths its upper two thirds alike
_POWER_STEPS = 8
_RIDGE = 1e-6  # relative: colours of a flat aggregate are no functions of their own


class TwoLevel:
    """Damped Jacobi smoothing, and a direct solve for what is affine in the colour within squares of pixels.

    Smoothed errors of a Laplacian are usually smooth in the plane, and a coarse grid holds them. Those of the matting
    Laplacian are any affine function of the colour: 1, R, G and B on each square are the near-null space of aggregation
    multigrid (Vanek, Mandel & Brezina 1996), here with one coarse level, which is factorised (on the CPU, whatever the
    device: it has a fraction of the unknowns). All in single precision: it only points the way, and the residual is
    kept in double.
    """

    def __init__(self, system: LinearSystem, picture: Tensor) -> None:
        """picture: C x H x W, whose colours alpha is affine in; without channels, alpha is constant on a square."""
        values = system.matrix.values().float()
        self._matrix = by_rows(system.matrix.crow_indices(), system.matrix.col_indices(), values, system.matrix.shape)
        self._inverse = (1 / system.diagonal).float()
        prolong = to_scipy(_aggregates(system.unknown, picture))
        restrict = scipy.sparse.csr_array(prolong.T)
        coarse = restrict @ (to_scipy(self._matrix) @ prolong)
        diagonal = coarse.diagonal()
        coarse = (coarse + scipy.sparse.diags_array(_RIDGE * np.maximum(diagonal, diagonal.max() * _RIDGE))).tocsc()
        self._factor = scipy.sparse.linalg.splu(
            coarse, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
        device = system.right.device
        self._prolong, self._restrict = of_scipy(prolong, device), of_scipy(restrict, device)
        self._inverse *= _DAMPING / self._largest_eigenvalue()

    def __call__(self, residual: Tensor) -> Tensor:
        """Smooth, correct by the coarse solve, smooth: symmetric, as conjugate gradients want it."""
        length = residual.norm()
        residual = (residual / length).float()
        x = self._inverse * residual
        coarse = self._restrict @ (residual - self._matrix @ x)
        x += self._prolong @ torch.from_numpy(self._factor.solve(coarse.cpu().numpy())).to(x)
        x += self._inverse * (residual - self._matrix @ x)
        return x.double() * length

    def _largest_eigenvalue(self) -> float:
        """Of the matrix over its diagonal, a tenth above what the power method gives."""
        size = len(self._inverse)
        x = torch.from_numpy(np.random.default_rng(0).standard_normal(size)).to(self._inverse)
        length = 1.0
        for _ in range(_POWER_STEPS):
            x = (self._matrix @ x) * self._inverse
            length = float(x.norm())
            x /= length
        return 1.1 * length


def _aggregates(unknown: Tensor, picture: Tensor) -> Tensor:
    """The affine functions of the colour on squares, as a matrix from their coefficients to pixels."""
    y, x = unknown.nonzero(as_tuple=True)
    side = max(_SIDE, int((len(y) / _LARGEST) ** 0.5) + 1)
    square = (y // side) * (unknown.shape[1] // side + 1) + x // side
    size = torch.bincount(square)
    number = (size > 0).cumsum(0) - 1
    member, size = number.index_select(0, square), size[size > 0]
    count = len(size)
    values = [torch.ones(len(y), dtype=torch.float32, device=unknown.device)]
    pixel = y * unknown.shape[1] + x
    for channel in picture:
        colour = channel.flatten().index_select(0, pixel)
        mean = (torch.bincount(member, colour.double(), count) / size).float()
        values.append(colour - mean.index_select(0, member))
    functions = len(values)
    start = torch.arange(0, len(y) * functions + 1, functions, device=unknown.device, dtype=torch.int32)
    column = (member[:, None] * functions + torch.arange(functions, device=unknown.device)).flatten().int()
    return by_rows(start, column, torch.stack(values, 1).flatten(), (len(y), count * functions))
