"""Palette: the colours that a foreground has, and where it has them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

_CANDIDATES = 48  # colours near each unknown pixel
_THIN = 8  # of the foreground pixels one of so many is a candidate: near ones alone would all look the same
_SIDE = 2  # px: pixels of a square share their candidates


class Palette(NamedTuple):
    """colours: 3 x M, scene-linear. places: M x 2, row and column, about where the foreground has them."""

    colours: Tensor
    places: Tensor

    def near(self, where: Tensor) -> Tensor:
        """Which of the colours are near each of some pixels, N x K. where: N x 2, row and column."""
        count, (rows, columns) = min(_CANDIDATES, len(self.places)), (where // _SIDE).T
        width = int(columns.max()) + 1
        squares, of = torch.unique(rows * width + columns, return_inverse=True)
        middles = torch.stack([squares // width, squares % width], 1) * _SIDE + (_SIDE - 1) / 2
        _, near = cKDTree(self.places.cpu().numpy()).query(middles.cpu().numpy(), count)
        return torch.from_numpy(near.reshape(len(squares), count)).to(where.device)[of]


def palette_of(picture: Tensor, foreground: Tensor) -> Palette:
    """The colours of some pixels of a picture. picture: 3 x H x W. foreground: H x W bool, where it shows them."""
    places = foreground.nonzero()
    thin = min(_THIN, max(1, len(places) // _CANDIDATES))
    order = np.random.default_rng(0).permutation(len(places))[::thin]
    places = places[torch.from_numpy(order).to(places.device)]
    return Palette(at(picture, places), places)


def together(palettes: Sequence[Palette]) -> Palette:
    """All the colours of some palettes, one at least."""
    return Palette(torch.cat([of.colours for of in palettes], 1), torch.cat([of.places.float() for of in palettes]))


def at(picture: Tensor, places: Tensor) -> Tensor:
    """A picture C x H x W at places N x 2, row and column; C x N."""
    return picture.flatten(1).index_select(1, places[:, 0] * picture.shape[2] + places[:, 1])
