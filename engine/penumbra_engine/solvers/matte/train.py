"""Train: a network that learns the mattes of this shot, first roughly, then over the background that this uncovers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from penumbra_engine.cache import Entry, Store
from penumbra_engine.media import Shot
from penumbra_engine.solvers.lineage import Lineage
from penumbra_engine.solvers.matte.scene import Scene
from penumbra_engine.solvers.matte.student import Student
from penumbra_engine.solvers.matte.views import Batch, Views, view_side
from penumbra_engine.solvers.matte.watch import Watch
from penumbra_engine.solvers.steps import Steps, code_version
from penumbra_engine.training.loop import Schedule, train
from penumbra_engine.training.losses import weighted

_WARM = 0.5  # of the steps, when an earlier network of the shot is there to start from
_SKETCHED = 0.25  # of the steps, before the background is looked for again
_SETTLED = 0.3  # of the steps, with the statistics of the normalisation held still, as they are when it mattes
_SLOWER = 1 / 3  # of the rate, then
_MIDWAY = 1 / 3  # of those steps: where a network is kept that the last one should agree with
_LOSS = weighted({"alpha": 1.0, "edge": 0.5, "laplacian": 0.5, "gradient": 2.0})

#: Is shown the network in evaluation mode, and told how many steps of the stage it has learned.
Preview = Callable[[nn.Module, int], None]


@dataclass(frozen=True)
class Plan:
    """How long each part of a training is, in steps. parent: the key of the fit it starts from, "" when cold. inputs:
    of all that it depends on. auto: whether it may end where nothing more is gained."""

    student: Student
    sketch: int
    main: int
    settle: int
    seed: int
    parent: str
    inputs: str
    auto: bool


@dataclass(frozen=True)
class Learned:
    """network: in evaluation mode. earlier: as it was some way through the last part of its training, with which it
    should agree; of a sketch the same. key: of the training. loss: at the end. steps: how many it took."""

    network: nn.Module
    earlier: nn.Module
    key: str
    loss: float
    steps: int


def training_memory(shot: Shot, student: Student) -> float:
    """Bytes that a step of the training takes at most."""
    return student.memory * student.views * view_side(shot, student.side) ** 2


def plan_training(scene: Scene, student: Student, steps: int, seed: int, cold: bool, store: Store) -> Plan:
    """How to train on a scene. steps: 0 takes the student's own number, half of it where an earlier network is there,
    and lets it end sooner."""
    inputs = store.entry(
        "matte_fit",
        code=code_version(),
        student=student.key,
        plates=scene.plates.key,
        keyframes=scene.keyframes.key,
        background=scene.background.key,
        steps=steps,
        seed=seed,
        threads=torch.get_num_threads(),
    )
    parent = "" if cold else _lineage(scene, student, store).parent_of(inputs.key)
    parent = parent if Entry(store.root / "matte_fit" / parent[:2] / parent).complete else ""
    total = round((steps or student.steps) * (_WARM if parent and not steps else 1))
    sketch, settle = max(1, round(total * _SKETCHED)), max(1, round(total * _SETTLED))
    return Plan(student, sketch, max(1, total - sketch - settle), settle, seed, parent, inputs.key, not steps)


def sketch_matte(scene: Scene, plan: Plan, preview: Preview, store: Store) -> Steps[Learned]:
    """The first part: enough to say where the objects are."""
    network = plan.student.network(len(scene.names), plan.seed)
    if plan.parent:
        _take(network, Entry(store.root / "matte_fit" / plan.parent[:2] / plan.parent), "network")
    with store.entry("matte_sketch", inputs=plan.inputs, parent=plan.parent) as entry:
        if not entry.complete:
            part = _Part(network, plan, scene, entry, preview, (0, plan.sketch))
            loss = yield from part.run(plan.student.schedule(plan.sketch, plan.seed))
            _keep(network, entry, {"loss": loss})
        _take(network, entry, "network")
        return Learned(network.eval(), network, entry.path.name, entry.meta["loss"], plan.sketch)


def learn_matte(scene: Scene, plan: Plan, sketch: Learned, preview: Preview, store: Store) -> Steps[Learned]:
    """The rest, from the sketch on, and of its last part the best. The scene has the background that the sketch
    uncovered."""
    network = plan.student.network(len(scene.names), plan.seed)
    network.load_state_dict(sketch.network.state_dict())
    total = plan.main + plan.settle
    with store.entry("matte_fit", sketch=sketch.key, background=scene.background.key) as entry:
        if not entry.complete:
            with store.entry("matte_learn", sketch=sketch.key, background=scene.background.key) as first:
                if not first.complete:
                    part = _Part(network, plan, scene, first, preview, (0, total), stops=plan.auto)
                    loss = yield from part.run(plan.student.schedule(plan.main, plan.seed + 1))
                    _keep(network, first, {"loss": loss, "steps": part.done})
                _take(network, first, "network")
            midway = max(1, round(_MIDWAY * plan.settle))
            part = _Part(network, plan, scene, entry, preview, (plan.main, total), held=True, earlier_at=midway)
            loss = yield from part.run(plan.student.schedule(plan.settle, plan.seed + 2, _SLOWER))
            _take(network, entry, "best")
            steps = plan.sketch + first.meta["steps"] + part.done
            _keep(network, entry, {"parent": plan.parent, "loss": loss, "steps": steps})
        _lineage(scene, plan.student, store).record(plan.inputs, plan.parent, entry.path.name)
        earlier = plan.student.network(len(scene.names), plan.seed)
        _take(network, entry, "network")
        _take(earlier, entry, "earlier")
        return Learned(network.eval(), earlier.eval(), entry.path.name, entry.meta["loss"], entry.meta["steps"])


class _Part:
    """One part of the training. span: steps of the stage before it, and of the whole stage. held: with the statistics
    of the normalisation as they are; so are all parts that start from a parent. stops: where nothing more is gained.
    earlier_at: after how many steps its weights are kept as "earlier", too. done: steps so far."""

    def __init__(
        self,
        network: nn.Module,
        plan: Plan,
        scene: Scene,
        entry: Entry,
        preview: Preview,
        span: tuple[int, int],
        held: bool = False,
        stops: bool = False,
        earlier_at: int = 0,
    ) -> None:
        self.network, self.entry, self.preview, self.span, self.stops = network, entry, preview, span, stops
        self.earlier_at = earlier_at
        # An earlier network has settled on the statistics that it has: by others it mattes worse at once, and the few
        # steps after a keyframe was added don't mend that.
        self.learning = not (held or plan.parent or plan.student.held)
        self.views, self.done = Views(scene, plan.student.side, plan.student.views), 0
        self.watch = Watch(self.views, _loss, entry)

    def run(self, schedule: Schedule) -> Steps[float]:
        """Train and return the loss at the end, on views that it was never shown."""
        self.network.train(self.learning)
        steps = train(self.network, lambda random: _loss(self.network, self.views.batch(random)), schedule, self.entry)
        try:
            while not (self.stops and self.watch.settled):
                try:
                    self.done, _ = next(steps)
                except StopIteration:
                    self.done = schedule.steps
                    break
                # Or later, where it was killed between keeping the state of that step and this.
                if 0 < self.earlier_at <= self.done and not self.entry.has("earlier"):
                    _save(self.network, self.entry, "earlier")
                self._show()
                yield self.span[0] + self.done, self.span[1]
        finally:
            steps.close()
        self.watch.look(self.network.eval(), self.done)
        return self.watch.losses[self.done]

    def _show(self) -> None:
        self.preview(self.network.eval(), self.span[0] + self.done)
        if self.watch.due(self.done):
            self.watch.look(self.network, self.done)
        self.network.train(self.learning)


def _loss(network: nn.Module, batch: Batch) -> Tensor:
    """The losses over all mattes that are known, each a picture of its own."""
    return _LOSS(network(batch.inputs)[batch.known][:, None], batch.mattes[batch.known][:, None])


def _lineage(scene: Scene, student: Student, store: Store) -> Lineage:
    return Lineage(store, "matte", f"{scene.plates.key}-{'-'.join(scene.names)}-{student.key[:12]}")


def _keep(network: nn.Module, entry: Entry, meta: dict[str, object]) -> None:
    _save(network, entry, "network")
    entry.finish(meta)


def _save(network: nn.Module, entry: Entry, name: str) -> None:
    entry.save(name, **{key: value.numpy() for key, value in network.state_dict().items()})


def _take(network: nn.Module, entry: Entry, name: str) -> None:
    """Load the weights that an entry holds under a name."""
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    arrays = entry.load(name)
    network.load_state_dict(
        {key: torch.from_numpy(np.array(value)).reshape(shapes[key]) for key, value in arrays.items()}
    )
