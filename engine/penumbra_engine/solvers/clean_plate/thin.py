"""Thin parts of the subject that a rough mask leaves out: a pole, a cable, a strap."""

import math

import numpy as np
import torch
from scipy import ndimage

from penumbra_engine.imaging.disturbance import unlike_in_colour
from penumbra_engine.imaging.morphology import components_over, dilate, erode
from penumbra_engine.solvers.omnimatte.canvas import Canvas

_STRANGE, _DOUBTFUL = 1.7, 1.2  # standard deviations from any shadow's colour: of an object, and of what may be one
_HALF = 1 / 120  # of the longer side: half of what is still thin
_GAP = 1 / 96  # of the longer side: where the background behind has the object's own colour
_WIDENED = 1.0  # px: colours are judged over 3 x 3 of them
_LONG = 1 / 40  # of the longer side: shorter parts are specks


def thin_parts(plate: torch.Tensor, canvas: Canvas, index: int, mask: np.ndarray, band: float) -> np.ndarray:
    """Long thin parts beside the mask that hang on it and whose colour no shadow on the background has. H x W bool.

    plate: 3 x H x W. mask: H x W bool. band: px round the mask where its edge is looked for anyway; a part must go on
    beyond it. What is as broad as it is long may be a reflection or light that the subject throws, and stays out.
    """
    longer = max(mask.shape)
    half, gap = max(_WIDENED + 2, _HALF * longer), max(2.0, _GAP * longer)
    colour = unlike_in_colour(plate, canvas.background(index), canvas.noise, canvas.tolerance(index)).numpy()
    broad = dilate(erode((colour > _DOUBTFUL) & ~mask, half), half + _WIDENED + 1)
    strange = (colour > _STRANGE) & ~mask & ~broad
    hanging = components_over(erode(dilate(strange | mask, gap), gap), mask) & ~mask & ~broad
    labels, _ = ndimage.label(hanging & ~dilate(mask, band), np.ones((3, 3)))
    found = np.zeros_like(mask)
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        part = labels[place] == number
        length = math.hypot(*part.shape)
        if length >= _LONG * longer and part.sum() <= 2 * half * length:
            found[place] |= part
    return found & strange
