"""Recipes: which network is trained with which losses on which pictures, by the name of the network."""

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from penumbra_engine.cache import Store
from penumbra_engine.errors import UsageError
from penumbra_engine.files import write_atomically
from penumbra_engine.media import check_out
from penumbra_engine.models.rvm import RobustVideoMatting
from penumbra_engine.models.small_matte import SmallMatte
from penumbra_engine.training.alternating import alternating_loss
from penumbra_engine.training.loop import Schedule, train
from penumbra_engine.training.losses import weighted
from penumbra_engine.training.sources import Source, batch, source_of

_SIDE, _BATCH = 128, 4
_MATTE = weighted({"alpha": 1.0, "edge": 0.5, "laplacian": 0.5, "gradient": 2.0})


@dataclass(frozen=True)
class Recipe:
    """make: a network with random weights. loss: of it on a sample of some source. rate: of learning."""

    make: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Source, np.random.Generator], Tensor]
    rate: float


def _small(network: nn.Module, source: Source, random: np.random.Generator) -> Tensor:
    inputs, mattes = batch(source, _BATCH, _SIDE, random)
    return _MATTE(network(inputs), mattes)


def _rvm(network: nn.Module, source: Source, random: np.random.Generator) -> Tensor:
    assert isinstance(network, RobustVideoMatting)
    return alternating_loss(network, source, _SIDE, random)


RECIPES = {
    "small": Recipe(SmallMatte, _small, 3e-3),
    "rvm-mobilenetv3": Recipe(lambda: RobustVideoMatting("mobilenetv3"), _rvm, 2e-4),
    "rvm-resnet50": Recipe(lambda: RobustVideoMatting("resnet50"), _rvm, 2e-4),
}


def train_model(
    model: str, data: str, steps: int, seed: int, out: Path, store: Store
) -> Generator[tuple[int, int], None, float]:
    """Train a network and write its weights (safetensors); yields (step, steps) and returns the last loss.

    A run that was stopped goes on where it was. Raises UsageError for a model there is none of, InputError for data
    that can't be read.
    """
    if model not in RECIPES:
        raise UsageError(f"there is no recipe for {model!r}; use {' or '.join(RECIPES)}", "MODEL")
    if steps < 1:
        raise UsageError(f"--steps {steps}: give 1 or more", "--steps")
    source, recipe = source_of(data), RECIPES[model]
    check_out(out.parent)  # now, not after hours
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = recipe.make().train()
    with store.entry("training", model=model, data=data, steps=steps, seed=seed) as entry:
        schedule = Schedule(steps, recipe.rate, seed)
        loss = yield from train(network, lambda random: recipe.loss(network, source, random), schedule, entry)
    said = json.dumps({"model": model, "data": data, "steps": steps, "seed": seed})
    # One key: several are written in no certain order.
    write_atomically(out, safetensors.torch.save(network.state_dict(), {"penumbra": said}), "--out")
    return loss
