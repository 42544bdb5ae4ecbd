"""PyMatting's solvers with the signature of ours, where it is installed: a peer to measure against, no dependency."""

import importlib
import importlib.util
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

_ALPHA = {"closed-form": "estimate_alpha_cf", "knn": "estimate_alpha_knn", "random-walk": "estimate_alpha_rw"}
ABSENT = "PyMatting isn't installed, so nothing was measured beside it: pip install pymatting"


def installed() -> bool:
    """Whether there is a PyMatting to measure against."""
    return importlib.util.find_spec("pymatting") is not None


def peer_alpha(name: str) -> Callable[[Tensor, Tensor], Tensor] | None:
    """PyMatting's solver of one of our names: (picture, trimap) to alpha, frame by frame. None where it has none."""
    if name not in _ALPHA:
        return None
    solver = getattr(importlib.import_module("pymatting"), _ALPHA[name])

    def solve(picture: Tensor, trimap: Tensor) -> Tensor:
        frames = [solver(_rows(frame), matte[0].double().numpy()) for frame, matte in zip(picture, trimap, strict=True)]
        return torch.from_numpy(np.stack(frames))[:, None].float()

    return solve


def peer_foreground(picture: Tensor, alpha: Tensor) -> Tensor:
    """PyMatting's multi-level foreground, T x 3 x H x W. It clips to [0, 1]."""
    estimate = importlib.import_module("pymatting").estimate_foreground_ml
    frames = [estimate(_rows(frame), matte[0].double().numpy()) for frame, matte in zip(picture, alpha, strict=True)]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


def _rows(frame: Tensor) -> np.ndarray:
    return np.ascontiguousarray(frame.permute(1, 2, 0).double().numpy())
