"""Recipes: which network is trained with which losses on which pictures, by the name of the network."""

import json
from collections.abc import Generator
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from penumbra_engine.cache import Store
from penumbra_engine.errors import UsageError
from penumbra_engine.files import write_atomically
from penumbra_engine.media import check_out
from penumbra_engine.models.small_matte import SmallMatte
from penumbra_engine.training.loop import Schedule, train
from penumbra_engine.training.losses import weighted
from penumbra_engine.training.sources import batch, source_of

MODELS = ("small",)
_SIDE, _BATCH = 128, 4
_LEARNING_RATE = 3e-3
_LOSS = weighted({"alpha": 1.0, "edge": 0.5, "laplacian": 0.5, "gradient": 2.0})


def train_model(
    model: str, data: str, steps: int, seed: int, out: Path, store: Store
) -> Generator[tuple[int, int], None, float]:
    """Train a network and write its weights (safetensors); yields (step, steps) and returns the last loss.

    A run that was stopped goes on where it was. Raises UsageError for a model there is none of, InputError for data
    that can't be read.
    """
    if model not in MODELS:
        raise UsageError(f"there is no recipe for {model!r}; use {' or '.join(MODELS)}", "MODEL")
    if steps < 1:
        raise UsageError(f"--steps {steps}: give 1 or more", "--steps")
    source = source_of(data)
    check_out(out.parent)  # now, not after hours
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SmallMatte()

    def loss_of(random: np.random.Generator) -> Tensor:
        inputs, mattes = batch(source, _BATCH, _SIDE, random)
        return _LOSS(network(inputs), mattes)

    with store.entry("training", model=model, data=data, steps=steps, seed=seed) as entry:
        loss = yield from train(network.train(), loss_of, Schedule(steps, _LEARNING_RATE, seed), entry)
    said = json.dumps({"model": model, "data": data, "steps": steps, "seed": seed})
    # One key: several are written in no certain order.
    write_atomically(out, safetensors.torch.save(network.state_dict(), {"penumbra": said}), "--out")
    return loss
