"""Filters on pictures N x C x H x W: box means, and the denoising of a ratio whose noise is known."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def box(picture: Tensor, radius: int) -> Tensor:
    """Mean over a square of 2 radius + 1 pixels, the edge repeated. N x C x H x W."""
    if radius == 0:
        return picture
    size = 2 * radius + 1
    if _suits_opencv(picture):
        # Not OpenCV's running sums: what they round may leave means of squares below 0.
        ones = np.ones(size, np.float32)
        return _each(picture, lambda p: cv2.sepFilter2D(p, -1, ones, ones, borderType=cv2.BORDER_REPLICATE)) / size**2
    padded = F.pad(picture, (radius, radius, radius, radius), mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, (1, size), 1), (size, 1), 1)


def box_scatter(height: int, width: int, radius: int) -> Tensor:
    """What means by `box` keep of the variance of single pixels that scatter on their own, H x W: one part in (2 radius
    + 1)^2, and more at the border, which is repeated."""
    return _scatter_along(height, radius)[:, None] * _scatter_along(width, radius)


def _scatter_along(length: int, radius: int) -> Tensor:
    if length == 1:
        return torch.ones(1)
    size, place = 2 * radius + 1, torch.arange(float(length))
    first, last = ((radius - away).clamp(min=0) + 1 for away in (place, length - 1 - place))  # times that ends count
    return (first.square() + last.square() + (size - first - last)) / size**2


def local_range(picture: Tensor, radius: int) -> Tensor:
    """Largest less smallest value in a square of 2 radius + 1 pixels. N x C x H x W."""
    size = 2 * radius + 1
    if _suits_opencv(picture):
        square = np.ones((size, size), np.uint8)
        return _each(picture, lambda p: cv2.dilate(p, square) - cv2.erode(p, square))
    return F.max_pool2d(picture, size, 1, radius) + F.max_pool2d(-picture, size, 1, radius)


def _suits_opencv(picture: Tensor) -> bool:
    return picture.device.type == "cpu" and picture.dtype in (torch.float32, torch.float64)


def _each(picture: Tensor, operation: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """One of OpenCV's operations on each channel of a picture: on a processor torch's pooling takes 20 to 100 times as
    long. N x C x H x W."""
    planes = picture.detach().contiguous().numpy()
    result = np.empty_like(planes)
    for index in np.ndindex(planes.shape[:2]):
        result[index] = operation(planes[index])
    return torch.from_numpy(result)


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
            distance = box((guide - other[:, :1]).square_().div_(guide_variance + other[:, 1:2]), 1)
            alike = distance.sub_(1).clamp_(0, 20).mul_(-3).exp_()  # no smaller: denormal numbers are slow
            total.addcmul_(alike, other[:, 2 : 2 + channels])
            weight.addcmul_(alike, other[:, 2 + channels :])
    return total / weight
