"""Redo: a flat canvas after some masks were changed, from the one before, built anew where they reach alone."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Entry
from penumbra_engine.imaging.camera_blur import CameraBlur
from penumbra_engine.imaging.disturbance import disturbance
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.media import Shot
from penumbra_engine.media.windows import Window
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.flat import Flat, grown, pixels
from penumbra_engine.solvers.omnimatte.flow import Flow
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.omnimatte.state import CLEAN, DISTURBED, MASKED, mark, misfit_of
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps

_MOST = 0.25  # of the frames: with more masks changed than that, what was measured of the whole shot is measured again
_HALO = 12  # px: what is near a pixel decides about it
_FELT = 1.0  # standard deviations of what the search for effects sees: a background that moved by less is kept


class Redo(Flat):
    """One build that starts from an earlier one.

    What was measured of the whole shot is kept: noise, exposures, tolerance, evenness of the light, the brightest
    light, the shutter. Around what a changed mask shows or hides the canvas is built again as `Flat` builds it; where
    that moves a background by less than the search for effects can tell, the background stays what it was, and so does
    all that is made of it.
    """

    def __init__(
        self,
        shot: Shot,
        plates: Plates,
        masks: Masks,
        registration: Registration,
        flow: Flow,
        entry: Entry,
        earlier: Entry,
    ) -> None:
        super().__init__(shot, plates, masks, registration, flow, entry)
        self.earlier = earlier
        self.meta, known, texture = earlier.meta, earlier.load("frames"), earlier.load("canvas")
        self.noise, self.unevens = Noise(**self.meta["noise"]), self.meta["unevens"]
        self.gains = self.sampled = known["gains"]
        self.misfit = known["misfit"]
        self.canvas, self.times, self.light = (torch.from_numpy(texture[name]) for name in ("canvas", "times", "light"))
        self.blur = CameraBlur(self.to_canvas, (self.width, self.height), self.meta["shutter"])
        self.before = earlier.stack("state")
        self.changes = dict(self._changes())

    @property
    def changed(self) -> list[int]:
        """The frames whose masks were changed since the whole was built last."""
        return sorted({*self.meta["changed"], *self.changes})

    @property
    def worthwhile(self) -> bool:
        return len(self.changed) <= _MOST * self.count

    def run(self) -> Steps[None]:
        names = ("state", "tolerance", "background", "seen", *(() if self.static else ("doubt",)))
        self.copies = {name: self.entry.copy_stack(name, self.earlier) for name in names}
        self.state, self.tolerances = self.copies["state"], self.copies["tolerance"]
        frames = self.meta["frames"]
        for index in self.changes:
            frames[index] = self.entry.key
        for area in _apart(self._area(index, part) for index, part in self.changes.items()):
            self.area = area
            self.parts = dict(self._parts())
            yield from self._redo()
            for index in self._settled():
                frames[index] = self.entry.key
                yield self._tick()
        for index in self.changes:
            self.misfit[index] = misfit_of(
                self.state[index][0], self._plate(index), self._from_canvas(index), self.noise
            )
        self.finish(self.misfit, self.meta["uneven"], frames, self.changed, self.earlier.key)

    def _changes(self) -> Iterator[tuple[int, Window]]:
        """Frames in which masks hide other pixels than before, each with the part that holds these."""
        for index in range(self.count):
            part = _extent_of((self.before[index][0] == MASKED) != self._masked(index))
            if part:
                yield index, part

    def _area(self, index: int, part: Window) -> Window:
        """What a part of a frame decides about on the canvas."""
        if not self.static:
            low, high = self._on_canvas(index, part).flatten(0, 1).aminmax(dim=0)
            (x, y), (right, bottom) = low.floor().int().tolist(), high.ceil().int().tolist()
            part = Window(x, y, right - x + 1, bottom - y + 1)
        return grown(part, _HALO, self.whole)

    def _parts(self) -> Iterator[tuple[int, Window]]:
        """The frames that the area lies in, each with the part that holds it."""
        for index in range(self.count):
            part: Window | None = self.area
            if not self.static:
                x, y = self._on_canvas(index, self.frame).unbind(-1)
                inside = (x >= self.area.x) & (y >= self.area.y) & (x < self.area.right) & (y < self.area.bottom)
                part = _extent_of(inside.numpy())
            if part:
                yield index, part

    def _redo(self) -> Steps[None]:
        """The area as `Flat` builds it."""
        for index, part in self.parts.items():
            hidden = self._masked(index)[pixels(part)]
            self._mark(index, part, np.where(hidden, MASKED, CLEAN).astype(np.uint8))
        lit = self.canvas
        if self.static:
            self.canvas = lit / self.light
        self.searches = iter(self.unevens)
        yield from self._build()
        if self.static:
            again = (self.canvas * self.light)[:, *pixels(self.area)]
            self.canvas = lit
            self.canvas[:, *pixels(self.area)] = again
        yield from self._find_effects()

    def _mark(self, index: int, part: Window, state: np.ndarray) -> None:
        whole = self.state[index]
        whole[0][pixels(part)] = state
        self.state[index] = whole

    def _find_effects(self, last: bool = False) -> Steps[np.ndarray]:
        """The same of the parts alone; an effect that reaches into one was found beyond it."""
        uneven = next(self.searches)
        for index, part in self.parts.items():
            around = grown(part, _HALO, self.frame)
            plate, background = self._plate(index)[:, *pixels(around)], self._from_canvas(index, around)
            state, tolerance = self.state[index][0][pixels(around)], self._tolerance(index)[pixels(around)]
            known = state == DISTURBED
            known[pixels(part, around)] = False
            state = mark(state, plate, background, self.noise, tolerance, uneven, known)
            self._mark(index, part, state[pixels(part, around)])
            yield self._tick()
        return self.misfit

    def _settled(self) -> Iterator[int]:
        """Write the backgrounds that moved; the frames on which that can be felt where an object or effect is."""
        if self.static:
            background, times = self.canvas[:, *pixels(self.area)], self.times[pixels(self.area)]
            moved = self._replace(0, self.area, background=background, seen=(times[None] / 8).clamp(max=1))
            yield from (index for index in self.parts if self._touched(index, moved))
            return
        for index, part in self.parts.items():
            background, doubt = self._from_neighbours(index, part)
            moved = self._replace(index, part, background=background, doubt=doubt, seen=self._seen(index, part))
            if self._touched(index, moved):
                yield index

    def _replace(self, index: int, part: Window, **pictures: Tensor) -> np.ndarray:
        """Write a part of the pictures of a frame by name, where its background moved at all; where it did."""
        old, exact = torch.from_numpy(self.copies["background"][index][:, *pixels(part)]), torch.zeros(part.size[::-1])
        sigmas = disturbance(pictures["background"][None], old[None], self.noise, exact, uneven=self.meta["uneven"])
        moved = sigmas[0].numpy() > _FELT
        if moved.any():
            for name, picture in pictures.items():
                whole = self.copies[name][index]
                whole[:, *pixels(part)] = picture.numpy()
                self.copies[name][index] = whole
        return moved

    def _touched(self, index: int, moved: np.ndarray) -> bool:
        part = pixels(self.parts[index])
        layered = (self.state[index][0][part] != CLEAN) | (self.before[index][0][part] != CLEAN)
        return bool((moved & layered).any())


def _extent_of(shape: np.ndarray) -> Window | None:
    """The smallest window that holds a shape, H x W bool; None where there is nothing."""
    rows, columns = np.flatnonzero(shape.any(1)), np.flatnonzero(shape.any(0))
    if not len(rows):
        return None
    return Window(int(columns[0]), int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1)


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
