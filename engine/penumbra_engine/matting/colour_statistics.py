"""What colours one side of a matte has around a pixel, as one Gaussian (Chuang et al. 2001, eq. 6 and 7)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_SPREAD = 6.0  # px, sigma of the neighbourhood whose colours count
REACH = 18  # px, where it ends
_DISTANT = 1e-3  # of a full neighbourhood: how much all colours of a side count beside those near
_FLOOR = 1e-4  # variance that a colour has at least

Gaussian = tuple[Tensor, Tensor]  # mean N x 3, covariance N x 3 x 3


def gaussian_around(colours: Tensor, weight: Tensor, y: Tensor, x: Tensor) -> Gaussian:
    """Of the colours around pixels y, x (N each); where there are few, of all; where there is none at all, any colour.

    colours: 3 x H x W. weight: H x W, how much each counts. Distance counts by a Gaussian.
    """
    eye = torch.eye(3).to(colours)
    total = weight.sum()
    if total == 0:
        return colours.mean((1, 2)).expand(len(y), 3), (colours.var((1, 2)).sum() + 1) * eye.expand(len(y), 3, 3)
    centre = (colours * weight).sum((1, 2)) / total
    offset = colours - centre[:, None, None]
    products = torch.stack([offset[i] * offset[j] for i in range(3) for j in range(i, 3)])
    sums = torch.cat([torch.ones_like(weight)[None], offset, products]) * weight
    blurred = (_blur(sums)[:, y, x] + _DISTANT * sums.sum((1, 2))[:, None] / total).T
    mean, second = blurred[:, 1:4] / blurred[:, :1], blurred[:, 4:] / blurred[:, :1]
    spread = second[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].view(-1, 3, 3) - mean[:, :, None] * mean[:, None]
    return mean + centre, spread + _FLOOR * eye


def _blur(picture: Tensor) -> Tensor:
    """Gaussian of unit sum; beyond the picture there is nothing."""
    offset = torch.arange(-REACH, REACH + 1).to(picture)
    kernel = torch.exp(-offset.square() / (2 * _SPREAD**2)) / (_SPREAD * math.sqrt(2 * math.pi))
    across = F.conv2d(picture[:, None], kernel[None, None, None], padding=(0, REACH))
    return F.conv2d(across, kernel[None, None, :, None], padding=(REACH, 0))[:, 0]
