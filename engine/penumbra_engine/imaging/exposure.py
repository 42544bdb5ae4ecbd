"""Gain and black level between two pictures of the same scene."""

import torch
from torch import Tensor

_ROUNDS = 8
_MAX_SAMPLES = 100_000


def fit_exposure(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and offset of each channel with target = gain * source + offset, C each.

    source, target: C x N scene-linear, the same pixels of both. Least squares, iterated over the samples within three
    robust standard deviations (median absolute deviation), so that a subject and its shadows on less than half of them
    don't count. A channel without contrast gets a gain alone.
    """
    stride = max(1, source.shape[1] // _MAX_SAMPLES)
    gains, offsets = [], []
    for x, y in zip(source[:, ::stride].double(), target[:, ::stride].double(), strict=True):
        gain, offset = (
            (y / x.clamp(min=1e-4))[x > 1e-3].median() if (x > 1e-3).any() else x.new_ones(()),
            x.new_zeros(()),
        )
        for _ in range(_ROUNDS):
            error = y - gain * x - offset
            error = error - error.median()
            kept = error.abs() <= 3 * 1.4826 * error.abs().median() + 1e-6
            mean_x, mean_y = x[kept].mean(), y[kept].mean()
            spread = (x[kept] - mean_x).square().mean()
            if spread < 1e-6 * mean_x.square() + 1e-12:
                break
            gain = ((x[kept] - mean_x) * (y[kept] - mean_y)).mean() / spread
            offset = mean_y - gain * mean_x
        gains.append(gain)
        offsets.append(offset)
    return torch.stack(gains).float(), torch.stack(offsets).float()
