"""Train: a network that learns the mattes of this shot."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Entry, Store
from penumbra_engine.models.small_matte import SmallMatte
from penumbra_engine.solvers.lineage import Lineage
from penumbra_engine.solvers.matte.scene import Scene
from penumbra_engine.solvers.steps import Steps, code_version
from penumbra_engine.training.loop import Schedule, train
from penumbra_engine.training.losses import weighted

STEPS = 600
_WARM = 0.5  # of the steps, when an earlier network of the shot is there to start from
_SETTLED = 0.3  # of the steps, with the statistics of the normalisation held still, as they are when it mattes
_LEARNING_RATE = 3e-3
_LOSS = weighted({"alpha": 1.0, "edge": 0.5, "laplacian": 0.5, "gradient": 2.0})
_PREVIEW = 50  # steps


@dataclass(frozen=True)
class Learned:
    """network: in evaluation mode. key: of the training. parent: the key of the one it started from, "" when cold.
    loss: on the last views."""

    network: SmallMatte
    key: str
    parent: str
    loss: float


def learn_matte(
    scene: Scene, steps: int, seed: int, cold: bool, preview: Callable[[SmallMatte, int], None], store: Store
) -> Steps[Learned]:
    """Optimise the small network on the keyframes. steps: 0 takes the usual number. preview: called every few steps
    with the network in evaluation mode."""
    inputs = store.entry(
        "matte_fit",
        code=code_version(),
        plates=scene.plates.key,
        keyframes=scene.keyframes.key,
        background=scene.background.key,
        steps=steps,
        seed=seed,
        threads=torch.get_num_threads(),
    )
    lineage = Lineage(store, "matte", f"{scene.plates.key}-{'-'.join(scene.names)}")
    parent = "" if cold else lineage.parent_of(inputs.key)
    start = _weights(store, parent)
    parent = parent if start else ""
    network = _fresh(len(scene.names), seed, start)
    total = round((steps or STEPS) * (_WARM if start and not steps else 1))
    settled = round(total * _SETTLED)
    with store.entry("matte_fit", inputs=inputs.key, parent=parent) as entry:
        if not entry.complete:
            with store.entry("matte_learn", inputs=inputs.key, parent=parent) as first:
                schedule = Schedule(max(total - settled, 1), _LEARNING_RATE, seed)
                loss = yield from _phase(network, scene, schedule, first, (0, total), preview, held=False)
                if not first.complete:
                    first.finish()
            if settled:
                schedule = Schedule(settled, _LEARNING_RATE / 3, seed + 1)
                loss = yield from _phase(network, scene, schedule, entry, (total - settled, total), preview, held=True)
            entry.save("network", **{name: value.numpy() for name, value in network.state_dict().items()})
            entry.finish({"parent": parent, "loss": loss})
        lineage.record(inputs.key, parent, entry.path.name)
        network.load_state_dict(_weights(store, entry.key) or {})
        return Learned(network.eval(), entry.key, parent, entry.meta["loss"])


def _phase(
    network: SmallMatte,
    scene: Scene,
    schedule: Schedule,
    entry: Entry,
    span: tuple[int, int],
    preview: Callable[[SmallMatte, int], None],
    held: bool,
) -> Steps[float]:
    """One part of the training. span: steps before it, and of all parts. held: with the statistics as they are."""
    network.train(not held)
    steps = train(network, lambda random: _loss(network, scene, random), schedule, entry)
    try:
        while True:
            try:
                done, _ = next(steps)
            except StopIteration as end:
                return end.value
            if (span[0] + done) % _PREVIEW == 0:
                preview(network.eval(), span[0] + done)
                network.train(not held)
            yield span[0] + done, span[1]
    finally:
        steps.close()


def _loss(network: SmallMatte, scene: Scene, random: np.random.Generator) -> Tensor:
    """The losses over all mattes that are known, each a picture of its own."""
    inputs, mattes, known = scene.batch(random)
    return _LOSS(network(inputs)[known][:, None], mattes[known][:, None])


def _fresh(objects: int, seed: int, start: dict[str, Tensor] | None) -> SmallMatte:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SmallMatte(objects)
    if start:
        network.load_state_dict(start)
    return network


def _weights(store: Store, key: str) -> dict[str, Tensor] | None:
    """The network of a training; None when there is none, or when it was removed to make room."""
    entry = Entry(store.root / "matte_fit" / key[:2] / key)
    if not key or not entry.complete:
        return None
    shapes = {name: value.shape for name, value in SmallMatte().state_dict().items()}
    arrays = entry.load("network")
    return {
        name: torch.from_numpy(np.array(value)).reshape(shapes[name] if value.size == 1 else value.shape)
        for name, value in arrays.items()
    }
