"""Keyframes: the finished mattes that the artist gave, checked, as one stack."""

from dataclasses import dataclass

import numpy as np

from penumbra_engine.cache import Stack, Store
from penumbra_engine.errors import InputError
from penumbra_engine.media import Shot
from penumbra_engine.solvers.steps import Steps, code_version


@dataclass(frozen=True)
class Keyframes:
    """mattes: one T = number of keyframes stack of T x 1 x H x W float32. of: (name, index of the frame) of each."""

    key: str
    mattes: Stack
    of: tuple[tuple[str, int], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the objects, each once, in the order of the job."""
        return tuple(dict.fromkeys(name for name, _ in self.of))

    def frames(self, name: str) -> list[int]:
        """Indices of the frames on which an object is keyed, ascending."""
        return sorted(index for of, index in self.of if of == name)

    def matte(self, name: str, index: int) -> np.ndarray:
        """The matte of an object on a keyed frame, H x W float32 in [0, 1]."""
        return self.mattes[self.of.index((name, index))][0]


def read_keyframes(shot: Shot, store: Store) -> Steps[Keyframes]:
    """Read every keyframe once. Raises InputError, naming file and frame, for a matte that is empty or covers all."""
    of = tuple((name, shot.frames.index(frame)) for name, frame, _ in shot.keyframes)
    digests = [[name, frame, shot.digest_keyframe(name, frame)] for name, frame, _ in shot.keyframes]
    with store.entry("keyframes", code=code_version(), keyframes=digests, window=list(shot.window)) as entry:
        if not entry.complete:
            stack = entry.create_stack("mattes", (len(of), 1, shot.height, shot.width))
            for done, (name, frame, files) in enumerate(shot.keyframes):
                matte = shot.keyframe(name, frame)
                if not (matte > 0.5).any() or (matte > 0.5).all():
                    what = "is empty" if not (matte > 0.5).any() else "covers every pixel"
                    raise InputError(
                        f"{files.argument}, frame {frame}: {files.path(frame)} {what}; give a frame that shows both "
                        "the object and what is around it, or name the channel the matte is in, as in matte.exr@A",
                        files.argument,
                    )
                stack[done] = matte[None]
                yield done, len(of)
            entry.finish()
        return Keyframes(entry.key, entry.stack("mattes"), of)
