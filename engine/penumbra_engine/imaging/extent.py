"""Where in a picture something is, as a box."""

from torch import Tensor


def box_of(chosen: Tensor, margin: int) -> tuple[slice, slice]:
    """Rows and columns of the smallest box round the pixels of H x W bool, `margin` wider where the picture goes on."""
    sides = []
    for axis, size in ((1, chosen.shape[0]), (0, chosen.shape[1])):
        index = chosen.any(axis).nonzero()
        sides.append(slice(max(int(index[0]) - margin, 0), min(int(index[-1]) + 1 + margin, size)))
    return sides[0], sides[1]
