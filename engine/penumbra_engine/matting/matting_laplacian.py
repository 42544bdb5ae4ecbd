"""The matting Laplacian (Levin et al. 2008, eq. 12): alpha is affine in the colour within each 3 x 3 window."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.matting.linear_system import LinearSystem
from penumbra_engine.matting.trimap import dilated

_REACH = 2  # px, between two pixels of one window
_ACROSS = 2 * _REACH + 1
_WINDOW = 9  # pixels
_STRIP = 65_536  # pixels at a time: 60 MB


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
    """The coefficients of the unknown pixels of some rows after others, n x 25 each."""
    margin = (_REACH,) * 4
    wide, colours = F.pad(unknown, margin), F.pad(picture, margin).flatten(1)
    centres = torch.zeros(wide.shape, dtype=torch.float64, device=picture.device)
    centres[_REACH + 1 : -_REACH - 1, _REACH + 1 : -_REACH - 1] = 1  # windows reach no farther than the picture
    centres = centres.flatten()
    done = 0
    for rows in _split(unknown.sum(1).tolist()):
        part = wide[rows.start : rows.stop + 2 * _REACH].clone()
        part[:_REACH], part[-_REACH:] = False, False
        near = _Near(part)
        place = near.place + rows.start * wide.shape[1]
        colour = torch.stack([channel.index_select(0, place) for channel in colours]).double()
        stencil = near.stencil(_half(near, colour, centres.index_select(0, place), epsilon))
        if weight is not None:
            stencil[:, _ACROSS**2 // 2] += weight[done : done + len(stencil)]
        done += len(stencil)
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


class _Near:
    """The M pixels within reach of some, as a list in reading order. A step along a row is a step of one in the list,
    and only steps across rows take an index. A step that leaves the list gives some pixel of it; within windows that
    hold one of the some none does.

    place: M, in the flat picture. above, below: M, the number of the pixel there.
    """

    def __init__(self, some: Tensor) -> None:
        """some: H x W bool, none of it within reach of the edges."""
        width = some.shape[1]
        self.place = dilated(some, _REACH).flatten().nonzero()[:, 0]
        count = len(self.place)
        number = torch.zeros((some.shape[0] + 2) * width, dtype=torch.int64, device=some.device)
        number[self.place + width] = torch.arange(count, device=some.device)
        self.above = number.index_select(0, self.place)
        self.below = number.index_select(0, self.place + 2 * width)
        own = some.flatten().nonzero()[:, 0]
        step = torch.arange(-_REACH, _REACH + 1, device=some.device)
        rows = number.index_select(0, (own[:, None] + (step + 1) * width).flatten()).view(len(own), _ACROSS)
        self._around = (rows[..., None] + step).flatten(1)

    def stencil(self, half: Tensor) -> Tensor:
        """n x 25 for the n pixels, from the symmetric coefficients of each pixel of the list with itself and those that
        follow in reading order: 13 x M."""
        middle = len(half) - 1
        where = self._around.clone()
        where[:, middle:] = self._around[:, middle, None]
        order = torch.arange(-middle, middle + 1, device=half.device).abs()  # of the pair, whichever of them asks
        return half.take(where.add_(order * half.shape[1]))


def _half(near: _Near, colour: Tensor, centres: Tensor, epsilon: float) -> Tensor:
    """The Laplacian's coefficient of each pixel of the list with itself and with the twelve that follow it within
    reach, 13 x M, right where every window that holds both lies within the list. colour: 3 x M. centres: M, 1 where a
    window may be, else 0."""
    functions = _functions(near, colour, centres, epsilon)
    count, result = colour.shape[1], colour.new_zeros((_ACROSS**2 + 1) // 2, colour.shape[1])
    constant, totals = F.pad(centres / _WINDOW, (1, 1)), iter(result)  # of two pixels, the constant function's part
    for dy in range(_REACH + 1):
        for dx in range(-_REACH if dy else 0, _REACH + 1):
            total = next(totals)
            for y in range(3 - dy):  # of the first pixel in the window, whose centre so lies 1 - y rows below it
                tie = torch.zeros_like(centres)
                for x in range(max(0, -dx), min(3, 3 - dx)):
                    centre = slice(2 - x, 2 - x + count)
                    tie -= constant[centre]
                    for one, other in zip(functions[3 * y + x], functions[3 * (y + dy) + x + dx], strict=True):
                        tie.addcmul_(one[centre], other[centre], value=-1)
                total += _from_row(near, tie, 1 - y)
    result[0] += _box(near, F.pad(centres, (1, 1)))
    return result


def _from_row(near: _Near, values: Tensor, down: int) -> Tensor:
    return values if not down else values.index_select(-1, near.below if down > 0 else near.above)


def _box(near: _Near, values: Tensor) -> Tensor:
    """Sum over 3 x 3 pixels: ... x M, from values padded by one to both sides."""
    count = len(near.place)
    across = values[..., :count] + values[..., 1 : count + 1] + values[..., 2:]
    return across + _from_row(near, across, -1) + _from_row(near, across, 1)


def _functions(near: _Near, colour: Tensor, centres: Tensor, epsilon: float) -> Tensor:
    """The affine functions of the colours of windows but the constant, orthonormal but for epsilon: 9 x 3 x (M + 2),
    one more to both sides, centred, by the Cholesky factor of the scatter of colours plus epsilon; 0 where no window
    may be. All in double precision: alpha hangs on eigenvalues that are smaller than the rounding errors of single."""
    count = colour.shape[1]
    mean = _box(near, F.pad(colour, (1, 1))) / _WINDOW
    functions = colour.new_empty(_WINDOW, 3, count + 2)
    functions[..., 0], functions[..., -1] = 0, 0
    first, second, third = functions[..., 1:-1].unbind(1)
    for y in range(3):
        row = F.pad(_from_row(near, colour, y - 1), (1, 1))
        for x in range(3):
            torch.sub(row[:, x : x + count], mean, out=functions[3 * y + x, :, 1:-1])

    def scatter(one: Tensor, other: Tensor) -> Tensor:
        return (one * other).sum(0)

    l00 = (scatter(first, first) + epsilon).sqrt()
    l10, l20 = scatter(first, second) / l00, scatter(first, third) / l00
    l11 = (scatter(second, second) + epsilon - l10.square()).clamp(min=epsilon / 2).sqrt()
    l21 = (scatter(second, third) - l20 * l10) / l11
    l22 = (scatter(third, third) + epsilon - l20.square() - l21.square()).clamp(min=epsilon / 2).sqrt()
    first.mul_(1 / l00)
    second.addcmul_(first, l10, value=-1).mul_(1 / l11)
    third.addcmul_(first, l20, value=-1).addcmul_(second, l21, value=-1).mul_(1 / l22)
    functions[..., 1:-1] *= centres
    return functions
