"""Student: what learns the mattes of a shot, and how fast."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from penumbra_engine.models.checkpoints import Loaded
from penumbra_engine.models.rvm import RobustVideoMatting
from penumbra_engine.models.small_matte import SmallMatte
from penumbra_engine.training.loop import Schedule
from penumbra_engine.training.muon import Muon

# Bytes a pixel of view: of the small network; of Robust Video Matting, two frames in full size, and as it codes them.
_SMALL, _REFINED, _CODED = 2100, 300, 8300
_ENCODED = 192  # px: the side of a view as the encoder of Robust Video Matting sees it


@dataclass(frozen=True)
class Student:
    """key: what it is and starts from. make: a fresh one for some objects; it takes views N x 6 x S x S to mattes N x
    objects x S x S. steps: of a training, when none are asked for. rate: of learning, by the optimiser. side: S, of a
    view. views: N, at a time. memory: bytes it takes for a pixel of view. held: whether the normalisation keeps the
    statistics it has."""

    key: str
    make: Callable[[int], nn.Module]
    steps: int
    rate: float
    side: int
    views: int
    memory: float
    held: bool = False
    optimiser: type[torch.optim.Adam] = torch.optim.Adam

    def network(self, objects: int, seed: int) -> nn.Module:
        """A fresh network, the same for the same seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.make(objects)

    def schedule(self, steps: int, seed: int, share: float = 1.0) -> Schedule:
        """How it learns for some steps, at a share of its rate."""
        return Schedule(steps, share * self.rate, seed, self.optimiser)


def _small(objects: int) -> nn.Module:
    """Its weights with the channels last: a fifth faster on a CPU. (Robust Video Matting gets slower.)"""
    network = SmallMatte(objects)
    for weights in network.parameters():
        if weights.dim() == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    return network


def small() -> Student:
    """The network of our own."""
    return Student("small", _small, 900, 5e-3, side=128, views=9, memory=_SMALL, optimiser=Muon)


def tuned(weights: Loaded, ratio: float) -> Student:
    """The user's weights of Robust Video Matting, to be tuned to a shot. ratio: at which its encoder will see it."""
    network = cast(RobustVideoMatting, weights.network)
    return Student(
        weights.sha256,
        lambda objects: Shown(deepcopy(network), ratio),
        300,
        1e-4,
        side=round(_ENCODED / ratio),
        views=4,
        memory=_REFINED + _CODED * ratio**2,
        held=True,
    )


class Shown(nn.Module):
    """Robust Video Matting on views: it sees the picture alone, and sees it twice, so that its memory learns too."""

    def __init__(self, network: RobustVideoMatting, ratio: float) -> None:
        super().__init__()
        self.streaming, self.ratio = network, ratio

    def forward(self, seen: Tensor) -> Tensor:
        frames = seen[:, None, :3].expand(-1, 2, -1, -1, -1)
        return cast(Tensor, self.streaming(frames, None, self.ratio).alpha[:, -1])
