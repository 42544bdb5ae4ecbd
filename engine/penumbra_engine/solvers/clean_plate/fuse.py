"""Fuse: the light of a clean plate with the detail of the shot's own background."""

from typing import NamedTuple

import torch
from torch import Tensor

from penumbra_engine.imaging.disturbance import slope
from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.imaging.noise import Noise

_RADIUS = 0.02  # of the longer side: over more than that the clean plate says how light it is
_OFTEN = 0.5  # of what the shot calls well seen: from there on its own background is believed whole
_UNLIKE = 4.0  # times the variance that noise and the clean plate's place explain, over 5 x 5 pixels
_RESAMPLED = 0.25  # px: what resampling does to the clean plate besides


class Fused(NamedTuple):
    """background: 3 x H x W. own: H x W in [0, 1], how much of its detail is the shot's own."""

    background: Tensor
    own: Tensor


def fuse(found: Tensor, seen: Tensor, matched: Tensor, inside: Tensor, noise: Noise, tolerance: Tensor) -> Fused:
    """One background of two that each are wrong in another way.

    found: 3 x H x W, what a static shot itself shows: exactly in place and nearly without noise, but where a shadow
    never leaves it has that shadow. seen: H x W in [0, 1], how often. matched: 3 x H x W, the clean plate, registered
    and exposed like the shot: no shadow, but noise, resampling and parallax. inside: H x W bool, where it reaches.
    tolerance: H x W, px by which it may be out of place.

    The quotient of their means over wide squares says what light is missing in the first. Where the two still differ
    then, the first is wrong (something that never moved away): there, and where the shot has not shown it, the second
    stands.
    """
    radius = max(2, round(_RADIUS * max(found.shape[1:])))
    own = (seen / _OFTEN).clamp(max=1)
    lit = found * _lack_of_light(found, matched, own * inside, radius)
    # Noise of both, and what the clean plate is out of place by. Squares, for two textures may have one mean.
    variance = 2 * noise.variance(lit) + ((tolerance + _RESAMPLED) * slope(lit[None])[0]).square()
    error, reached = ((matched - lit).square() / variance).mean(0) * inside, inside.float()
    misfit = box(error[None, None], 2)[0, 0] / box(reached[None, None], 2)[0, 0].clamp(min=1e-6)
    unlike = dilate(((misfit > _UNLIKE) & inside).numpy(), 2)
    own = own * (1 - torch.from_numpy(unlike).float())
    # Once more without what turned out to be wrong.
    lit = found * _lack_of_light(found, matched, own * inside, radius)
    own = torch.where(inside, own, 1.0)
    return Fused(own * lit + (1 - own) * matched, own)


def _lack_of_light(found: Tensor, matched: Tensor, weight: Tensor, radius: int) -> Tensor:
    """By what the one is to be multiplied to be as light as the other, 3 x H x W; continued where nothing weighs."""
    means = [box((picture * weight)[None], radius)[0] for picture in (matched, found)]
    share = box(weight[None, None], radius)[0, 0]
    return fill_smoothly(means[0] / means[1].clamp(min=1e-6), (share > 0.05).float())
