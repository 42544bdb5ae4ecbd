"""What a pixel looks like when nothing is in front of it, from samples over time of which many are disturbed."""

from collections.abc import Iterable

import torch
from torch import Tensor

from penumbra_engine.imaging.filters import box, local_range
from penumbra_engine.imaging.noise import Noise

_CANDIDATES = 40  # samples in time that may stand for the background
_KERNEL = 12.0  # a sample 2.4 sigma away counts a half
_MIN_SAMPLES = 4
UNEVEN = (0.004, 0.015)  # relative: how much too bright or dark a background is over wide parts, at least and at most
_BROAD = 10  # px, the radius of a wide part
_MOSTLY = 0.9  # of a wide part: what has to be seen of it
_WITHIN = 0.8  # of all wide parts: effects, which differ more, cover less than the rest
_AT = 1.2816  # standard deviations that so many lie within
_ALIKE = 9  # px, over which what resampling does to one pixel it does to its neighbours too
_OTHER_LIGHT = 0.03  # relative: what light of another colour may change besides
_SHADOW = (0.05, 1.1)  # times the background: what a shadow, or a little more light, leaves of it


def masked_median(samples: Tensor, valid: Tensor) -> Tensor:
    """Median in time of the valid samples, 0 where there is none. T x C x H x W and T x H x W bool; C x H x W."""
    holed = torch.where(valid[:, None], samples, torch.nan)
    return torch.nan_to_num(holed.nanmedian(0).values)


def undisturbed(samples: Tensor, valid: Tensor, noise: Noise) -> Tensor:
    """The colour at which a pixel rests. T x C x H x W and T x H x W bool; C x H x W, 0 where nothing is valid.

    Of all samples, the one that many others agree with within the noise, the brighter preferred: a shadow darkens, and
    a pixel that was lit on some frames is darker on others. Where samples spread by no more than noise this is their
    median. The agreement is that of 3 x 3 means, the colour a weighted mean of the pixel's own samples.
    """
    background = masked_median(samples, valid)
    smooth = box(samples, 1)
    deviation = box(((samples - background).square() / noise.variance(background)).mean(1, keepdim=True), 1)[:, 0]
    disturbed = (valid & (deviation > 2)).float().sum(0) > 0.1 * valid.sum(0)
    if disturbed.any():
        # In pieces: the agreement of every sample with every other takes T x T numbers a pixel.
        places = disturbed.nonzero()
        for piece in places.split(1 << 14):
            y, x = piece.T
            median = background[:, y, x]
            sigma = noise.variance(median).sqrt() / 2  # of a 3 x 3 mean, with room for what resampling correlates
            background[:, y, x] = _mode(samples[:, :, y, x], smooth[:, :, y, x], valid[:, y, x].float(), median, sigma)
    return background


def undisturbed_near(samples: Tensor, weight: Tensor, noise: Noise, tolerance: float) -> Tensor:
    """The same of samples that are not alike good: T x C x H x W and their weights T x H x W, 0 for none; C x H x W.

    tolerance: px, what samples may be out of place by. Where they agree within noise and that, the result is their
    weighted mean.
    """
    valid = weight > 0
    median = masked_median(samples, valid)
    error = (tolerance * slope(median[None])[0]).square() + (UNEVEN[1] * median).square()
    variance = noise.variance(median)
    mean = (weight[:, None] * samples).sum(0) / weight.sum(0).clamp(min=1e-6)
    deviation = box(((samples - median).square() / (variance + error)).mean(1, keepdim=True), 1)[:, 0]
    disturbed = (valid & (deviation > 2)).float().sum(0) > 0.1 * valid.sum(0)
    smooth, sigma = box(samples, 1), (variance / 4 + error).sqrt()
    for piece in disturbed.nonzero().split(1 << 14):
        y, x = piece.T
        mean[:, y, x] = _mode(samples[:, :, y, x], smooth[:, :, y, x], weight[:, y, x], median[:, y, x], sigma[:, y, x])
    return mean


def _mode(samples: Tensor, smooth: Tensor, shares: Tensor, median: Tensor, sigma: Tensor) -> Tensor:
    """Of N pixels: samples and smooth T x C x N, shares T x N (0 for no sample), median C x N and the deviation of
    what is smooth C x N; C x N."""
    count, valid = len(samples), shares > 0
    scaled = smooth / sigma
    brightness = torch.where(valid, smooth.mean(1), -torch.inf)
    rank = brightness.argsort(0).argsort(0).float()
    rank = (rank - (count - valid.sum(0))).clamp(min=0) / valid.sum(0).clamp(min=1)
    chosen = torch.linspace(0, count - 1, min(count, _CANDIDATES)).round().long().unique()
    best = torch.full_like(rank[0], -1)
    centre = smooth[0].clone()
    for candidate in chosen.tolist():
        agreement = _agreement(scaled[chosen] - scaled[candidate], valid[chosen]).sum(0)
        score = torch.where(valid[candidate], agreement.sqrt() * (1 + 6 * rank[candidate].square()), -1.0)
        better = score > best
        best = torch.where(better, score, best)
        centre = torch.where(better, smooth[candidate], centre)
    for _ in range(3):
        weight = _agreement((smooth - centre) / sigma, valid)
        centre = (weight[:, None] * smooth).sum(0) / weight.sum(0).clamp(min=1e-6)
    weight = weight * shares
    colour = (weight[:, None] * samples).sum(0) / weight.sum(0).clamp(min=1e-9)
    return torch.where(valid.any(0), colour, median)


def _agreement(difference: Tensor, valid: Tensor) -> Tensor:
    # No smaller than that: denormal numbers are slow.
    return torch.exp(-(difference.square().sum(1) / _KERNEL).clamp(max=60)) * valid


def mean_of_clean(samples: Tensor, clean: Tensor, fallback: Tensor) -> Tensor:
    """Mean in time of the clean samples; the fallback where there are fewer than 4. T x C x H x W, T x H x W bool,
    C x H x W; C x H x W."""
    count = clean.sum(0)
    mean = torch.where(clean[:, None], samples, 0.0).sum(0) / count.clamp(min=1)
    return torch.where(count >= _MIN_SAMPLES, mean, fallback)


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
        return UNEVEN[1]
    spread = float(torch.cat(found).quantile(_WITHIN)) / _AT
    beyond = max(0.0, spread**2 - float(torch.cat(expected).mean())) ** 0.5
    return min(max(beyond, UNEVEN[0]), UNEVEN[1])


def disturbance(
    picture: Tensor, background: Tensor, noise: Noise, tolerance: Tensor, radius: int = 2, uneven: float = UNEVEN[0]
) -> Tensor:
    """By how many standard deviations the mean of a picture over a square differs from the background's.

    picture, background: N x C x H x W; the result N x H x W, the largest over the channels. tolerance: H x W, what
    registration may be off by, in pixels; an edge moved by that much is no disturbance. A square moved as a whole
    changes by the slope of the means; what moves each pixel of it in its own way hardly adds up. uneven: relative, what
    the background may be too bright or dark by.
    """
    difference, noisy = picture - background, noise.variance(torch.maximum(picture, background))
    count, smooth = (2 * radius + 1) ** 2, box(background, radius)
    variance = box(noisy, radius) / count + (uneven * smooth).square()
    moves = (tolerance > 0).float()
    if moves.any():
        together = (tolerance * slope(smooth)).square()
        apart = box((tolerance * slope(background)).square(), radius) * (_ALIKE / count)
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


def _errs_both_ways(difference: Tensor, variance: Tensor, radius: int) -> Tensor:
    """The mean square of a difference to the side on which it is smaller, beyond the noise: an effect darkens or adds
    light, while an edge out of place or blurred by motion errs to both sides. N x C x H x W all."""
    above, below = (box(side.clamp(min=0).square(), radius) for side in (difference, -difference))
    return 2 * (torch.minimum(above, below) - box(variance, radius) / 2).clamp(min=0)


def slope(background: Tensor) -> Tensor:
    """What a pixel's surroundings change by when the picture moves by a pixel, at most. N x C x H x W both."""
    return box(local_range(background, 1), 1) / 2
