"""Recipes: which network is trained with which losses on which pictures, by the name of the network."""

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from penumbra_engine.cache import Store
from penumbra_engine.errors import InputError, UsageError
from penumbra_engine.files import write_atomically
from penumbra_engine.media import check_out
from penumbra_engine.models.bgm_v1 import BackgroundMatting
from penumbra_engine.models.bgm_v2 import BACKBONES, BackgroundMattingV2
from penumbra_engine.models.checkpoints import read, weights_hash
from penumbra_engine.models.rvm import RobustVideoMatting
from penumbra_engine.models.small_matte import SmallMatte
from penumbra_engine.training.adversarial import Duel, duel_loss
from penumbra_engine.training.alternating import alternating_loss
from penumbra_engine.training.clean_plates import composites_loss
from penumbra_engine.training.loop import Schedule, train
from penumbra_engine.training.losses import weighted
from penumbra_engine.training.sources import Source, batch, source_of, takes_of

_SIDE, _BATCH = 128, 4
_MATTE = weighted({"alpha": 1.0, "edge": 0.5, "laplacian": 0.5, "gradient": 2.0})


@dataclass(frozen=True)
class Recipe:
    """make: a network with random weights. loss: of it on a sample of some source. rate: of learning. adversarial:
    whether it can go on learning from takes without mattes."""

    make: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Source, np.random.Generator], Tensor]
    rate: float
    adversarial: bool = False


def _small(network: nn.Module, source: Source, random: np.random.Generator) -> Tensor:
    inputs, mattes = batch(source, _BATCH, _SIDE, random)
    return _MATTE(network(inputs), mattes)


def _rvm(network: nn.Module, source: Source, random: np.random.Generator) -> Tensor:
    assert isinstance(network, RobustVideoMatting)
    return alternating_loss(network, source, _SIDE, random)


def _composites(network: nn.Module, source: Source, random: np.random.Generator) -> Tensor:
    return composites_loss(network, source, _BATCH, _SIDE, random)


def _duel(network: nn.Module, takes: Source, random: np.random.Generator) -> Tensor:
    assert isinstance(network, Duel)
    return duel_loss(network, takes, _BATCH, _SIDE, random)


RECIPES = {
    "small": Recipe(SmallMatte, _small, 3e-3),
    "rvm-mobilenetv3": Recipe(lambda: RobustVideoMatting("mobilenetv3"), _rvm, 2e-4),
    "rvm-resnet50": Recipe(lambda: RobustVideoMatting("resnet50"), _rvm, 2e-4),
    "bgm-v1": Recipe(BackgroundMatting, _composites, 1e-4, adversarial=True),
    **{
        f"bgm-v2-{name}": Recipe(partial(BackgroundMattingV2, name, mode="full"), _composites, 1e-4, adversarial=True)
        for name in BACKBONES
    },
}


def train_model(
    model: str,
    data: str,
    steps: int,
    seed: int,
    out: Path,
    store: Store,
    start: Path | None = None,
    adversarial: bool = False,
) -> Generator[tuple[int, int], None, float]:
    """Train a network and write its weights (safetensors); yields (step, steps) and returns the last loss.

    start: weights to begin with, random ones without. adversarial: learn from takes without mattes what `start` has
    learned from composites. A run that was stopped goes on where it was. Raises UsageError for a model there is none
    of or what doesn't go with it, InputError for data or weights that can't be read.
    """
    if model not in RECIPES:
        raise UsageError(f"there is no recipe for {model!r}; use {' or '.join(RECIPES)}", "MODEL")
    if steps < 1:
        raise UsageError(f"--steps {steps}: give 1 or more", "--steps")
    recipe = RECIPES[model]
    if adversarial and not (recipe.adversarial and start):
        able = ", ".join(name for name, one in RECIPES.items() if one.adversarial)
        raise UsageError(
            f"--adversarial goes on from --start FILE, weights of {able} that learned from composites", "--adversarial"
        )
    source = takes_of(data) if adversarial else source_of(data)
    check_out(out.parent)  # now, not after hours
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = recipe.make()
        said = {"model": model, "data": data, "steps": steps, "seed": seed}
        if start:
            said["start"] = _begin(network, start)
        learner = Duel(network) if adversarial else network
        learner.train()
    with store.entry("training", adversarial=adversarial, **said) as entry:
        schedule, loss_of = Schedule(steps, recipe.rate, seed), _duel if adversarial else recipe.loss
        loss = yield from train(learner, lambda random: loss_of(learner, source, random), schedule, entry)
    # One key: several are written in no certain order.
    write_atomically(out, safetensors.torch.save(network.state_dict(), {"penumbra": json.dumps(said)}), "--out")
    return loss


def _begin(network: nn.Module, start: Path) -> str:
    """Load weights into a network; their hash. Raises InputError where they aren't this network's."""
    state = read(start)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"--start {start} holds the weights of another network than MODEL", "--start") from error
    return weights_hash(state)
