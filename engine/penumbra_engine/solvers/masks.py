"""The rough masks of a shot, once, as one stack."""

import hashlib
from dataclasses import dataclass

import numpy as np

from penumbra.protocol import format_frames
from penumbra_engine.cache import Stack, Store
from penumbra_engine.errors import InputError
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.media import Shot
from penumbra_engine.solvers.framewise import frame_by_frame
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version, within

SOLID = 128  # of 255: from here on a mask's pixel belongs to its object


@dataclass(frozen=True)
class Masks:
    """masks: T x K x H x W uint8, 255 where the object is, front to back."""

    key: str
    masks: Stack

    def objects(self, index: int) -> np.ndarray:
        """The objects of one frame, K x H x W bool."""
        return np.greater_equal(self.masks[index], SOLID)

    def content(self, index: int) -> str:
        """A hash of the masks of one frame."""
        return hashlib.sha256(self.masks[index].tobytes()).hexdigest()

    def union(self, index: int, grown: float = 0) -> np.ndarray:
        """Where any object is, grown by some pixels; H x W bool."""
        union = np.logical_or.reduce(self.objects(index), 0)
        return dilate(union, grown) if grown else union


def read_masks(shot: Shot, plates: Plates, store: Store) -> Steps[Masks]:
    """Read every mask once, and again only where its file changed.

    Raises InputError for a mask that can't be read, and when an object is on no frame at all, nowhere more than half
    covered, or covers every pixel of every frame.
    """
    inputs = []
    for done, frame in enumerate(shot.frames):
        digests = [shot.digest_mask(name, frame) for name in shot.names]
        inputs.append(f"{code_version()} {[*shot.window]} {digests}")
        yield done, 2 * len(shot.frames)

    def read(index: int) -> dict[str, np.ndarray]:
        masks = np.stack([shot.mask(name, shot.frames[index]) for name in shot.names])
        return {"masks": np.round(masks * 255).astype(np.uint8)}

    shapes = {"masks": (len(shot.masks), shot.height, shot.width)}
    entry = yield from within(
        (0.5, 1), frame_by_frame(store, "masks", plates.key, inputs, shapes, read, dtype=np.uint8)
    )
    masks = Masks(entry.key, entry.stack("masks"))
    _check(shot, masks)
    return masks


def _check(shot: Shot, masks: Masks) -> None:
    """Raise InputError unless each object is on some frame, and does not fill all of them."""
    frames = range(len(shot.frames))
    most = np.max([masks.masks[index].max((1, 2)) for index in frames], 0)
    full = np.all([masks.objects(index).all((1, 2)) for index in frames], 0)
    for (name, files), whitest, is_full in zip(shot.masks, most, full, strict=True):
        if 0 < whitest < SOLID:
            raise InputError(
                f"{files.argument} {files}: the mask is nowhere brighter than {whitest / 255:.2g}; make it white (1) "
                f"inside {name}, for what is darker than 0.5 counts as outside",
                files.argument,
            )
        if not whitest:
            raise InputError(
                f"{files.argument} {files}: the mask is empty on all frames {format_frames(shot.frames)}; "
                f"paint {name} on at least one of them, or name the channel it is in, as in mask.####.exr@R",
                files.argument,
            )
        if is_full:
            raise InputError(
                f"{files.argument} {files}: the mask covers every pixel of all frames; if its alpha is solid, name "
                "the channel it is in, as in mask.####.exr@R",
                files.argument,
            )
