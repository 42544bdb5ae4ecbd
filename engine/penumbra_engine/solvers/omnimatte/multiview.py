"""Multi-view: the background of a travelling camera, fetched for each frame from frames that see the same points."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Entry, Stack
from penumbra_engine.imaging.background import REACH, gather, least_doubt, undisturbed_near, unrest
from penumbra_engine.imaging.carried_depth import alike, keep_in_front, nearest
from penumbra_engine.imaging.disturbance import unlike_a_shadow
from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.imaging.noise import estimate_noise, quantisation_noise
from penumbra_engine.imaging.warp import sample
from penumbra_engine.solvers.abreast import abreast
from penumbra_engine.solvers.omnimatte.exposed import Exposed
from penumbra_engine.solvers.omnimatte.footage import Footage
from penumbra_engine.solvers.omnimatte.geometry import Geometry
from penumbra_engine.solvers.omnimatte.light import measure_exposures, measure_lens, measure_unevenness, neighbours
from penumbra_engine.solvers.omnimatte.state import CLEAN, DISTURBED, MASKED, NEARBY, margin, mark, misfit_of
from penumbra_engine.solvers.steps import Steps

_OFFSETS = (1, 2, 3, 4, 6, 8, 11, 14, 18, 23, 28)  # frames before and after: near ones fit best, far ones see behind
_FEW = (1, 2, 4, 7, 12, 20)  # half as many, for a first look, and to find objects by
_STEPS = 9  # times each frame is looked at
_TOLERANCE = 0.3  # px, how exactly depth puts things
_ALL_BUT = 0.05  # of a state: what interpolation may take off
_UNLIKE = 1.5  # standard deviations: what differs by more from any shadow of its background is none
_NOISY = 8  # pairs of frames that noise is measured on
_BAND_BYTES, _ALL_BYTES = 256 << 20, 1 << 30  # what the samples of one band of rows may take, and all at a time


class MultiView:
    """One build of the backgrounds; it fills an entry as Canvas reads it. rough: from half as many frames."""

    def __init__(self, footage: Footage, geometry: Geometry, entry: Entry, rough: bool = False) -> None:
        assert geometry.cameras is not None
        self.offsets = _FEW if rough else _OFFSETS
        self.geometry, self.cameras = geometry, geometry.cameras
        shot, self.masks, self.exposed = footage.shot, footage.masks, Exposed(footage.plates.plate)
        self.shot, self.entry = shot, entry
        self.count, self.height, self.width = len(shot.frames), shot.height, shot.width
        self.longer = max(shot.height, shot.width)
        self.rays = self.cameras.rays(self.height, self.width)
        self.tolerance = torch.full((self.height, self.width), _TOLERANCE)
        self.total, self.done = self.count * _STEPS, 0

    def run(self) -> Steps[None]:
        gains = yield from measure_exposures(self.count, self._see, self._masked, False, self._tick)
        self.exposed.gains = gains
        size = (self.height, self.width)
        self.exposed.take_out(measure_lens(self.count, self._see, self._near_objects, self._places, size))
        pairs = neighbours(self.count, _NOISY, self._see, self._masked)
        self.noise = estimate_noise(pairs, quantisation_noise(self.shot.levels()))
        self.state = self.entry.create_stack("state", (self.count, 1, self.height, self.width), np.uint8)
        self.background = self.entry.create_stack("background", (self.count, 3, self.height, self.width))
        self.seen = self.entry.create_stack("seen", (self.count, 1, self.height, self.width))
        self.doubt = self.entry.create_stack("doubt", (self.count, 3, self.height, self.width))
        self.unsettled = self.entry.create_stack("unsettled", (self.count, 1, self.height, self.width), np.uint8)
        tolerance = self.entry.create_stack("tolerance", (self.count, 1, 1, 1))
        for index in range(self.count):
            self.state[index] = np.where(self._masked(index), MASKED, CLEAN)[None].astype(np.uint8)
            tolerance[index] = np.full((1, 1, 1), _TOLERANCE, np.float32)
            yield self._tick()
        if self.geometry.measured is not None:
            yield from self._fuse_all(_FEW)
            yield from self._find_effects()
            yield from self._carry_past_effects()
        yield from self._fuse_all(self.offsets)
        yield from self._find_effects()
        yield from self._settle_all()
        misfit = yield from self._find_effects()
        sure = self.entry.create_stack("sure", (self.count, 1, self.height, self.width), np.uint8)
        for index in range(self.count):
            sure[index] = self.geometry.sure(index, self.height, self.width)[None].astype(np.uint8)
        self.entry.save("frames", gains=self.exposed.gains, misfit=misfit, falloff=self.exposed.falloff.numpy())
        self.entry.finish({"noise": vars(self.noise), "uneven": self._unevenness()})

    def _tick(self) -> tuple[int, int]:
        self.done += 1
        return min(self.done, self.total), self.total

    def _abreast(self, make: Callable[[int], None]) -> Steps[None]:
        """Do what is to be done for each frame on its own."""
        for _ in abreast(make, range(self.count), self.height * self.width):
            yield self._tick()

    def _masked(self, index: int) -> np.ndarray:
        return self.masks.union(index, margin(self.longer))

    def _near_objects(self, index: int) -> np.ndarray:
        """Where effects are likely, H x W bool."""
        return self.masks.union(index, NEARBY * self.longer)

    def _places(self, target: int, source: int) -> Tensor:
        """Where in a frame the pixels of another lie, H x W x 2."""
        return self._project(target, source, self.rays, self._depth(target))[0]

    def _unevenness(self) -> float:
        return measure_unevenness(self.count, self.exposed.read, self._behind, self._clean, self.noise)

    def _behind(self, index: int) -> Tensor:
        return torch.from_numpy(self.background[index])

    def _clean(self, index: int) -> np.ndarray:
        return self.state[index][0] == CLEAN

    def _depth(self, index: int) -> Tensor:
        return self.geometry.inverse_depth(index, self.height, self.width)

    def _fetch(
        self, target: int, sources: list[int], rays: Tensor, depth: Tensor, extra: Stack | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """A part of a frame, whose rays are 3 x h x w and inverse depths h x w, as each source shows it, 3 (and those
        of `extra`) x h x w, and where it does: what lies in front of a point in the source hides it there."""
        for source in sources:
            pixels, there = self._project(target, source, rays, depth)
            picture = self.exposed.read(source)
            if extra is not None:
                picture = torch.cat([picture, torch.from_numpy(extra[source]).float()])
            values, inside = sample(picture, pixels)
            measured, _ = nearest(self._depth(source), pixels)
            yield values, inside & (there > 0) & alike(measured, there, float(self.geometry.step[source]))

    def _project(self, target: int, source: int, rays: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        pixels, there = self.cameras.seen_from(target, [source], rays).at(depth)
        return pixels[0], there[0]

    def _see(self, target: int, source: int) -> tuple[Tensor, Tensor]:
        """A frame as another sees it, and where it does."""
        if target == source:
            return self.exposed.read(source), torch.ones(self.height, self.width, dtype=torch.bool)
        ((picture, visible),) = self._fetch(target, [source], self.rays, self._depth(target))
        return picture, visible

    def _carry_past_effects(self) -> Steps[None]:
        """Depth again, without what was measured on effects: an outline that moves over the ground matches at a depth
        of its own, and there the ground would be fetched from the wrong places."""
        reach = margin(self.longer)
        lost = np.stack(
            [self._masked(index) | dilate(self.state[index][0] == DISTURBED, reach) for index in range(self.count)]
        )
        before, depth = self.geometry.depth, None
        assert before is not None
        for index, inverse_depth in enumerate(self.geometry.carried(lost)):
            inverse_depth = keep_in_front(torch.from_numpy(before[index][0]), inverse_depth)
            if depth is None:
                depth = self.entry.create_stack("depth", (self.count, 1, *inverse_depth.shape))
            depth[index] = inverse_depth[None].numpy()
            yield self._tick()
        self.geometry = replace(self.geometry, depth=depth)

    def _fuse_all(self, offsets: tuple[int, ...]) -> Steps[None]:
        room = min(_BAND_BYTES, _ALL_BYTES // torch.get_num_threads())
        yield from self._abreast(lambda index: self._fuse(index, frames_around(index, self.count, offsets), room))

    def _fuse(self, index: int, sources: list[int], room: int) -> None:
        """The background of a frame from the frames around it, the nearest weighing most: what depth misses by grows
        with the distance between two cameras. room: bytes for samples."""
        rows = max(8, room // (len(sources) * self.width * 4 * 8))
        background, doubts = torch.empty(2, 3, self.height, self.width)
        seen = torch.empty(self.height, self.width)
        unsettled = torch.empty(self.height, self.width, dtype=torch.bool)
        depth = self._depth(index)
        for top in range(0, self.height, rows):
            bottom = min(top + rows, self.height)
            above, below = max(0, top - REACH), min(self.height, bottom + REACH)
            samples, weight, _ = self._samples(index, sources, self.rays[:, above:below], depth[above:below])
            gathered = gather(samples, weight)
            colour, differ = undisturbed_near(samples, weight, gathered.mean, self.noise, _TOLERANCE)
            kept = slice(top - above, bottom - above)
            background[:, top:bottom], unsettled[top:bottom] = colour[:, kept], differ[kept]
            doubts[:, top:bottom] = gathered.doubt(self.noise)[:, kept]
            seen[top:bottom] = gathered.times[kept]
        # What comes into view on this frame alone shows the scene itself, far from all objects; or, which is rarer, an
        # effect that reaches so far: a guess would be wrong of both.
        alone = (seen == 0) & torch.from_numpy(~self._near_objects(index))
        if alone.any():
            background, seen = torch.where(alone, self.exposed.read(index), background), seen + alone.float()
        if not (seen > 0).all():
            background = fill_smoothly(background, (seen > 0).float())
        self.background[index], self.unsettled[index] = background.numpy(), unsettled[None].byte().numpy()
        self.seen[index], self.doubt[index] = (seen[None] / 8).clamp(max=1).numpy(), doubts.numpy()

    def _settle_all(self) -> Steps[None]:
        """The mean of what turned out to be clean, and how far it is to be doubted. Where all samples agreed, and none
        was found to be of an effect, that is what there is already."""

        def settle(index: int) -> None:
            sources = frames_around(index, self.count, self.offsets)
            background = torch.from_numpy(self.background[index])
            seen, doubts = torch.from_numpy(self.seen[index]), torch.from_numpy(self.doubt[index])
            depth, unrests = self._depth(index), torch.zeros_like(doubts)
            places = self._unsettled(index, sources, depth).nonzero()
            for y, x in (piece.T for piece in places.split(_BAND_BYTES // (len(sources) * 4 * 8))):
                samples, weight, state = self._samples(index, sources, self.rays[:, None, y, x], depth[None, y, x])
                clean = gather(samples, weight * (state > CLEAN - _ALL_BUT))
                times = clean.times[0]
                background[:, y, x] = torch.where(times > 0, clean.mean[:, 0], background[:, y, x])
                doubts[:, y, x] = clean.doubt(self.noise)[:, 0]
                unrests[:, y, x] = unrest(samples[:, :, 0], weight[:, 0] > 0, background[:, y, x], self.noise)
                seen[0, y, x] = (times / 8).clamp(max=1)
            doubts = torch.where(self._on_its_own(index, background), torch.maximum(doubts, unrests), doubts)
            self.background[index], self.seen[index] = background.numpy(), seen.numpy()
            self.doubt[index] = least_doubt(doubts, 8 * seen[0], background, _TOLERANCE).numpy()

        yield from self._abreast(settle)

    def _on_its_own(self, index: int, background: Tensor) -> Tensor:
        """Where a frame differs from its background by what is no shadow, and far from the objects: the scene itself
        may do that, H x W bool. Near an object it may be a part that its mask leaves out."""
        unlike = unlike_a_shadow(self.exposed.read(index), background, self.noise, self.tolerance)
        return (unlike > _UNLIKE) & torch.from_numpy(~self._near_objects(index))

    def _unsettled(self, index: int, sources: list[int], depth: Tensor) -> Tensor:
        """H x W bool, where samples differed or one of them may be of an effect."""
        found = torch.from_numpy(self.unsettled[index][0] > 0)
        for source in sources:
            effects = torch.from_numpy(self.state[source][0] == DISTURBED)
            if effects.any():
                beside = box(effects[None, None].float(), 2)[0, 0] > 0  # what interpolation looks at
                found |= nearest(beside, self._project(index, source, self.rays, depth)[0])[0]
        return found

    def _samples(self, index: int, sources: list[int], rays: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A part of a frame as S sources show it, S x 3 x h x w, what each weighs, 0 where an object hides it, and its
        state between pixels, S x h x w both."""
        samples = torch.empty(len(sources), 3, *depth.shape)
        weight, state = torch.empty(2, len(sources), *depth.shape)
        fetched = self._fetch(index, sources, rays, depth, self.state)
        for k, (source, (values, visible)) in enumerate(zip(sources, fetched, strict=True)):
            samples[k], state[k] = values[:3], values[3]
            weight[k] = (visible & (values[3] > DISTURBED - _ALL_BUT)) / abs(source - index)
        return samples, weight, state

    def _find_effects(self) -> Steps[np.ndarray]:
        """Mark where each frame differs from its background; T, by how many standard deviations the rest of it does."""
        uneven, misfit = self._unevenness(), np.zeros(self.count)

        def find(index: int) -> None:
            plate, background = self.exposed.read(index), self._behind(index)
            state = mark(self.state[index][0], plate, background, self.noise, self.tolerance, uneven)
            self.state[index] = state[None]
            misfit[index] = misfit_of(state, plate, background, self.noise)

        yield from self._abreast(find)
        return misfit


def frames_around(index: int, count: int, offsets: tuple[int, ...]) -> list[int]:
    """The frames at these offsets before and after one of `count`, and where the shot ends too soon for some of them,
    the nearest others instead: a shadow lies on all that are near, and from one side alone too few see behind it."""
    others = sorted((other for other in range(count) if other != index), key=lambda other: abs(other - index))
    asked = [other for other in others if abs(other - index) in offsets]
    instead = [other for other in others if other not in asked]
    return asked + instead[: 2 * len(offsets) - len(asked)]
