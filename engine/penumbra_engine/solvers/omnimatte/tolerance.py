"""Tolerance: how far the background may be out of place in each part of a frame."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.imaging.noise import Noise
from penumbra_engine.imaging.sway import PARTS, sway

_BLOCK = 0.08  # of the longer side: the parts of a frame whose registration is judged on its own
_LEAST = 0.1  # px, for what resampling does to an edge
_SLOWLY = (1, 4)  # frames apart: what sways slowly hardly moves from one to the next


def tolerance_by_sway(
    count: int, pairs: Callable[[int], Iterator[tuple[Tensor, Tensor, Tensor]]], noise: Noise, size: tuple[int, int]
) -> Tensor:
    """By how many pixels each block of a picture sways before a camera that stands, rows x columns. pairs: some of the
    `count` frames, each with the one so many frames later, as of `sway`. size: height, width of a frame."""
    block = PARTS * round(_side(max(size)) / PARTS)
    most = torch.zeros(-(-size[0] // block), -(-size[1] // block))
    for step in (step for step in _SLOWLY if step < max(2, count // 4)):
        most = torch.maximum(most, sway(pairs(step), noise, block))
    return most


def tolerance_by_flow(flow: Tensor, masked: np.ndarray) -> Tensor:
    """What still moves to the next frame before a camera whose motion is taken out, in pixels of the frame, rows x
    columns: the median over each block is that of the background, whatever small thing moves on it.

    flow: 3 x h x w, dx, dy and confidence. masked: H x W bool, what is no background.
    """
    dx, dy, confidence = flow
    height, width = dx.shape
    block = _side(max(height, width))
    rows, columns = -(-height // block), -(-width // block)
    covered = F.interpolate(torch.from_numpy(masked)[None, None].float(), (height, width), mode="area")[0, 0]
    moved = torch.where((covered == 0) & (confidence > 0.5), torch.hypot(dx, dy), torch.nan)
    padded = F.pad(moved, (0, columns * block - width, 0, rows * block - height), value=torch.nan)
    blocks = padded.reshape(rows, block, columns, block).permute(0, 2, 1, 3).flatten(2)
    median = blocks.nanmedian(-1).values
    typical = median.nanmedian()
    return torch.nan_to_num(torch.where(median.isnan(), typical, median)).clamp(_LEAST, 2)


def _side(longer: int) -> int:
    """Of a block, px."""
    return max(8, round(_BLOCK * longer))
