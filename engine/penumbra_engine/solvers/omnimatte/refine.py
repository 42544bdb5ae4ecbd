"""Refine: the alpha of every object with its effects at full resolution."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Stack, Store
from penumbra_engine.imaging.composite import share_out
from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.media import Shot
from penumbra_engine.solvers.framewise import frame_by_frame
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.bound import Bound
from penumbra_engine.solvers.omnimatte.boundary import Boundary, band_of, boundary_of, membership
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.edges import edge_at, solve_edges
from penumbra_engine.solvers.omnimatte.fit import Ownership
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, within

# Alpha of an object: at the first the plate shows the effect itself, at the second nothing of it.
_BARE, _HELD = 0.02, 0.4
_EDGES = 0.8  # of the time
_SILENT = 1 / 512  # alpha below this is noise: the background gets the plate there


@dataclass(frozen=True)
class Layers:
    """alpha: T x K x H x W, each object with its effects, front to back. solid: T x K x H x W, how much of each object
    itself is seen. confidence: T x 1 x H x W in [0, 1]. contents: of each frame, a key of all that these come from."""

    key: str
    alpha: Stack
    solid: Stack
    confidence: Stack
    contents: tuple[str, ...]

    def read(self, index: int, plates: Plates, canvas: Canvas) -> tuple[Tensor, Tensor]:
        """Layers K x 4 x H x W premultiplied, and the background 3 x H x W, that give the plate back exactly."""
        plate = torch.from_numpy(plates.plate[index])
        alpha, solid = torch.from_numpy(self.alpha[index]), torch.from_numpy(self.solid[index])
        return share_out(plate, canvas.background(index), alpha, solid)


def refine(
    shot: Shot,
    plates: Plates,
    masks: Masks,
    canvas: Canvas,
    bound: Bound,
    owners: Ownership,
    quality: str,
    store: Store,
) -> Steps[Layers]:
    """Solve the boundary of the objects against the background with their own shadow on it, and put effects behind.

    A draft solves each frame by itself; else by the `edges` of the frames around it as well.
    """
    band = band_of(max(shot.height, shot.width))
    inputs, done = [f"{bound.contents[t]} {owners.contents[t]}" for t in range(len(shot.frames))], 0.0
    edges = None
    if quality != "draft":
        edges, done = (yield from within((0.0, _EDGES), solve_edges(shot, plates, masks, canvas, bound, store))), _EDGES
        inputs = [f"{known} {edges.around(t)}" for t, known in enumerate(inputs)]

    def refined(index: int) -> dict[str, np.ndarray]:
        at = boundary_of(index, plates, masks, canvas, bound, band)
        solid = edges.steadied(index, at) if edges else edge_at(at, band, rounds=1)
        solid, effect = with_effect(solid, at, band)
        parts = membership(masks.objects(index)) * solid
        alpha = _layers(parts, effect, owners.shares(index, shot.height, shot.width))
        confidence = _confidence(canvas, index, alpha)
        return {"alpha": alpha.numpy(), "solid": parts.numpy(), "confidence": confidence[None].numpy()}

    objects = (len(shot.masks), shot.height, shot.width)
    shapes = {"alpha": objects, "solid": objects, "confidence": (1, shot.height, shot.width)}
    solved = frame_by_frame(store, "refine", plates.key, inputs, shapes, refined)
    entry = yield from within((done, 1.0), solved)
    return Layers(entry.key, entry.stack("alpha"), entry.stack("solid"), entry.stack("confidence"), tuple(inputs))


def with_effect(solid: Tensor, at: Boundary, band: float) -> tuple[Tensor, Tensor]:
    """Alpha of the objects together, and of the effects behind them. H x W each. solid: H x W, as the edge was solved.
    band: px."""
    if not at.union.any():
        return solid, at.effect
    bare, effect = effect_behind(solid, at.effect, at.union, band)
    return solid * (1 - bare), effect


def effect_behind(solid: Tensor, effect: Tensor, union: np.ndarray, band: float) -> tuple[Tensor, Tensor]:
    """How far each pixel near the objects shows an effect alone, and the alpha of the effects with what lies under the
    objects' edge. H x W each.

    What looks like a little of an object may be the effect itself, and that was measured. Under the rest the effect is
    continued from there and from beyond the band.
    """
    outside = torch.from_numpy(~dilate(union, band))
    beside = torch.from_numpy(~union)
    bare = ((_HELD - solid) / (_HELD - _BARE)).clamp(0, 1)
    known = torch.where(outside, 1.0, bare.where((bare > 0.5) & beside, 0.0))
    under = fill_smoothly(effect[None], known)[0]
    return bare, torch.where(outside, effect, bare * effect + (1 - bare) * under)


def _layers(solid: Tensor, effect: Tensor, shares: Tensor) -> Tensor:
    """Alpha of each layer, K x H x W, front to back.

    solid: K x H x W, how much of each object is seen. effect: H x W, alpha of all effects together on what lies behind
    the objects. shares: K x H x W summing to 1; two shadows over each other multiply, so they divide the optical depth.

    Behind layer k remain the objects after it, and the ground as far as the effects up to k let it through; its alpha
    is what it takes of that.
    """
    depth = -torch.log1p(-effect.clamp(max=1 - 1e-6))
    objects, ground = solid.sum(0), 1 - solid.sum(0)
    remaining, alphas = torch.ones_like(effect), []
    for own, share in zip(solid, shares, strict=True):
        objects, ground = objects - own, ground * torch.exp(-depth * share)
        behind = (objects + ground).clamp(min=0)
        # What nothing is left of lies behind an object in front: the layer has a hole there.
        alphas.append(torch.where(remaining > _SILENT, 1 - behind / remaining.clamp(min=_SILENT), 0.0))
        remaining = behind
    # Rounded to what a file holds, so that colours are made for the alpha that is written.
    alpha = torch.stack(alphas).clamp(0, 1).half().float()
    return torch.where(alpha < _SILENT, 0.0, alpha)


def _confidence(canvas: Canvas, index: int, alpha: Tensor) -> Tensor:
    """How far the result can be trusted: 1 where the plate is kept, less where the background behind was hardly seen or
    the frame fits its background badly."""
    covered = 1 - (1 - alpha).prod(0)
    fit = float(np.clip(2 / max(canvas.misfit[index], 1e-6), 0, 1))
    return 1 - covered * (1 - canvas.seen(index) * fit)
