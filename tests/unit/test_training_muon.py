"""Muon: kernels take orthogonal steps, everything else Adam's."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from penumbra_engine.cache import Store
from penumbra_engine.training.loop import Schedule, train
from penumbra_engine.training.muon import Muon, orthogonal

RATE = 0.01


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (9, 9)])
def test_singular_values_come_near_one_and_their_vectors_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    left, values, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    values = values / values[0] * torch.logspace(0, -1, len(values))  # the last directions hardly count
    found = left.T @ orthogonal(left * values @ right) @ right.T
    assert torch.allclose(found, torch.diag(found.diagonal()), atol=1e-4)
    assert float(found.diagonal().min()) > 0.6 and float(found.diagonal().max()) < 1.3


def test_a_kernel_moves_against_its_gradient_in_all_directions_alike_as_far_as_by_adam() -> None:
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.zeros(8, 4, 3, 3))
    gradient = torch.randn(8, 36) * torch.logspace(0, -1, 8)[:, None]
    kernel.grad = gradient.reshape(kernel.shape).clone()
    Muon([kernel], RATE).step()
    step = -kernel.detach().flatten(1)
    assert float((step * gradient).sum()) > 0
    moved = torch.linalg.svdvals(step) / (0.2 * math.sqrt(36) * RATE)
    assert float(moved.min()) > 0.6 and float(moved.max()) < 1.3


def test_a_vector_moves_as_by_adam() -> None:
    gradient = torch.tensor([1.0, -20.0, 0.3])
    moved = []
    for optimiser in (Muon, torch.optim.Adam):
        vector = nn.Parameter(torch.zeros(3))
        steps = optimiser([vector], RATE)
        for _ in range(3):
            vector.grad = gradient.clone()
            steps.step()
        moved.append(vector.detach())
    assert torch.equal(*moved)


@pytest.mark.parametrize("fails", [False, True])
def test_a_step_leaves_as_many_threads_as_it_found(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, threads = [], torch.get_num_threads()
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self: seen.append(torch.get_num_threads()) or (1 // (not fails))
    )
    try:
        torch.set_num_threads(2)
        if fails:
            with pytest.raises(ZeroDivisionError):
                Muon([nn.Parameter(torch.zeros(3))], RATE).step()
        else:
            Muon([nn.Parameter(torch.zeros(3))], RATE).step()
        assert seen == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_training_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path) -> None:
    store, schedule = Store(tmp_path), Schedule(30, RATE, 0, Muon)

    def learned(key: str, stop_after: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 3))

        def loss(random: np.random.Generator) -> torch.Tensor:
            picture = torch.from_numpy(random.standard_normal((2, 1, 8, 8), np.float32))
            found: torch.Tensor = network(picture)
            return (found - picture[..., 2:-2, 2:-2]).square().mean()

        with store.entry("muon", key=key) as entry:
            steps = train(network, loss, schedule, entry)
            for done, _ in steps:
                if done == stop_after:
                    break
            steps.close()
        return network.state_dict()

    whole = learned("whole", 30)
    learned("stopped", 26)
    for name, value in learned("stopped", 30).items():
        assert torch.equal(value, whole[name]), name
