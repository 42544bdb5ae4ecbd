"""Keyframes: the mattes or trimaps that the artist gave, checked, as one stack."""

from collections.abc import Callable
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


def read_keyframes(shot: Shot, wrong: Callable[[np.ndarray], str], store: Store) -> Steps[Keyframes]:
    """Read every keyframe once. wrong: what is wrong with one (H x W), in words that follow its file, "" for nothing.

    Raises InputError, naming file and frame, for one that is wrong.
    """
    of = tuple((name, shot.frames.index(frame)) for name, frame, _ in shot.keyframes)
    digests = [[name, frame, shot.digest_keyframe(name, frame)] for name, frame, _ in shot.keyframes]
    with store.entry("keyframes", code=code_version(), keyframes=digests, window=list(shot.window)) as entry:
        if not entry.complete:
            stack = entry.create_stack("mattes", (len(of), 1, shot.height, shot.width))
            for done, (name, frame, _) in enumerate(shot.keyframes):
                stack[done] = shot.keyframe(name, frame)[None]
                yield done, len(of)
            entry.finish()
        keyframes = Keyframes(entry.key, entry.stack("mattes"), of)
    for done, (_, frame, files) in enumerate(shot.keyframes):
        if problem := wrong(keyframes.mattes[done][0]):
            raise InputError(f"{files.argument}, frame {frame}: {files.path(frame)} {problem}", files.argument)
    return keyframes
