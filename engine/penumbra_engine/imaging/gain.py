"""The gain of one picture over another of the same scene, where much of either may be in shadow."""

import torch
from torch import Tensor

from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.median import median

_RADIUS = 2  # px: means over 5 x 5 have a fifth of the noise, so that one exposure is one peak
_APART = 2  # px between the means that are looked at
_DARK = 0.1  # of the median brightness: below that a ratio is mostly noise
_WIDTHS = (0.2, 0.1, 0.05, 0.03, 0.02, 0.02)  # natural logarithm, how far from the peak a ratio may lie
_LEAST = 50  # of them


def exposure_ratio(picture: Tensor, reference: Tensor, valid: Tensor) -> Tensor:
    """By what most of a picture is brighter than the reference, one factor a channel.

    picture, reference: C x H x W scene-linear; valid: H x W bool, where both show the same scene; the result C. It is
    the peak of the ratios' distribution (mean shift with medians): a shadow on a part of either picture does not pull
    at it, as it would at a median of all. 1 where fewer than 50 squares can say.
    """
    # Neighbours' means are alike: some of them tell what all do.
    above, below = (box(of[None], _RADIUS)[0][:, ::_APART, ::_APART] for of in (picture, reference))
    light, valid = torch.minimum(above.amin(0), below.amin(0)), valid[::_APART, ::_APART]
    if not valid.any():
        return torch.ones(len(picture))
    told = valid & (light > torch.clamp(_DARK * median(light[valid]), min=1e-4))
    if told.sum() < _LEAST:
        return torch.ones(len(picture))
    ratios = (above[:, told] / below[:, told]).log()
    return torch.stack([_peak(ratio) for ratio in ratios]).exp()


def _peak(values: Tensor) -> Tensor:
    centre = median(values)
    for width in _WIDTHS:
        near = values[(values - centre).abs() < width]
        if not len(near):
            break
        centre = median(near)
    return centre
