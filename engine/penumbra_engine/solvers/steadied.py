"""Steadied: the edge of an object on a frame, with what was found of it on the frames beside that one."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.extent import box_of
from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.flow import fetched
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.plates import Plates

_SHARE = 0.4  # of a frame that shows the very same, beside 1 of the frame itself: their errors are much alike
_ALIKE = 0.4  # of how bright it is there: what it may differ by and still show the same
_BLACK = 1e-10  # of a light's square: nothing is divided by zero
_SURE = 0.98  # alpha: motion is measured on it, and it stays as it is
_AROUND = 1  # px: frames are compared on means over squares of twice that and one


def looked_at(index: int, count: int) -> list[int]:
    """The frames of `count` that `steadied` looks at, one itself among them."""
    return [frame for frame in (index - 1, index, index + 1) if 0 <= frame < count]


def steadied(
    index: int,
    alphas: Callable[[int], np.ndarray],
    plates: Plates,
    background: Callable[[int], Tensor],
    motion: Motion,
    light: Tensor,
) -> Tensor:
    """The alpha of a frame, H x W, as the mean of what was found on it and of what was found on the frames beside it,
    as far as these show the same along the object's motion. What is sure stays as it is.

    Each frame was solved by itself, before another part of the background, and errs in its own way. Two show the same
    where their plates differ by no more than their backgrounds do, as far as those show through.

    alphas: of a frame, H x W. background: of a frame, 3 x H x W; black where it is not known, and nothing is taken out
    then. light: 3 x H x W, of the object's effects on this one, as they go along with it.
    """
    alpha = alphas(index)
    surely = alpha > _SURE
    if not surely.any():
        return torch.from_numpy(alpha)
    rows, columns = box_of(torch.from_numpy(alpha > 0), _AROUND)
    picture, light = torch.from_numpy(plates.plate[index])[:, rows, columns], light[:, rows, columns]
    behind = background(index)[:, rows, columns] * light
    own = torch.from_numpy(alpha[rows, columns])
    here = np.mgrid[rows, columns][::-1].astype(np.float32)
    total, weight = own.clone(), torch.ones_like(own)
    for frame, at in motion.beside(index, surely[rows, columns], here, 1):
        beside = torch.from_numpy(fetched(plates.plate[frame], *at))
        before = torch.from_numpy(fetched(background(frame).numpy(), *at)) * light
        found = torch.from_numpy(fetched(alphas(frame)[None], *at)[0])
        shows_through = 1 - (own + found) / 2
        differs = (beside - picture - shows_through * (before - behind)).square().mean(0)
        bright = (picture + beside).mean(0) / 2
        differs, bright = box(torch.stack([differs, bright])[None], _AROUND)[0]
        share = _SHARE * torch.exp(-differs / ((_ALIKE * bright).square() + _BLACK))
        total, weight = total + share * found, weight + share
    steady = torch.from_numpy(alpha.copy())
    steady[rows, columns] = torch.where(own > _SURE, own, total / weight)
    return steady
