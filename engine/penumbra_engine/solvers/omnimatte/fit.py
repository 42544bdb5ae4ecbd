"""Fit: which object owns which effect. The closed form knows the total; a small network splits it."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.cache import Entry, Stack, Store
from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.morphology import dilate, distance_outside
from penumbra_engine.media import Shot
from penumbra_engine.models.ownership import OwnershipNet
from penumbra_engine.solvers.lineage import Lineage
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.bound import Bound
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version

_STEPS = {"standard": 300, "final": 1200}
_WARM = 0.15  # of the steps, when an earlier fit of the shot is there to start from
_ALIKE = 1.5  # times its loss: an earlier fit that explains the effects no better than that is of others
_BATCH = 4
_SIDE = 96  # px of the longer side: effects are smooth, and who owns them smoother still
_LEARNING_RATE = 1.5e-3  # twice that, one start in three gave all effects to one object
_CHECKPOINT = 50  # steps
_SPARSE_L1, _SPARSE_L0 = 0.01, 0.005  # the paper's weights of its two alpha terms


@dataclass(frozen=True)
class Ownership:
    """Shares of each object in the optical depth of all effects: T x K x h x w at the fit's resolution. parent: the
    key of the fit it started from, "" when cold. loss: at the end, None where nothing had to be fitted."""

    key: str
    parent: str
    loss: float | None
    _shares: Stack

    def shares(self, index: int, height: int, width: int) -> Tensor:
        """K x height x width, summing to 1."""
        small = torch.from_numpy(self._shares[index])[None]
        return F.interpolate(small, (height, width), mode="bilinear", align_corners=False)[0]


def fit_ownership(
    shot: Shot,
    plates: Plates,
    masks: Masks,
    registration: Registration,
    bound: Bound,
    quality: str,
    seed: int,
    cold: bool,
    store: Store,
) -> Steps[Ownership]:
    """Split the effects between the objects.

    One object owns all. `draft` gives each effect to the nearest object. Otherwise a network that sees one object's
    mask at a time predicts that object's effect; only the product over the objects is compared with what the closed
    form measured (Omnimatte's reconstruction term with the background known), with its L1 and pseudo-L0 terms.
    """
    learned = len(shot.masks) > 1 and quality != "draft"
    inputs = store.entry(
        "fit", code=code_version(), bound=bound.key, quality=quality, seed=seed, threads=torch.get_num_threads()
    )
    lineage = Lineage(store, "fit", plates.key)
    parent = lineage.parent_of(inputs.key) if learned and not cold else ""
    with store.entry("fit", inputs=inputs.key, parent=parent) as entry:
        if not entry.complete:
            scene = _Scene(shot, masks, registration, bound)
            start = _start(scene, store, parent)
            if learned:
                steps = round(_STEPS[quality] * (_WARM if start else 1))
                loss: float | None = yield from _train(scene, entry, start, steps, seed)
                shares = scene.learned_shares
            else:
                loss, shares = None, scene.nearest_shares
            stack = entry.create_stack("shares", (len(shot.frames), len(shot.masks), scene.height, scene.width))
            for index in range(len(shot.frames)):
                stack[index] = shares(index).numpy()
                yield index, len(shot.frames)
            entry.finish({"parent": parent if start else "", "loss": loss})
        if learned and not cold:
            lineage.record(inputs.key, parent, entry.path.name)
        meta = entry.meta
        return Ownership(entry.key, meta["parent"], meta["loss"], entry.stack("shares"))


def _start(scene: "_Scene", store: Store, parent: str) -> dict[str, np.ndarray] | None:
    """The network of an earlier fit to start from. None when there is none, when it was removed to make room, or when
    it is of other effects, so that it explains these worse than its own: from there the short training of a warm start
    does not get as far as a cold one."""
    entry = Entry(store.root / "fit" / parent[:2] / parent)
    if not parent or not entry.complete:
        return None
    start = entry.load("network")
    scene.network.load_state_dict({name: torch.from_numpy(value) for name, value in start.items()})
    with torch.no_grad():
        losses = [scene.loss(torch.tensor([index])) for index in range(len(scene.inputs))]
    return start if float(torch.stack(losses).mean()) <= _ALIKE * entry.meta["loss"] else None


class _Scene:
    """The shot as the network sees it: small, one object at a time."""

    def __init__(self, shot: Shot, masks: Masks, registration: Registration, bound: Bound) -> None:
        scale = min(1.0, _SIDE / max(shot.width, shot.height))
        self.height, self.width = max(8, round(shot.height * scale)), max(8, round(shot.width * scale))
        self.objects = len(shot.masks)
        centre = np.array([[2 / shot.width, 0, -1], [0, 2 / shot.height, -1], [0, 0, 1]])
        y, x = np.mgrid[0 : self.height, 0 : self.width]
        grid = np.stack(
            [(x + 0.5) / self.width * shot.width, (y + 0.5) / self.height * shot.height, np.ones_like(x)], -1
        )
        inputs, targets, weights = [], [], []
        for index in range(len(shot.frames)):
            small = self._small(torch.from_numpy(masks.objects(index)).float())
            at = grid @ (centre @ registration.cameras[index]).T
            position = torch.from_numpy((at[..., :2] / at[..., 2:]).transpose(2, 0, 1)).float()
            blurs = [box(box(small[:, None], radius), radius) for radius in (4, 12)]
            inputs.append(torch.cat([small[:, None], *blurs, position.expand(self.objects, 2, -1, -1)], 1))
            _, alpha = bound.read(index)
            targets.append(self._small(alpha[None])[0])
            outside = ~dilate(masks.union(index), 2 / scale)
            weights.append(self._small(torch.from_numpy(outside)[None].float())[0])
        self.inputs, self.targets, self.weights = torch.stack(inputs), torch.stack(targets), torch.stack(weights)
        self.masks = masks
        self.network = OwnershipNet()

    def _small(self, picture: Tensor) -> Tensor:
        return F.interpolate(picture[None], (self.height, self.width), mode="area")[0]

    def predict(self, frames: Tensor) -> Tensor:
        """Alpha of each object's effects, N x K x h x w."""
        flat = self.inputs[frames].flatten(0, 1)
        return self.network(flat).reshape(len(frames), self.objects, self.height, self.width)

    def loss(self, frames: Tensor) -> Tensor:
        """Reconstruction of the total outside the objects, and sparsity (Lu et al. 2021, eq. 2 and 4)."""
        alpha, weight = self.predict(frames), self.weights[frames]
        total = 1 - (1 - alpha).prod(1)
        # Effects cover a small part of the picture: they weigh as much as all the rest.
        emphasis = weight * (0.2 + (self.targets[frames] > 0.02).float())
        data = ((total - self.targets[frames]).abs() * emphasis).sum() / emphasis.sum()
        sparsity = _SPARSE_L1 * alpha.mean() + _SPARSE_L0 * (2 * torch.sigmoid(5 * alpha) - 1).mean()
        return data + sparsity

    @torch.no_grad()
    def learned_shares(self, index: int) -> Tensor:
        depth = -torch.log1p(-self.predict(torch.tensor([index]))[0].clamp(max=0.999))
        # Where the network expects nothing of anybody, the nearest object has it.
        return (depth + 1e-3 * self.nearest_shares(index)) / (depth.sum(0) + 1e-3)

    def nearest_shares(self, index: int) -> Tensor:
        if self.objects == 1:
            return torch.ones(1, self.height, self.width)
        masks = self._small(torch.from_numpy(self.masks.objects(index)).float()) > 0.5
        distance = np.stack([distance_outside(m) for m in masks.numpy()])
        distance = np.where(np.isfinite(distance), distance, 1e6)
        return torch.softmax(-torch.from_numpy(distance).float() / 2, 0)


def _train(scene: _Scene, entry: Entry, start: dict[str, np.ndarray] | None, steps: int, seed: int) -> Steps[float]:
    """Optimise the scene's network; resumes at its last checkpoint, and gives what an uninterrupted run would."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        scene.network = OwnershipNet()
    if start:
        scene.network.load_state_dict({name: torch.from_numpy(value) for name, value in start.items()})
    optimiser = torch.optim.Adam(scene.network.parameters(), _LEARNING_RATE)
    first = _resume(scene, optimiser, entry)
    loss = torch.tensor(0.0)
    for step in range(first, steps):
        for group in optimiser.param_groups:
            group["lr"] = _LEARNING_RATE * (1 - step / steps)
        order = torch.Generator().manual_seed(seed * 1_000_003 + step)
        frames = torch.randint(len(scene.inputs), (min(_BATCH, len(scene.inputs)),), generator=order)
        loss = scene.loss(frames)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if (step + 1) % _CHECKPOINT == 0 and step + 1 < steps:
            _checkpoint(scene, optimiser, entry, step + 1)
        yield step + 1, steps
    entry.save("network", **{name: value.numpy() for name, value in scene.network.state_dict().items()})
    return float(loss.detach())


def _checkpoint(scene: _Scene, optimiser: torch.optim.Adam, entry: Entry, step: int) -> None:
    arrays = {f"network.{name}": value.numpy() for name, value in scene.network.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        arrays |= {f"adam.{index}.{name}": value.numpy() for name, value in state.items()}
    entry.save("checkpoint", step=np.array(step), **arrays)


def _resume(scene: _Scene, optimiser: torch.optim.Adam, entry: Entry) -> int:
    """Load the checkpoint of an interrupted run; the step to go on with."""
    if not entry.has("checkpoint"):
        return 0
    arrays = {name: torch.from_numpy(np.array(value)) for name, value in entry.load("checkpoint").items()}
    scene.network.load_state_dict(
        {n.removeprefix("network."): v for n, v in arrays.items() if n.startswith("network.")}
    )
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in arrays.items():
        if name.startswith("adam."):
            _, index, part = name.split(".")
            state.setdefault(int(index), {})[part] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(arrays["step"])
