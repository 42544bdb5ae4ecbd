"""What a network learned and what is found beside it, both wrong by known amounts."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from penumbra_engine.cache import Stack, Store
from penumbra_engine.solvers.matte import joined
from penumbra_engine.solvers.matte.joined import _Pair, edge_trimap, join
from penumbra_engine.solvers.matte.predict import Mattes
from stages import finished

FRAMES, SIDE = 6, 24


def stack(store: Store, name: str, frames: np.ndarray) -> Stack:
    with store.entry(name) as entry:
        filled = entry.create_stack("frames", frames.shape)
        filled[:] = frames
        entry.finish()
        return entry.stack("frames")


def share(folder: Path, learned: float, found: float, keyed: list[int]) -> float:
    """learned, found: standard deviations of both; on keyed frames what was learned is the truth."""
    store, random, size = Store(folder), np.random.default_rng(3), (FRAMES, 1, SIDE, SIDE)
    truth = np.full(size, 0.5, np.float32)
    first, second = (truth + of * random.standard_normal(size, np.float32) for of in (learned, found))
    first[keyed] = truth[keyed]
    pair = _Pair(*(stack(store, name, of) for name, of in (("a", first), ("b", second), ("c", truth))))
    return pair.share(0, keyed)


def test_each_counts_by_the_inverse_of_its_variance(tmp_path: Path) -> None:
    assert abs(share(tmp_path / "a", 0.1, 0.1, [0, 5]) - 0.5) < 0.1
    assert abs(share(tmp_path / "b", 0.2, 0.1, [0, 5]) - 0.8) < 0.1
    assert share(tmp_path / "c", 0.01, 0.2, [0, 5]) < 0.1


def test_where_no_frame_is_free_or_none_has_an_edge_nothing_counts_but_what_was_learned(tmp_path: Path) -> None:
    assert share(tmp_path / "a", 0.1, 0.1, list(range(FRAMES))) == 0
    assert share(tmp_path / "b", 0.1, 0.1, []) == 0


def test_the_edge_of_a_matte_is_what_is_soft_and_a_pixel_beside_it() -> None:
    matte = np.zeros((9, 20), np.float32)
    matte[:, :8], matte[:, 8:10] = 1, 0.5
    assert (edge_trimap(matte) == np.array([1] * 7 + [0.5] * 4 + [0] * 9)).all()
    assert (edge_trimap(np.ones((9, 9), np.float32)) == 1).all(), "an object that fills the frame has none"
    assert (edge_trimap(np.full((9, 9), 0.5, np.float32)) == 1).all(), "nor is there background that it could end at"


def test_on_the_edges_of_free_frames_the_mean_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, random = Store(tmp_path), np.random.default_rng(3)
    truth = np.broadcast_to(np.linspace(-3, 4, SIDE, dtype=np.float32).clip(0, 1), (FRAMES, 1, SIDE, SIDE))
    soft = (truth > 0) & (truth < 1)
    first, second = (truth + soft * 0.1 * random.standard_normal(truth.shape, np.float32) for _ in range(2))
    first[[0, 5]] = truth[[0, 5]]
    found = SimpleNamespace(alpha=stack(store, "found", second))

    def steps(result: Any) -> Iterator[tuple[int, int]]:
        yield 0, 1
        return result

    monkeypatch.setattr(joined, "measure_motion", lambda *given: steps(None))
    monkeypatch.setattr(joined, "solve_alphas", lambda *given: steps(found))
    learned = Mattes("learned", stack(store, "learned", first), stack(store, "sure", truth), np.zeros(FRAMES))
    keyframes: Any = SimpleNamespace(names=("box",), frames=lambda name: [0, 5])
    background: Any = SimpleNamespace(key="background")
    unused: Any = None
    made = finished(join(unused, unused, keyframes, learned, background, store))
    share = made.shares["box"]
    assert 0.3 < share < 0.7
    for index in range(FRAMES):
        counts = 0 if index in (0, 5) else share
        mean = first[index] + counts * (second[index] - first[index])
        assert np.allclose(made.mattes.mattes[index], mean, atol=1e-6)
