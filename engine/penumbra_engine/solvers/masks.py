"""The rough masks of a shot, once, as one stack."""

import hashlib
from dataclasses import dataclass

import numpy as np

from penumbra_engine.cache import Stack, Store
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.media import Shot
from penumbra_engine.solvers.steps import Steps, code_version


@dataclass(frozen=True)
class Masks:
    """masks: T x K x H x W uint8, 255 where the object is, front to back."""

    key: str
    masks: Stack

    def objects(self, index: int) -> np.ndarray:
        """The objects of one frame, K x H x W bool."""
        return np.greater_equal(self.masks[index], 128)

    def content(self, index: int) -> str:
        """A hash of the masks of one frame."""
        return hashlib.sha256(self.masks[index].tobytes()).hexdigest()

    def union(self, index: int, grown: float = 0) -> np.ndarray:
        """Where any object is, grown by some pixels; H x W bool."""
        union = np.logical_or.reduce(self.objects(index), 0)
        return dilate(union, grown) if grown else union


def read_masks(shot: Shot, store: Store) -> Steps[Masks]:
    """Read every mask once. Raises InputError when an object is on no frame at all."""
    count, total = len(shot.frames), 2 * len(shot.frames) * len(shot.masks)
    for done, _ in enumerate(shot.check_masks()):
        yield done, total
    digests = [[shot.digest_mask(name, frame) for frame in shot.frames] for name in shot.names]
    with store.entry("masks", code=code_version(), masks=digests, window=list(shot.window)) as entry:
        if not entry.complete:
            stack = entry.create_stack("masks", (count, len(shot.masks), shot.height, shot.width), np.uint8)
            for index, frame in enumerate(shot.frames):
                masks = np.stack([shot.mask(name, frame) for name in shot.names])
                stack[index] = np.round(masks * 255).astype(np.uint8)
                yield total // 2 + index * len(shot.masks), total
            entry.finish()
        return Masks(entry.key, entry.stack("masks"))
