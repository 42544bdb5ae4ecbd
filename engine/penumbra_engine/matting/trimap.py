"""Trimaps as the solvers read them: 0 background, 1 foreground, all between unknown."""

import cv2
import numpy as np
import torch
from torch import Tensor

from penumbra_engine.errors import InputError

_BACKGROUND, _FOREGROUND = 0.1, 0.9  # a half kept in 8 bits is no exact half
_SMALLEST = 3  # px


def split(picture: Tensor, trimap: Tensor) -> tuple[Tensor, Tensor]:
    """The unknown and the foreground pixels of a trimap T x 1 x H x W, as bool of its shape.

    picture: T x C x H x W. Raises InputError when the shapes don't fit, when a value is no number, and for a frame that
    has unknown pixels but no background. A frame without foreground is legal (smoke, glass), and so is one without
    unknown pixels.
    """
    if trimap.ndim != 4 or trimap.shape[1] != 1 or trimap.shape[-2:] != picture.shape[-2:]:
        raise InputError(
            f"the trimap is {_size(trimap)}, the picture {_size(picture)}: a trimap has one channel and the picture's "
            "size; scale or crop it to the picture"
        )
    if len(trimap) != len(picture):
        raise InputError(f"there are {len(trimap)} trimaps for {len(picture)} pictures: give one for each frame")
    if min(picture.shape[-2:]) < _SMALLEST:
        raise InputError(f"the picture is {_size(picture)}; it needs at least {_SMALLEST} x {_SMALLEST} pixels")
    for name, values in (("picture", picture), ("trimap", trimap)):
        if not torch.stack(values.aminmax()).isfinite().all():  # NaN is the least and the most of all
            raise InputError(
                f"the {name} holds values that are no number (NaN or infinite); replace them by a finite one"
            )
    foreground, background = trimap >= _FOREGROUND, trimap <= _BACKGROUND
    unknown = ~(foreground | background)
    unbound = unknown.flatten(1).any(1) & ~background.flatten(1).any(1)
    if unbound.any():
        raise InputError(
            f"the trimap has no background (0) in picture {int(unbound.nonzero()[0])} of {len(trimap)}: alpha has "
            "nothing to end at; mark some pixels that are surely background with 0"
        )
    return unknown, foreground


def dilated(chosen: Tensor, radius: int) -> Tensor:
    """H x W bool, grown by `radius` to all eight sides."""
    square = np.ones((2 * radius + 1,) * 2, np.uint8)
    shape = np.ascontiguousarray(chosen.cpu().numpy()).view(np.uint8)
    return torch.from_numpy(cv2.dilate(shape, square).view(bool)).to(chosen.device)


def _size(picture: Tensor) -> str:
    return " x ".join(str(side) for side in picture.shape)
