"""The light that a background stands in at its brightest: of the frames that a shadow lies on, the least shadowed."""

import torch
from torch import Tensor

from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.median import median
from penumbra_engine.imaging.noise import Noise

_RADIUS = 2  # px that light is compared over
_DEEPEST = 1.2  # logarithm of a change of light: beyond it a sample shows something else
_SCALED = 3.0  # times the noise: what a gain may leave of a difference
_SHOWN = 0.3  # of the square: what has to be seen of it
_CHANCE = 1.5  # standard deviations of noise: the brightest of some frames of one light lies above it by so much
_TYPICAL = 0.05  # logarithm: what a change of the whole frame's light is less than
_AT_REST = 0.01  # logarithm: no change of light
_AT_TIMES, _MOSTLY = 0.4, 0.6  # of the frames: at rest on less than the first it has no rest, on the second it has


class FullLight:
    """The gain from a background to the brightest light that any of the frames shown shows it in.

    A soft shadow that never quite leaves is in the mean of a pixel's samples, and in the most frequent of them; over a
    few pixels together the noise is small enough to tell which frame is hardly shadowed. Only a gain counts: a
    reflection brightens too, but it brings another texture, which no gain explains. Nor does light count that an object
    throws for a while on what is at rest in most frames. What noise alone may make of a light counts for nothing.
    """

    def __init__(self, background: Tensor, noise: Noise) -> None:
        """background: C x H x W scene-linear."""
        self._background = background
        self._precision = background.square() / noise.variance(background)
        self._brightest, self._rests, self._times = (torch.zeros_like(background[0]) for _ in range(3))

    def see(self, picture: Tensor, seen: Tensor) -> None:
        """Take in a frame, C x H x W; seen: H x W bool, where it may show the background."""
        ratio = (picture.clamp(min=1e-4) / self._background.clamp(min=1e-4)).log()
        weight = self._precision * (seen & (ratio.abs() < _DEEPEST))
        total = _pool(weight)
        light = _pool(weight * ratio) / total.clamp(min=1e-9)
        shown = box(seen[None, None].float(), _RADIUS)[0, 0]
        left = _pool(weight * (ratio - light).square()) / shown.clamp(min=1e-6)
        scaled = seen & (left < _SCALED) & (shown > _SHOWN)
        alike = scaled & (light.abs() < _TYPICAL)
        if not alike.any():
            return
        count = (2 * _RADIUS + 1) ** 2 * len(picture)
        noisy = (left.clamp(min=1) / (count * total).clamp(min=1)).sqrt()
        light = light - median(light[alike])
        surely = light * (light / (_CHANCE * noisy) - 1).clamp(0, 1)
        self._brightest = torch.where(scaled, torch.maximum(self._brightest, surely), self._brightest)
        self._rests += seen & (light.abs() < (_AT_REST**2 + noisy.square()).sqrt())
        self._times += seen

    def gain(self) -> Tensor:
        """H x W, at least 1."""
        at_rest = _pool(self._rests[None]) / _pool(self._times[None]).clamp(min=1e-6)
        return (self._brightest * ((_MOSTLY - at_rest) / (_MOSTLY - _AT_TIMES)).clamp(0, 1)).exp()


def _pool(picture: Tensor) -> Tensor:
    """Mean over the channels and a square. C x H x W; H x W."""
    return box(picture.mean(0)[None, None], _RADIUS)[0, 0]
