"""Alpha along a boundary when the background behind it is known: colour sampling against that background."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from penumbra_engine.imaging.filters import denoise_ratio

_CANDIDATES = 24  # foreground colours tried for each pixel
_REACH = 96  # nearest foreground pixels that the candidates are picked from
_PRIOR_DEVIATION = 0.25  # how far the rough mask's own alpha may be off
_PRIOR_ODDS = 4.0  # how much the rough mask's odds count against those of the colours
_TEXTURE, _SPREAD = 0.04, 0.7  # of a colour, and of how far the candidates of a pixel differ: what still explains it
_CHROMA = 0.02  # how far an effect's transmission may stray from the shot's chroma
_MAX_ERROR = 30.0


class Effect(NamedTuple):
    """The other explanation of a pixel: no object there, the background darkened or lit by an effect.

    transmission: 3 x H x W, picture over background, denoised. variance: 3 x H x W, of it. chroma: 3, by how much an
    effect takes away of each channel relative to the others. behind: 3 x H x W, the transmission to be expected behind
    an object, continued from around it.
    """

    transmission: Tensor
    variance: Tensor
    chroma: Tensor
    behind: Tensor


def known_background_alpha(
    picture: Tensor,
    background: Tensor,
    variance: Tensor,
    effect: Effect,
    foreground: np.ndarray,
    unknown: np.ndarray,
    prior: Tensor,
) -> tuple[Tensor, Tensor]:
    """Alpha of the unknown pixels, the prior elsewhere; and how likely an effect alone explains each pixel. H x W each.

    picture, background: 3 x H x W scene-linear. variance: 3 x H x W, of picture less background where alpha is 0.
    foreground: H x W bool, pixels whose colour is the object's own. unknown: H x W bool. prior: H x W in [0, 1], what
    the rough mask says.

    Each pixel tries the colours of foreground pixels near it, over the background with the effect behind: the best
    alpha on the line between the two is a projection (Wang & Cohen 2007, eq. 1 and 2); candidates that explain the
    pixel are averaged. It also tries an effect without an object. Pixels whose colours tell little lean on the prior,
    and all on neighbours that look alike.
    """
    alpha, bare = prior.clone(), 1 - prior
    if not unknown.any() or not foreground.any():
        return alpha, bare
    where, sources = np.argwhere(unknown), np.argwhere(foreground)
    reach = min(_REACH, len(sources))
    distance, index = cKDTree(sources).query(where, k=reach, workers=-1)
    step = np.unique(np.linspace(0, reach - 1, min(_CANDIDATES, reach)).round().astype(int))
    distance, index = distance.reshape(len(where), reach)[:, step], index.reshape(len(where), reach)[:, step]
    y, x = torch.from_numpy(where.T)
    source_y, source_x = torch.from_numpy(sources.T)
    colour = picture[:, source_y, source_x].T[torch.from_numpy(index)]  # N x candidates x 3
    behind = (background * effect.behind)[:, y, x].T[:, None]
    spread = variance[:, y, x].T[:, None]
    offset, line = picture[:, y, x].T[:, None] - behind, colour - behind
    reach_squared = (line.square() / spread).sum(-1).clamp(min=1e-3)
    fit = ((offset * line / spread).sum(-1) / reach_squared).clamp(0, 1)
    # A foreground has texture: a colour that is off by what its neighbours differ by still explains the pixel.
    texture = torch.maximum(_SPREAD * colour.std(1, keepdim=True, correction=0), _TEXTURE * colour)
    error = ((offset - fit[..., None] * line).square() / (spread + (fit[..., None] * texture).square())).sum(-1)
    nearness = torch.from_numpy(distance / (distance[:, :1] + 4)).float()
    weight = torch.softmax(-0.5 * error - 0.2 * nearness, 1)
    mean = (weight * fit).sum(1)
    uncertainty = (weight * ((fit - mean[:, None]).square() + 1 / reach_squared)).sum(1)
    alone = _effect_alone(effect, y, x, error.amin(1), prior[y, x])
    trust, doubt = 1 / (uncertainty + 1e-4), 1 / _PRIOR_DEVIATION**2
    merged = (trust * mean + doubt * prior[y, x]) / (trust + doubt) * (1 - alone)
    alpha[y, x], bare[y, x] = merged.clamp(0, 1), alone
    deviation = torch.full_like(alpha, 1e-4)
    deviation[y, x] = 1 / (trust + doubt)
    smooth = denoise_ratio(
        torch.stack([alpha, bare])[None], deviation[None, None], alpha[None, None], deviation[None, None], 3
    )[0]
    alpha[y, x], bare[y, x] = smooth[:, y, x].clamp(0, 1)
    return alpha, bare


def _effect_alone(effect: Effect, y: Tensor, x: Tensor, object_error: Tensor, prior: Tensor) -> Tensor:
    """The probability that a pixel shows no object, N: how well the transmission keeps to the chroma of the shot's
    effects, against how well the best object colour explains it, and what the rough mask says."""
    taken = 1 - effect.transmission[:, y, x].T
    spread = effect.variance[:, y, x].T + _CHROMA**2
    depth = ((taken * effect.chroma / spread).sum(1) / (effect.chroma.square() / spread).sum(1)).clamp(min=0)
    error = ((taken - depth[:, None] * effect.chroma).square() / spread).sum(1)
    odds = torch.log((1 - prior).clamp(1e-3, 1 - 1e-3) / prior.clamp(1e-3, 1 - 1e-3))
    return torch.sigmoid(0.5 * (object_error.clamp(max=_MAX_ERROR) - error.clamp(max=_MAX_ERROR)) + _PRIOR_ODDS * odds)
