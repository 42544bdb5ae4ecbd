"""A preconditioner for what the matting Laplacian hardly sees: alpha that is affine in the colour over a region."""

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import Tensor

from penumbra_engine.matting.linear_system import LinearSystem
from penumbra_engine.matting.sparse import by_rows, to_scipy, transposed

_SIDE = 4  # px, of an aggregate
_LARGEST = 60_000  # aggregates; beyond it they grow, so that the coarse system can be factorised
_DAMPING = 1.5  # over the largest eigenvalue: smooths its upper two thirds alike
_POWER_STEPS = 8
_RIDGE = 1e-9  # relative: colours of a flat aggregate are no functions of their own


class TwoLevel:
    """Damped Jacobi smoothing, and a direct solve for what is affine in the colour within squares of pixels.

    Smoothed errors of a Laplacian are usually smooth in the plane, and a coarse grid holds them. Those of the matting
    Laplacian are any affine function of the colour: 1, R, G and B on each square are the near-null space of aggregation
    multigrid (Vanek, Mandel & Brezina 1996), here with one coarse level, which is factorised (on the CPU, whatever the
    device: it has a fraction of the unknowns).
    """

    def __init__(self, system: LinearSystem, picture: Tensor) -> None:
        """picture: C x H x W, whose colours alpha is affine in; without channels, alpha is constant on a square."""
        self._matrix, self._inverse = system.matrix, 1 / system.diagonal
        self._prolong, self._restrict = _aggregates(system.unknown, picture)
        coarse = to_scipy(self._restrict) @ (to_scipy(self._matrix) @ to_scipy(self._prolong))
        diagonal = coarse.diagonal()
        ridge = scipy.sparse.diags_array(_RIDGE * diagonal + 1e-12 * max(diagonal.max(), 1e-12))
        self._factor = scipy.sparse.linalg.splu(
            (coarse + ridge).tocsc(), "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
        self._inverse *= _DAMPING / self._largest_eigenvalue()

    def __call__(self, residual: Tensor) -> Tensor:
        """Smooth, correct by the coarse solve, smooth: symmetric, as conjugate gradients want it."""
        x = self._inverse * residual
        coarse = self._restrict @ (residual - self._matrix @ x)
        x += self._prolong @ torch.from_numpy(self._factor.solve(coarse.cpu().numpy())).to(x)
        return x + self._inverse * (residual - self._matrix @ x)

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


def _aggregates(unknown: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
    """The affine functions of the colour on squares, as matrices from their coefficients to pixels and back."""
    y, x = unknown.nonzero(as_tuple=True)
    side = max(_SIDE, int((len(y) / _LARGEST) ** 0.5) + 1)
    square = (y // side) * (unknown.shape[1] // side + 1) + x // side
    _, member = square.unique(return_inverse=True)
    count = int(member.max()) + 1
    size = torch.bincount(member, minlength=count)
    values = [torch.ones(len(y), dtype=torch.float64, device=unknown.device)]
    for channel in picture.double():
        colour = channel[y, x]
        mean = torch.bincount(member, colour, count) / size
        values.append(colour - mean[member])
    functions = len(values)
    pixel = torch.arange(len(y) + 1, device=unknown.device, dtype=torch.int32) * functions
    column = (member[:, None] * functions + torch.arange(functions, device=unknown.device)).flatten().int()
    prolong = by_rows(pixel, column, torch.stack(values, 1).flatten(), (len(y), count * functions))
    return prolong, transposed(prolong)
