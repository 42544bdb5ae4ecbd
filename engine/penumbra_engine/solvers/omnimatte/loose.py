"""Loose: what a mask drawn far around its object takes in of the scene, told by the pattern that shows there."""

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.disturbance import unlike_a_shadow
from penumbra_engine.imaging.extent import box_of
from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.morphology import components_over, dilate, distance_outside
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.state import margin

OFTEN_SEEN = 0.5  # of eight clean samples: only such a background can say that a mask is wrong

_LIKE = 1.3  # standard deviations that remain at most where the background shows, in a shadow or in none
_AHEAD = 1.0  # px before its edge at which neighbourhoods see an object
_AROUND = 4  # px: what has no pattern over so many is as plain as a plain object
_NEAR = 2  # px: over so many a shadow is even
_DARKEST = 1e-3  # scene-linear: below that a ratio tells nothing
_LEAST_LIGHT = 0.3  # of the background's: in less of it a pattern cannot be told from what is dark
_BESIDE = 1.5  # px: what lies at the edge of a mask
_MARGIN = 8  # px that neighbourhoods reach


def objects_on(index: int, picture: Tensor, background: Tensor, masks: Masks, canvas: Canvas) -> np.ndarray:
    """Where the masks say that objects are on a frame, without what is loose. picture, background: 3 x H x W, of that
    frame. H x W bool. A background that was put together by depth says nothing of a mask: near its edges it errs."""
    union = masks.union(index)
    if canvas.by_depth:
        return union
    often = canvas.seen(index) >= OFTEN_SEEN
    return without_loose(union, picture, background, canvas.noise, canvas.tolerance(index), often)


def without_loose(
    mask: np.ndarray, picture: Tensor, background: Tensor, noise: Noise, tolerance: Tensor, often: Tensor
) -> np.ndarray:
    """A rough mask without the parts at its edge that show the background and reach deeper into it than a mask is
    expected to be wrong. H x W bool.

    picture, background: 3 x H x W. tolerance: H x W, px that the background may be out of place by. often: H x W bool,
    where the background was seen so often that it can say that a mask is wrong.

    A mask may be a box around its object. A shadow keeps the pattern of what it falls on, and an object seldom has just
    that; on a plain ground, though, an object of its colour looks like a shadow, so there the mask stands.
    """
    depth, deep = distance_outside(~mask), margin(max(mask.shape))
    if depth.max() <= deep:
        return mask
    within = box_of(torch.from_numpy(mask), _MARGIN)
    rough, depth, tolerance, often = mask[within], depth[within], tolerance[within], often[within]
    picture, background = picture[:, *within], background[:, *within]
    light = (box(picture[None], _NEAR) / box(background[None], _NEAR).clamp(min=_DARKEST))[0]
    told = often & (light.amax(0) > _LEAST_LIGHT)
    like = (told & (unlike_a_shadow(picture, background, noise, tolerance) < _LIKE)).numpy()
    shown = dilate(like, _AHEAD) & rough
    shown = components_over(components_over(shown, depth <= _BESIDE), depth > deep)
    if not shown.any():
        return mask
    plain = box(background[None], _AROUND)[0] * light
    patterned = (unlike_a_shadow(plain, background, noise, tolerance) > _LIKE).numpy()
    tight = mask.copy()
    tight[within] &= ~components_over(shown, shown & like, patterned)
    return tight
