"""Matte: the trained network on every frame, and how far its mattes can be trusted."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from penumbra_engine.cache import Stack, Store
from penumbra_engine.imaging.morphology import sure_parts
from penumbra_engine.media import Shot
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.matte.scene import Scene
from penumbra_engine.solvers.matte.train import Learned
from penumbra_engine.solvers.steps import Steps, code_version

_LEVELS = (0.02, 0.98)  # what lies outside is meant to be 0 and 1
_CELL = 16  # px of the picture in one of the coarsest features
_BAND, _MARGIN = 1024, 128  # rows of a large picture that are looked at together, and around them: whole cells
_MIRRORED = 32  # px, whole cells too
_LOOKED, _HELD = 420, 100  # bytes a pixel: of what is looked at together, and of the frame


def prediction_memory(shot: Shot) -> float:
    """Bytes that the mattes of one frame take at most while they are found."""
    rows = min(shot.height, _BAND + 2 * _MARGIN)
    return float((_LOOKED * rows + _HELD * shot.height) * shot.width)


@dataclass(frozen=True)
class Mattes:
    """mattes: T x objects x H x W in [0, 1]. confidence: T x 1 x H x W in [0, 1]. doubt: T, mean of 1 - confidence."""

    key: str
    mattes: Stack
    confidence: Stack
    doubt: np.ndarray

    def least_sure(self, keyed: list[int]) -> int | None:
        """The frame of most doubt that isn't keyed, of those alike the one farthest from any that is; None where all
        are keyed."""
        free = [index for index in range(len(self.doubt)) if index not in keyed]
        return max(free, key=lambda t: (self.doubt[t], min(abs(t - index) for index in keyed)), default=None)

    def lost(self, keyframes: Keyframes) -> list[str]:
        """The objects of which nothing was found on any frame but those that they are keyed on."""
        free = {name: set(range(len(self.doubt))) - set(keyframes.frames(name)) for name in keyframes.names}
        found = ((name, (self.mattes[t][k].any() for t in free[name])) for k, name in enumerate(keyframes.names))
        return [name for name, there in found if free[name] and not any(there)]


def matte_frames(shot: Shot, scene: Scene, learned: Learned, store: Store) -> Steps[Mattes]:
    """The matte of every frame. A keyed frame has the matte that the artist gave."""
    with store.entry("matte", code=code_version(), fit=learned.key, frames=list(shot.frames)) as entry:
        if not entry.complete:
            count, objects = len(shot.frames), len(scene.names)
            mattes = entry.create_stack("mattes", (count, objects, shot.height, shot.width))
            confidence = entry.create_stack("confidence", (count, 1, shot.height, shot.width))
            doubt = np.zeros(count)
            for index in range(count):
                found, doubts = _found(learned, scene, index)
                for k, name in enumerate(scene.names):
                    if index in scene.keyframes.frames(name):
                        found[k], doubts[k] = scene.keyframes.matte(name, index), 0
                mattes[index] = found
                confidence[index] = 1 - doubts.max(0, keepdims=True)
                doubt[index] = doubts.mean()
                yield index, count
            entry.save("doubt", doubt=doubt)
            entry.finish()
        return Mattes(entry.key, entry.stack("mattes"), entry.stack("confidence"), entry.load("doubt")["doubt"])


@torch.no_grad()
def predict(network: nn.Module, seen: torch.Tensor) -> np.ndarray:
    """The network's mattes of one picture, objects x H x W, without what is nowhere sure. seen: 6 x H x W."""
    low, high = _LEVELS
    found = ((in_bands(network, seen) - low) / (high - low)).clamp(0, 1).numpy()
    return np.stack([matte * sure_parts(matte) for matte in found])


def in_bands(network: nn.Module, seen: torch.Tensor) -> torch.Tensor:
    """What a network finds in one picture C x H x W, a band of rows after the other where there are many: a plate of
    8K would take over ten gigabytes at once.

    The picture is mirrored at its edges, as it is in the views that the network learned from: it takes the zeros beyond
    them for more of an object that comes near. And as views are it is looked at in whole cells: where one is cut off,
    coarse features are enlarged by a little less than two, and lie astray of the fine ones.
    """
    height, width = seen.shape[1:]
    around = min(_MIRRORED, height - 1, width - 1)
    right, below = (-(side + 2 * around) % _CELL for side in (width, height))
    seen = F.pad(F.pad(seen[None], (around,) * 4, mode="reflect"), (0, right, 0, below), mode="replicate")
    rows = _BAND if height > _BAND + _MARGIN else height
    parts = []
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        first, last = max(0, top + around - _MARGIN) // _CELL * _CELL, bottom + around + _MARGIN
        last += -last % _CELL
        found = network(seen[:, :, first:last])[0]
        parts.append(found[:, top + around - first : bottom + around - first, around : around + width])
    return torch.cat(parts, 1)


def _found(learned: Learned, scene: Scene, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Mattes of a frame, and how far they can be doubted, objects x H x W both: by how much the end of the
    training still changed them. Where two that learned the same disagree, one is wrong (a committee, Seung et al. 1992;
    out of one training, Huang et al. 2017)."""
    seen = scene.whole(index)
    found = predict(learned.network, seen)
    changed = np.abs(found - predict(learned.earlier, seen))
    return found, np.stack([cv2.blur(plane, (5, 5)) for plane in changed]).clip(0, 1)
