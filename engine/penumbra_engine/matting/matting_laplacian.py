"""The matting Laplacian (Levin et al. 2008, eq. 12): alpha is affine in the colour within each 3 x 3 window."""

from collections.abc import Iterator

import torch
from torch import Tensor

from penumbra_engine.matting.linear_system import LinearSystem
from penumbra_engine.matting.trimap import dilated

_PLACES = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]  # of the pixels in a window, from its centre
_REACH = 2  # px, between two pixels of one window
_ACROSS = 2 * _REACH + 1
_STRIP = 32_768  # pixels at a time: what they need stays in the processor's cache


def matting_laplacian(
    picture: Tensor, unknown: Tensor, known: Tensor, epsilon: float, data: tuple[Tensor, Tensor] | None = None
) -> LinearSystem:
    """The rows of the unknown pixels, as a system for their alpha.

    picture: 3 x H x W. unknown: H x W bool. known: H x W, alpha where it is not unknown. epsilon: how much the colours
    of a window may vary before they count, squared, as sum over the window. data: a target for each unknown pixel and
    its weight, N each.

    Windows without an unknown pixel say nothing and are left out. The rest could be applied by box filters, without any
    stored row; but an unknown region is a small part of its box, and what box filters subtract cancels unless it is
    done in double precision: 25 stored coefficients for each unknown pixel are both faster and exact.
    """
    target, weight = data or (None, None)
    system = LinearSystem.of_stencils(_strips(picture, unknown, epsilon, weight), _REACH, unknown, known)
    if target is not None and weight is not None:
        system.right += weight * target
    return system


def _strips(picture: Tensor, unknown: Tensor, epsilon: float, weight: Tensor | None) -> Iterator[Tensor]:
    """The coefficients of the unknown pixels of some rows after others, 25 x n each."""
    held = dilated(unknown, 1)  # windows that hold an unknown pixel, by their centres
    held[[0, -1]] = False
    held[:, [0, -1]] = False
    done = 0
    for rows in _split(unknown.sum(1).tolist()):
        stencil = _stencil(picture, unknown, held, rows, epsilon)
        if weight is not None:
            stencil[len(stencil) // 2] += weight[done : done + stencil.shape[1]]
        done += stencil.shape[1]
        yield stencil


def _split(counts: list[int]) -> Iterator[slice]:
    """Rows of a picture in runs with some pixels, but no more than a strip unless one row alone has more. counts:
    unknown pixels of each row."""
    first, total = 0, 0
    for row, count in enumerate(counts):
        if total and total + count > _STRIP:
            yield slice(first, row)
            first, total = row, 0
        total += count
    if total:
        yield slice(first, len(counts))


def _stencil(picture: Tensor, unknown: Tensor, held: Tensor, rows: slice, epsilon: float) -> Tensor:
    """25 x n for the n unknown pixels of the rows: each pair of pixels in a window adds to the coefficients of both."""
    width = unknown.shape[1]
    near = slice(max(rows.start - 1, 0), rows.stop + 1)
    centre = held[near].flatten().nonzero()[:, 0]
    count = len(centre)
    number = torch.full((rows.stop - rows.start + 2, width + 2), count, device=picture.device)  # the last: no window
    inner = number[near.start - rows.start + 1 :][: len(held[near]), 1:-1]
    inner[held[near]] = torch.arange(count, device=picture.device)
    pixel = unknown[rows].flatten().nonzero()[:, 0]
    middle = pixel + (pixel // width) * 2 + width + 3  # in `number`
    holding = [number.flatten().index_select(0, middle - dy * (width + 2) - dx) for dy, dx in _PLACES]
    functions = _functions(picture, centre + near.start * width, epsilon)
    stencil = torch.zeros(_ACROSS**2, len(pixel), dtype=torch.float64, device=picture.device)
    tie = torch.zeros(count + 1, dtype=torch.float64, device=picture.device)
    for i, (y, x) in enumerate(_PLACES):
        for j in range(i, len(_PLACES)):
            torch.mul(functions[0][i], functions[0][j], out=tie[:-1])
            tie[:-1].addcmul_(functions[1][i], functions[1][j]).addcmul_(functions[2][i], functions[2][j])
            tie[:-1].add_(1 / len(_PLACES) - (i == j))
            ahead = (_PLACES[j][0] - y) * _ACROSS + _PLACES[j][1] - x
            stencil[len(stencil) // 2 + ahead] -= tie.index_select(0, holding[i])
            if i != j:
                stencil[len(stencil) // 2 - ahead] -= tie.index_select(0, holding[j])
    return stencil


def _functions(picture: Tensor, centre: Tensor, epsilon: float) -> list[Tensor]:
    """The affine functions of the colours of windows, orthonormal but for epsilon and centred: 3 of 9 x N, by the
    Cholesky factor of the scatter of colours plus epsilon. All in double precision: alpha hangs on eigenvalues that are
    smaller than the rounding errors of single.

    picture: 3 x H x W. centre: N, of the windows, in the flat picture.
    """
    width = picture.shape[-1]
    flat = picture.reshape(3, -1)
    colour = torch.empty(3, len(_PLACES), len(centre), dtype=torch.float64, device=picture.device)
    for place, (dy, dx) in enumerate(_PLACES):
        colour[:, place] = flat.index_select(1, centre + (dy * width + dx))
    colour -= colour.mean(1, keepdim=True)
    gram = {(i, j): (colour[i] * colour[j]).sum(0) + (epsilon if i == j else 0) for i in range(3) for j in range(i + 1)}
    l00 = gram[0, 0].sqrt()
    l10, l20 = gram[1, 0] / l00, gram[2, 0] / l00
    l11 = (gram[1, 1] - l10.square()).clamp(min=epsilon / 2).sqrt()
    l21 = (gram[2, 1] - l20 * l10) / l11
    l22 = (gram[2, 2] - l20.square() - l21.square()).clamp(min=epsilon / 2).sqrt()
    first = colour[0] / l00
    second = (colour[1] - l10 * first) / l11
    third = (colour[2] - l20 * first - l21 * second) / l22
    return [first, second, third]
