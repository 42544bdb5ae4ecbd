"""Train: a network that learns the mattes of this shot, first roughly, then over the background that this uncovers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Entry, Store
from penumbra_engine.models.small_matte import SmallMatte
from penumbra_engine.solvers.lineage import Lineage
from penumbra_engine.solvers.matte.scene import Scene
from penumbra_engine.solvers.matte.views import Views
from penumbra_engine.solvers.steps import Steps, code_version
from penumbra_engine.training.loop import Schedule, train
from penumbra_engine.training.losses import weighted

STEPS = 800
_WARM = 0.5  # of the steps, when an earlier network of the shot is there to start from
_SKETCHED = 0.25  # of the steps, before the background is looked for again
_SETTLED = 0.3  # of the steps, with the statistics of the normalisation held still, as they are when it mattes
_LEARNING_RATE = 3e-3
_LOSS = weighted({"alpha": 1.0, "edge": 0.5, "laplacian": 0.5, "gradient": 2.0})

#: Is shown the network in evaluation mode, and told how many steps it has learned.
Preview = Callable[[SmallMatte, int], None]


@dataclass(frozen=True)
class Plan:
    """How long each part of a training is, in steps. parent: the key of the fit it starts from, "" when cold."""

    sketch: int
    main: int
    settle: int
    seed: int
    parent: str
    inputs: str  # key of all that the training depends on

    @property
    def steps(self) -> int:
        return self.sketch + self.main + self.settle


@dataclass(frozen=True)
class Learned:
    """network: in evaluation mode. key: of the training. loss: on the last views."""

    network: SmallMatte
    key: str
    loss: float


def plan_training(scene: Scene, steps: int, seed: int, cold: bool, store: Store) -> Plan:
    """How to train on a scene. steps: 0 takes the usual number, half of it where an earlier network is there."""
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
    parent = "" if cold else _lineage(scene, store).parent_of(inputs.key)
    parent = parent if _weights(store, "matte_fit", parent) else ""
    total = round((steps or STEPS) * (_WARM if parent and not steps else 1))
    sketch, settle = max(1, round(total * _SKETCHED)), round(total * _SETTLED)
    return Plan(sketch, max(1, total - sketch - settle), settle, seed, parent, inputs.key)


def sketch_matte(scene: Scene, plan: Plan, preview: Preview, store: Store) -> Steps[Learned]:
    """The first part: enough to say where the objects are."""
    network = _network(len(scene.names), plan.seed, _weights(store, "matte_fit", plan.parent))
    with store.entry("matte_sketch", inputs=plan.inputs, parent=plan.parent) as entry:
        if not entry.complete:
            schedule = Schedule(plan.sketch, _LEARNING_RATE, plan.seed)
            loss = yield from _part(network, scene, schedule, entry, (0, plan.sketch), preview, held=False)
            _keep(network, entry, {"loss": loss})
        return _learned(network, "matte_sketch", entry, store)


def learn_matte(scene: Scene, plan: Plan, sketch: Learned, preview: Preview, store: Store) -> Steps[Learned]:
    """The rest, from the sketch on. The scene has the background that the sketch uncovered."""
    network = _network(len(scene.names), plan.seed, sketch.network.state_dict())
    total = plan.main + plan.settle
    with store.entry("matte_fit", sketch=sketch.key, background=scene.background.key) as entry:
        if not entry.complete:
            with store.entry("matte_learn", sketch=sketch.key, background=scene.background.key) as first:
                schedule = Schedule(plan.main, _LEARNING_RATE, plan.seed + 1)
                loss = yield from _part(network, scene, schedule, first, (0, total), preview, held=False)
                if not first.complete:
                    first.finish()
            if plan.settle:
                schedule = Schedule(plan.settle, _LEARNING_RATE / 3, plan.seed + 2)
                loss = yield from _part(network, scene, schedule, entry, (plan.main, total), preview, held=True)
            _keep(network, entry, {"parent": plan.parent, "loss": loss})
        _lineage(scene, store).record(plan.inputs, plan.parent, entry.path.name)
        return _learned(network, "matte_fit", entry, store)


def _lineage(scene: Scene, store: Store) -> Lineage:
    return Lineage(store, "matte", f"{scene.plates.key}-{'-'.join(scene.names)}")


def _part(
    network: SmallMatte,
    scene: Scene,
    schedule: Schedule,
    entry: Entry,
    span: tuple[int, int],
    preview: Preview,
    held: bool,
) -> Steps[float]:
    """One part of the training. span: steps of the stage before it, and of the whole stage. held: with the statistics
    as they are."""
    network.train(not held)
    views = Views(scene)
    steps = train(network, lambda random: _loss(network, views, random), schedule, entry)
    try:
        while True:
            try:
                done, _ = next(steps)
            except StopIteration as end:
                return end.value
            preview(network.eval(), span[0] + done)
            network.train(not held)
            yield span[0] + done, span[1]
    finally:
        steps.close()


def _loss(network: SmallMatte, views: Views, random: np.random.Generator) -> Tensor:
    """The losses over all mattes that are known, each a picture of its own."""
    inputs, mattes, known = views.batch(random)
    return _LOSS(network(inputs)[known][:, None], mattes[known][:, None])


def _network(objects: int, seed: int, start: Mapping[str, Tensor] | None) -> SmallMatte:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SmallMatte(objects)
    if start:
        network.load_state_dict(start)
    for weights in network.parameters():
        if weights.dim() == 4:  # a fifth faster on a CPU
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    return network


def _keep(network: SmallMatte, entry: Entry, meta: dict[str, object]) -> None:
    entry.save("network", **{name: value.numpy() for name, value in network.state_dict().items()})
    entry.finish(meta)


def _learned(network: SmallMatte, stage: str, entry: Entry, store: Store) -> Learned:
    network.load_state_dict(_weights(store, stage, entry.path.name) or {})
    return Learned(network.eval(), entry.path.name, entry.meta["loss"])


def _weights(store: Store, stage: str, key: str) -> dict[str, Tensor] | None:
    """The network of a training; None when there is none, or when it was removed to make room."""
    entry = Entry(store.root / stage / key[:2] / key)
    if not key or not entry.complete:
        return None
    shapes = {name: value.shape for name, value in SmallMatte().state_dict().items()}
    arrays = entry.load("network")
    return {
        name: torch.from_numpy(np.array(value)).reshape(shapes[name] if value.size == 1 else value.shape)
        for name, value in arrays.items()
    }
