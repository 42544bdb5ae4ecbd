"""Muon: kernels learn along all directions of their gradient alike, so that a training takes half of the steps."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_MOMENTUM = 0.95
_ITERATIONS = 5
_QUINTIC = (3.4445, -4.7750, 2.0315)  # steepest at 0: singular values come to lie between 0.7 and 1.2
_AS_ADAM = 0.2  # the root mean square of Adam's steps, in units of its rate
_NOTHING = 1e-7


class Muon(torch.optim.Adam):
    """Adam for vectors, and for the kernels of convolutions Muon (Jordan et al. 2024): a step is the orthogonal matrix
    nearest to the running mean of the gradient, kernels being matrices with a row for each output. Where Adam's steps
    follow the few directions in which a gradient is large, these reach the small ones too.

    A step is as long as Adam's would be (Liu et al. 2025, eq. 4), so that one rate serves both. (torch.optim.Muon takes
    nothing but matrices.)
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move all parameters that have a gradient, and forget the gradients of the kernels."""
        if closure is not None:
            raise ValueError("Muon takes the gradients as they are; it has no use for a closure")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # products this small take less time than threads take to wake
        try:
            for group in self.param_groups:
                for kernel in group["params"]:
                    if kernel.dim() == 4 and kernel.grad is not None:
                        gradient, kernel.grad = kernel.grad, None  # so that Adam leaves it alone
                        self._move(kernel, gradient, group["lr"])
            super().step()
        finally:
            torch.set_num_threads(threads)

    def _move(self, kernel: Tensor, gradient: Tensor, rate: float) -> None:
        state = self.state[kernel]
        if not state:  # by Adam's names, which it looks for when a state is loaded
            state["step"], state["exp_avg"] = torch.zeros(()), torch.zeros_like(kernel)
        state["step"] += 1
        state["exp_avg"].lerp_(gradient, 1 - _MOMENTUM)
        ahead = torch.lerp(gradient, state["exp_avg"], _MOMENTUM)  # Nesterov's
        matrix = ahead.flatten(1)
        kernel.sub_(orthogonal(matrix).reshape(kernel.shape), alpha=_AS_ADAM * math.sqrt(max(matrix.shape)) * rate)


def orthogonal(matrix: Tensor) -> Tensor:
    """About the orthogonal matrix nearest to a matrix N x M, by Newton-Schulz iterations: its singular values are
    brought near 1, its singular vectors stay."""
    a, b, c = _QUINTIC
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + _NOTHING)
    for _ in range(_ITERATIONS):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
