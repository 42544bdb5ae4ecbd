"""The training loop: learns, repeats itself to the bit, and goes on where it was stopped."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from penumbra_engine.cache import Store
from penumbra_engine.training.loop import Schedule, train

SCHEDULE = Schedule(steps=60, learning_rate=0.1, seed=3)


class Line:
    """Fits y = 2 x + 1 from noisy samples."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))

    def loss(self, random: np.random.Generator) -> torch.Tensor:
        x = torch.from_numpy(random.uniform(-1, 1, (16, 1)).astype(np.float32))
        return (self.network(x) - 2 * x - 1).square().mean()


def run(store: Store, key: str, stop_after: int = 10**6, schedule: Schedule = SCHEDULE) -> tuple[Line, float]:
    line = Line()
    with store.entry("line", key=key) as entry:
        steps = train(line.network, line.loss, schedule, entry)
        try:
            while True:
                done, total = next(steps)
                assert total == schedule.steps
                if done == stop_after:
                    steps.close()
                    return line, 0.0
        except StopIteration as end:
            return line, end.value


def test_it_learns(tmp_path: Path) -> None:
    before = float(Line().loss(np.random.default_rng(0)).detach())
    _, loss = run(Store(tmp_path), "a")
    assert loss < before / 2


@pytest.mark.parametrize("stop_after", [3, 30])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, stop_after: int) -> None:
    store = Store(tmp_path)
    whole, loss = run(store, "whole")
    run(store, "stopped", stop_after)
    resumed, again = run(store, "stopped")
    assert again == loss
    for a, b in zip(whole.network.state_dict().values(), resumed.network.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_the_seed_decides(tmp_path: Path) -> None:
    store = Store(tmp_path)
    other = Schedule(steps=60, learning_rate=0.1, seed=4)
    assert run(store, "a")[1] != run(store, "b", schedule=other)[1]


def test_the_rate_rises_and_falls_to_nothing() -> None:
    rates = [Schedule(steps=100, learning_rate=1.0, seed=0).rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.05) and max(rates) < 1 and rates[-1] == pytest.approx(0.01)
    assert np.argmax(rates) == 19
