"""Redo: a flat canvas after some masks were changed, from the one before, built anew where they reach alone."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Entry
from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.fill_by_example import fill_by_example
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.media.windows import Window, grown, pixels
from penumbra_engine.solvers.omnimatte.flat import Flat
from penumbra_engine.solvers.omnimatte.footage import Footage
from penumbra_engine.solvers.omnimatte.nearby import Nearby
from penumbra_engine.solvers.omnimatte.state import CLEAN, DISTURBED, LIKELY, MASKED, disturbed, mark, misfit_of
from penumbra_engine.solvers.steps import Steps

_MOST = 0.25  # of the frames: with more masks changed than that, what was measured of the whole shot is measured again
_HALO = 12  # px: what is near a pixel decides about it


class Redo(Flat):
    """One build that starts from an earlier one.

    What was measured of the whole shot is kept: noise, exposures, the lens, tolerance, evenness of the light, the
    brightest light, the shutter. Around what a changed mask shows or hides the canvas is built again as `Flat` builds
    it; where that moves a background by less than the search for effects can tell, the background stays what it was,
    and so does all that is made of it. wanted: the texels near a changed pixel; the rest of the canvas stays.
    """

    def __init__(self, footage: Footage, entry: Entry, earlier: Entry) -> None:
        super().__init__(footage, entry)
        self.earlier = earlier
        self.meta, known, texture = earlier.meta, earlier.load("frames"), earlier.load("canvas")
        self.noise, self.unevens = Noise(**self.meta["noise"]), self.meta["unevens"]
        self.exposed.gains, self.misfit = known["gains"], known["misfit"]
        self.exposed.take_out(torch.from_numpy(known["falloff"]))
        passes = earlier.load("passes")
        self.exposures, self.brightened = list(passes["exposures"]), list(passes["brightened"])
        self.canvas, self.times, self.light = (torch.from_numpy(texture[name]) for name in ("canvas", "times", "light"))
        self.shown = torch.from_numpy(texture["shown"])
        self.before = earlier.stack("state")
        self.changes = dict(self._changes())
        self.reached = torch.zeros(self.whole.height, self.whole.width, dtype=torch.bool)

    @property
    def changed(self) -> list[int]:
        """The frames whose masks were changed since the whole was built last."""
        return sorted({*self.meta["changed"], *self.changes})

    @property
    def worthwhile(self) -> bool:
        return len(self.changed) <= _MOST * self.count

    def run(self) -> Steps[None]:
        names = ["state", "tolerance", "trust", "background", "seen", *["doubt"] * self.earlier.has("doubt")]
        self.copies = {name: self.entry.copy_stack(name, self.earlier) for name in names}
        self.state, self.tolerances, self.trust = (self.copies[name] for name in ("state", "tolerance", "trust"))
        self.nearby = Nearby(self.mosaic, self.exposed, self.state, self.noise, self.meta["shutter"])
        self._measure_trust(self.changes)
        self.frames, self.pictures = self.meta["frames"], self.meta["pictures"]
        for index in self.changes:
            self.frames[index] = self.entry.key
        for area in _apart(self._area(index, changed) for index, changed in self.changes.items()):
            self.area = area
            yield from self._redo()
            for index in self._settled():
                self.frames[index] = self.entry.key
                yield self._tick()
        for index in self.changes:
            self.misfit[index] = misfit_of(
                self.state[index][0], self.exposed.read(index), self._from_canvas(index), self.noise
            )
        said = {"frames": self.frames, "pictures": self.pictures, "changed": self.changed, "parent": self.earlier.key}
        self.finish(self.misfit, {**said, "whole": self.meta["whole"], "uneven": self.meta["uneven"]})

    def _changes(self) -> Iterator[tuple[int, np.ndarray]]:
        """Frames in which masks hide other pixels than before, and which, H x W bool."""
        for index in range(self.count):
            changed = (self.before[index][0] == MASKED) != self._masked(index)
            if changed.any():
                yield index, changed

    def _area(self, index: int, changed: np.ndarray) -> Window:
        """The part of the canvas that is built to know what the changed pixels of a frame decide; they are noted in
        `reached`."""
        x, y = self.mosaic.on_canvas(index, self.frame)[torch.from_numpy(changed)].round().long().unbind(-1)
        self.reached[y, x] = True
        part = Window(int(x.min()), int(y.min()), int(x.max() - x.min()) + 1, int(y.max() - y.min()) + 1)
        return grown(part, _HALO, self.whole)

    def _lies(self, where: np.ndarray, index: int, part: Window) -> np.ndarray:
        """What is so on the canvas (bool) in a part of a frame."""
        if self.static:
            return where[pixels(part)]
        x, y = self.mosaic.on_canvas(index, part).round().long().unbind(-1)
        inside = (x >= 0) & (y >= 0) & (x < self.whole.width) & (y < self.whole.height)
        there = torch.from_numpy(where)[y.clamp(0, self.whole.height - 1), x.clamp(0, self.whole.width - 1)]
        return (there & inside).numpy()

    def _redo(self) -> Steps[None]:
        """The area as `Flat` builds it. What is not near a changed pixel stays: the border of the area is no border."""
        built = np.zeros(self.reached.shape, bool)
        built[pixels(self.area)] = True
        near = built & dilate(self.reached.numpy(), _HALO)
        self.wanted = torch.from_numpy(near)
        around = ((index, self.mosaic.surroundings(index, self.area)) for index in range(self.count))
        extents = ((index, _extent_of(self._lies(built, index, part), part.x, part.y)) for index, part in around)
        self.parts = {index: part for index, part in extents if part}
        before = {}
        for index, part in self.parts.items():
            before[index] = self.state[index][0][pixels(part)]
            hidden = self._masked(index)[pixels(part)]
            self._mark(index, part, np.where(hidden, MASKED, CLEAN).astype(np.uint8))
        canvas, times, shown, self.passed = self.canvas, self.times.clone(), self.shown.clone(), 0
        self._brighten(1 / np.prod(self.brightened, 0))
        if self.static:
            self.canvas /= self.light
        self.exposed.gains = self.exposures[0]
        yield from self._build()
        if self.static:
            self.canvas *= self.light
        else:
            # An object that no mask hid may have been taken for light.
            self.light = fill_smoothly(self.light, (~self.wanted).float())
        self.canvas = torch.where(self.wanted, self.canvas, canvas)
        self._fill(canvas, shown)
        self.moved = self._moved_from(canvas)
        self.times = torch.where(self.wanted, self.times, times)
        yield from self._find_effects(last=True)
        for index, part in list(self.parts.items()):
            there = self._lies(near, index, part)
            state = np.where(there, self.state[index][0][pixels(part)], before[index])
            self._mark(index, part, state)
            if reached := _extent_of(there, part.x, part.y):
                self.parts[index] = reached
            else:
                del self.parts[index]

    def _fill(self, canvas: Tensor, shown: Tensor) -> None:
        """Fill what no frame shows of the canvas, or leave it as it was where all around it is as it was."""
        hole = self._hole()
        rebuilt, self.canvas = self.canvas, torch.where(hole, canvas, self.canvas)
        if not torch.equal(self.shown, shown) or self._moved_from(canvas):
            self.canvas = fill_by_example(rebuilt, hole)

    def _moved_from(self, canvas: Tensor) -> bool:
        """Whether the area differs from that of an earlier canvas by what counts."""
        return bool(self._differ(*(c[:, *pixels(self.area)] for c in (canvas, self.canvas))).any())

    def _mark(self, index: int, part: Window, state: np.ndarray) -> None:
        whole = self.state[index]
        whole[0][pixels(part)] = state
        self.state[index] = whole

    def _find_effects(self, last: bool = False) -> Steps[np.ndarray]:
        """The same of the parts, in the exposures of then; an effect that reaches into one was found beyond it."""
        uneven = self.unevens[self.passed]

        def find(index: int) -> None:
            part = self.parts[index]
            around = grown(part, _HALO, self.frame)
            plate, background = self.exposed.read(index, around), self._from_canvas(index, around)
            state, tolerance = self.state[index][0][pixels(around)], self._tolerance(index)[pixels(around)]
            known = state == DISTURBED
            known[pixels(part, around)] = False
            state = mark(state, plate, background, self.noise, tolerance, uneven, known)
            self._mark(index, part, state[pixels(part, around)])

        yield from self._abreast(find, list(self.parts))
        if not last:
            self._brighten(self.brightened[self.passed])
            self.passed += 1
            self.exposed.gains = self.exposures[self.passed]
        return self.misfit

    def _settled(self) -> Iterator[int]:
        """Write the backgrounds that moved; the frames on which that can be felt where an object or effect is."""
        if self.static:
            area = self.parts[0]
            background, times = self.canvas[:, *pixels(area)], self.times[pixels(area)]
            moved = self._replace(0, area, background=background, seen=(times[None] / 8).clamp(max=1))
            yield from (index for index in self.parts if self._touched(index, moved))
            return
        if not self.moved:
            return  # what is clean agrees with the canvas, and the backgrounds are made of that
        for index, part in self.parts.items():
            background, doubt = self._from_neighbours(index, part)
            moved = self._replace(index, part, background=background, doubt=doubt, seen=self._seen(index, part))
            if self._touched(index, moved):
                yield index

    def _replace(self, index: int, part: Window, **pictures: Tensor) -> np.ndarray:
        """Write a part of the pictures of a frame by name, where its background moved at all; where it did."""
        old = torch.from_numpy(self.copies["background"][index][:, *pixels(part)])
        moved = self._differ(old, pictures["background"], pictures.get("doubt"))
        if moved.any():
            for frame in range(self.count) if self.static else (index,):
                self.pictures[frame] = self.entry.key
            for name, picture in pictures.items():
                whole = self.copies[name][index]
                whole[:, *pixels(part)] = picture.numpy()
                self.copies[name][index] = whole
        return moved

    def _differ(self, old: Tensor, new: Tensor, doubt: Tensor | None = None) -> np.ndarray:
        """Where the search for effects would take one background for a change of the other, h x w bool."""
        nothing, exact = np.zeros(old.shape[1:], bool), torch.zeros(old.shape[1:])
        return disturbed(new, old, nothing, self.noise, exact, self.meta["uneven"], LIKELY, doubt=doubt)

    def _touched(self, index: int, moved: np.ndarray) -> bool:
        part = pixels(self.parts[index])
        layered = (self.state[index][0][part] != CLEAN) | (self.before[index][0][part] != CLEAN)
        return bool((moved & layered).any())


def _extent_of(shape: np.ndarray, x: int = 0, y: int = 0) -> Window | None:
    """The smallest window that holds a shape, h x w bool from a column and row on; None where there is nothing."""
    rows, columns = np.flatnonzero(shape.any(1)), np.flatnonzero(shape.any(0))
    if not len(rows):
        return None
    left, top = int(columns[0]), int(rows[0])
    return Window(x + left, y + top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1)


def _apart(areas: Iterator[Window]) -> list[Window]:
    """The same with those that overlap made one."""
    found: list[Window] = []
    for area in areas:
        while met := [other for other in found if area.intersection(other).width and area.intersection(other).height]:
            found = [other for other in found if other not in met]
            for other in met:
                area = area.union(other)
        found.append(area)
    return found
