"""What somebody expects of alpha, heard where the colours leave it open."""

import torch
from torch import Tensor

_DEVIATION = 0.1  # of alpha from what is expected, where colours say nothing


def by_expected_alpha(likely: Tensor, levels: Tensor, before: Tensor, expected: Tensor) -> Tensor:
    """How likely each alpha is when one is expected: N x L, log and but for a constant each pixel.

    likely: N x L, the same by the colours alone, `before` included. levels: L, the alphas. before: L, their frequency
    that was taken beforehand. expected: N, in [0, 1].

    A Gaussian about what is expected, flatter the less variance of alpha the colours leave, by the square: where they
    hesitate between all and nothing it decides, and where they place alpha roughly (fur) it doesn't hold it to a guess
    that is coarser than they are.
    """
    left = _variance(torch.softmax(likely, 1), levels) / _variance((before / before.sum())[None], levels)
    off = (levels - expected[:, None]) / _DEVIATION
    return likely - 0.5 * left.clamp(max=1).square()[:, None] * off.square()


def _variance(share: Tensor, levels: Tensor) -> Tensor:
    """Of alpha that has each level with a probability; share: N x L, N."""
    mean = share @ levels
    return (share * (levels - mean[:, None]).square()).sum(1)
