"""Sparse symmetric systems for the alpha of unknown pixels, and conjugate gradients that solve them."""

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
    def of_stencil(cls, stencil: Tensor, unknown: Tensor, known: Tensor) -> "LinearSystem":
        """From the coefficients of each unknown pixel's neighbourhood, N x S x S, S odd, itself in the middle. What
        falls on known pixels goes to the right side; beyond the picture it must be 0."""
        reach = stencil.shape[1] // 2
        stencil = stencil.flatten(1)
        count, places = stencil.shape
        height, width = unknown.shape
        wide = width + 2 * reach
        number = stencil.new_full((height + 2 * reach, wide), -1, dtype=torch.int32)
        inner = number[reach:-reach, reach:-reach]
        inner[unknown] = torch.arange(count, dtype=torch.int32, device=stencil.device)
        value = torch.zeros(number.shape, dtype=stencil.dtype, device=stencil.device)
        value[reach:-reach, reach:-reach] = known.to(stencil.dtype).masked_fill(unknown, 0)
        y, x = unknown.nonzero(as_tuple=True)
        first = y * wide + x
        shift = torch.arange(2 * reach + 1, device=stencil.device)
        near = first[:, None] + (shift[:, None] * wide + shift).flatten()
        column = number.flatten()[near]
        right = -(stencil * value.flatten()[near]).sum(1)
        free = column >= 0
        start = torch.zeros(count + 1, dtype=torch.int32, device=stencil.device)
        start[1:] = free.sum(1).cumsum(0)
        matrix = by_rows(start, column[free], stencil[free], (count, count))
        return cls(matrix, stencil[:, places // 2].clone(), right, unknown)

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
