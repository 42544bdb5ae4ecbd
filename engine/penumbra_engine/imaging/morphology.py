"""Binary shapes H x W: growing, shrinking, distances, components."""

import cv2
import numpy as np
import torch
from scipy import ndimage

from penumbra_engine.imaging.extent import box_of

_TRUSTED = 0.2  # of a seed
_PART, _SURE = 0.05, 0.6  # alpha: what a part of a matte has more of, and what it is surely the object from


def distance_outside(shape: np.ndarray) -> np.ndarray:
    """Distance in pixels of each pixel to the nearest one of `shape` (H x W bool); infinite where there is none."""
    if not shape.any():
        return np.full(shape.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform((~shape).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


def dilate(shape: np.ndarray, radius: float) -> np.ndarray:
    """All pixels within `radius` of the shape. H x W bool."""
    grown = np.zeros_like(shape)
    if shape.any():  # what is farther away need not be measured
        near = box_of(torch.from_numpy(shape), int(min(radius, max(shape.shape))) + 1)
        grown[near] = distance_outside(shape[near]) <= radius
    return grown


def erode(shape: np.ndarray, radius: float) -> np.ndarray:
    """The pixels of the shape that are more than `radius` away from what is not in it. H x W bool."""
    return distance_outside(~shape) > radius


def components_over(shape: np.ndarray, seed: np.ndarray, trusted: np.ndarray | None = None) -> np.ndarray:
    """The connected parts of `shape` that hold a pixel of `seed` (hysteresis), and where `trusted` is given, those of
    whose seed a fifth or more lies there. H x W bool all."""
    labels, count = ndimage.label(shape, np.ones((3, 3), int))
    seeds = np.bincount(labels[seed & shape], minlength=count + 1)
    within = seeds if trusted is None else np.bincount(labels[seed & shape & trusted], minlength=count + 1)
    kept = (seeds > 0) & (within >= _TRUSTED * seeds)
    kept[0] = False
    return kept[labels]


def sure_parts(alpha: np.ndarray) -> np.ndarray:
    """The parts of an alpha, H x W, that are somewhere surely the object; the others are specks. H x W bool."""
    return components_over(alpha > _PART, alpha > _SURE)
