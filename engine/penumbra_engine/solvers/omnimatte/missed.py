"""Missed: what a rough mask leaves out of its objects, told by what no shadow on the background explains."""

import numpy as np
import torch
from scipy import ndimage

from penumbra_engine.imaging.extent import box_of
from penumbra_engine.imaging.morphology import components_over, dilate, distance_outside, erode
from penumbra_engine.solvers.omnimatte.state import margin

_UNLIKE = 2.5  # standard deviations that remain when the best shadow is taken away
REACH = 0.025  # of the longer side: how far from the mask a part may lie; farther on it may be a reflection
_AHEAD = 1.5  # px before its edge at which neighbourhoods see an object
_GAP = 0.016  # of the longer side: windows of the ground's colour, and other gaps that are closed
# A piece of a mask misses a good part of its object when it grows by more than that times its area, and when more than
# that share of what lies beside it, from half a margin on, is like no shadow.
_SHORT, _BESIDE = 1.25, 0.4


def with_missed(mask: np.ndarray, unlike: np.ndarray) -> np.ndarray:
    """A rough mask with what it misses beside it, H x W bool. unlike: H x W, standard deviations by which the plate
    differs from its background in a shadow, as of `unlike_a_shadow`, 0 where the background tells nothing.

    Masks that are found by differences leave out what has the colour of the ground: roofs and windows of cars. Only a
    piece that misses a good part is mended. Beside one that was drawn lie fine hair, gaps between spokes and the edges
    of hard shadows, which neighbourhoods are too coarse to tell.
    """
    if not mask.any():
        return mask
    longer = max(mask.shape)
    reach, gap = REACH * longer, _GAP * longer
    rows, columns = box_of(torch.from_numpy(mask), round(reach + gap) + 1)
    given, unlike = mask[rows, columns], unlike[rows, columns] > _UNLIKE
    away, near = distance_outside(given), margin(longer)
    # In a wider picture, so that an object which the frame cuts is not eaten from there.
    wide = round(gap) + 1
    whole, known = (
        np.pad(shape, wide, mode="edge")
        for shape in (components_over(given | (unlike & (away <= reach)), given), given)
    )
    whole = erode(dilate(erode(whole, _AHEAD) | known, gap), gap)[wide:-wide, wide:-wide] | given
    owner = _nearest_piece(given)
    beside = (away > near / 2) & (away <= near)
    area, grown, around, other = (
        np.bincount(owner[of], minlength=owner.max() + 1) for of in (given, whole, beside, beside & unlike)
    )
    short = (grown > _SHORT * area) & (other > _BESIDE * around)
    mended = mask.copy()
    mended[rows, columns] |= whole & short[owner]
    return mended


def _nearest_piece(shape: np.ndarray) -> np.ndarray:
    """To which of the connected pieces of a shape each pixel is nearest, by number. H x W both."""
    pieces, _ = ndimage.label(shape, np.ones((3, 3), int))
    rows, columns = ndimage.distance_transform_edt(~shape, return_distances=False, return_indices=True)
    return np.asarray(pieces[rows, columns])
