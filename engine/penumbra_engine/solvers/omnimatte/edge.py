"""Edge: alpha of the objects themselves, in closed form against the background with their own shadow on it."""

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.morphology import dilate, distance_outside, erode
from penumbra_engine.matting.closed_form_over_background import closed_form_over_background

_SOURCE = 3.0  # px inside the rough mask from where on a colour is taken for the object's own
_OWN, _WHOLE = 0.97, 0.9  # alpha of such a colour once it is solved, and of what an edge has come to an end at
_SHADOWS = 0.1  # how likely beforehand a pixel is in a shadow that ends under the edge, so isn't seen beside it
_TOLERANCE = 1e-3  # of the residual: far below what can be seen
_GROWTH, _GROWN = 5.0, 0.01  # px, and what is worth another round, of the unknown pixels
ROUNDS = 3


def solve_edge(
    picture: Tensor,
    background: Tensor,
    transmission: Tensor,
    variance: Tensor,
    mask: np.ndarray,
    band: float,
    drawn: bool = True,
    shown: np.ndarray | None = None,
    rounds: int = ROUNDS,
) -> Tensor:
    """Alpha of the objects together, H x W.

    picture, background: 3 x H x W scene-linear. transmission: 3 x H x W, of the effects around the mask. variance: H x
    W, of picture less background. mask: H x W bool, about where the objects are: what is as dark as its shadow, colours
    don't tell. band: px, how far the true edge may lie from the mask's, on either side. drawn: whether the mask was
    given; one that was found by the same colours says nothing of whose they are. shown: H x W bool, pixels of the mask
    known to show the objects' own colour, though they lie beside its edge; None where none is.

    Where an edge turns out softer than the band is wide (fur), the band grows inwards from round to round, `rounds` at
    most, and one more where the mask was found.
    """
    depth = torch.from_numpy(distance_outside(mask) - distance_outside(~mask)).float()  # < 0 inside
    alpha = (depth < 0).float()
    if not mask.any() or mask.all():
        return alpha
    # A mask may leave nothing outside the band: then what is farthest from it is background.
    bare = torch.from_numpy(~dilate(mask, band)) | (depth == depth.max())
    core = torch.from_numpy(erode(mask, band))
    own = (depth <= -min(_SOURCE, float(-depth.min()))) & (drawn | ~core.any())
    if shown is not None:
        own |= torch.from_numpy(shown)
    # The shadow goes on under the edge as it is beside it.
    behind = background * fill_smoothly(transmission, bare.float())
    unknown = ~bare & ~core
    for _ in range(rounds if drawn else rounds + 1):  # a mask that was found starts farther off
        trimap = torch.where(unknown, 0.5, alpha)
        solution = closed_form_over_background(
            picture[None],
            trimap[None, None],
            background=behind[None],
            variance=variance[None, None],
            shadows=_SHADOWS,
            foreground=own[None, None],
            distance=depth[None, None] if drawn else None,
            start=alpha[None, None],
            tolerance=_TOLERANCE,
        )
        alpha = solution.alpha[0, 0]
        soft = unknown & (alpha < _WHOLE)
        grown = torch.from_numpy(dilate(soft.numpy(), _GROWTH)) & core & ~unknown
        if grown.sum() <= _GROWN * unknown.sum():
            break
        unknown, own = unknown | grown, own & (alpha > _OWN)
    return alpha
