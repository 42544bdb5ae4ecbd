"""Losses by name, each with its paper. Mattes are N x 1 x H x W in [0, 1]."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

_LEVELS = 5
_SOFT = (0.02, 0.98)
_AROUND = 3  # px: how far around a soft pixel the edge still matters


def alpha_l1(matte: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference (Xu et al. 2017, without its square root)."""
    return (matte - truth).abs().mean()


def edge_l1(matte: Tensor, truth: Tensor) -> Tensor:
    """The same along soft edges alone, where a compositor looks: the unknown region of a trimap (Xu et al. 2017)."""
    size, soft = 2 * _AROUND + 1, ((truth > _SOFT[0]) & (truth < _SOFT[1])).float()
    soft = F.max_pool2d(F.max_pool2d(soft, (size, 1), 1, (_AROUND, 0)), (1, size), 1, (0, _AROUND))
    return ((matte - truth).abs() * soft).sum() / soft.sum().clamp(min=1)


def laplacian(matte: Tensor, truth: Tensor) -> Tensor:
    """L1 of the Laplacian pyramids, level l weighted by 2^l / 5 (Hou & Liu 2019; as in Lin et al. 2022)."""
    loss, error = matte.new_zeros(()), matte - truth  # the pyramid of a difference is that of both
    for level in range(_LEVELS):
        if min(error.shape[-2:]) < 2:
            break
        small = F.avg_pool2d(error, 2, ceil_mode=True)
        detail = error - F.interpolate(small, error.shape[-2:], mode="bilinear", align_corners=False)
        loss = loss + 2**level / _LEVELS * detail.abs().mean()
        error = small
    return loss


def gradient(matte: Tensor, truth: Tensor) -> Tensor:
    """L1 of the Sobel gradients (Sengupta et al. 2020)."""
    return sobel(matte - truth).abs().mean()


def sobel(picture: Tensor) -> Tensor:
    """Horizontal and vertical Sobel gradient, N x 2 x H x W, in units of the picture per pixel."""
    around = F.pad(picture, (1, 1, 1, 1), mode="replicate")
    down = around[..., :-2, :] + 2 * around[..., 1:-1, :] + around[..., 2:, :]
    along = around[..., :-2] + 2 * around[..., 1:-1] + around[..., 2:]
    return torch.cat([down[..., 2:] - down[..., :-2], along[..., 2:, :] - along[..., :-2, :]], 1) / 8


def divergence(matte: Tensor, truth: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the mattes as distributions over their pixels (Sun et al. 2021)."""
    p, q = (picture.flatten(1) + 1e-6 for picture in (truth, matte))
    p, q = (part / part.sum(1, keepdim=True) for part in (p, q))
    return (p * (p / q).log()).sum(1).mean()


def temporal(matte: Tensor, truth: Tensor) -> Tensor:
    """Mean square of the difference of changes from one frame to the next, N along time (Lin et al. 2022)."""
    return ((matte[1:] - matte[:-1]) - (truth[1:] - truth[:-1])).square().mean()


#: The losses that compare a matte with its truth, by name.
LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "alpha": alpha_l1,
    "edge": edge_l1,
    "laplacian": laplacian,
    "gradient": gradient,
    "divergence": divergence,
    "temporal": temporal,
}


def weighted(weights: Mapping[str, float]) -> Callable[[Tensor, Tensor], Tensor]:
    """The sum of some losses by name. Raises KeyError for a name there is none of."""
    chosen = [(LOSSES[name], weight) for name, weight in weights.items()]

    def loss(matte: Tensor, truth: Tensor) -> Tensor:
        return torch.stack([weight * term(matte, truth) for term, weight in chosen]).sum()

    return loss


def composition(matte: Tensor, foreground: Tensor, background: Tensor, picture: Tensor) -> Tensor:
    """L1 of the picture that the matte composes (Xu et al. 2017). Colours N x 3 x H x W, scene-linear."""
    return (matte * foreground + (1 - matte) * background - picture).abs().mean()


def motion_consistency(matte: Tensor, other: Tensor, trusted: Tensor) -> Tensor:
    """L1 between a matte and that of another frame carried here along the motion, where the motion is trusted (the
    alpha warp term of Lu et al. 2021). trusted: N x 1 x H x W in [0, 1], 0 where the other frame does not see it."""
    return ((matte - other).abs() * trusted).sum() / trusted.sum().clamp(min=1)
