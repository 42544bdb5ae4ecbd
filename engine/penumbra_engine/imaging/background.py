"""What a pixel looks like when nothing is in front of it, from samples over time of which many are disturbed."""

import torch
from torch import Tensor

from penumbra_engine.imaging.disturbance import MOST_UNEVEN, slope
from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.noise import Noise

_CANDIDATES = 40  # samples in time that may stand for the background
_KERNEL = 12.0  # a sample 2.4 sigma away counts a half
_MIN_SAMPLES = 4


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
    error = (tolerance * slope(median[None])[0]).square() + (MOST_UNEVEN * median).square()
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
