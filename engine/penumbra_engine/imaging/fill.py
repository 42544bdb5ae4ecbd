"""Holes in a picture filled smoothly from what surrounds them."""

import torch.nn.functional as F
from torch import Tensor


def fill_smoothly(picture: Tensor, weight: Tensor) -> Tensor:
    """The picture where `weight` is 1, and a smooth continuation of it where `weight` is 0 (pull-push, Gortler et al.
    1996). C x H x W and H x W, weights in [0, 1]; a picture without any weight becomes 0."""
    height, width = picture.shape[-2:]
    known = weight[None, None].to(picture)
    value = picture[None] * known
    if max(height, width) == 1:
        return value[0] / known[0].clamp(min=1e-6)
    pad = (0, width % 2, 0, height % 2)
    small_known = F.avg_pool2d(F.pad(known, pad), 2)
    small_value = F.avg_pool2d(F.pad(value, pad), 2)
    small_weight = (4 * small_known).clamp(max=1)
    coarse = fill_smoothly((small_value / small_known.clamp(min=1e-6))[0], small_weight[0, 0])
    up = F.interpolate(coarse[None], scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    return (value + (1 - known) * up)[0]
