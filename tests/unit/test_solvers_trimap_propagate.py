"""Keyframes carried by motion alone, where the motion is known: three pixels to the right in every frame."""

from pathlib import Path

import numpy as np
import pytest

from penumbra_engine.cache import Stack, Store
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.trimap.propagate import propagate

HEIGHT, WIDTH, STEP = 24, 64, 3


class Frames:
    """What propagation asks of a shot."""

    frames = (1, 2, 3, 4, 5)
    height, width = HEIGHT, WIDTH


def trimap(index: int) -> np.ndarray:
    """A box with a grey rim of three pixels that has moved `index` steps."""
    drawn = np.zeros((HEIGHT, WIDTH), np.float32)
    left = 8 + STEP * index
    drawn[5:19, left : left + 18] = 0.5
    drawn[8:16, left + 3 : left + 15] = 1
    return drawn


def stack(store: Store, name: str, frames: np.ndarray) -> Stack:
    with store.entry(name) as entry:
        filled = entry.create_stack("frames", frames.shape)
        for index, frame in enumerate(frames):
            filled[index] = frame
        entry.finish()
        return entry.stack("frames")


def carried(folder: Path, keyed: tuple[int, ...], trust: float = 1) -> np.ndarray:
    store = Store(folder)
    flow = np.zeros((5, 6, HEIGHT, WIDTH), np.float32)
    flow[:, 0], flow[:, 3], flow[:, [2, 5]] = STEP, -STEP, trust
    drawn = stack(store, "keys", np.stack([trimap(index)[None] for index in keyed]))
    keyframes = Keyframes("k", drawn, tuple(("box", index) for index in keyed))
    steps = propagate(Frames(), keyframes, Motion("m", stack(store, "flow", flow)), None, store)  # type: ignore[arg-type]
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return np.stack([end.value.trimaps[index][0] for index in range(5)])


@pytest.mark.parametrize("keyed", [(0,), (4,), (2,), (0, 4)])
def test_a_trimap_moves_with_the_motion_forward_and_backward(tmp_path: Path, keyed: tuple[int, ...]) -> None:
    found = carried(tmp_path, keyed)
    for index in range(5):
        wrong = found[index] != trimap(index)
        # The rim of what is known gives a pixel to the unknown, never the other way.
        assert (found[index][wrong] == 0.5).all() and wrong.sum() <= 2 * (18 + 14), index
        assert (found[index] == 1).sum() >= 10 * 6, index


def test_a_keyframe_keeps_its_own(tmp_path: Path) -> None:
    assert np.array_equal(carried(tmp_path, (1,))[1], trimap(1))


def test_motion_that_is_not_trusted_leaves_all_unknown(tmp_path: Path) -> None:
    assert (carried(tmp_path, (0,), trust=0)[1:] == 0.5).all()
