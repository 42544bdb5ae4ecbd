"""What a known background says of alpha: its likelihood, with the colour of the foreground integrated out."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from penumbra_engine.matting.expected_alpha import by_expected_alpha
from penumbra_engine.matting.palette import Palette, at, palette_of
from penumbra_engine.matting.rough_edge import by_rough_edge
from penumbra_engine.matting.triangulation import by_triangulation

_LEVELS = 17  # alphas that are compared
_WHOLE = 0.2  # how likely beforehand a pixel is all foreground, and all background, beside 1 for all between
_TEXTURE = 0.02  # relative deviation of a foreground colour from a candidate, in any direction
_SHADING = 0.3  # the same along its own direction: what is lit more or less
_DEEPEST = 0.1  # of the light: what a shadow leaves at least
_LEAST = 1e-8  # variance of a picture without noise
_DEEPEST_FALL = -60.0  # log: what is less likely than the likeliest by that is nothing, and denormal numbers are slow
_AT_ONCE = 2048  # pixels: what they need stays in the processor's cache


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
    told: Tensor | None = None,
    palette: Palette | None = None,
) -> Evidence | None:
    """The alpha of the N unknown pixels as far as picture and background tell it; None where no foreground is known.

    picture, background: 3 x H x W, scene-linear, for only there a picture is alpha F + (1 - alpha) B; the background as
    it would be seen, shadows and all. variance: H x W, of picture less background where nothing covers it. unknown,
    foreground: H x W bool. shadows: how likely beforehand a pixel shows the background in a shadow of its own, beside 1
    for all alphas between 0 and 1. distance: H x W, pixels outside a rough edge, less than 0 inside; heard as far as
    the frame bears it out. expected: H x W, alpha as somebody else guesses it; heard where the colours leave it open.
    told: 4 x H x W, what other frames tell of it, by `triangulation`. palette: the colours of the foreground where more
    of them are known than its own pixels show.

    Bayesian matting (Chuang et al. 2001, eq. 4 to 6) with B given and F integrated out: F is a mixture of Gaussians
    about colours of foreground pixels near the unknown one, long along their own direction, because light changes on a
    surface faster than its colour. All levels of alpha are compared; 0 and 1 are likelier
    beforehand than what lies between.
    """
    palette = palette or palette_of(picture, foreground)
    if not len(palette.places):
        return None
    where = unknown.nonzero()
    colours, near = palette.colours, palette.near(where)
    seen, behind, noise = at(picture, where), at(background, where), variance[unknown].clamp(min=_LEAST)
    some = (of.split(_AT_ONCE, -1) for of in (seen, behind, noise, near.T))
    parts = [_likelihood(a, b, c, colours[:, of], shadows) for a, b, c, of in zip(*some, strict=True)]
    likely, misfit = (torch.cat(values) for values in zip(*parts, strict=True))
    levels, steps = _levels(picture)
    before = _before(steps)
    if shadows:  # the last of the alphas, and it is 0
        levels, before = torch.cat([levels, levels[:1]]), torch.cat([before, before.new_tensor([shadows])])
    if told is not None:
        light = (1 - levels).repeat(len(likely), 1)
        if shadows:
            light[:, -1] = _light_left(seen, behind)
        likely = by_triangulation(likely, light, told[:, unknown])
    if distance is not None:
        likely = by_rough_edge(likely, levels, before, distance[unknown])
    if expected is not None:
        likely = by_expected_alpha(likely, levels, before, expected[unknown])
    share = torch.softmax(likely, 1)
    mean = share @ levels
    return Evidence(mean, (share * (levels - mean[:, None]).square()).sum(1), misfit)


def _likelihood(seen: Tensor, behind: Tensor, noise: Tensor, colour: Tensor, shadows: float) -> tuple[Tensor, Tensor]:
    """How likely (log) each of the L alphas is, N x L, the last of them a shadow alone where those are reckoned with;
    and the misfit, N. seen, behind: 3 x N, picture and background. noise: N, their variance. colour: 3 x K x N, of
    foreground pixels."""
    offset, line = (seen - behind)[:, None], colour - behind[:, None]
    # Every distance is a polynomial in alpha of these products; nothing with three channels is made for each level.
    square, along, length = offset.square().sum(0), (offset * line).sum(0), line.square().sum(0)
    energy, with_offset, with_line = colour.square().sum(0), (colour * offset).sum(0), (colour * line).sum(0)
    levels, steps = _levels(seen)
    likely, misfit = [], torch.full_like(noise, torch.inf)
    for alpha, step, before in zip(levels.tolist(), steps.tolist(), _before(steps).tolist(), strict=True):
        # A level stands for all alphas up to half way to the next. In place, as all of this is bound by memory.
        shading = (_SHADING * alpha) ** 2
        spread = torch.add(noise, energy, alpha=(_TEXTURE * alpha) ** 2 / 3).add_(length, alpha=step**2 / 12)
        density = torch.add(spread, energy, alpha=shading).rsqrt_()
        shaded = torch.sub(with_offset, with_line, alpha=alpha).mul_(density)
        distance = torch.add(square, along, alpha=-2 * alpha).add_(length, alpha=alpha**2)
        precision = spread.reciprocal_()
        distance.addcmul_(shaded, shaded, value=-shading).mul_(precision)
        density.mul_(precision)
        least = distance.amin(0)
        density.mul_(distance.sub_(least).mul_(-0.5).clamp_(min=_DEEPEST_FALL).exp_())
        likely.append(density.sum(0).log_() - 0.5 * least + math.log(before))
        misfit = torch.minimum(misfit, least)
    if shadows:
        alone, left_over = _in_shadow(seen, behind, noise)
        likely.append(alone + math.log(shadows * colour.shape[1]))
        misfit = torch.minimum(misfit, left_over)
    return torch.stack(likely, 1), misfit


def _in_shadow(picture: Tensor, background: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """How likely (log) the background alone is seen, times a constant that may be anything from _DEEPEST to 1, and the
    misfit of the best of them. picture, background: 3 x N. noise: N."""
    light, energy = _light_left(picture, background), background.square().sum(0).clamp(min=_LEAST)
    distance = (picture - light * background).square().sum(0) / noise
    # Few of all shadows are as deep as this one, the fewer the better its depth is known.
    share = (0.5 * (2 * math.pi * noise / energy).log() - math.log(1 - _DEEPEST)).clamp(max=0)
    return share - 0.5 * (distance + 3 * noise.log()), distance


def _light_left(picture: Tensor, background: Tensor) -> Tensor:
    """What a shadow leaves of the background's light if it is all there is, N. picture, background: 3 x N."""
    energy = background.square().sum(0).clamp(min=_LEAST)
    return ((picture * background).sum(0) / energy).clamp(_DEEPEST, 1)


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
