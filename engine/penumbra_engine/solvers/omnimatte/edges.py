"""Edges: alpha of the objects on every frame, by all that other frames tell of them."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from penumbra_engine.cache import Stack, Store
from penumbra_engine.matting.palette import Palette
from penumbra_engine.media import Shot
from penumbra_engine.solvers.framewise import frame_by_frame
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.motion import Motion, measure_motion
from penumbra_engine.solvers.omnimatte.bound import Bound
from penumbra_engine.solvers.omnimatte.boundary import Boundary, band_of, boundary_of, told_beside
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.colours import learn_colours
from penumbra_engine.solvers.omnimatte.edge import ROUNDS, solve_edge
from penumbra_engine.solvers.passing import asked
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steadied import looked_at, steadied
from penumbra_engine.solvers.steps import Steps, within

_COLOURS, _MOTION = 0.35, 0.15  # of the time


@dataclass(frozen=True)
class Edges:
    """Of each frame by itself: T x 1 x H x W, alpha of the objects together."""

    _solid: Stack
    _inputs: tuple[str, ...]
    _plates: Plates
    _canvas: Canvas
    _motion: Motion

    def around(self, index: int) -> str:
        """A key of all that a frame is `steadied` by."""
        return " ".join(self._inputs[other] for other in looked_at(index, len(self._inputs)))

    def steadied(self, index: int, at: Boundary) -> Tensor:
        """That of a frame with that of those beside it, H x W."""
        background = self._canvas.background
        return steadied(index, lambda t: self._solid[t][0], self._plates, background, self._motion, at.light)


def edge_at(
    at: Boundary, band: float, rounds: int = ROUNDS, told: Tensor | None = None, palette: Palette | None = None
) -> Tensor:
    """Alpha of the objects together, H x W. band, rounds, told, palette: as of `solve_edge`."""
    return solve_edge(at.picture, at.behind, at.variance, at.union, band, rounds=rounds, told=told, palette=palette)


def solve_edges(shot: Shot, plates: Plates, masks: Masks, canvas: Canvas, bound: Bound, store: Store) -> Steps[Edges]:
    """Solve the edges of each frame by what is known of that frame, by the colours that its objects have on others, and
    by what those beside it show of them before other parts of the background. The last not where that was put together
    by depth: a pole that stands before an object lets nothing through, and would be taken for the object.
    """
    band, count = band_of(max(shot.height, shot.width)), len(shot.frames)

    def boundary(index: int) -> Boundary:
        return boundary_of(index, plates, masks, canvas, bound, band)

    learned = learn_colours(shot.names, plates, masks, canvas, bound, boundary, band, store)
    colours = yield from within((0.0, _COLOURS), learned)
    motion = yield from within((_COLOURS, _COLOURS + _MOTION), measure_motion(plates, store))
    inputs = [f"{bound.contents[t]} {colours.key} {motion.key}" for t in range(count)]
    if not canvas.by_depth:
        # A neighbour's background and how often it was seen have one key, that of its picture.
        told_by = [" ".join(canvas.picture(other) for other in asked(t, count)) for t in range(count)]
        inputs = [f"{known} {of}" for known, of in zip(inputs, told_by, strict=True)]

    def solved(index: int) -> dict[str, np.ndarray]:
        at = boundary(index)
        told = None if canvas.by_depth else told_beside(index, at, plates, canvas, motion, band)
        return {"solid": edge_at(at, band, told=told, palette=colours.around(index)).numpy()[None]}

    shapes = {"solid": (1, shot.height, shot.width)}
    solving = frame_by_frame(store, "edges", plates.key, inputs, shapes, solved)
    entry = yield from within((_COLOURS + _MOTION, 1.0), solving)
    return Edges(entry.stack("solid"), tuple(inputs), plates, canvas, motion)
