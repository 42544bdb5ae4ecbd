"""What moves in front of a camera that stands: leaves, water, the camera's own shaking."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.imaging.disturbance import slope
from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.noise import Noise

_LEAST, _MOST = 0.1, 4.0  # px: below that it is noise, and beyond it no edge is told from another
_STRAY = 2.0  # times what it moves by from frame to frame: how far it gets from where it rests
_OFTEN = 0.25  # of the pairs: what moves on fewer than the rest of them is an object's doing
_HIDDEN = 0.5  # of the pairs: a part of a block that objects hide on more of them tells nothing
PARTS = 4  # of a block along each side: what passes through it is in each of them for a while only
_SHOWN = 0.25  # of such a part: what has to be seen of it
_TEXTURED = 0.25  # of the slope of a block: parts that have more tell whether it sways
_TOGETHER = 0.6  # of those: on fewer something stays for long, or turns in place
_MOSTLY = 0.8  # of the samples: what passes changes a pixel on fewer than the rest
_AT = 1.2816  # standard deviations that so many lie within
_BESIDE = 3  # px: an edge that sways lies beside where it lay
_LIT = 3  # px around a pixel that light falls on evenly
_MOVED = 0.5  # of a difference: when a change of light leaves less of it, nothing moved


def sway(pairs: Iterable[tuple[Tensor, Tensor, Tensor]], noise: Noise, block: int) -> Tensor:
    """By how many pixels each block of a picture strays on its own; rows x columns, 0 where it rests. block: px, a
    multiple of PARTS.

    pairs: (a, b, valid) of neighbouring frames, a and b C x H x W in one exposure, valid H x W bool. It is what the
    difference beyond the noise comes to over the slopes, the lower quarter over the pairs of each small part of a
    block: an object, a shadow or a reflection that passes changes a part on some frames, even one that never leaves the
    block; leaves in the wind change all of them on all. A change of light is none: a soft shadow may lie on a block all
    the time and change slowly, which dims what is there and moves nothing. Where something passes so slowly that parts
    are never rid of it, others of the same block are, so most of those with any texture have to sway.
    """
    part = block // PARTS
    found, slopes = [], []
    for a, b, valid in pairs:
        light = (a + b) / 2
        expected = noise.variance(a) + noise.variance(b)
        changed, moved = (
            (d.square() - expected).mean(0) for d in ((a - b) * valid, _beyond_light((a - b) * valid, light * valid))
        )
        steep = slope(light[None])[0].square().mean(0)
        changed, moved, steep, shown = (
            _blocks(x * valid, part) for x in (changed, moved, steep, torch.ones_like(moved))
        )
        seen = shown > _SHOWN
        found.append(torch.where(seen, torch.where(moved > _MOVED * changed, changed, 0.0) / shown, torch.nan))
        slopes.append(torch.where(seen, steep / shown, torch.nan))
    each = torch.stack(found)
    known = each.isnan().float().mean(0) <= _HIDDEN
    changes = torch.where(known, each.nanquantile(_OFTEN, 0), 0.0).clamp(min=0)
    steep = torch.where(known, torch.stack(slopes).nanmean(0), 0.0)
    mean = _blocks(steep, PARTS)
    step = (_blocks(changes, PARTS) / mean.clamp(min=1e-12)).sqrt()
    rows, columns = steep.shape
    textured = steep > _TEXTURED * mean.repeat_interleave(PARTS, 0).repeat_interleave(PARTS, 1)[:rows, :columns]
    sways = textured & (changes > _LEAST**2 * steep)
    together = _blocks(sways.float(), PARTS) >= _TOGETHER * _blocks(textured.float(), PARTS)
    return torch.where((step >= _LEAST) & together, (_STRAY * step).clamp(max=_MOST), 0.0)


def strayed(samples: Tensor, told: Tensor, background: Tensor, noise: Noise) -> Tensor:
    """The variance, beyond the noise, of what swaying makes of a background, C x H x W: a twig or a line that is not
    where it was on most frames is hardly to be seen in the background itself, whose slopes then tell nothing.

    samples: T x C x H x W, those that are told of (T x H x W bool) far from all objects; background: C x H x W. It is
    taken from the four fifths of them that differ least, and is the largest of 3 x 3 pixels.
    """
    away = torch.where(told[:, None], (samples - background).abs(), torch.nan)
    spread = torch.nan_to_num(away.nanquantile(_MOSTLY, 0)) / _AT
    return F.max_pool2d((spread.square() - noise.variance(background)).clamp(min=0)[None], _BESIDE, 1, _BESIDE // 2)[0]


def _beyond_light(difference: Tensor, light: Tensor) -> Tensor:
    """What a difference holds that no gain of the light around a pixel explains, in least squares. C x H x W."""
    fit, power = (box(x.mean(0)[None, None], _LIT)[0] for x in (light * difference, light * light))
    return difference - light * fit / power.clamp(min=1e-12)


def _blocks(picture: Tensor, block: int) -> Tensor:
    """Means over blocks, those at the edges filled with zeros. H x W."""
    height, width = picture.shape
    padded = F.pad(picture[None, None], (0, -width % block, 0, -height % block))
    return F.avg_pool2d(padded, block)[0, 0]
