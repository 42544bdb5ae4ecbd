"""Closed-form matting where the background is known: the plate says how far each pixel has gone from it."""

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from penumbra_engine.errors import InputError
from penumbra_engine.matting.linear_system import Solved
from penumbra_engine.matting.matting_laplacian import matting_laplacian
from penumbra_engine.matting.solution import Solution, solve_frames
from penumbra_engine.matting.two_level import TwoLevel

_TRUST = 1e-4  # weight of a pixel's data per precision of its alpha, beside the windows' smoothness
_MOST = 1.0  # weight of a pixel's data: smoothness always has a say
_REACH = 768  # nearest foreground pixels that the candidates are picked from
_STRIDE = 32
_AT_ONCE = 16_384  # pixels
_MARGIN = 32  # px round the unknown pixels where foreground is looked for
_TEXTURE = 0.1  # relative: a foreground colour that far off still explains a pixel


def closed_form_over_background(
    picture: Tensor,
    trimap: Tensor,
    *,
    background: Tensor,
    variance: Tensor,
    start: Tensor | None = None,
    tolerance: float = 1e-6,
    limit: int = 1000,
    epsilon: float = 1e-7,
) -> Solution:
    """Closed-form matting with a data term from the known background.

    picture, background: T x 3 x H x W; the background as it would be seen there, with shadows if the alpha shall not
    have them. variance: T x 1 x H x W, of picture less background where nothing covers it. trimap, start, tolerance,
    limit, epsilon: as for closed_form.

    The data of a pixel is the alpha that projects I - B onto F - B (Wang & Cohen 2007, eq. 1), averaged over foreground
    colours near it by how well they explain it. Its weight falls with the spread of those alphas, and with the noise
    over |F - B|^2: a pixel that shows the background is held at 0 firmly, one whose foreground looks like the
    background not at all. What no colour explains weighs nothing, and without any known foreground this is closed_form.
    Raises InputError for a trimap, background or variance that does not fit.
    """
    if background.shape != picture.shape or variance.shape != trimap.shape:
        raise InputError(
            f"the background is {tuple(background.shape)} and its variance {tuple(variance.shape)} for pictures of "
            f"{tuple(picture.shape)}: give both for each frame, at the picture's size"
        )

    def solve(frame: Tensor, unknown: Tensor, known: Tensor, guess: Tensor) -> Solved:
        plate = frame[:3]
        system = matting_laplacian(plate, unknown, known, epsilon, _data(plate, frame[3:6], frame[6], unknown, known))
        return system.solve(TwoLevel(system, plate), guess, tolerance, limit)

    return solve_frames(torch.cat([picture, background, variance], 1), trimap, start, solve, _MARGIN)


def _data(plate: Tensor, clean: Tensor, noise: Tensor, unknown: Tensor, known: Tensor) -> tuple[Tensor, Tensor] | None:
    """Alpha by the plate and its weight, N each; None where no foreground is known."""
    sources, where = ((known > 0) & ~unknown).nonzero(), unknown.nonzero()
    if not len(sources):
        return None
    _, near = cKDTree(sources.cpu().numpy()).query(where.cpu().numpy(), min(_REACH, len(sources)), workers=-1)
    candidates = sources[torch.from_numpy(near.reshape(len(where), -1)[:, ::_STRIDE]).to(plate.device)]
    parts = zip(where.split(_AT_ONCE), candidates.split(_AT_ONCE), strict=True)
    data = [_projected(plate, clean, noise, pixels, near) for pixels, near in parts]
    return torch.cat([alpha for alpha, _ in data]), torch.cat([weight for _, weight in data])


def _projected(
    plate: Tensor, clean: Tensor, noise: Tensor, pixels: Tensor, candidates: Tensor
) -> tuple[Tensor, Tensor]:
    """pixels: N x 2, y and x. candidates: N x K x 2, of foreground pixels."""
    y, x = pixels.T
    colour = plate[:, candidates[..., 0], candidates[..., 1]].permute(1, 2, 0).double()  # N x K x 3
    behind, seen = (side[:, y, x].T.double()[:, None] for side in (clean, plate))
    spread = noise[y, x].double()[:, None]
    line, offset = colour - behind, seen - behind
    length = line.square().sum(-1).clamp(min=1e-9)
    alpha = ((offset * line).sum(-1) / length).clamp(0, 1)
    texture = (_TEXTURE * alpha[..., None] * colour).square()
    error = ((offset - alpha[..., None] * line).square() / (spread[..., None] + texture)).sum(-1)
    share = torch.softmax(-0.5 * error, 1)
    mean = (share * alpha).sum(1)
    doubt = (share * ((alpha - mean[:, None]).square() + (spread + texture.mean(-1)) / length)).sum(1)
    weight = _TRUST / (doubt + 1e-4) * torch.exp(-0.5 * error.amin(1))
    return mean, weight.clamp(max=_MOST)
