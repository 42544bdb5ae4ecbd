"""Matting and segmentation in turns, as Robust Video Matting is trained (Lin et al. 2022, section 4.2): a matte learned
from composites alone takes too little for an object; what people or things are is learned from segmentation."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.models.rvm import RobustVideoMatting
from penumbra_engine.training.composites import random_view, resampled
from penumbra_engine.training.losses import temporal, weighted
from penumbra_engine.training.sources import Source, beside

_FRAMES = 3
_DRIFT = 4.0  # px a frame, by which the view moves
_TEMPORAL = 5.0
_LOSS = weighted({"alpha": 1.0, "laplacian": 1.0})


def alternating_loss(network: RobustVideoMatting, source: Source, side: int, random: np.random.Generator) -> Tensor:
    """The loss of a clip, of the one or the other head by lot, so that each has half of the batches.

    Segmentation has its own head and cross entropy on alpha > 0.5; matting has L1, Laplacian pyramid and five times
    the temporal loss. The head of the foreground's colour is not trained.
    """
    pictures, mattes = clip(source, side, random)
    if random.random() < 0.5:
        logits, _ = network.segment(pictures[None])
        return F.binary_cross_entropy_with_logits(logits[0], (mattes > 0.5).float())
    alpha = network(pictures[None]).alpha[0]
    return _LOSS(alpha, mattes) + _TEMPORAL * temporal(alpha, mattes)


def clip(source: Source, side: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A film out of a still, seen by a camera that drifts: pictures T x 3 x side x side, encoded, and mattes T x 1 x
    side x side."""
    picture, clean, alpha = source(2 * side, random)
    view, drift = random_view((side, side), side, random), random.uniform(-_DRIFT, _DRIFT, 2)
    pictures, mattes = [], []
    for frame in range(_FRAMES):
        here = view.copy()
        here[:, 2] += (frame - _FRAMES // 2) * drift
        moved, behind = (resampled(part, here, (side, side)) for part in (picture, clean))
        pictures.append(torch.from_numpy(beside(moved, behind)[:3].copy()))
        matte = resampled(alpha, here, (side, side), cv2.BORDER_REFLECT_101)
        mattes.append(torch.from_numpy(matte.clip(0, 1))[None])
    return torch.stack(pictures), torch.stack(mattes)
