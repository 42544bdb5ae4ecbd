"""Edge: alpha of the objects themselves, in closed form against the background with their own shadow on it."""

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.morphology import dilate, distance_outside, erode
from penumbra_engine.matting.closed_form_over_background import closed_form_over_background
from penumbra_engine.matting.palette import Palette, palette_of, together

_SOURCE = 3.0  # px inside the rough mask from where on a colour is taken for the object's own
_OWN, _WHOLE = 0.97, 0.9  # alpha of such a colour once it is solved, and of what an edge has come to an end at
_SHADOWS = 0.1  # how likely beforehand a pixel is in a shadow that ends under the edge, so isn't seen beside it
_TOLERANCE = 1e-3  # of the residual: far below what can be seen
_GROWTH, _GROWN = 5.0, 0.01  # px, and what is worth another round, of the unknown pixels
ROUNDS = 3


def light_under(transmission: Tensor, mask: np.ndarray, band: float) -> Tensor:
    """The light beside the objects, 3 x H x W, as it goes on under them. transmission: 3 x H x W, of the effects around
    the mask. mask, band: as of `solve_edge`."""
    return fill_smoothly(transmission, _outside(mask, band).float())


def solve_edge(
    picture: Tensor,
    behind: Tensor,
    variance: Tensor,
    mask: np.ndarray,
    band: float,
    drawn: bool = True,
    shown: np.ndarray | None = None,
    rounds: int = ROUNDS,
    told: Tensor | None = None,
    palette: Palette | None = None,
) -> Tensor:
    """Alpha of the objects together, H x W.

    picture, behind: 3 x H x W scene-linear, the background with the effects on it, by `light_under`. variance: H x W,
    of picture less background. mask: H x W bool, about where the objects are: what is as dark as its shadow, colours
    don't tell. band: px, how far the true edge may lie from the mask's, on either side. drawn: whether the mask was
    given; one that was found by the same colours says nothing of whose they are. shown: H x W bool, pixels of the mask
    known to show the objects' own colour, though they lie beside its edge; None where none is. told: 4 x H x W, what
    other frames tell of it, by `passing`; None where none does. palette: colours that the objects have besides those of
    the inside of the mask; None where none are known.

    Where an edge turns out softer than the band is wide (fur), the band grows inwards from round to round, `rounds` at
    most, and one more where the mask was found.
    """
    depth = _depth(mask)
    alpha = (depth < 0).float()
    if not mask.any() or mask.all():
        return alpha
    bare = _outside(mask, band)
    core = torch.from_numpy(erode(mask, band))
    own = (depth <= -min(_SOURCE, float(-depth.min()))) & (drawn | ~core.any())
    if shown is not None:
        own |= torch.from_numpy(shown)
    unknown = ~bare & ~core
    for _ in range(rounds if drawn else rounds + 1):  # a mask that was found starts farther off
        trimap = torch.where(unknown, 0.5, alpha)
        known = None if palette is None else together([palette_of(picture, own | (core & ~unknown)), palette])
        solution = closed_form_over_background(
            picture[None],
            trimap[None, None],
            background=behind[None],
            variance=variance[None, None],
            shadows=_SHADOWS,
            foreground=own[None, None],
            distance=depth[None, None] if drawn else None,
            told=None if told is None else told[None],
            palette=known,
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


def rough_trimap(mask: np.ndarray, band: float) -> np.ndarray:
    """Where a rough mask leaves no doubt, H x W: 1 inside, 0 outside, 0.5 between."""
    return np.where(_depth(mask) <= -_SOURCE, 1.0, np.where(_outside(mask, band), 0.0, 0.5)).astype(np.float32)


def _outside(mask: np.ndarray, band: float) -> Tensor:
    """What is surely background, H x W bool. A mask may leave nothing outside the band: then what is farthest from it
    is."""
    outside = torch.from_numpy(~dilate(mask, band))
    if outside.any():
        return outside
    depth = _depth(mask)
    return depth == depth.max()


def _depth(mask: np.ndarray) -> Tensor:
    """Pixels outside a mask, H x W, less than 0 inside."""
    return torch.from_numpy(distance_outside(mask) - distance_outside(~mask)).float()
