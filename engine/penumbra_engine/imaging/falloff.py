"""The fall-off of light towards the edges of a lens, from what a moving camera shows in several places."""

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_ROWS, _COLUMNS = 7, 11  # places that it is told of, the corners among them; it is smooth between them
_BLOCK = 0.04  # of the longer side: what is compared at a time
_SHOWN = 0.5  # of a block: what has to be seen of it
_DARK = 1e-3  # scene-linear: below that a ratio tells nothing
_EXACT = 0.01  # logarithm: what blocks differ by besides
_REST = 0.3  # logarithm: what each term is beforehand, where nothing tells
_ROUNDS = 6
_FELT = 0.04  # logarithm: where the borders are darker than the middle by less, there is no fall-off
_MOST = 1.0  # the same: by more, it is something else


def measure_falloff(pairs: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]], height: int, width: int) -> Tensor:
    """What a lens leaves of the light in each place, 3 x rows x columns about 1; 3 x 1 x 1 ones where that is all.

    pairs: (picture, other, valid, places) of frames far apart, in one exposure: 3 x H x W scene-linear, the other as
    the first sees it; valid, H x W bool, where both show the scene and no effect is likely; places, H x W x 2, where in
    the other frame it was taken from. The logarithm of what they differ by is the fall-off here less the fall-off there
    (Goldman & Chen 2005), an even polynomial of the distance from the middle, to the sixth power: a camera that moves
    in any one direction tells all of that. Least absolute differences: what moves is in some of the pairs.
    """
    block = min(max(4, round(_BLOCK * max(height, width))), height, width)
    weights, differences = [], []
    for picture, other, valid, places in pairs:
        told = valid & (picture.amin(0) > _DARK) & (other.amin(0) > _DARK)
        ratio = torch.where(told, (picture.clamp(min=_DARK) / other.clamp(min=_DARK)).log(), torch.nan)
        here = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), -1).float()
        enough = F.avg_pool2d(told[None, None].float(), block)[0, 0] > _SHOWN
        median = _blocks(ratio, block).nanmedian(-1).values[:, enough]
        at, there = (F.avg_pool2d(p.permute(2, 0, 1)[None], block)[0][:, enough].T for p in (here, places))
        weights.append(_terms(at, height, width) - _terms(there, height, width))
        differences.append(median.T)
    if not weights:
        return torch.ones(3, 1, 1)
    y, x = np.meshgrid(np.linspace(0, height - 1, _ROWS), np.linspace(0, width - 1, _COLUMNS), indexing="ij")
    terms = _terms(torch.from_numpy(np.stack([x, y], -1).reshape(-1, 2)), height, width)
    found = (terms @ _solve(np.concatenate(weights), torch.cat(differences).double().numpy())).T
    found = found.reshape(3, _ROWS, _COLUMNS)
    border = np.ones((_ROWS, _COLUMNS), bool)
    border[1:-1, 1:-1] = False
    middle = found[:, _ROWS // 2, _COLUMNS // 2]
    if not _FELT < middle.mean() - found[:, border].mean() < _MOST:
        return torch.ones(3, 1, 1)
    return torch.from_numpy(np.exp(found - middle[:, None, None])).float()


def spread(falloff: Tensor, height: int, width: int) -> Tensor:
    """The same for every pixel, 3 x H x W."""
    if falloff.shape[-2:] == (1, 1):
        return falloff.expand(3, height, width)
    return F.interpolate(falloff[None], (height, width), mode="bilinear", align_corners=True)[0]


def _blocks(picture: Tensor, block: int) -> Tensor:
    """C x H x W to C x rows x columns x pixels, what is left over at the edges cut off."""
    channels, rows, columns = len(picture), picture.shape[1] // block, picture.shape[2] // block
    cut = picture[:, : rows * block, : columns * block].reshape(channels, rows, block, columns, block)
    return cut.permute(0, 1, 3, 2, 4).flatten(3)


def _terms(points: Tensor, height: int, width: int) -> np.ndarray:
    """What each term of the polynomial is at N points, N x terms; 0 all in the middle."""
    x, y = ((points.double() - points.new_tensor([width - 1, height - 1]).double() / 2) / (width / 2)).numpy().T
    square = x * x + y * y
    return np.stack([square, square**2, square**3], 1)


def _solve(weights: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """The terms' factors for each channel, terms x 3, by least squares weighted anew in each round."""
    found = np.zeros((weights.shape[1], 3))
    for _ in range(_ROUNDS):
        missed = np.abs(weights @ found - differences).mean(1)
        sure = weights / (np.maximum(missed, _EXACT) * _EXACT)[:, None]
        found = np.linalg.solve(sure.T @ weights + np.eye(len(found)) / _REST**2, sure.T @ differences)
    return found
