"""Sparse symmetric systems for the alpha of unknown pixels, and conjugate gradients that solve them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.matting.sparse import by_rows


class Solved(NamedTuple):
    """values: N. residual: |b - A x| / |b| that was reached. iterations: how many it took."""

    values: Tensor
    residual: float
    iterations: int


class Preconditioner(Protocol):
    """Something near A^-1."""

    def __call__(self, residual: Tensor, /) -> Tensor: ...


@dataclass
class LinearSystem:
    """A x = b for the N unknown pixels in reading order.

    matrix: N x N, sparse CSR, float64. diagonal, right: N. unknown: H x W bool.
    """

    matrix: Tensor
    diagonal: Tensor
    right: Tensor
    unknown: Tensor

    @classmethod
    def of_stencils(cls, stencils: Iterable[Tensor], reach: int, unknown: Tensor, known: Tensor) -> "LinearSystem":
        """From the coefficients of the unknown pixels' neighbourhoods, up to `reach` pixels away to all sides: n x S^2,
        for some pixels after others in reading order. S = 2 reach + 1; the pixel itself is in the middle. What falls on
        known pixels goes to the right side; beyond the picture it must be 0.

        Every row keeps S^2 entries, those of known pixels as zeros on its own column: rows of one length need no search
        for what is left.
        """
        device, count = unknown.device, int(unknown.sum())
        wide = F.pad(unknown, (reach, reach, reach, reach))
        place = wide.flatten().nonzero()[:, 0].int()
        number = torch.full((wide.numel(),), -1, dtype=torch.int32, device=device)
        number[place] = torch.arange(count, dtype=torch.int32, device=device)
        value = F.pad(known.double().masked_fill(unknown, 0), (reach, reach, reach, reach)).flatten()
        step = torch.arange(-reach, reach + 1, dtype=torch.int32, device=device)
        shifts = (step[:, None] * wide.shape[1] + step).flatten()
        values, columns = value.new_empty(count, len(shifts)), number.new_empty(count, len(shifts))
        start = torch.arange(0, values.numel() + 1, len(shifts), dtype=torch.int32, device=device)
        diagonal, right = value.new_empty(count), value.new_empty(count)
        first = 0
        for stencil in stencils:
            some = slice(first, first + len(stencil))
            there = place[some, None] + shifts
            size = (len(stencil), len(value))
            right[some] = -(by_rows(start[: len(stencil) + 1], there.flatten(), stencil.flatten(), size) @ value)
            diagonal[some] = stencil[:, len(shifts) // 2]
            column = number.index_select(0, there.flatten()).view_as(there)
            bound = column < 0
            values[some] = stencil.masked_fill_(bound, 0)
            own = torch.arange(some.start, some.stop, dtype=torch.int32, device=device)[:, None]
            torch.where(bound, own, column, out=columns[some])
            first = some.stop
        matrix = by_rows(start, columns.flatten(), values.flatten(), (count, count))
        return cls(matrix, diagonal, right, unknown)

    def solve(self, precondition: Preconditioner, start: Tensor, tolerance: float, limit: int) -> Solved:
        """Conjugate gradients (Hestenes & Stiefel 1952) from `start` until |b - A x| <= tolerance |b| or `limit`
        iterations are done. Each direction is made conjugate to the one before by itself, so that the preconditioner
        need not be quite symmetric (flexible conjugate gradients, Notay 2000)."""
        x = start.clone()
        bound = tolerance * float(self.right.norm())
        if bound == 0:
            return Solved(torch.zeros_like(x), 0.0, 0)
        residual = self.right - self.matrix @ x
        direction, spread, energy = torch.zeros_like(x), torch.zeros_like(x), 1.0
        iterations = 0
        while iterations < limit and float(residual.norm()) > bound:
            step = precondition(residual)
            direction.mul_(-float(step @ spread) / energy).add_(step)
            spread = self.matrix @ direction
            energy = float(direction @ spread)
            length = float(residual @ direction) / energy
            x.add_(direction, alpha=length)
            residual.sub_(spread, alpha=length)
            iterations += 1
        return Solved(x, tolerance * float(residual.norm()) / bound, iterations)
