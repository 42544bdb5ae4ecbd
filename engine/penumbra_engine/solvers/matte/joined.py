"""Joined: what the network learned and what the known background tells, each as far as it is to be relied on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from penumbra_engine.cache import Stack, Store
from penumbra_engine.imaging.morphology import dilate, erode
from penumbra_engine.media import Shot
from penumbra_engine.solvers.alpha import Expected, Known, alpha_memory, solve_alphas
from penumbra_engine.solvers.background import Background
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.matte.predict import Mattes
from penumbra_engine.solvers.motion import measure_motion
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version, within

_CLEAR, _SOLID = 0.02, 0.98
_BAND = 1.0  # px: how far beside its soft pixels a matte is looked at once more
_SOLVER = "closed-form"


def join_memory(shot: Shot, keyframes: Keyframes) -> float:
    """Bytes that it takes; the edges of other frames are about as long as those keyed."""
    longest = max(int((edge_trimap(keyframes.matte(name, index)) == 0.5).sum()) for name, index in keyframes.of)
    return alpha_memory(shot, longest)


def edge_trimap(matte: np.ndarray) -> np.ndarray:
    """0 outside the edge of a matte, 0.5 on it, 1 inside; H x W float32. Where nothing is outside there is no edge."""
    inside, touched = erode(matte > _SOLID, _BAND), dilate(matte > _CLEAR, _BAND)
    if touched.all():
        inside = touched
    return np.where(inside, 1, np.where(touched, 0.5, 0)).astype(np.float32)


class Joined(NamedTuple):
    """mattes: of both. shares: of each object, how much what the background tells counts in them, in [0, 1]."""

    mattes: Mattes
    shares: dict[str, float]


def join(
    shot: Shot, plates: Plates, keyframes: Keyframes, mattes: Mattes, background: Background, store: Store
) -> Steps[Joined]:
    """The mean of the network's mattes and of what matting over the background finds on their edges, which hears the
    network as well. A keyed frame has the matte that the artist gave."""
    names = keyframes.names
    with store.entry("joined", code=code_version(), mattes=mattes.key, background=background.key) as entry:
        if not entry.complete:
            shape = mattes.mattes.shape
            edges, joined = entry.create_stack("edges", shape, scratch=True), entry.create_stack("joined", shape)
            steps = 20 * shape[0]
            for index in range(shape[0]):
                edges[index] = np.stack([edge_trimap(matte) for matte in mattes.mattes[index]])
                yield index, steps
            motion = yield from within((0.05, 0.1), measure_motion(plates, store))
            known, expected = Known(mattes.key, edges), Expected(mattes.key, lambda index: mattes.mattes[index])
            solving = solve_alphas(shot, plates, known, motion, background, expected, _SOLVER, store)
            found = (yield from within((0.1, 0.95), solving)).alpha
            pair = _Pair(mattes.mattes, found, edges)
            shares = [pair.share(k, keyframes.frames(name)) for k, name in enumerate(names)]
            for index in range(shape[0]):
                free = [index not in keyframes.frames(name) for name in names]
                count = np.multiply(shares, free, dtype=np.float32)[:, None, None]
                learned = mattes.mattes[index]
                joined[index] = learned + count * np.where(edges[index] == 0.5, found[index] - learned, 0)
                yield steps - shape[0] + index, steps
            entry.finish({"shares": shares})
        of_each = dict(zip(names, entry.meta["shares"], strict=True))
        return Joined(Mattes(entry.key, entry.stack("joined"), mattes.confidence, mattes.doubt), of_each)


class _Pair(NamedTuple):
    """T x objects x H x W all: the alphas that were learned and that were found, and the edges, 0.5 there."""

    learned: Stack
    found: Stack
    edges: Stack

    def share(self, k: int, keyed: Sequence[int]) -> float:
        """How much what was found of an object counts beside what was learned, in [0, 1]. keyed: frames.

        Of two guesses that err apart from each other each counts by the inverse of its variance. On keyed frames, where
        what was learned is right, they differ by the error of what was found alone; what they differ by more elsewhere,
        by the square, is the error of what was learned. (Of keyed frames that knows more than it has learned.)
        """
        there = self._differ(k, keyed)
        elsewhere = self._differ(k, [index for index in range(len(self.learned)) if index not in keyed])
        return max(0.0, 1 - there / elsewhere) if there and elsewhere else 0.0

    def _differ(self, k: int, frames: Sequence[int]) -> float:
        """The mean square of what both differ by on an object's edges; 0 where there are none."""
        total, number = 0.0, 0
        for index in frames:
            unknown = self.edges[index][k] == 0.5
            total += float(np.square(self.found[index][k] - self.learned[index][k])[unknown].sum())
            number += int(unknown.sum())
        return total / max(number, 1)
