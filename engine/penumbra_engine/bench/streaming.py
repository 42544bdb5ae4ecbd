"""The bench of speed of Robust Video Matting on this machine: as it is, and made faster, with random weights.

Speed doesn't depend on the weights, so none are needed.
"""

import copy
import time
from collections.abc import Callable

import torch
from torch import nn

from penumbra_engine.bench.table import Table
from penumbra_engine.models.folding import folded
from penumbra_engine.models.rvm import VARIANTS, RobustVideoMatting, State, automatic_ratio

SIZES = ((512, 288), (1920, 1080))
_PROTOCOL = (
    "Frames a second, one at a time with the memory of those before, at the published ratio for each size; the first "
    "frame isn't counted. Random weights. faster: frames a second to those of the network as it is, in this run."
)


def bench_streaming(frames: int = 3, tell: Callable[[str], None] = lambda line: None) -> Table:
    """Time every variant, size and way to run it on some frames."""
    columns = ("network", "size", "way", "frames/s", "faster")
    table = Table("Robust Video Matting: speed", _PROTOCOL, columns, notes=[f"{torch.get_num_threads()} threads"])
    for variant in VARIANTS:
        network = RobustVideoMatting(variant).eval()
        for width, height in SIZES:
            first = 0.0
            for way, prepare in WAYS.items():
                tell(f"{variant} {width}x{height}: {way}")
                rate = _rate(prepare(copy.deepcopy(network)), width, height, frames)
                first = first or rate
                size = f"{width}x{height}"
                table.add({"network": variant, "size": size, "way": way, "frames/s": rate, "faster": rate / first})
    return table


def as_it_is(network: nn.Module) -> nn.Module:
    return network


def channels_last(network: nn.Module) -> nn.Module:
    for weights in network.parameters():
        if weights.dim() == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    return network


def folded_channels_last(network: nn.Module) -> nn.Module:
    return channels_last(folded(network))


#: What is done to a network before it runs. The node takes `folded`.
WAYS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "as it is": as_it_is,
    "channels last": channels_last,
    "folded": folded,
    "folded, channels last": folded_channels_last,
}


def _rate(network: nn.Module, width: int, height: int, frames: int) -> float:
    """Frames a second."""
    ratio = automatic_ratio(height, width)
    picture = torch.rand(1, 1, 3, height, width, generator=torch.Generator().manual_seed(0))
    state: State | None = None
    began = 0.0
    with torch.no_grad():
        for index in range(frames + 1):
            if index == 1:
                began = time.perf_counter()
            state = network(picture, state, ratio).state
    return frames / (time.perf_counter() - began)
