"""Boundary: what the edge of the objects on a frame is solved from."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.disturbance import unlike_a_shadow
from penumbra_engine.imaging.extent import box_of
from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.morphology import dilate, distance_outside
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.omnimatte.bound import Bound
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.edge import light_under, rough_trimap
from penumbra_engine.solvers.omnimatte.loose import OFTEN_SEEN, objects_on
from penumbra_engine.solvers.omnimatte.missed import REACH, with_missed
from penumbra_engine.solvers.passing import GUESSED, passing
from penumbra_engine.solvers.plates import Plates

BAND = 0.02  # of the longer side: how far the true edge may lie from the rough mask's, on either side
_LEAST_BAND = 3.0  # px
# Of the noise's variance, and px around: what a part of a mask that shows the background differs from it by.
_PLAIN, _AROUND = 1.5, 3
_FELT = 6  # px: what a pixel's likeness to a shadow is told by


class Boundary(NamedTuple):
    """picture: 3 x H x W. light: 3 x H x W, of the effects, as it goes on under the objects. behind: 3 x H x W, the
    background in that light. variance: H x W, of picture less background. effect: H x W, alpha of the effects around
    the objects. union: H x W bool, the rough masks without what shows the background, and with what they miss."""

    picture: Tensor
    light: Tensor
    behind: Tensor
    variance: Tensor
    effect: Tensor
    union: np.ndarray


def band_of(longer: int, share: float = BAND) -> float:
    """How far the true edge may lie from the rough mask's in a picture by its longer side, px both."""
    return max(_LEAST_BAND, share * longer)


def boundary_of(index: int, plates: Plates, masks: Masks, canvas: Canvas, bound: Bound, band: float) -> Boundary:
    """That of a frame."""
    picture, background = torch.from_numpy(plates.plate[index]), canvas.background(index)
    transmission, effect = bound.read(index)
    union = objects_on(index, picture, background, masks, canvas)
    union = union & ~shows_background(picture, background, canvas.noise.variance(background), canvas.seen(index))
    if not canvas.by_depth and union.any():
        union = with_missed(union, _unlike_beside(index, union, picture, background, canvas))
    light = light_under(transmission, union, band)
    variance = canvas.noise.variance(torch.maximum(picture, background)).mean(0)
    return Boundary(picture, light, background * light, variance, effect, union)


def _unlike_beside(index: int, union: np.ndarray, picture: Tensor, background: Tensor, canvas: Canvas) -> np.ndarray:
    """As of `unlike_a_shadow`, where the objects may go on and the background is known, H x W; 0 elsewhere."""
    near = box_of(torch.from_numpy(union), math.ceil(REACH * max(union.shape)) + _FELT)
    tolerance, known = canvas.tolerance(index)[near], canvas.seen(index)[near] >= OFTEN_SEEN
    unlike = unlike_a_shadow(picture[:, *near], background[:, *near], canvas.noise, tolerance)
    found = np.zeros(union.shape, np.float32)
    found[near] = torch.where(known, unlike, 0.0).numpy()
    return found


def told_beside(index: int, at: Boundary, plates: Plates, canvas: Canvas, motion: Motion, band: float) -> Tensor:
    """What the frames beside one tell of its boundary, 4 x H x W, as of `passing`."""
    trimap, noise = rough_trimap(at.union, band), at.variance / canvas.seen(index).clamp(min=GUESSED)
    return passing(plates, canvas.background, motion, index, trimap, at.light, noise, canvas.seen)


def shows_background(picture: Tensor, background: Tensor, variance: Tensor, seen: Tensor) -> np.ndarray:
    """Where the plate shows nothing but the background, whatever a rough mask says: over a square around, they differ
    by no more than noise. H x W bool."""
    deviation = box(((picture - background).square() / variance).mean(0)[None, None], _AROUND)[0, 0]
    return dilate(((deviation < _PLAIN) & (seen >= OFTEN_SEEN)).numpy(), _AROUND - 1)


def membership(objects: np.ndarray) -> Tensor:
    """To which object a pixel near several belongs, K x H x W summing to 1: the nearest mask, the front one where they
    overlap, with an edge two pixels soft."""
    if len(objects) == 1:
        return torch.ones(1, *objects.shape[1:])
    distance = np.stack([distance_outside(o) - distance_outside(~o) for o in objects])
    taken = np.zeros(objects.shape[1:], bool)
    for k, mask in enumerate(objects):
        distance[k][taken] = np.maximum(distance[k][taken], 1)
        taken |= mask
    distance = distance.clip(-1e6, 1e6)  # of a mask that is empty, or leaves nothing out
    return torch.softmax(-torch.from_numpy(distance).float(), 0)
