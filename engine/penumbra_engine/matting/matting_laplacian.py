"""The matting Laplacian (Levin et al. 2008, eq. 12): alpha is affine in the colour within each 3 x 3 window."""

import torch
from torch import Tensor

from penumbra_engine.matting.linear_system import LinearSystem
from penumbra_engine.matting.trimap import dilated

_WINDOW = 3  # px
_AREA = _WINDOW**2


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
    basis, number = _windows(picture, unknown, epsilon)
    window = -basis @ basis.transpose(1, 2)  # N x 9 x 9
    window[:-1].diagonal(dim1=1, dim2=2).add_(1)
    rows = window.view(-1, _WINDOW, _WINDOW)
    y, x = unknown.nonzero(as_tuple=True)
    reach = 2 * _WINDOW - 1
    stencil = torch.zeros(len(y), reach, reach, dtype=torch.float64, device=picture.device)
    for place in range(_AREA):  # of the pixel in a window that holds it
        dy, dx = divmod(place, _WINDOW)
        holding = number[y + 2 - dy, x + 2 - dx]
        stencil[:, 2 - dy : 5 - dy, 2 - dx : 5 - dx] += rows[holding * _AREA + place]
    if data is None:
        return LinearSystem.of_stencil(stencil, unknown, known)
    target, weight = data
    stencil[:, 2, 2] += weight
    system = LinearSystem.of_stencil(stencil, unknown, known)
    system.right += weight * target
    return system


def _windows(picture: Tensor, unknown: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """For each window that holds an unknown pixel the affine functions of its colours, orthonormal but for epsilon
    (N + 1 x 9 x 4, the last all 0: windows beyond the picture); and the numbers of the windows by their centres, in a
    map one pixel wider than the picture on each side (H + 2 x W + 2)."""
    height, width = unknown.shape
    held = dilated(unknown, 1)
    held[[0, -1]] = False
    held[:, [0, -1]] = False
    y, x = held.nonzero(as_tuple=True)
    number = torch.full((height + 2, width + 2), len(y), device=picture.device)
    number[1:-1, 1:-1][held] = torch.arange(len(y), device=picture.device)
    shift = torch.tensor([dy * width + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)], device=picture.device)
    colour = picture.reshape(3, -1).double()[:, (y * width + x) + shift[:, None]]  # 3 x 9 x N
    colour -= colour.mean(1, keepdim=True)
    basis = torch.zeros(len(y) + 1, _AREA, 4, dtype=torch.float64, device=picture.device)
    basis[:-1, :, 0] = 1 / _WINDOW
    for channel, whitened in enumerate(_whitened(colour, epsilon)):
        basis[:-1, :, 1 + channel] = whitened.T
    return basis, number


def _whitened(colour: Tensor, epsilon: float) -> list[Tensor]:
    """Centred colours, 3 x 9 x N, made orthonormal by the Cholesky factor of their scatter plus epsilon: 3 of 9 x N.
    All in double precision: alpha hangs on eigenvalues that are smaller than the rounding errors of single."""
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
