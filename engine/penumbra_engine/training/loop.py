"""The one training loop: deterministic, resumable, told nothing of what it trains."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from penumbra_engine.cache import Entry

_CHECKPOINT = 25  # steps
_WARM_UP = 20  # steps over which the learning rate rises


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. learning_rate: its peak; it rises over the first steps and falls linearly to 0. optimiser:
    Adam (Kingma & Ba 2015), or one that takes its place."""

    steps: int
    learning_rate: float
    seed: int
    optimiser: type[torch.optim.Adam] = torch.optim.Adam

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.learning_rate * min(1, (step + 1) / _WARM_UP) * (1 - step / self.steps)


def train(
    network: nn.Module,
    loss_of: Callable[[np.random.Generator], Tensor],
    schedule: Schedule,
    entry: Entry,
) -> Generator[tuple[int, int], None, float]:
    """Optimise a network in place; yields (step, steps) and returns the last loss.

    loss_of: makes a sample with the randomness it is given and returns the network's loss on it. Every step's
    randomness depends on seed and step alone, and the state is kept in `entry` every few steps: a run that was stopped
    goes on where it was and gives what it would have given.
    """
    optimiser = schedule.optimiser(network.parameters(), schedule.learning_rate)
    first, last = resume(network, optimiser, entry)
    for step in range(first, schedule.steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        loss = loss_of(np.random.default_rng((schedule.seed, step)))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        last = float(loss.detach())
        if (step + 1) % _CHECKPOINT == 0 or step + 1 == schedule.steps:
            keep(network, optimiser, entry, step + 1, last)
        yield step + 1, schedule.steps
    return last


def keep(network: nn.Module, optimiser: torch.optim.Adam, entry: Entry, step: int, loss: float) -> None:
    """Keep the state of a training after some steps in its entry. loss: of the last of them."""
    arrays = {f"network/{name}": value.detach().numpy().copy() for name, value in network.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        arrays |= {f"optimiser/{index}/{name}": np.asarray(value) for name, value in state.items()}
    entry.save("training", step=np.array(step), loss=np.array(loss), **arrays)


def resume(network: nn.Module, optimiser: torch.optim.Adam, entry: Entry) -> tuple[int, float]:
    """Take up the state that an entry keeps, if any; the steps that were done, and the loss of the last."""
    if not entry.has("training"):
        return 0, 0.0
    saved = entry.load("training")
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    weights: dict[str, Tensor] = {}
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in saved.items():
        what, _, name = key.partition("/")
        if what == "network":
            weights[name] = torch.from_numpy(np.array(value)).reshape(shapes[name])
        elif what == "optimiser":
            index, _, part = name.partition("/")
            states.setdefault(int(index), {})[part] = torch.from_numpy(np.array(value))
    network.load_state_dict(weights)
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(saved["step"].item()), float(saved["loss"].item())
