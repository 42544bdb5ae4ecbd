"""Matte: alpha of the subject against the aligned plate, and of the effects that lie behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Entry, Stack, Store
from penumbra_engine.imaging.composite import share_out
from penumbra_engine.imaging.disturbance import slope
from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.media import Shot
from penumbra_engine.solvers.clean_plate.network import Network
from penumbra_engine.solvers.clean_plate.thin import thin_parts
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.motion import Motion, measure_motion
from penumbra_engine.solvers.omnimatte.bound import Bound
from penumbra_engine.solvers.omnimatte.boundary import BAND, Boundary, band_of, told_beside
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.edge import light_under, solve_edge
from penumbra_engine.solvers.omnimatte.refine import effect_behind
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steadied import steadied
from penumbra_engine.solvers.steps import Steps, code_version, within

_FOUND = 0.03  # as BAND, of a mask that was found: it takes in all hair that can be seen
_MOTION, _EDGES = 0.15, 0.8  # of the time, until then
_SILENT = 1 / 512  # alpha below this is noise: the background gets the plate there


@dataclass(frozen=True)
class Matte:
    """alpha: T x 2 x H x W, of the subject and of its effects behind it, each rounded to what a half float holds.
    confidence: T x 1 x H x W in [0, 1]."""

    key: str
    alpha: Stack
    confidence: Stack

    def read(self, index: int, plates: Plates, canvas: Canvas, merge: bool) -> tuple[Tensor, Tensor]:
        """Layers 2 x 4 x H x W, the subject before its effects, or 1 x 4 x H x W when they are merged, and the
        background 3 x H x W, that give the plate back exactly. Premultiplied."""
        plate, alpha = torch.from_numpy(plates.plate[index]), torch.from_numpy(self.alpha[index])
        solid = torch.stack([alpha[0], torch.zeros_like(alpha[0])])
        if merge:
            alpha = _rounded(1 - (1 - alpha[:1]) * (1 - alpha[1:]))
            solid = solid[:1]
        return share_out(plate, canvas.background(index), alpha, solid)


def solve_matte(
    shot: Shot,
    plates: Plates,
    masks: Masks,
    canvas: Canvas,
    bound: Bound,
    network: Network | None,
    quality: str,
    store: Store,
) -> Steps[Matte]:
    """The subject's alpha, in closed form against the aligned plate with the subject's own shadow on it, or by a
    network that sees plate and clean plate; its effects behind it. In closed form the frames beside one tell of its
    edge and steady it as in Omnimatte Layers; not of a draft, the former not where the background was put together by
    depth either."""
    facts, known = network.facts if network else "closed-form", {"bound": bound.key, "masks": masks.key}
    with store.entry("clean_plate_matte", code=code_version(), model=facts, quality=quality, **known) as entry:
        if not entry.complete:
            done = 0.0
            if network:

                def solved(index: int) -> tuple[Tensor, Tensor]:
                    return _by_network(shot, plates, masks, canvas, bound, network, index)
            else:
                closed_form = _ClosedForm(plates, masks, canvas, bound, bool(shot.names))
                if quality == "draft":
                    solved = closed_form.alone
                else:
                    motion = yield from within((0.0, _MOTION), measure_motion(plates, store))
                    edges = entry.create_stack("edges", (len(shot.frames), 1, shot.height, shot.width), scratch=True)
                    yield from within((_MOTION, _EDGES), closed_form.edges(edges, motion))
                    solved, done = partial(closed_form.steadied, edges=edges, motion=motion), _EDGES
            yield from within((done, 1.0), _fill(entry, shot, canvas, solved))
            entry.finish()
        return Matte(entry.key, entry.stack("alpha"), entry.stack("confidence"))


def _fill(entry: Entry, shot: Shot, canvas: Canvas, solved: Callable[[int], tuple[Tensor, Tensor]]) -> Steps[None]:
    """Put the alphas of subject and effects of every frame into an entry."""
    count = len(shot.frames)
    alphas = entry.create_stack("alpha", (count, 2, shot.height, shot.width))
    confidence = entry.create_stack("confidence", (count, 1, shot.height, shot.width))
    for index in range(count):
        solid, effect = solved(index)
        # Behind what is solid nothing of the effect is seen: the layer has a hole there.
        effect = torch.where(solid >= 1 - _SILENT, 0.0, effect)
        alphas[index] = _rounded(torch.stack([solid, effect])).numpy()
        confidence[index] = _confidence(canvas, index, solid).numpy()[None]
        yield index, count


class _ClosedForm(NamedTuple):
    """All that closed form solves a frame by. drawn: whether there is a mask that an artist gave."""

    plates: Plates
    masks: Masks
    canvas: Canvas
    bound: Bound
    drawn: bool

    def alone(self, index: int) -> tuple[Tensor, Tensor]:
        """Alpha of the subject and of its effects, H x W both, by the frame itself."""
        at, thin = self._boundary(index)
        return self._with_effect(self._edge(at, thin, None), at)

    def edges(self, into: Stack, motion: Motion) -> Steps[None]:
        """Fill T x 1 x H x W with the subject's alpha on each frame, by what those beside it show of it too."""
        for index in range(len(into)):
            at, thin = self._boundary(index)
            told = None
            if not self.canvas.by_depth:
                told = told_beside(index, at, self.plates, self.canvas, motion, self._band)
            into[index] = self._edge(at, thin, told).numpy()[None]
            yield index, len(into)

    def steadied(self, index: int, edges: Stack, motion: Motion) -> tuple[Tensor, Tensor]:
        """As `alone`, by the edges of the frame and of those beside it."""
        at, _ = self._boundary(index)
        background = self.canvas.background
        solid = steadied(index, lambda t: edges[t][0], self.plates, background, motion, at.light)
        return self._with_effect(solid, at)

    @property
    def _band(self) -> float:
        return band_of(max(self.plates.plate.shape[2:]), BAND if self.drawn else _FOUND)

    def _boundary(self, index: int) -> tuple[Boundary, np.ndarray | None]:
        """What a frame is solved from, and the thin parts of the subject that its mask misses."""
        picture, background = torch.from_numpy(self.plates.plate[index]), self.canvas.background(index)
        transmission, effect = self.bound.read(index)
        mask = self.masks.union(index)
        misplaced = self.canvas.tolerance(index) * slope(background[None])[0]
        variance = self.canvas.noise.variance(torch.maximum(picture, background)) + misplaced.square()
        thin = thin_parts(picture, self.canvas, index, mask, self._band) if self.drawn else None
        if thin is not None:
            mask = mask | thin
        light = light_under(transmission, mask, self._band)
        return Boundary(picture, light, background * light, variance.mean(0), effect, mask), thin

    def _edge(self, at: Boundary, thin: np.ndarray | None, told: Tensor | None) -> Tensor:
        return solve_edge(at.picture, at.behind, at.variance, at.union, self._band, self.drawn, thin, told=told)

    def _with_effect(self, solid: Tensor, at: Boundary) -> tuple[Tensor, Tensor]:
        return solid, effect_behind(solid, at.effect, at.union, self._band)[1]


def _by_network(
    shot: Shot, plates: Plates, masks: Masks, canvas: Canvas, bound: Bound, network: Network, index: int
) -> tuple[Tensor, Tensor]:
    """The same, the subject by a network; effects are measured beside its mask and go on under it."""
    clean, mask = plates.encode(shot, canvas.background(index).numpy()), masks.union(index)
    _, effect = bound.read(index)
    beside = torch.from_numpy(~dilate(mask, band_of(max(shot.height, shot.width))))
    effect = torch.where(beside, effect, fill_smoothly(effect[None], beside.float())[0])
    return network.alpha(plates.encoded(shot, index), clean, mask), effect


def _rounded(alpha: Tensor) -> Tensor:
    """Alpha as a file holds it, so that colours are made for the alpha that is written."""
    alpha = alpha.clamp(0, 1).half().float()
    return torch.where(alpha < _SILENT, 0.0, alpha)


def _confidence(canvas: Canvas, index: int, solid: Tensor) -> Tensor:
    """How far the result can be trusted: 1 where the plate is kept, less where the clean plate does not reach or fits
    badly."""
    fit = min(1.0, 2 / max(float(canvas.misfit[index]), 1e-6))
    return 1 - solid * (1 - canvas.seen(index) * fit)
