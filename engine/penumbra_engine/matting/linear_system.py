"""Sparse symmetric systems for the alpha of unknown pixels, and conjugate gradients that solve them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from penumbra_engine.matting.sparse import by_rows


class Solved(NamedTuple):
    """values: N. residual: |b - A x| / |b| that was reached. iterations: how many it took."""

    values: Tensor
    residual: float
    iterations: int


class Preconditioner(Protocol):
    """Something near A^-1, symmetric positive definite."""

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
        """From the coefficients of the unknown pixels' neighbourhoods, up to `reach` pixels away to all sides: S^2 x n,
        for some pixels after others in reading order. S = 2 reach + 1; the pixel itself is in the middle. What falls on
        known pixels goes to the right side; beyond the picture it must be 0.

        Every row keeps S^2 entries, those of known pixels as zeros on its own column: rows of one length need no search
        for what is left.
        """
        count = int(unknown.sum())
        width = unknown.shape[1] + 2 * reach
        number = torch.full((unknown.shape[0] + 2 * reach, width), -1, dtype=torch.int32, device=unknown.device)
        number[reach:-reach, reach:-reach][unknown] = torch.arange(count, dtype=torch.int32, device=unknown.device)
        value = torch.zeros(number.shape, dtype=torch.float64, device=unknown.device)
        value[reach:-reach, reach:-reach] = known.to(value.dtype).masked_fill(unknown, 0)
        place = (number.flatten() >= 0).nonzero()[:, 0]
        number, value = number.flatten(), value.flatten()
        shifts = [dy * width + dx for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
        values = value.new_empty(count, len(shifts))
        columns = number.new_empty(count, len(shifts))
        diagonal, right = value.new_empty(count), value.new_zeros(count)
        first = 0
        for stencil in stencils:
            some = slice(first, first + stencil.shape[1])
            own = torch.arange(some.start, some.stop, dtype=torch.int32, device=unknown.device)
            column = number.new_empty(stencil.shape)
            diagonal[some] = stencil[len(shifts) // 2]
            for coefficient, target, shift in zip(stencil, column, shifts, strict=True):
                there = place[some] + shift
                right[some].addcmul_(coefficient, value.index_select(0, there), value=-1)
                torch.index_select(number, 0, there, out=target)
                bound = target < 0
                coefficient.masked_fill_(bound, 0)
                torch.where(bound, own, target, out=target)
            values[some], columns[some] = stencil.T, column.T
            first = some.stop
        start = torch.arange(0, values.numel() + 1, len(shifts), dtype=torch.int32, device=unknown.device)
        matrix = by_rows(start, columns.flatten(), values.flatten(), (count, count))
        return cls(matrix, diagonal, right, unknown)

    def solve(self, precondition: Preconditioner, start: Tensor, tolerance: float, limit: int) -> Solved:
        """Preconditioned conjugate gradients (Hestenes & Stiefel 1952) from `start` until |b - A x| <= tolerance |b| or
        `limit` iterations are done."""
        x = start.clone()
        bound = tolerance * float(self.right.norm())
        if bound == 0:
            return Solved(torch.zeros_like(x), 0.0, 0)
        residual = self.right - self.matrix @ x
        direction, last = torch.zeros_like(x), 1.0
        iterations = 0
        while iterations < limit and float(residual.norm()) > bound:
            step = precondition(residual)
            product = float(residual @ step)
            direction = step + product / last * direction
            spread = self.matrix @ direction
            length = product / float(direction @ spread)
            x += length * direction
            residual -= length * spread
            last = product
            iterations += 1
        return Solved(x, tolerance * float(residual.norm()) / bound, iterations)
