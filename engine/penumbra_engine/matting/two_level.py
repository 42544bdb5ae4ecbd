"""A preconditioner for what the matting Laplacian hardly sees: alpha that is affine in the colour over a region."""

import numpy as np
import scipy.linalg
import scipy.sparse
import torch
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor

from penumbra_engine.errors import InputError
from penumbra_engine.matting.linear_system import LinearSystem, Solved
from penumbra_engine.matting.sparse import by_rows, of_scipy, to_scipy

_SIDE = 4  # px, of an aggregate; no less than a stencil reaches
_MOST = 1 << 27  # numbers in the band of the coarse system, half a gigabyte; beyond it aggregates grow
_LARGEST = 2.3  # eigenvalue of a matrix over its diagonal, or nearly: those of matting Laplacians have 1.9 to 2.2
_UPPER = 0.2  # of the largest: what lies above is smoothed, the rest is the coarse system's
_RIDGE = 1e-6  # relative: colours of a flat aggregate are no functions of their own
_COLOURS = 9  # of a map of squares on which no two neighbours of one square are alike


class TwoLevel:
    """Jacobi smoothing, and a direct solve for what is affine in the colour within squares of pixels.

    Smoothed errors of a Laplacian are usually smooth in the plane, and a coarse grid holds them. Those of the matting
    Laplacian are any affine function of the colour: 1, R, G and B on each square are the near-null space of aggregation
    multigrid (Vanek, Mandel & Brezina 1996), here with one coarse level. An unknown region is long and thin: numbered
    from one end of it to the other, squares have their neighbours close by, and the coarse system is a narrow band
    whose Cholesky factor is quickly found (on the CPU, whatever the device: it has a fraction of the unknowns). All in
    single precision: it only points the way, and the residual is kept in double.
    """

    def __init__(self, system: LinearSystem, picture: Tensor) -> None:
        """picture: C x H x W, whose colours alpha is affine in; without channels, alpha is constant on a square."""
        self._system = system
        values = system.matrix.values().float()
        self._matrix = by_rows(system.matrix.crow_indices(), system.matrix.col_indices(), values, system.matrix.shape)
        inverse = (1 / system.diagonal).float()
        middle, half = (1 + _UPPER) / 2 * _LARGEST, (1 - _UPPER) / 2 * _LARGEST
        self._inverses = [inverse / (middle + half * root) for root in (0.5**0.5, -(0.5**0.5))]
        squares = _Squares(system.unknown, picture)
        self._prolong = squares.prolong()
        self._restrict = of_scipy(scipy.sparse.csr_array(to_scipy(self._prolong).T), system.right.device)
        self._factor = _factor(squares, self._restrict @ (self._matrix @ squares.apart()))

    def solve(self, start: Tensor, tolerance: float, limit: int) -> Solved:
        """As LinearSystem.solve, from what is left to do once the coarse system has said its part; so corrected, the
        preconditioner is as good as one that corrects before and after it smooths (A-DEF2 of Tang, Nabben, Vuik &
        Erlangga 2009).

        `start` counts as far as it leads on from nothing: grain makes the answer of one frame rough for the next.
        """
        matrix, right = self._system.matrix, self._system.right
        begin = self._corrected(right)
        way = start + self._corrected(right - matrix @ start) - begin
        spread = matrix @ way
        energy = float(way @ spread)
        part = (float(way @ right) - float(begin @ spread)) / energy if energy > 0 else 0.0
        return self._system.solve(self, begin + part * way, tolerance, limit)

    def __call__(self, residual: Tensor) -> Tensor:
        """Smooth twice, as Chebyshev's polynomial of the second degree asks, and correct by the coarse solve."""
        length = residual.norm()
        residual = (residual / length).float()
        x = torch.zeros_like(residual)
        for inverse in self._inverses:
            step = inverse * residual
            x += step
            residual = torch.addmv(residual, self._matrix, step, alpha=-1)
        return torch.addmv(x, self._prolong, self._coarse(residual)).double().mul_(length)

    def _corrected(self, residual: Tensor) -> Tensor:
        """What the coarse system answers to a residual."""
        return (self._prolong @ self._coarse(residual.float())).double()

    def _coarse(self, residual: Tensor) -> Tensor:
        """The same as coefficients of its functions. residual: N, single precision."""
        coarse = (self._restrict @ residual).cpu().numpy()
        solved = scipy.linalg.cho_solve_banded((self._factor, True), coarse, overwrite_b=True, check_finite=False)
        return torch.from_numpy(solved).to(self._prolong.device)


class _Squares:
    """K squares of pixels that hold some unknown ones, F functions on each: 1, and the colours less their means."""

    def __init__(self, unknown: Tensor, picture: Tensor) -> None:
        """unknown: H x W bool, N of them. picture: C x H x W, F = C + 1."""
        pixel = unknown.flatten().nonzero()[:, 0]
        side = _SIDE
        while self._number(pixel, unknown.shape[1], side) * (1 + len(picture)) ** 2 > _MOST:
            side += 1
        size = torch.bincount(self._member)
        values = [torch.ones(len(pixel), dtype=torch.float32, device=pixel.device)]
        for channel in picture:
            colour = channel.flatten().index_select(0, pixel)
            mean = (torch.bincount(self._member, colour.double()) / size).float()
            values.append(colour - mean.index_select(0, self._member))
        self._functions = torch.stack(values, 1)

    def _number(self, pixel: Tensor, width: int, side: int) -> int:
        """Number the squares so that neighbours are close, and note neighbours; how many blocks the band so has."""
        across = width // side + 2  # an empty square parts the end of a row from the next
        square = (pixel // width // side * across + pixel % width // side).cpu().numpy()
        there = np.flatnonzero(np.bincount(square))
        number = np.full(there[-1] + across + 2, -1)
        number[there] = np.arange(len(there))
        steps = (0, 1, across - 1, across, across + 1)  # to itself, and to every second neighbour
        near = np.concatenate([number[there + step] for step in steps])
        pairs = np.stack([np.tile(number[there], len(steps)), near])[:, near >= 0]
        graph = scipy.sparse.csr_array((np.ones(pairs.shape[1]), pairs), shape=(len(there),) * 2)
        order = reverse_cuthill_mckee(graph + graph.T, symmetric_mode=True)
        place = np.argsort(order)
        self._pairs = place[pairs]
        colour = there // across % 3 * 3 + there % across % 3
        self._member = torch.from_numpy(place[number[square]]).to(pixel.device)
        self._colour = colour[order]
        self._blocks = int(np.abs(np.diff(self._pairs, axis=0)).max()) + 1
        return len(there) * self._blocks

    def prolong(self) -> Tensor:
        """The matrix from coefficients of the functions to pixels: N x K F."""
        (count, each), device = self._functions.shape, self._member.device
        start = torch.arange(0, count * each + 1, each, device=device, dtype=torch.int32)
        column = (self._member[:, None] * each + torch.arange(each, device=device)).flatten().int()
        return by_rows(start, column, self._functions.flatten(), (count, len(self._colour) * each))

    def apart(self) -> Tensor:
        """The functions, those of squares of one colour in one column: N x 9 F. A stencil reaches one square of each
        colour at most, so that the product of a matrix with these few columns holds that with the whole of them."""
        count, each = self._functions.shape
        result = self._functions.new_zeros(count, _COLOURS, each)
        result[torch.arange(count), torch.from_numpy(self._colour).to(result.device)[self._member]] = self._functions
        return result.flatten(1)

    def band_of(self, product: Tensor) -> np.ndarray:
        """The lower band of a coarse matrix, K F x band as LAPACK keeps its transpose, from what it makes of `apart`:
        K F x 9 F."""
        each = self._functions.shape[1]
        one, other = self._pairs
        blocks = product.view(-1, each, _COLOURS, each).cpu().numpy()[one, :, self._colour[other]]
        blocks = np.where((one < other)[:, None, None], blocks.swapaxes(1, 2), blocks)
        step = np.arange(each)
        row = (np.maximum(one, other)[:, None] * each + step)[:, :, None]
        column = (np.minimum(one, other)[:, None] * each + step)[:, None]
        lower = row >= column
        band = np.zeros((len(self._colour) * each, self._blocks * each), np.float32)
        band.ravel()[(column * (band.shape[1] - 1) + row)[lower]] = blocks[lower]
        return band


def _factor(squares: _Squares, product: Tensor) -> np.ndarray:
    """The Cholesky factor of a coarse matrix, as LAPACK keeps lower bands. The diagonal grows until rounding can't make
    it negative. Raises InputError where it would have to double: beside huge values rounding leaves nothing of others.
    """
    ridge = _RIDGE
    while ridge < 1:
        band = squares.band_of(product)
        band[:, 0] += ridge * np.maximum(band[:, 0], band[:, 0].max() * _RIDGE)
        try:
            factor = scipy.linalg.cholesky_banded(band.T, overwrite_ab=True, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            ridge *= 10
            continue
        if np.isfinite(factor[0]).all():  # LAPACK may not notice NaN, but it reaches the diagonal
            return factor
        break
    raise InputError("the picture holds values so far above the rest that no alpha can be found: clamp them")
