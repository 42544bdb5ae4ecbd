"""Filters on pictures N x C x H x W: box means, and the denoising of a ratio whose noise is known."""

import torch
import torch.nn.functional as F
from torch import Tensor


def box(picture: Tensor, radius: int) -> Tensor:
    """Mean over a square of 2 radius + 1 pixels, the edge repeated. N x C x H x W."""
    if radius == 0:
        return picture
    size = 2 * radius + 1
    padded = F.pad(picture, (radius, radius, radius, radius), mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, (1, size), 1), (size, 1), 1)


def local_range(picture: Tensor, radius: int) -> Tensor:
    """Largest less smallest value in a square of 2 radius + 1 pixels. N x C x H x W."""
    size = 2 * radius + 1
    return F.max_pool2d(picture, size, 1, radius) + F.max_pool2d(-picture, size, 1, radius)


def denoise_ratio(ratio: Tensor, variance: Tensor, guide: Tensor, guide_variance: Tensor, radius: int) -> Tensor:
    """Non-local means whose weights come from a guide with known noise (Buades et al. 2005; the known noise takes the
    place of the filter strength).

    ratio, variance: N x C x H x W, the pictures and the variance of each pixel. guide, guide_variance: N x 1 x H x W.
    Two pixels are taken for the same where their 3 x 3 patches of the guide differ by no more than noise; those within
    `radius` are averaged by inverse variance.
    """
    channels, (height, width) = ratio.shape[1], ratio.shape[-2:]
    inverse = 1 / variance
    padded = F.pad(torch.cat([guide, guide_variance, ratio * inverse, inverse], 1), (radius,) * 4, mode="replicate")
    total, weight = torch.zeros_like(ratio), torch.zeros_like(ratio)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dy * dy + dx * dx > radius * radius + 1:
                continue
            other = padded[..., radius + dy : radius + dy + height, radius + dx : radius + dx + width]
            distance = box((guide - other[:, :1]).square() / (guide_variance + other[:, 1:2]), 1)
            alike = torch.exp(-3 * (distance - 1).clamp(0, 20))  # no smaller: denormal numbers are slow
            total += alike * other[:, 2 : 2 + channels]
            weight += alike * other[:, 2 + channels :]
    return total / weight
