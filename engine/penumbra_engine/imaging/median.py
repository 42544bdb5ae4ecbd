"""The median of many values."""

import numpy as np
import torch
from torch import Tensor


def median(values: Tensor) -> Tensor:
    """Of each row, the middle value or the lower of the two in the middle, as torch.median gives it; on a processor
    NumPy's partition takes an eighth of the time. ... x N, N > 0; ..."""
    if values.device.type != "cpu":
        return values.median(-1).values
    middle = (values.shape[-1] - 1) // 2
    return torch.from_numpy(np.partition(values.detach().numpy(), middle)[..., middle].copy())
