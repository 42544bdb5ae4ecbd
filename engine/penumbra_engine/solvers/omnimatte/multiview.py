"""Multi-view: the background of a travelling camera, fetched for each frame from frames that see the same points."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Entry, Stack
from penumbra_engine.imaging.background import undisturbed_near
from penumbra_engine.imaging.carried_depth import alike, nearest
from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.imaging.noise import estimate_noise, quantisation_noise
from penumbra_engine.imaging.warp import sample
from penumbra_engine.media import Shot
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.geometry import Geometry
from penumbra_engine.solvers.omnimatte.light import measure_exposures, measure_unevenness, neighbours
from penumbra_engine.solvers.omnimatte.state import CLEAN, DISTURBED, MASKED, margin, mark, misfit_of
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps

_OFFSETS = (1, 2, 3, 4, 6, 8, 11, 14, 18, 23, 28)  # frames before and after: near ones fit best, far ones see behind
_STEPS = 9  # times each frame is looked at
_TOLERANCE = 0.3  # px, how exactly depth puts things
_NOISY = 8  # pairs of frames that noise is measured on
_BAND_BYTES = 256 << 20  # what the samples of one band of rows may take
_APRON = 3  # rows around a band that its pixels look at


class MultiView:
    """One build of the backgrounds; it fills an entry as Canvas reads it."""

    def __init__(self, shot: Shot, plates: Plates, masks: Masks, geometry: Geometry, entry: Entry) -> None:
        assert geometry.cameras is not None
        self.geometry, self.cameras = geometry, geometry.cameras
        self.shot, self.plate, self.masks, self.entry = shot, plates.plate, masks, entry
        self.count, self.height, self.width = len(shot.frames), shot.height, shot.width
        self.rays = self.cameras.rays(self.height, self.width)
        self.gains = np.ones((self.count, 3))
        self.tolerance = torch.full((self.height, self.width), _TOLERANCE)
        self.total, self.done = self.count * _STEPS, 0

    def run(self) -> Steps[None]:
        self.gains = yield from measure_exposures(self.count, self._see, self._masked, False, self._tick)
        pairs = neighbours(self.count, _NOISY, self._see, self._masked)
        self.noise = estimate_noise(pairs, quantisation_noise(self.shot.levels()))
        self.state = self.entry.create_stack("state", (self.count, 1, self.height, self.width), np.uint8)
        self.background = self.entry.create_stack("background", (self.count, 3, self.height, self.width))
        self.seen = self.entry.create_stack("seen", (self.count, 1, self.height, self.width))
        tolerance = self.entry.create_stack("tolerance", (self.count, 1, 1, 1))
        for index in range(self.count):
            self.state[index] = np.where(self._masked(index), MASKED, CLEAN)[None].astype(np.uint8)
            tolerance[index] = np.full((1, 1, 1), _TOLERANCE, np.float32)
            yield self._tick()
        yield from self._fuse_all(first=True)
        if self.geometry.measured is not None:
            yield from self._find_effects()
            yield from self._carry_past_effects()
            yield from self._fuse_all(first=True)
        yield from self._find_effects()
        yield from self._fuse_all(first=False)
        misfit = yield from self._find_effects()
        sure = self.entry.create_stack("sure", (self.count, 1, self.height, self.width), np.uint8)
        for index in range(self.count):
            sure[index] = self.geometry.sure(index, self.height, self.width)[None].astype(np.uint8)
        self.entry.save("frames", gains=self.gains, misfit=misfit)
        self.entry.finish({"noise": vars(self.noise), "uneven": self._unevenness()})

    def _tick(self) -> tuple[int, int]:
        self.done += 1
        return min(self.done, self.total), self.total

    def _masked(self, index: int) -> np.ndarray:
        return self.masks.union(index, margin(self.width))

    def _plate(self, index: int) -> Tensor:
        """A frame in the exposure of the middle one."""
        return torch.from_numpy(self.plate[index] / self.gains[index].astype(np.float32)[:, None, None])

    def _unevenness(self) -> float:
        return measure_unevenness(self.count, self._plate, self._behind, self._clean, self.noise)

    def _behind(self, index: int) -> Tensor:
        return torch.from_numpy(self.background[index])

    def _clean(self, index: int) -> np.ndarray:
        return self.state[index][0] == CLEAN

    def _depth(self, index: int) -> Tensor:
        return self.geometry.inverse_depth(index, self.height, self.width)

    def _fetch(
        self, target: int, sources: list[int], rows: slice, extra: Stack | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows of a frame as each source shows them, 3 (and those of `extra`) x rows x W, and where it does: what
        lies in front of a point in the source hides it there."""
        projection = self.cameras.seen_from(target, sources, self.rays[:, rows])
        for source, pixels, there in zip(sources, *projection.at(self._depth(target)[rows]), strict=True):
            picture = self._plate(source)
            if extra is not None:
                picture = torch.cat([picture, torch.from_numpy(extra[source]).float()])
            values, inside = sample(picture, pixels)
            measured, _ = nearest(self._depth(source), pixels)
            yield values, inside & (there > 0) & alike(measured, there, float(self.geometry.step[source]))

    def _see(self, target: int, source: int) -> tuple[Tensor, Tensor]:
        """A frame as another sees it, and where it does."""
        if target == source:
            return self._plate(source), torch.ones(self.height, self.width, dtype=torch.bool)
        ((picture, visible),) = self._fetch(target, [source], slice(0, self.height))
        return picture, visible

    def _carry_past_effects(self) -> Steps[None]:
        """Depth again, without what was measured on effects: an outline that moves over the ground matches at a depth
        of its own, and there the ground would be fetched from the wrong places."""
        reach = margin(self.width)
        lost = np.stack(
            [self._masked(index) | dilate(self.state[index][0] == DISTURBED, reach) for index in range(self.count)]
        )
        depth: Stack | None = None
        for index, inverse_depth in enumerate(self.geometry.carried(lost)):
            if depth is None:
                depth = self.entry.create_stack("depth", (self.count, 1, *inverse_depth.shape))
            depth[index] = inverse_depth[None].numpy()
            yield self._tick()
        self.geometry = replace(self.geometry, depth=depth)

    def _fuse_all(self, first: bool) -> Steps[None]:
        for index in range(self.count):
            self._fuse(index, first)
            yield self._tick()

    def _fuse(self, index: int, first: bool) -> None:
        """The background of a frame from the frames around it, the nearest weighing most: what depth misses by grows
        with the distance between two cameras."""
        sources = [index + sign * o for o in _OFFSETS for sign in (-1, 1) if 0 <= index + sign * o < self.count]
        rows = max(8, _BAND_BYTES // (len(sources) * self.width * 4 * 8))
        background, seen = torch.empty(3, self.height, self.width), torch.empty(self.height, self.width)
        for top in range(0, self.height, rows):
            bottom = min(top + rows, self.height)
            above, below = max(0, top - _APRON), min(self.height, bottom + _APRON)
            earlier = torch.from_numpy(self.background[index][:, above:below])
            colour, times = self._band(index, sources, slice(above, below), first, earlier)
            kept = slice(top - above, bottom - above)
            background[:, top:bottom], seen[top:bottom] = colour[:, kept], times[kept]
        if first and not (seen > 0).all():
            background = fill_smoothly(background, (seen > 0).float())
        self.background[index] = background.numpy()
        self.seen[index] = (seen[None] / 8).clamp(max=1).numpy()

    def _band(self, index: int, sources: list[int], rows: slice, first: bool, earlier: Tensor) -> tuple[Tensor, Tensor]:
        """Colour 3 x rows x W and how many samples it rests on."""
        samples, weights = [], []
        for source, (values, visible) in zip(sources, self._fetch(index, sources, rows, self.state), strict=True):
            known = visible & (values[3] > (DISTURBED if first else CLEAN) - 0.05)
            samples.append(values[:3])
            weights.append(known.float() / abs(source - index))
        stacked, weight = torch.stack(samples), torch.stack(weights)
        times = (weight > 0).sum(0).float()
        if first:
            return undisturbed_near(stacked, weight, self.noise, _TOLERANCE), times
        mean = (weight[:, None] * stacked).sum(0) / weight.sum(0).clamp(min=1e-6)
        return torch.where(times > 0, mean, earlier), times

    def _find_effects(self) -> Steps[np.ndarray]:
        """Mark where each frame differs from its background; T, by how many standard deviations the rest of it does."""
        uneven, misfit = self._unevenness(), np.zeros(self.count)
        for index in range(self.count):
            plate, background = self._plate(index), self._behind(index)
            state = mark(self.state[index][0], plate, background, self.noise, self.tolerance, uneven)
            self.state[index] = state[None]
            misfit[index] = misfit_of(state, plate, background, self.noise)
            yield self._tick()
        return misfit
