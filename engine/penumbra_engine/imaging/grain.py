"""The grain of a picture, moved to where it has none."""

import torch
from torch import Tensor

_SHIFTS = 24
_CLIP = 4.0  # standard deviations: what lies farther out is no grain


def transplant_grain(residual: Tensor, clean: Tensor, holes: Tensor, seed: int) -> Tensor:
    """Grain for the holes, taken from the clean part of the same picture; 0 elsewhere. C x H x W.

    residual: C x H x W, picture less background in standard deviations of the noise. clean, holes: H x W bool. Whole
    pieces are moved by random shifts, so that the grain keeps its size and colour; the seed should differ from frame
    to frame, so that it does not stand still.
    """
    height, width = clean.shape
    generator = torch.Generator().manual_seed(seed)
    grain, left = torch.zeros_like(residual), holes.clone()
    for _ in range(_SHIFTS):
        if not left.any():
            break
        dy, dx = (
            int(torch.randint(height, (1,), generator=generator)),
            int(torch.randint(width, (1,), generator=generator)),
        )
        usable = left & clean.roll((dy, dx), (0, 1))
        grain = torch.where(usable, residual.roll((dy, dx), (1, 2)), grain)
        left &= ~usable
    # Nothing clean lines up with what is left: white noise of the same strength.
    return torch.where(left, torch.randn(residual.shape, generator=generator), grain).clamp(-_CLIP, _CLIP)
