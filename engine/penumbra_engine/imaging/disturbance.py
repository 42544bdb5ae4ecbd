"""Where a picture differs from the background by more than noise, uneven light and misplaced edges make it differ."""

from collections.abc import Iterable

import torch
from torch import Tensor

from penumbra_engine.imaging.filters import box, box_scatter, local_range
from penumbra_engine.imaging.noise import Noise

LEAST_UNEVEN, MOST_UNEVEN = 0.004, 0.015  # relative: how much too bright or dark a background is over wide parts
_BROAD = 10  # px, the radius of a wide part
_MOSTLY = 0.9  # of a wide part: what has to be seen of it
_WITHIN = 0.8  # of all wide parts: effects, which differ more, cover less than the rest
_AT = 1.2816  # standard deviations that so many lie within
_ALIKE = 9  # px, over which what resampling does to one pixel it does to its neighbours too
_SCATTERED = 4  # px, the same of what samples were found to differ by
_OTHER_LIGHT = 0.03  # relative: what light of another colour may change besides
_COLOURED_LIGHT = 0.1  # relative: the same deep in a shadow, where the sky's light alone is left
_LIGHTS = 3  # times that a pixel's shadow is found
_SHADOW = (0.05, 1.1)  # times the background: what a shadow, or a little more light, leaves of it


def unevenness(seen: Iterable[tuple[Tensor, Tensor, Tensor]], noise: Noise) -> float:
    """By what share backgrounds are too bright or dark over wide parts: corners of a lens, drifting light, rounding.

    seen: (picture, background, apart) of some frames, C x H x W both, apart H x W bool: where nothing is known to hide
    the background. It is the spread of means over 21 x 21 pixels beyond the noise, without the largest fifth.
    """
    found, expected = [], []
    for picture, background, apart in seen:
        share = box(apart[None, None].float(), _BROAD)[0, 0]
        told = torch.zeros_like(apart)
        told[::_BROAD, ::_BROAD] = share[::_BROAD, ::_BROAD] > _MOSTLY
        difference, light, variance = (
            (box((part * apart)[None], _BROAD)[0] / share.clamp(min=_MOSTLY))[:, told]
            for part in (picture - background, background, noise.variance(background))
        )
        found.append((difference / light.clamp(min=1e-3)).abs().flatten())
        expected.append((variance / (2 * _BROAD + 1) ** 2 / light.clamp(min=1e-3).square()).flatten())
    if not sum(f.numel() for f in found):
        return MOST_UNEVEN
    spread = float(torch.cat(found).quantile(_WITHIN)) / _AT
    beyond = max(0.0, spread**2 - float(torch.cat(expected).mean())) ** 0.5
    return min(max(beyond, LEAST_UNEVEN), MOST_UNEVEN)


def disturbance(
    picture: Tensor,
    background: Tensor,
    noise: Noise,
    tolerance: Tensor,
    radius: int = 2,
    uneven: float = LEAST_UNEVEN,
    doubt: Tensor | None = None,
) -> Tensor:
    """By how many standard deviations the mean of a picture over a square differs from the background's.

    picture, background: N x C x H x W; the result N x H x W, the largest over the channels. tolerance: H x W, what
    registration may be off by, in pixels; an edge moved by that much is no disturbance. A square moved as a whole
    changes by the slope of the means; what moves each pixel of it in its own way hardly adds up. uneven: relative, what
    the background may be too bright or dark by. doubt: N x C x H x W, the variance of what each pixel differs by beyond
    the noise, where it was measured; then tolerance tells of what moves as a whole only.
    """
    difference, noisy = picture - background, noise.variance(torch.maximum(picture, background))
    height, width = picture.shape[-2:]
    share, smooth = box_scatter(height, width, radius).to(picture), box(background, radius)
    variance = box(noisy, radius) * share + (uneven * smooth).square()
    moves = (tolerance > 0).float() if doubt is None else torch.ones_like(tolerance)
    if moves.any():
        together = (tolerance * slope(smooth)).square()
        if doubt is None:
            apart = box((tolerance * slope(background)).square(), radius) * (_ALIKE * share)
        else:
            apart = box(doubt, radius) * (_SCATTERED * share).clamp(max=1)
        variance = variance + together + apart + moves * _errs_both_ways(difference, noisy, radius + 1)
    return (box(difference, radius).abs() / variance.sqrt()).amax(1)


def unlike_a_shadow(picture: Tensor, background: Tensor, noise: Noise, tolerance: Tensor) -> Tensor:
    """By how many standard deviations a pixel's surroundings differ from the background under the grey shadow that
    explains them best, root mean square over 5 x 5 pixels. A shadow keeps the pattern of what it falls on and only
    scales it; an object brings its own.

    picture, background: 3 x H x W. tolerance: H x W, what registration may be off by, in pixels. H x W.
    """
    misplaced = tolerance * slope(background[None])[0]
    variance = noise.variance(torch.maximum(picture, background)) + misplaced.square()
    variance = variance + (_OTHER_LIGHT * background).square()
    shadow = box((picture * background / variance).sum(0)[None, None], 2)
    shadow = (shadow / box((background.square() / variance).sum(0)[None, None], 2).clamp(min=1e-6)).clamp(*_SHADOW)
    error = (picture - shadow[0] * background).square() / variance
    return box(error.mean(0)[None, None], 2)[0, 0].sqrt()


def unlike_in_colour(picture: Tensor, background: Tensor, noise: Noise, tolerance: Tensor) -> Tensor:
    """By how many standard deviations a pixel differs from the background in whatever shadow explains it best, root
    mean square over 3 x 3 pixels. Each pixel has a shadow of its own, so that the edge of a shadow is like one, which
    it isn't to unlike_a_shadow; but an object of the background's colour isn't told either.

    picture, background: 3 x H x W. tolerance: H x W, what registration may be off by, in pixels. H x W.
    """
    misplaced = tolerance * slope(background[None])[0]
    known = noise.variance(torch.maximum(picture, background)) + misplaced.square()
    variance = known
    for _ in range(_LIGHTS):  # the darker the shadow, the less does the colour of its light count
        light = (picture * background / variance).sum(0) / (background.square() / variance).sum(0).clamp(min=1e-6)
        light = light.clamp(*_SHADOW)
        variance = known + (_COLOURED_LIGHT * light * background).square()
    error = ((picture - light * background).square() / variance).sum(0) / (len(picture) - 1)
    return box(error[None, None], 1)[0, 0].sqrt()


def _errs_both_ways(difference: Tensor, variance: Tensor, radius: int) -> Tensor:
    """The mean square of a difference to the side on which it is smaller, beyond the noise: an effect darkens or adds
    light, while an edge out of place or blurred by motion errs to both sides. N x C x H x W all."""
    above, below = (box(side.clamp(min=0).square(), radius) for side in (difference, -difference))
    return 2 * (torch.minimum(above, below) - box(variance, radius) / 2).clamp(min=0)


def slope(background: Tensor) -> Tensor:
    """What a pixel's surroundings change by when the picture moves by a pixel, at most. N x C x H x W both."""
    return box(local_range(background, 1), 1) / 2
