"""Students: one object and several learn by different optimisers, and a fresh network is the same for the same seed."""

import torch

from penumbra_engine.solvers.matte.student import small
from penumbra_engine.training.muon import Muon


def test_one_object_is_learned_by_muon_and_several_by_adam() -> None:
    one, several = (small(objects).schedule(10, 0) for objects in (1, 2))
    assert one.optimiser is Muon and several.optimiser is torch.optim.Adam
    assert small(1).schedule(10, 0, 0.5).learning_rate == one.learning_rate / 2


def test_a_fresh_network_is_decided_by_the_seed() -> None:
    first, again, other = (small(2).network(2, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"]) and len(first["head.weight"]) == 2
