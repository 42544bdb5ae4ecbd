"""What a known background says of alpha: its likelihood, with the colour of the foreground integrated out."""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from penumbra_engine.matting.expected_alpha import by_expected_alpha
from penumbra_engine.matting.rough_edge import by_rough_edge

_CANDIDATES = 48  # foreground pixels near each unknown one
_THIN = 8  # of the foreground pixels one of so many is a candidate: near ones alone would all look the same
_LEVELS = 17  # alphas that are compared
_WHOLE = 0.2  # how likely beforehand a pixel is all foreground, and all background, beside 1 for all between
_TEXTURE = 0.02  # relative deviation of a foreground colour from a candidate, in any direction
_SHADING = 0.3  # the same along its own direction: what is lit more or less
_DEEPEST = 0.1  # of the light: what a shadow leaves at least
_LEAST = 1e-8  # variance of a picture without noise
_AT_ONCE = 16_384  # pixels


class Evidence(NamedTuple):
    """mean, variance: of alpha by its likelihood. misfit: in standard deviations squared, how badly the best composite
    explains the pixel. N each, in reading order."""

    mean: Tensor
    variance: Tensor
    misfit: Tensor


def background_evidence(
    picture: Tensor,
    background: Tensor,
    variance: Tensor,
    unknown: Tensor,
    foreground: Tensor,
    shadows: float = 0.0,
    distance: Tensor | None = None,
    expected: Tensor | None = None,
) -> Evidence | None:
    """The alpha of the N unknown pixels as far as picture and background tell it; None where no foreground is known.

    picture, background: 3 x H x W, scene-linear, for only there a picture is alpha F + (1 - alpha) B; the background as
    it would be seen, shadows and all. variance: H x W, of picture less background where nothing covers it. unknown,
    foreground: H x W bool. shadows: how likely beforehand a pixel shows the background in a shadow of its own, beside 1
    for all alphas between 0 and 1. distance: H x W, pixels outside a rough edge, less than 0 inside; heard as far as
    the frame bears it out. expected: H x W, alpha as somebody else guesses it; heard where the colours leave it open.

    Bayesian matting (Chuang et al. 2001, eq. 4 to 6) with B given and F integrated out: F is a mixture of Gaussians
    about colours of foreground pixels near the unknown one, long along their own direction, because light changes on a
    surface faster than its colour. All levels of alpha are compared; 0 and 1 are likelier
    beforehand than what lies between.
    """
    sources, where = foreground.nonzero(), unknown.nonzero()
    if not len(sources):
        return None
    thin = min(_THIN, max(1, len(sources) // _CANDIDATES))
    order = np.random.default_rng(0).permutation(len(sources))[::thin]
    sources = sources[torch.from_numpy(order).to(sources.device)]
    count = min(_CANDIDATES, len(sources))
    _, near = cKDTree(sources.cpu().numpy()).query(where.cpu().numpy(), count, workers=-1)
    candidates = sources[torch.from_numpy(near.reshape(len(where), count)).to(picture.device)]
    parts = [
        _likelihood(picture, background, variance, pixels, near, shadows)
        for pixels, near in zip(where.split(_AT_ONCE), candidates.split(_AT_ONCE), strict=True)
    ]
    likely, misfit = (torch.cat(values) for values in zip(*parts, strict=True))
    levels, steps = _levels(picture)
    before = _before(steps)
    if shadows:  # the last of the alphas, and it is 0
        levels, before = torch.cat([levels, levels[:1]]), torch.cat([before, before.new_tensor([shadows])])
    if distance is not None:
        likely = by_rough_edge(likely, levels, before, distance[unknown])
    if expected is not None:
        likely = by_expected_alpha(likely, levels, before, expected[unknown])
    share = torch.softmax(likely, 1)
    mean = share @ levels
    return Evidence(mean, (share * (levels - mean[:, None]).square()).sum(1), misfit)


def _likelihood(
    picture: Tensor, background: Tensor, variance: Tensor, pixels: Tensor, candidates: Tensor, shadows: float
) -> tuple[Tensor, Tensor]:
    """How likely (log) each of the L alphas is, N x L, the last of them a shadow alone where those are reckoned with;
    and the misfit, N. pixels: N x 2, y and x. candidates: N x K x 2, of foreground pixels."""
    y, x = pixels.T
    colour = picture[:, candidates[..., 0], candidates[..., 1]]  # 3 x N x K
    offset, line = (picture - background)[:, y, x, None], colour - background[:, y, x, None]
    # Every distance is a polynomial in alpha of these products; nothing with three channels is made for each level.
    square, along, length = offset.square().sum(0), (offset * line).sum(0), line.square().sum(0)
    energy, with_offset, with_line = colour.square().sum(0), (colour * offset).sum(0), (colour * line).sum(0)
    noise = variance[y, x, None].clamp(min=_LEAST)
    levels, steps = _levels(picture)
    likely, misfit = [], torch.full_like(noise[:, 0], torch.inf)
    for alpha, step, before in zip(levels.tolist(), steps.tolist(), _before(steps).tolist(), strict=True):
        # A level stands for all alphas up to half way to the next.
        spread = noise + (_TEXTURE * alpha) ** 2 * energy / 3 + step**2 / 12 * length
        lit = spread + (_SHADING * alpha) ** 2 * energy
        distance = square - 2 * alpha * along + alpha**2 * length
        shaded = (_SHADING * alpha * (with_offset - alpha * with_line)).square()
        distance = (distance - shaded / lit) / spread
        misfit = torch.minimum(misfit, distance.amin(1))
        likely.append(torch.logsumexp(-0.5 * (distance + 2 * spread.log() + lit.log()), 1) + math.log(before))
    if shadows:
        alone, left_over = _in_shadow(picture[:, y, x], background[:, y, x], noise[:, 0])
        likely.append(alone + math.log(shadows * candidates.shape[1]))
        misfit = torch.minimum(misfit, left_over)
    return torch.stack(likely, 1), misfit


def _in_shadow(picture: Tensor, background: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """How likely (log) the background alone is seen, times a constant that may be anything from _DEEPEST to 1, and the
    misfit of the best of them. picture, background: 3 x N. noise: N."""
    energy = background.square().sum(0).clamp(min=_LEAST)
    light = ((picture * background).sum(0) / energy).clamp(_DEEPEST, 1)
    distance = (picture - light * background).square().sum(0) / noise
    # Few of all shadows are as deep as this one, the fewer the better its depth is known.
    share = (0.5 * (2 * math.pi * noise / energy).log() - math.log(1 - _DEEPEST)).clamp(max=0)
    return share - 0.5 * (distance + 3 * noise.log()), distance


def _levels(picture: Tensor) -> tuple[Tensor, Tensor]:
    """The alphas that are compared, and how much of [0, 1] each stands for. Closer to each other near both ends: a
    pixel that shows the background shall be told from one that nearly does."""
    even = torch.linspace(0, 1, _LEVELS).to(picture)
    levels = even.square() * (3 - 2 * even)
    between = torch.cat([levels[:1], (levels[1:] + levels[:-1]) / 2, levels[-1:]])
    return levels, between.diff()


def _before(steps: Tensor) -> Tensor:
    """How likely each of the alphas is beforehand, 1 for all between 0 and 1."""
    before = steps.clone()
    before[[0, -1]] += _WHOLE
    return before
