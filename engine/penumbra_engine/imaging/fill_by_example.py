"""Holes in a picture filled by example: with parts of the picture itself that go on from what surrounds them."""

import cv2
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.morphology import components_over, dilate, erode

_LONGEST = 960  # px, of the picture that examples are looked for in
_SMALLEST = 64  # px, of the shorter side
_PATCH = 8  # px: patches so large are compared
_NARROW = 3  # px from all sides: no texture is missed there
_LEAST_AROUND = 2  # times the hole: with less of a picture there are no examples
_NUMBER = np.float32(2.0**-40)  # of a pixel times this is exact, and nothing beside a colour
_RIM = 3  # px around the hole tell how light an example is to be
_MOST_LIGHT = 0.4  # the logarithm of how much lighter than it was
_BLACK = 0.01  # of light: below it ratios are noise


def fill_by_example(picture: Tensor, hole: Tensor) -> Tensor:
    """The picture, 3 x H x W scene-linear, with other parts of it in the hole, H x W bool, as light as its rim.

    A few shifts of a picture onto itself match most of its patches; each pixel of the hole takes one of them such that
    neighbours fit (He & Sun 2012, as OpenCV has it). Texture and lines go on, where a smooth continuation is a blot.
    Where it is narrow, in a small picture, or with too little around, it is continued smoothly.
    """
    smooth = fill_smoothly(picture, (~hole).float())
    wide = components_over(hole.numpy(), erode(hole.numpy(), _NARROW))
    if not wide.any() or min(hole.shape) < _SMALLEST or int(hole.sum()) * (1 + _LEAST_AROUND) > hole.numel():
        return smooth
    examples = _examples(smooth, wide)
    light = _light(smooth, wide, examples)
    return torch.where(torch.from_numpy(wide), (smooth[:, *examples] + _BLACK) * light - _BLACK, smooth)


def _examples(picture: Tensor, hole: np.ndarray) -> np.ndarray:
    """Row and column of the example of each pixel of the hole, 2 x H x W; of the others anything.

    They are looked for in a picture of at most _LONGEST. It has a fourth channel, too faint to count, with the number
    of each pixel: in the filled picture that says where an example was taken from. So it can be taken from the picture
    at its full size, as bright as it is there. Where holes leave no patch whole, each pixel is its own example.
    """
    height, width = hole.shape
    step = -(-max(height, width) // _LONGEST)
    below, beside = -height % step, -width % step
    whole = cv2.copyMakeBorder(np.moveaxis(picture.numpy(), 0, -1), 0, below, 0, beside, cv2.BORDER_REPLICATE)
    small = whole.reshape(whole.shape[0] // step, step, -1, step, 3).mean((1, 3))
    near = np.pad(dilate(hole, 1), ((0, below), (0, beside)), "edge")
    blank = np.asarray(near.reshape(len(small), step, -1, step).any((1, 3)))
    y, x = np.mgrid[:height, :width]
    if not _has_patches(~blank):
        return np.stack([y, x])
    encoded = small.clip(min=0) ** np.float32(1 / 2.4)
    lab = cv2.cvtColor(encoded / max(encoded[~blank].max(), _BLACK), cv2.COLOR_RGB2Lab)
    known = np.dstack([lab, np.arange(blank.size, dtype=np.float32).reshape(blank.shape) * _NUMBER])
    known[blank] = 0
    filled = np.zeros_like(known)
    cv2.setRNGSeed(0)  # the same picture, the same examples
    cv2.xphoto.inpaint(known, np.where(blank, 0, 255).astype(np.uint8), filled, cv2.xphoto.INPAINT_SHIFTMAP)
    found = np.stack(np.divmod((filled[..., 3] / _NUMBER).astype(np.int64), blank.shape[1]))
    return np.minimum(found[:, y // step, x // step] * step + [y % step, x % step], [[[height - 1]], [[width - 1]]])


def _has_patches(known: np.ndarray) -> bool:
    """Whether a patch is known as a whole anywhere."""
    patch = np.ones((_PATCH, _PATCH), np.uint8)
    return bool(cv2.erode(known.astype(np.uint8), patch, borderType=cv2.BORDER_CONSTANT, borderValue=0).any())


def _light(picture: Tensor, hole: np.ndarray, examples: np.ndarray) -> Tensor:
    """What examples are to be multiplied by, 3 x H x W: by how much the pixels of the rim are lighter than those beside
    the examples of the hole's pixels nearest to them, continued over the hole."""
    rim = np.stack(np.nonzero(dilate(hole, _RIM) & ~hole))
    nearest = ndimage.distance_transform_edt(~hole, return_distances=False, return_indices=True)[:, *rim]
    beside = rim + examples[:, *nearest] - nearest
    inside = ((beside >= 0) & (beside < np.array(hole.shape)[:, None])).all(0)
    rim, beside = rim[:, inside], beside[:, inside]
    lit = picture.clamp(min=0) + _BLACK
    lighter = (lit[:, *rim] / lit[:, *beside]).log()
    ratio, told = torch.zeros_like(picture), torch.zeros(hole.shape)
    ratio[:, *rim] = lighter.clamp(-_MOST_LIGHT, _MOST_LIGHT)
    told[*rim] = torch.from_numpy(~hole[*beside]).float()
    return fill_smoothly(ratio, told).exp()
