"""What a pixel looks like when nothing is in front of it, from samples over time of which many are disturbed."""

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.disturbance import MOST_UNEVEN, slope
from penumbra_engine.imaging.extent import box_of
from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.noise import Noise

_CANDIDATES = 40  # samples in time that may stand for the background
_KERNEL = 12.0  # a sample 2.4 sigma away counts a half
_VOTERS = 4  # px: which frame shows the background is put to the vote of so many around
_OTHER_LIGHT = 0.05  # of a colour in full light: what its shadow may differ by besides, for it is lit by the sky alone
_MIN_SAMPLES = 4
_LEAST_DISTURBED = 0.25  # of the samples tell how much a place is always disturbed
_QUARTER_OF_SQUARES = 0.1015  # of its variance: below it is the square of a normal number in a quarter of all cases
REACH = _VOTERS + 2  # px: the surroundings of a pixel that decide about it


def masked_median(samples: Tensor, valid: Tensor) -> Tensor:
    """Median in time of the valid samples, 0 where there is none. T x C x H x W and T x H x W bool; C x H x W."""
    # NumPy sorts twice as fast as torch finds medians.
    ordered = torch.from_numpy(np.sort(torch.where(valid[:, None], samples, torch.inf).numpy(), axis=0))
    middle = (valid.sum(0) - 1).clamp(min=0) // 2
    median = ordered.gather(0, middle.expand(1, *samples.shape[1:]))[0]
    return torch.where(valid.any(0), median, 0.0)


def undisturbed(samples: Tensor, valid: Tensor, noise: Noise, trust: Tensor, wanted: Tensor | None = None) -> Tensor:
    """The colour at which a pixel rests. T x C x H x W and T x H x W bool; C x H x W, 0 where nothing is valid. trust:
    T x H x W, more than 0: how many samples each counts as when they are put to the vote. wanted: H x W bool, all
    where it is None; elsewhere the median will do.

    Of all samples, the one that many others agree with within the noise, preferred as far as others look like it in a
    shadow: a pixel that was lit on some frames is darker on others, in the same colour. One that only is brighter may
    be the reflection that an object throws. Where samples spread by no more than noise this is their median. The
    agreement is that of 3 x 3 means, the colour a weighted mean of the pixel's own samples.
    """
    background = masked_median(samples, valid)
    variance = noise.variance(background)
    disturbed = _disturbed(samples, valid, background, variance)
    disturbed = disturbed if wanted is None else disturbed & wanted
    # Of a 3 x 3 mean, with room for what resampling correlates.
    return _at_rest(background, disturbed, samples, valid.float(), background, variance.sqrt() / 2, valid * trust)


def undisturbed_near(
    samples: Tensor, weight: Tensor, mean: Tensor, noise: Noise, tolerance: float
) -> tuple[Tensor, Tensor]:
    """The same of samples that are not alike good: T x C x H x W, their weights T x H x W, 0 for none, and their
    weighted mean C x H x W; C x H x W, and where samples differ, H x W bool.

    tolerance: px, what samples may be out of place by. Where they agree within noise and that, it stays at the mean.
    """
    valid = weight > 0
    median = masked_median(samples, valid)
    error = (tolerance * slope(median[None])[0]).square() + (MOST_UNEVEN * median).square()
    variance = noise.variance(median)
    disturbed = _disturbed(samples, valid, median, variance + error)
    return _at_rest(mean, disturbed, samples, weight, median, (variance / 4 + error).sqrt(), valid.float()), disturbed


class Gathered:
    """The weighted mean of samples that come one by one, and how far they scatter. C x H x W all.

    times: H x W, how many samples had a weight.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        self._total, self._squares = torch.zeros(2, channels, height, width)
        self._weight, self._weight_squares, self.times = torch.zeros(3, height, width)

    def add(self, sample: Tensor, weight: Tensor) -> None:
        """Take in a sample, C x H x W, and its weights, H x W."""
        weighted = sample * weight
        self._total += weighted
        self._squares.addcmul_(weighted, sample)
        self._weight += weight
        self._weight_squares.addcmul_(weight, weight)
        self.times += weight > 0

    @property
    def mean(self) -> Tensor:
        """0 where there is no weight."""
        return self._total / self._weight.clamp(min=1e-6)

    def doubt(self, noise: Noise) -> Tensor:
        """The variance of what a further sample differs by from the mean, beyond the noise: a coarse grid of pixels
        shows a fine texture as something else each time, and so do wrong places, and what moves on its own. 0 where
        there is but one sample, which tells nothing of itself."""
        mean = self.mean
        count = (self._weight.square() / self._weight_squares.clamp(min=1e-9)).clamp(min=1)  # of samples of one weight
        spread = (self._squares / self._weight.clamp(min=1e-6) - mean.square()).clamp(min=0)
        beyond = (spread * count / (count - 1).clamp(min=0.5) - noise.variance(mean)).clamp(min=0)
        return torch.where(self.times > 1, beyond * (1 + 1 / count), 0.0)


def gather(samples: Tensor, weight: Tensor) -> Gathered:
    """Samples T x C x H x W that are there already, and their weights T x H x W."""
    gathered = Gathered(*samples.shape[1:])
    for sample, share in zip(samples, weight, strict=True):
        gathered.add(sample, share)
    return gathered


def least_doubt(doubt: Tensor, times: Tensor, background: Tensor, tolerance: Tensor | float) -> Tensor:
    """A doubt where fewer than three samples tell of it: that of a background that may be out of place by so many
    pixels. C x H x W, H x W, C x H x W and H x W; C x H x W."""
    feared = (tolerance * slope(background[None])[0]).square()
    return torch.where(times > 2, doubt, torch.maximum(doubt, feared))


def unrest(samples: Tensor, valid: Tensor, background: Tensor, noise: Noise) -> Tensor:
    """The variance of what a place differs by on most frames, beyond the noise: leaves in the wind, and rims that are
    fetched from beside. S x C x N, S x N bool, C x N; C x N.

    It is told by the quarter of the samples that differ least, so that a shadow which passes adds nothing to it.
    """
    away = torch.where(valid[:, None], (samples - background).square(), torch.inf).sort(0).values
    at = ((valid.sum(0) - 1).clamp(min=0) * _LEAST_DISTURBED).long()
    quarter = away.gather(0, at.expand(1, *background.shape))[0]
    beyond = (quarter / _QUARTER_OF_SQUARES - noise.variance(background)).clamp(min=0)
    return torch.where(valid.any(0), beyond, 0.0)


def _disturbed(samples: Tensor, valid: Tensor, centre: Tensor, variance: Tensor) -> Tensor:
    """Where over a tenth of the valid samples lie farther from the centre than its variance (C x H x W both) makes
    likely, H x W bool."""
    often = torch.zeros_like(centre[0])
    for sample, here in zip(samples, valid, strict=True):  # one by one they stay in the processor's cache
        often += here & (box(((sample - centre).square_() / variance).mean(0)[None, None], 1)[0, 0] > 2)
    return often > 0.1 * valid.sum(0)


def _at_rest(
    picture: Tensor,
    disturbed: Tensor,
    samples: Tensor,
    shares: Tensor,
    median: Tensor,
    sigma: Tensor,
    voices: Tensor,
) -> Tensor:
    """The picture, C x H x W, with the colour at rest where it is disturbed, H x W bool.

    shares, voices: T x H x W, what a sample counts for in the mean and in the vote, 0 for no sample. sigma: C x H x W,
    the deviation of a sample's 3 x 3 mean. Which frame to go by is put to the vote of a pixel's neighbours: light
    changes smoothly, and where no colour has many samples the choice of each pixel alone is that of its noise.
    """
    if not disturbed.any():
        return picture
    rows, columns = box_of(disturbed, REACH)
    disturbed, samples, shares, median, sigma, voices = (
        of[..., rows, columns] for of in (disturbed, samples, shares, median, sigma, voices)
    )
    valid, smooth, count = shares > 0, box(samples, 1), len(samples)
    chosen = torch.linspace(0, count - 1, min(count, _CANDIDATES)).round().long().unique()
    votes = torch.zeros(len(chosen), *disturbed.shape)
    # In pieces: the agreement of every sample with every other takes T x T numbers a pixel.
    pieces = [place.T for place in disturbed.nonzero().split(1 << 14)]
    for y, x in pieces:
        votes[:, y, x] = _votes(smooth[:, :, y, x], voices[:, y, x], sigma[:, y, x], chosen)
    votes = torch.where(valid[chosen], box(votes[None], _VOTERS)[0], -1.0)
    centre = chosen[votes.max(0).indices]  # argmax takes twice as long
    picture = picture.clone()
    inside = picture[:, rows, columns]
    for y, x in pieces:
        inside[:, y, x] = _colour(
            samples[:, :, y, x], smooth[:, :, y, x], shares[:, y, x], median[:, y, x], sigma[:, y, x], centre[y, x]
        )
    return picture


def _votes(smooth: Tensor, voices: Tensor, sigma: Tensor, chosen: Tensor) -> Tensor:
    """For the chosen frames, how many others agree with each, preferred by the share of voices that are for the same in
    a shadow. T x C x N, T x N, C x N; K x N."""
    scaled = smooth / sigma
    squares, total = scaled.square(), voices.sum(0).clamp(min=1e-9)
    shadowed = [(_in_shadow(scaled, squares, colour) * voices).sum(0) / total for colour in scaled[chosen]]
    scaled = scaled[chosen]
    agreement = torch.stack([_agreement(scaled - candidate, voices[chosen]).sum(0) for candidate in scaled])
    return agreement.sqrt() * (1 + 6 * torch.stack(shadowed).square()) * (voices[chosen] > 0)


def _in_shadow(samples: Tensor, squares: Tensor, colour: Tensor) -> Tensor:
    """How well a shadow on a colour explains each sample, in [0, 1]; 0 for those that are no darker. In standard
    deviations, squares those of the samples. T x C x N twice, C x N; T x N."""
    weight = 1 / (1 + (_OTHER_LIGHT * colour).square())
    energy = (colour.square() * weight).sum(0).clamp(min=1e-9)
    along = (samples * (colour * weight)).sum(1)
    darker = samples.sum(1) < colour.sum(0)
    return _likeness((squares * weight).sum(1) - along.square() / energy) * darker


def _colour(samples: Tensor, smooth: Tensor, shares: Tensor, median: Tensor, sigma: Tensor, centre: Tensor) -> Tensor:
    """Mean of the samples that agree with that of the frame `centre`, N. T x C x N, shares T x N, median and sigma
    C x N; C x N."""
    valid = shares > 0
    middle = smooth.gather(0, centre[None, None].expand(1, smooth.shape[1], -1))[0]
    for _ in range(3):
        weight = _agreement((smooth - middle) / sigma, valid)
        middle = (weight[:, None] * smooth).sum(0) / weight.sum(0).clamp(min=1e-6)
    weight = weight * shares
    colour = (weight[:, None] * samples).sum(0) / weight.sum(0).clamp(min=1e-9)
    return torch.where(valid.any(0), colour, median)


def _agreement(difference: Tensor, voices: Tensor) -> Tensor:
    return _likeness(difference.square().sum(1)) * voices


def _likeness(squares: Tensor) -> Tensor:
    """By how many standard deviations squared two colours differ; any shape."""
    return torch.exp(-(squares / _KERNEL).clamp(max=60))  # no smaller than that: denormal numbers are slow


def mean_of_clean(samples: Tensor, clean: Tensor, fallback: Tensor) -> Tensor:
    """Mean in time of the clean samples; the fallback where there are fewer than 4. T x C x H x W, T x H x W bool,
    C x H x W; C x H x W."""
    count = clean.sum(0)
    mean = torch.where(clean[:, None], samples, 0.0).sum(0) / count.clamp(min=1)
    return torch.where(count >= _MIN_SAMPLES, mean, fallback)
