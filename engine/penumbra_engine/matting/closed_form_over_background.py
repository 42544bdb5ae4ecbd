"""Closed-form matting where the background is known: the plate says how far each pixel has gone from it."""

import torch
from torch import Tensor

from penumbra_engine.errors import InputError
from penumbra_engine.matting.background_evidence import background_evidence
from penumbra_engine.matting.linear_system import Solved
from penumbra_engine.matting.matting_laplacian import matting_laplacian
from penumbra_engine.matting.palette import Palette
from penumbra_engine.matting.solution import Solution, solve_frames
from penumbra_engine.matting.two_level import TwoLevel

_TRUST = 3e-4  # weight of a pixel's evidence per precision of its alpha, beside the windows' smoothness
_SPREAD = 1e-4  # variance of alpha besides: smoothness always has a say
_EXPLAINED = 9.0  # squared standard deviations up to which a composite explains a pixel
_MARGIN = 32  # px round the unknown pixels where foreground is looked for


def closed_form_over_background(
    picture: Tensor,
    trimap: Tensor,
    *,
    background: Tensor,
    variance: Tensor,
    shadows: float = 0.0,
    foreground: Tensor | None = None,
    distance: Tensor | None = None,
    expected: Tensor | None = None,
    told: Tensor | None = None,
    palette: Palette | None = None,
    start: Tensor | None = None,
    tolerance: float = 1e-6,
    limit: int = 1000,
    epsilon: float = 1e-7,
) -> Solution:
    """Closed-form matting with a data term from the known background.

    picture, background: T x 3 x H x W, both scene-linear: an encoded picture is no alpha F + (1 - alpha) B, and edges
    against a bright background would come out thin. The background as it would be seen there, with shadows if the
    alpha shall not have them. variance: T x 1 x H x W, of picture less background where nothing covers it. shadows: as
    for background_evidence, where the background lacks some. foreground: T x 1 x H x W bool, unknown pixels whose
    colour is the foreground's all the same. distance: T x 1 x H x W, pixels outside a rough mask, less than 0 inside;
    None where there is none. expected: T x 1 x H x W, alpha as somebody else guesses it; None where nobody does.
    told: T x 4 x H x W, what other frames tell of it, by `triangulation`; None where none does. palette: the colours of
    the foreground where more of them are known than its own pixels show; the same for all frames.
    trimap, start, tolerance, limit, epsilon: as for closed_form.

    The data of a pixel is the mean of alpha by background_evidence; its weight falls with the variance of that: a pixel
    that shows the background is held at 0 firmly, one whose foreground looks like the background not at all. What no
    colour explains weighs nothing, and without any known foreground this is closed_form. Raises InputError for a
    trimap, background or variance that does not fit.
    """
    if background.shape != picture.shape or variance.shape != trimap.shape:
        raise InputError(
            f"the background is {tuple(background.shape)} and its variance {tuple(variance.shape)} for pictures of "
            f"{tuple(picture.shape)}: give both for each frame, at the picture's size"
        )

    def solve(frame: Tensor, unknown: Tensor, known: Tensor, guess: Tensor) -> Solved:
        plate, behind, noise, shown, rough, guessed, place, others = frame.split((3, 3, *[1] * 4, 2, len(frame) - 12))
        evidence = background_evidence(
            plate,
            behind,
            noise[0],
            unknown,
            foreground=((known > 0) & ~unknown) | (shown[0] > 0),
            shadows=shadows,
            distance=None if distance is None else rough[0],
            expected=None if expected is None else guessed[0],
            told=None if told is None else others,
            palette=None if palette is None else palette._replace(places=palette.places - place[:, 0, 0]),
        )
        data = None
        if evidence:
            unexplained = (evidence.misfit - _EXPLAINED).clamp(min=0)
            weight = _TRUST / (evidence.variance + _SPREAD) * torch.exp(-0.5 * unexplained)
            data = (evidence.mean.double(), weight.double())
        system = matting_laplacian(plate, unknown, known, epsilon, data)
        return TwoLevel(system, plate).solve(guess, tolerance, limit)

    none = torch.zeros_like(variance)
    planes = [none if plane is None else plane.to(none) for plane in (foreground, distance, expected)]
    sides = (torch.arange(side).to(none) for side in none.shape[2:])
    planes.append(torch.stack(torch.meshgrid(*sides, indexing="ij")).expand(len(none), -1, -1, -1))
    planes += [] if told is None else [told]
    return solve_frames(torch.cat([picture, background, variance, *planes], 1), trimap, start, solve, _MARGIN)
