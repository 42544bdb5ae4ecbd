"""Subject: about where it is, from its mask, or from what no shadow on the clean plate explains."""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from penumbra_engine.cache import Store
from penumbra_engine.errors import UnsolvableError
from penumbra_engine.imaging.disturbance import unlike_a_shadow, unlike_in_colour
from penumbra_engine.imaging.morphology import components_over, dilate, erode
from penumbra_engine.media import Shot
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version

_CERTAIN, _LIKELY = 2.5, 1.3  # standard deviations that remain when the best shadow is taken away
_COLOUR = 1.5  # times what a pixel's own best shadow leaves of its colour: smaller than what one over a square leaves
_LEAST = 2e-4  # of the picture: a smaller part is dirt
_GAP = 0.015  # of the longer side: holes and slits that are closed, and how far round what is certain the likely counts


def find_subject(shot: Shot, plates: Plates, canvas: Canvas, store: Store) -> Steps[Masks]:
    """A rough mask of the subject on every frame, from the difference to the clean plate.

    Raises UnsolvableError when no frame differs from the clean plate by more than a shadow.
    """
    with store.entry("subject", code=code_version(), align=canvas.key) as entry:
        if not entry.complete:
            count, found = len(shot.frames), False
            stack = entry.create_stack("masks", (count, 1, shot.height, shot.width), np.uint8)
            for index in range(count):
                mask = _subject(torch.from_numpy(plates.plate[index]), canvas, index)
                found |= bool(mask.any())
                stack[index] = np.where(mask, 255, 0).astype(np.uint8)[None]
                yield index, count
            if not found:
                raise UnsolvableError(
                    "no frame differs from the clean plate by more than a shadow: there is nothing to lift. Look "
                    "whether --clean-plate is a picture without the subject, or give --mask NAME=PATTERN",
                    "--clean-plate",
                )
            entry.finish()
        return Masks(entry.key, entry.stack("masks"))


def _subject(plate: Tensor, canvas: Canvas, index: int) -> np.ndarray:
    """H x W bool. A shadow keeps the pattern of what it falls on and only scales it; a subject brings its own. But no
    one scale explains the sharp edge of a shadow, so a subject's colours have to be other than a shadow's, too."""
    background = canvas.background(index)
    evidence = plate, background, canvas.noise, canvas.tolerance(index)
    unlike = torch.minimum(unlike_a_shadow(*evidence), _COLOUR * unlike_in_colour(*evidence)).numpy()
    certain = unlike > _CERTAIN
    gap = max(1.0, _GAP * max(unlike.shape))
    # Light that a coloured subject throws on a floor is likely, too, and goes on for long.
    shape = components_over(unlike > _LIKELY, certain) & dilate(certain, gap)
    # Closed in a wider picture: what touches the frame's edge is not eaten from there.
    wide = np.pad(shape, round(gap) + 1)
    wide = ndimage.binary_fill_holes(erode(dilate(wide, gap), gap))
    shape = wide[round(gap) + 1 : -round(gap) - 1, round(gap) + 1 : -round(gap) - 1]
    # Neighbourhoods see the subject two pixels before its edge.
    shape = dilate(erode(shape, gap / 3 + 2), gap / 3) & shape
    labels, parts = ndimage.label(shape, np.ones((3, 3), int))
    sizes = np.bincount(labels.ravel(), minlength=parts + 1)
    sizes[0] = 0
    return (sizes >= max(9, _LEAST * shape.size))[labels]
