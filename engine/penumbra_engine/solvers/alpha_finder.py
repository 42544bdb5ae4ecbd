"""What solves the alpha of a frame: the chosen solver, and the background where it leans on it and there is one."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.filters import box
from penumbra_engine.matting.by_name import OVER_BACKGROUND, alpha_solver
from penumbra_engine.matting.solution import Solution
from penumbra_engine.media import Shot
from penumbra_engine.solvers.background import Background
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.passing import GUESSED, passing
from penumbra_engine.solvers.plates import Plates

_LIGHT = 2  # px: light is measured on means over squares of twice that and one
_BRIGHTEST = 4.0  # times the background: more is no light on it
_MEAN_OVER_MEDIAN = 2.0  # of a squared difference that is noise
#: How likely beforehand a pixel is in a shadow that ends under the edge, so isn't seen beside it.
SHADOWS = 0.2


def leans_on_background(solver: str, background: Background | None) -> bool:
    """Whether alpha is found with the help of the background."""
    return solver in OVER_BACKGROUND and background is not None and not background.why_not


class AlphaFinder(NamedTuple):
    """solve: finds alpha on the frame; it wants trimap=, and takes what the solver takes. background: of a frame,
    3 x H x W, black where the solver doesn't lean on one. light: 3 x H x W, what the frame's is multiplied by where the
    objects throw their shadows. behind: both together; None where the solver doesn't lean on them."""

    solve: Callable[..., Solution]
    background: Callable[[int], Tensor]
    light: Tensor
    behind: Tensor | None


def alpha_finder(
    shot: Shot,
    plates: Plates,
    motion: Motion,
    trimaps: np.ndarray,
    background: Background | None,
    solver: str,
    index: int,
    shadows: float = SHADOWS,
) -> AlphaFinder:
    """The solver for a frame and its picture, with the background where it can use it. trimaps: names x H x W, of all
    objects on the frame: what is left of it shows the light. shadows: as for closed_form_over_background."""
    behind, seen = (background.read(index), background.seen(index)) if background else (None, None)
    if background is None or behind is None or seen is None or not leans_on_background(solver, background):
        encoded, black = torch.from_numpy(plates.encoded(shot, index)), torch.zeros(3, shot.height, shot.width)
        return AlphaFinder(
            partial(alpha_solver(solver), encoded[None]), lambda frame: black, torch.ones_like(black), None
        )
    picture = torch.from_numpy(plates.plate[index])
    bare = torch.from_numpy((trimaps == 0).all(0))
    light = _light(picture, behind, bare)
    behind = behind * light
    difference = (picture - behind).square().mean(0)
    # Most of what lies outside the object is as it always is: the median knows nothing of what else moves there.
    usual = _MEAN_OVER_MEDIAN * float(difference[bare].median()) if bare.any() else 1.0
    noise = background.noise.variance(torch.maximum(picture, behind)).mean(0)
    variance = torch.maximum(noise, torch.tensor(usual)) / seen.clamp(min=GUESSED)
    over = {"background": behind[None], "variance": variance[None, None], "shadows": shadows}

    def known(read: Callable[[int], Tensor | None], frame: int) -> Tensor:
        found = read(frame)
        assert found is not None
        return found

    backgrounds, often = partial(known, background.read), partial(known, background.seen)

    def solve(*, trimap: Tensor, **more: Any) -> Solution:
        told = passing(plates, backgrounds, motion, index, trimap[0, 0].numpy(), light, variance, often)
        return OVER_BACKGROUND[solver](picture[None], trimap, **over, told=told[None], **more)

    return AlphaFinder(solve, backgrounds, light, behind)


def _light(picture: Tensor, background: Tensor, bare: Tensor) -> Tensor:
    """The light of a frame beside that of its background, 3 x H x W: as much lighter or darker as it is where nothing
    hides it (bare: H x W bool), continued from there. The object's shadow goes on under its edge. Where objects leave
    nothing of a frame it is as it was."""
    if not bare.any():
        return torch.ones_like(background)
    seen = bare.float()
    lit, full = (box((side * seen)[None], _LIGHT)[0] for side in (picture, background))
    return fill_smoothly((lit / full.clamp(min=1e-4)).clamp(0, _BRIGHTEST), seen)
