"""Colours: those that the objects have on some frames, as a first look at their edges tells them."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Store
from penumbra_engine.matting.palette import Palette, together
from penumbra_engine.solvers.abreast import abreast
from penumbra_engine.solvers.lineage import Lineage
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.bound import Bound
from penumbra_engine.solvers.omnimatte.boundary import Boundary, membership
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.edge import solve_edge
from penumbra_engine.solvers.palettes import Palettes
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps

_EVERY = 2  # frames: their colours are those of the others


class ObjectColours:
    """The colours of the objects of a shot. A shoe that the inside of a rough mask shows nothing of would be taken for
    its own shadow, or for the pavement; on some frames it is told apart. key: of all they were learned from."""

    def __init__(self, key: str, masks: Masks, palettes: Palettes) -> None:
        self.key, self._masks, self._palettes = key, masks, palettes

    def around(self, index: int) -> Palette | None:
        """Those of the frames around one at the places of the objects there; None where nothing is known of them."""
        objects = torch.from_numpy(self._masks.objects(index)).float()
        known = [self._palettes.around(index, k, mask) for k, mask in enumerate(objects) if mask.any()]
        found = [palette for palette in known if palette]
        return together(found) if found else None


def learn_colours(
    names: Sequence[str],
    plates: Plates,
    masks: Masks,
    canvas: Canvas,
    bound: Bound,
    boundary: Callable[[int], Boundary],
    band: float,
    store: Store,
) -> Steps[ObjectColours]:
    """Learn them from some frames, each by itself. After a few masks were changed they stay what they were: what all
    frames are made from must not hang on each mask. names: of the objects, front to back; those of other objects, or of
    the same in another order, are learned anew. boundary: of a frame."""
    lineage = Lineage(store, "colours", canvas.whole)
    inputs = store.entry("colours", bound=bound.key, names=list(names))
    parent = lineage.parent_of(inputs.key) if canvas.kept else ""
    earlier = store.finished("colours", parent)
    if earlier and earlier.meta["names"] != list(names):
        earlier = None
    with earlier or inputs as entry:
        if not entry.complete:
            entry.save("palettes", **(yield from _learned(plates, masks, boundary, band)).arrays())
            entry.finish({"names": list(names)})
        lineage.record(inputs.key, parent if earlier else "", entry.key)
        return ObjectColours(entry.key, masks, Palettes.of_arrays(**entry.load("palettes")))


def _learned(plates: Plates, masks: Masks, boundary: Callable[[int], Boundary], band: float) -> Steps[Palettes]:
    palettes, frames = Palettes(), range(0, len(plates.plate), _EVERY)

    def solve(index: int) -> tuple[Boundary, Tensor]:
        at = boundary(index)
        return at, solve_edge(at.picture, at.behind, at.variance, at.union, band)

    height, width = plates.plate.shape[2:]
    for index, (at, alpha) in zip(frames, abreast(solve, frames, height * width), strict=True):
        objects: np.ndarray = masks.objects(index)
        for k, (mask, own) in enumerate(zip(objects, membership(objects) > 0.5, strict=True)):
            palettes.add(index, k, at.picture, at.behind, alpha * own, torch.from_numpy(mask).float())
        yield index, len(plates.plate)
    return palettes
