"""Fit: which object owns which effect. The closed form knows the total; a small network splits it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.cache import Entry, Stack, Store
from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.morphology import dilate, distance_outside
from penumbra_engine.media import Shot
from penumbra_engine.models.ownership import OwnershipNet
from penumbra_engine.solvers.framewise import frame_by_frame
from penumbra_engine.solvers.lineage import Lineage
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.bound import Bound
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version, within
from penumbra_engine.training.loop import keep, resume
from penumbra_engine.training.muon import Muon

_STEPS = {"standard": 300, "final": 1200}
_WARM = 0.15  # of the steps, when an earlier fit of the shot is there to start from
_GENTLY = 0.5  # times the rate, from there: at all of it much is forgotten first
_FEW = 0.25  # of the frames: while no more are other than the network was trained on, it is taken as it is
_ALIKE = 1.5  # times what frames were left with: an earlier fit that explains them no better is of other effects
_BATCH = 4
_SIDE = 96  # px of the longer side: effects are smooth, and who owns them smoother still
_LEARNING_RATE = 5e-3  # of Muon, which from any start gets in these steps where Adam gets in four times as many
_CHECKPOINT = 50  # steps
_LEARNED = 0.95  # of the stage's time, about, when there is a network
_LAYOUT = torch.channels_last  # a step takes a quarter less of a processor's time
_SHARP = 1.5  # power of expected depths: the little that is expected beside much of another's is mostly blur
_SPARSE_L1, _SPARSE_L0 = 0.01, 0.005  # the paper's weights of its two alpha terms


@dataclass(frozen=True)
class Ownership:
    """Shares of each object in the optical depth of all effects: T x K x h x w at the fit's resolution. parent: the
    key of the fit it started from, "" when cold. loss: at the end, None where nothing had to be fitted. contents: of
    each frame, a key of all that its shares come from."""

    key: str
    parent: str
    loss: float | None
    contents: tuple[str, ...]
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
    scene = _Scene(shot, masks, registration, bound)
    learned = scene.objects > 1 and quality != "draft"
    key, parent, loss, trained_by = "", "", None, "nearest"
    if learned:
        network = _network(scene, plates, bound, quality, seed, cold, store)
        key, parent, loss, trained_by = yield from within((0.0, _LEARNED), network)
    contents = tuple(f"{code_version()} {trained_by} {masks.content(index)}" for index in range(scene.count))
    make = scene.learned_shares if learned else scene.nearest_shares
    shapes = {"shares": (scene.objects, scene.height, scene.width)}
    shares = frame_by_frame(
        store, "shares", plates.key, contents, shapes, lambda index: {"shares": make(index).numpy()}
    )
    entry = yield from within((_LEARNED if learned else 0.0, 1.0), shares)
    return Ownership(key or entry.key, parent, loss, contents, entry.stack("shares"))


def _network(
    scene: "_Scene", plates: Plates, bound: Bound, quality: str, seed: int, cold: bool, store: Store
) -> Steps[tuple[str, str, float, str]]:
    """Give the scene its network: the key of the fit, that of the one it started from, the loss at the end, and the key
    of the fit that trained it."""
    inputs = store.entry(
        "fit", code=code_version(), bound=bound.key, quality=quality, seed=seed, threads=torch.get_num_threads()
    )
    lineage = Lineage(store, "fit", plates.key)
    parent = "" if cold else lineage.parent_of(inputs.key)
    with store.entry("fit", inputs=inputs.key, parent=parent) as entry:
        if not entry.complete:
            entry.finish((yield from _learn(scene, entry, store.finished("fit", parent), quality, seed)))
        if not cold:
            lineage.record(inputs.key, parent, entry.key)
        scene.load(entry.load("network"))
        meta = entry.meta
        return entry.key, meta["parent"], meta["loss"], meta["network"] or entry.key


def _learn(scene: "_Scene", entry: Entry, earlier: Entry | None, quality: str, seed: int) -> Steps[dict[str, Any]]:
    """Train the scene's network, or take that of an earlier fit where it explains the effects of new frames about as
    well as its own, or go on from there for a while. Where that gets nowhere near, these are other effects, and it is
    trained from nothing. What the entry's meta says of it: network is the key of the fit that trained it, "" for this
    one; trained, the effects of its frames then; losses, what each of them was left with."""
    steps = _STEPS[quality]
    parent = ""
    loss: float | None = None
    if earlier:
        start, meta = earlier.load("network"), earlier.meta
        left = np.maximum(meta["losses"], np.mean(meta["losses"]))

        def explains(frames: list[int]) -> bool:
            return sum(scene.losses(frames)) <= _ALIKE * left[frames].sum()

        scene.load(start)
        new = [t for t, (then, now) in enumerate(zip(meta["trained"], scene.contents, strict=True)) if then != now]
        if len(new) <= _FEW * scene.count and explains(new):
            entry.save("network", **start)
            return {**meta, "parent": earlier.key, "network": meta["network"] or earlier.key}
        warm = _train(scene, entry, start, round(_WARM * steps), seed)
        loss = yield from within((0.0, _WARM), warm)
        parent = earlier.key if explains(list(range(scene.count))) else ""
    if not parent:
        cold = _train(scene, entry, None, steps, seed)
        loss = yield from (within((_WARM, 1.0), cold) if earlier else cold)
    losses = scene.losses(range(scene.count))
    return {"parent": parent, "loss": loss, "network": "", "trained": scene.contents, "losses": losses}


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
        self.grid, self.centre = grid, centre
        self.count, self.contents = len(shot.frames), bound.contents
        self.masks, self.registration, self.bound, self.scale = masks, registration, bound, scale
        self.network = _untrained()
        self._frames: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def load(self, network: dict[str, np.ndarray]) -> None:
        """Take the network of a fit."""
        self.network.load_state_dict({name: torch.from_numpy(value) for name, value in network.items()})

    def _frame(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """What the network is given of a frame, K x 5 x h x w, the effects it has to explain, and where these count,
        h x w both."""
        if index not in self._frames:
            small = self._small(torch.from_numpy(self.masks.objects(index)).float())
            at = self.grid @ (self.centre @ self.registration.cameras[index]).T
            position = torch.from_numpy((at[..., :2] / at[..., 2:]).transpose(2, 0, 1)).float()
            blurs = [box(box(small[:, None], radius), radius) for radius in (4, 12)]
            given = torch.cat([small[:, None], *blurs, position.expand(self.objects, 2, -1, -1)], 1)
            _, alpha = self.bound.read(index)
            outside = torch.from_numpy(~dilate(self.masks.union(index), 2 / self.scale))[None].float()
            self._frames[index] = given, self._small(alpha[None])[0], self._small(outside)[0]
        return self._frames[index]

    def _small(self, picture: Tensor) -> Tensor:
        return F.interpolate(picture[None], (self.height, self.width), mode="area")[0]

    def predict(self, given: Tensor) -> Tensor:
        """Alpha of each object's effects, N x K x h x w."""
        flat = given.flatten(0, 1).contiguous(memory_format=_LAYOUT)
        return self.network(flat).reshape(len(given), self.objects, self.height, self.width)

    def loss(self, frames: Tensor) -> Tensor:
        """Reconstruction of the total outside the objects, and sparsity (Lu et al. 2021, eq. 2 and 4)."""
        given, target, weight = (
            torch.stack(parts) for parts in zip(*(self._frame(index) for index in frames.tolist()), strict=True)
        )
        alpha = self.predict(given)
        total = 1 - (1 - alpha).prod(1)
        # Effects cover a small part of the picture: they weigh as much as all the rest.
        emphasis = weight * (0.2 + (target > 0.02).float())
        data = ((total - target).abs() * emphasis).sum() / emphasis.sum()
        sparsity = _SPARSE_L1 * alpha.mean() + _SPARSE_L0 * (2 * torch.sigmoid(5 * alpha) - 1).mean()
        return data + sparsity

    @torch.no_grad()
    def losses(self, frames: Iterable[int]) -> list[float]:
        """The loss of each frame alone."""
        return [float(self.loss(torch.tensor([index]))) for index in frames]

    @torch.no_grad()
    def learned_shares(self, index: int) -> Tensor:
        depth = -torch.log1p(-self.predict(self._frame(index)[0][None])[0].clamp(max=0.999))
        total, sharp = depth.sum(0), depth**_SHARP
        # Where the network expects nothing of anybody, the nearest object has it.
        owed = total * sharp / sharp.sum(0).clamp(min=1e-9)
        return (owed + 1e-3 * self.nearest_shares(index)) / (owed.sum(0) + 1e-3)

    def nearest_shares(self, index: int) -> Tensor:
        if self.objects == 1:
            return torch.ones(1, self.height, self.width)
        masks = self._small(torch.from_numpy(self.masks.objects(index)).float()) > 0.5
        distance = np.stack([distance_outside(m) for m in masks.numpy()])
        distance = np.where(np.isfinite(distance), distance, 1e6)
        return torch.softmax(-torch.from_numpy(distance).float() / 2, 0)


def _untrained() -> OwnershipNet:
    network = OwnershipNet()
    for weights in network.parameters():
        if weights.ndim == 4:
            weights.data = weights.data.contiguous(memory_format=_LAYOUT)
    return network


def _train(scene: _Scene, entry: Entry, start: dict[str, np.ndarray] | None, steps: int, seed: int) -> Steps[float]:
    """Optimise the scene's network, from that of an earlier fit or from nothing; the latter resumes at its last
    checkpoint, and gives what an uninterrupted run would."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        scene.network = _untrained()
    if start:
        scene.load(start)
    rate = _LEARNING_RATE * (_GENTLY if start else 1)
    optimiser = Muon(scene.network.parameters(), rate)
    first, last = (0, 0.0) if start else resume(scene.network, optimiser, entry)
    for step in range(first, steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        order = torch.Generator().manual_seed(seed * 1_000_003 + step)
        frames = torch.randint(scene.count, (min(_BATCH, scene.count),), generator=order)
        loss = scene.loss(frames)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        last = float(loss.detach())
        if not start and (step + 1) % _CHECKPOINT == 0 and step + 1 < steps:
            keep(scene.network, optimiser, entry, step + 1, last)
        yield step + 1, steps
    entry.save("network", **{name: value.numpy() for name, value in scene.network.state_dict().items()})
    return last
