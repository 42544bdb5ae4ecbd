"""What the network of the likeness is shown."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from penumbra_engine.models.small_matte import CHANNELS, SmallMatte
from penumbra_engine.solvers.trimap.likeness import _Example, _Views


def test_targets_that_rounding_put_above_one_are_learned_all_the_same() -> None:
    views = _Views.__new__(_Views)
    views.size, views.side, views.composed = (32, 32), 32, []
    above = np.full((32, 32, 3), 1 + 1e-6, np.float32)
    views.keyed = [_Example.of(np.zeros((32, 32, CHANNELS + 1), np.float32), above)]
    network = SmallMatte(3, (8, 8, 8, 8), CHANNELS + 1)
    assert torch.isfinite(views.loss(network, np.random.default_rng(0)))


def test_a_background_that_is_a_guess_tells_nothing_of_a_frame() -> None:
    views: Any = _Views.__new__(_Views)
    views.size, seen = (4, 8), torch.ones(8, 16)
    seen[:, :6], seen[:, 8:] = 0, 0.1
    views.background = SimpleNamespace(seen=lambda index: seen)
    assert np.allclose(views.known(0), [[0, 0, 0, 1, 1, 1, 1, 1]] * 4)
    views.background = SimpleNamespace(seen=lambda index: None)
    assert (views.known(0) == 0).all()
