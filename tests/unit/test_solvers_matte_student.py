"""Students: a fresh network is the same for the same seed, and has a matte for each object."""

import torch

from penumbra_engine.solvers.matte.student import small


def test_a_fresh_network_is_decided_by_the_seed() -> None:
    first, again, other = (small().network(2, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"]) and len(first["head.weight"]) == 2
