"""Flat: one background under all frames of a camera that stands or turns, and for each frame its own made of it."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.cache import Entry, Stack
from penumbra_engine.imaging.background import REACH, mean_of_clean, undisturbed
from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.fill_by_example import fill_by_example
from penumbra_engine.imaging.full_light import FullLight
from penumbra_engine.imaging.noise import Noise, estimate_noise, quantisation_noise
from penumbra_engine.imaging.sway import strayed
from penumbra_engine.imaging.thrown_shadow import ThrownShadow
from penumbra_engine.imaging.warp import sample
from penumbra_engine.media.windows import Window, grown, pixels
from penumbra_engine.solvers.abreast import abreast
from penumbra_engine.solvers.omnimatte.exposed import Exposed
from penumbra_engine.solvers.omnimatte.footage import Footage
from penumbra_engine.solvers.omnimatte.light import (
    gain_over,
    measure_exposures,
    measure_lens,
    measure_unevenness,
    neighbours,
)
from penumbra_engine.solvers.omnimatte.mosaic import Mosaic
from penumbra_engine.solvers.omnimatte.nearby import Nearby
from penumbra_engine.solvers.omnimatte.samples import Samples
from penumbra_engine.solvers.omnimatte.state import CLEAN, MASKED, NEARBY, margin, mark, misfit_of
from penumbra_engine.solvers.omnimatte.tolerance import tolerance_by_flow, tolerance_by_sway
from penumbra_engine.solvers.omnimatte.trust import measure_trust
from penumbra_engine.solvers.steps import Steps

_LEAST_ROWS = 8  # of the canvas that are looked at together
_PASSES = 3
_FELT = 0.01  # relative: a change of exposure below that may be the estimate's own error
_NOISY, _SWAYS = 8, 16  # pairs of frames that noise and sway are measured on
_FAR = 0.25  # of full trust: as far from the objects as effects are likely


class Flat:
    """One build of a flat canvas. It fills an entry as Canvas reads it.

    area: what is built of the canvas, all of it here. Frames are looked at where it lies in them. wanted: H x W bool,
    which of its texels.
    """

    noise: Noise
    state: Stack
    tolerances: Stack
    trust: Stack
    samples: Samples
    background: Stack
    nearby: Nearby

    def __init__(
        self,
        footage: Footage,
        entry: Entry,
        rough: bool = False,
    ) -> None:
        """rough: each frame's background is the canvas as it sees it, not put together from frames near it. Raises
        UnsolvableError when the canvas would be too large."""
        shot, self.masks, self.flow = footage.shot, footage.masks, footage.flow.flow
        self.shot, self.entry, self.rough = shot, entry, rough
        self.count, self.height, self.width = len(shot.frames), shot.height, shot.width
        self.longer = max(shot.height, shot.width)
        self.exposed = Exposed(footage.plates.plate)
        self.mosaic = Mosaic(footage.registration, shot.height, shot.width)
        self.static, self.frame, self.whole = self.mosaic.static, self.mosaic.frame, self.mosaic.whole
        self.area = self.whole
        self.wanted = torch.ones(self.whole.height, self.whole.width, dtype=torch.bool)
        self.canvas = torch.zeros(3, self.whole.height, self.whole.width)
        self.times = torch.zeros(self.whole.height, self.whole.width)  # how often each texel was seen clean
        self.shown = torch.ones(self.whole.height, self.whole.width, dtype=torch.bool)  # by any frame, without a mask
        self.light = torch.ones_like(self.canvas)  # what brings backgrounds to full light
        self.unevens: list[float] = []  # what was measured for each search for effects
        self.exposures: list[np.ndarray] = []  # the gains that each began with
        self.brightened: list[np.ndarray] = []  # what each multiplied the canvas by in the end, R, G and B
        self.total = self.count * (2 * _PASSES + (3 if self.static else 5))
        self.done = 0

    def run(self) -> Steps[None]:
        gains = yield from measure_exposures(self.count, self._see, self._masked, self.static, self._tick)
        self.exposed.gains = gains
        if not self.static:
            size = (self.height, self.width)
            falloff = measure_lens(self.count, self._see, self._near_objects, self.mosaic.in_other, size)
            self.exposed.take_out(falloff)
        self.noise = estimate_noise(self._pairs(_NOISY), quantisation_noise(self.shot.levels()))
        self._measure_tolerance()
        self.trust = self.entry.create_stack("trust", (self.count, 1, self.height, self.width), np.uint8)
        self._measure_trust(range(self.count))
        self.state = self.entry.create_stack("state", (self.count, 1, self.height, self.width), np.uint8)
        for index in range(self.count):
            self.state[index] = np.where(self._masked(index), MASKED, CLEAN)[None].astype(np.uint8)
            yield self._tick()
        yield from self._build()
        yield from self._lift() if self.static else self._measure_light()
        # A smooth guess will do while effects are looked for beside it.
        self.canvas = fill_by_example(self.canvas, self._hole())
        misfit = yield from self._find_effects(last=True)
        yield from self._write()
        uneven = measure_unevenness(self.count, self.exposed.read, self._behind, self._clean, self.noise)
        own = [self.entry.key] * self.count
        said = {"frames": own, "pictures": own, "changed": [], "parent": "", "whole": self.entry.key}
        self.finish(misfit, {**said, "uneven": uneven})

    def finish(self, misfit: np.ndarray, said: dict[str, Any]) -> None:
        """Complete the entry, and say in its meta: uneven, as of Canvas; frames, pictures: the key of the build that is
        the last to tell anything new of each frame, and to give it another background; changed: the frames whose masks
        are no more what they were in the last build of the whole; whole: that one; parent: the build that this one
        started from, "" for none."""
        self.entry.save("frames", gains=self.exposed.gains, misfit=misfit, falloff=self.exposed.falloff.numpy())
        self.entry.save("passes", exposures=np.stack(self.exposures), brightened=np.stack(self.brightened))
        texture = {"canvas": self.canvas, "times": self.times, "light": self.light, "shown": self.shown}
        self.entry.save("canvas", **{name: of.numpy() for name, of in texture.items()})
        self.entry.finish(
            {
                **said,
                "noise": vars(self.noise),
                "unevens": self.unevens,
                "shutter": 0.0 if self.static or self.rough else self.nearby.shutter,
            }
        )

    def _build(self) -> Steps[None]:
        """The canvas in the area, and the state of the frames there."""
        self.samples = Samples(self.mosaic, self.exposed, self.area, self.entry)
        if not self.static:
            yield from self._abreast(self.samples.take)
        yield from self._estimate(first=True)
        for _ in range(_PASSES - 1):
            yield from self._find_effects()
            yield from self._estimate(first=False)

    def _tick(self) -> tuple[int, int]:
        self.done += 1
        return min(self.done, self.total), self.total

    def _abreast(self, make: Callable[[int], None], frames: Iterable[int] | None = None) -> Steps[None]:
        """Do what is to be done for each frame, or each of some, on its own."""
        for _ in abreast(make, range(self.count) if frames is None else frames, self.height * self.width):
            yield self._tick()

    def _clean(self, index: int) -> np.ndarray:
        return self.state[index][0] == CLEAN

    def _behind(self, index: int) -> Tensor:
        """The background that was found for a frame, 3 x H x W in the exposure of the canvas."""
        return torch.from_numpy(self.background[min(index, len(self.background) - 1)])

    def _from_canvas(self, index: int, part: Window | None = None) -> Tensor:
        """The canvas as a part of a frame sees it, or all of it, 3 x h x w."""
        return self.mosaic.view(self.canvas, index, part or self.frame)

    def _masked(self, index: int) -> np.ndarray:
        return self.masks.union(index, margin(self.longer))

    def _near_objects(self, index: int) -> np.ndarray:
        """Where effects are likely, H x W bool."""
        return self.masks.union(index, NEARBY * self.longer)

    def _see(self, target: int, source: int) -> tuple[Tensor, Tensor]:
        """A frame as another sees it, in the exposure of the canvas, and where it does."""
        return self.mosaic.see(self.exposed.read(source), target, source)

    def _measure_tolerance(self) -> None:
        """How far the background may be out of place in each part of each frame: by what sways before a camera that
        stands, by what still moves to the next frame before another."""
        if self.static:
            size = (self.height, self.width)
            most = tolerance_by_sway(self.count, lambda step: self._pairs(_SWAYS, step), self.noise, size)
            every = [most] * self.count
        else:
            every = [tolerance_by_flow(torch.from_numpy(self.flow[t]), self._masked(t)) for t in range(self.count)]
        self.tolerances = self.entry.create_stack("tolerance", (self.count, 1, *every[0].shape))
        self.tolerances[:] = torch.stack(every)[:, None].numpy()

    def _pairs(self, wanted: int, step: int = 1) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        return neighbours(self.count, wanted, self._see, self._masked, step)

    def _measure_trust(self, frames: Collection[int]) -> None:
        for index, trust in zip(frames, measure_trust(self.masks, self.mosaic, frames), strict=True):
            self.trust[index] = trust[None]

    def _tolerance(self, index: int) -> Tensor:
        coarse = torch.from_numpy(self.tolerances[index])[None]
        return F.interpolate(coarse, (self.height, self.width), mode="bilinear", align_corners=False)[0, 0]

    def _estimate(self, first: bool) -> Steps[None]:
        """The area of the canvas from all frames, by bands of rows, so that memory does not grow with their number."""
        area = self.area
        beside, threads = REACH if first else 0, torch.get_num_threads()
        rows = min(-(-area.height // threads), max(_LEAST_ROWS, self.samples.rows // threads - 2 * beside))
        tops = range(area.y, area.bottom, rows)

        def estimate(top: int) -> None:
            held = Window(area.x, top, area.width, min(rows, area.bottom - top))
            band = grown(held, beside, self.whole)  # at first, what is near a pixel decides too
            picture, state = self.samples.band(band, self.state)
            kept = pixels(held, band)
            if first:
                trust, wanted = self.samples.told(self.trust, band) / 255, self.wanted[pixels(band)]
                found = undisturbed(picture, state != MASKED, self.noise, trust, wanted)
            else:
                found = mean_of_clean(picture, state == CLEAN, self.canvas[:, *pixels(band)])
            canvas = self.canvas[:, *pixels(held)]
            canvas.copy_(torch.where(self.wanted[pixels(held)], found[:, *kept], canvas))
            self.times[pixels(held)] = (state == CLEAN).sum(0)[kept].float()
            self.shown[pixels(held)] = (state != MASKED).any(0)[kept]

        for _ in abreast(estimate, tops, self.samples.as_pixels(rows + 2 * beside)):
            for _ in range(max(1, self.count // len(tops))):
                yield self._tick()
        if not self.shown.all():
            self.canvas = fill_smoothly(self.canvas, self.shown.float())

    def _hole(self) -> Tensor:
        """The texels wanted that frames reach, but under a mask each time. H x W bool."""
        hole = self.wanted & ~self.shown
        place = hole.nonzero()
        reached = torch.zeros(len(place), dtype=torch.bool)
        for index in range(self.count):
            x, y = self.mosaic.in_frame(index, place.flip(-1).float()).unbind(-1)
            reached |= (x >= 0) & (y >= 0) & (x <= self.width - 1) & (y <= self.height - 1)
        hole[*place.T] = reached
        return hole

    def _lift(self) -> Steps[None]:
        """Bring the canvas of a static camera to the brightest light it was seen in, and out of the shadow that lies on
        it on all frames, where nothing moves on it."""
        brightest = FullLight(self.canvas, self.noise)
        shadow = ThrownShadow(self.canvas, self.noise, self.count)
        for index in range(self.count):
            plate, shown = self.exposed.read(index), torch.from_numpy(~self._masked(index))
            brightest.see(plate, shown)
            shadow.see(plate, shown, torch.from_numpy(self.masks.union(index)))
            yield self._tick()
        self.light = torch.where(self._tolerance(0) > 0, 1.0, shadow.full_light(brightest.gain()))
        self.canvas *= self.light

    def _measure_light(self) -> Steps[None]:
        """The same for the backgrounds of a camera that turns, which are not taken from the canvas. Pictures laid on it
        are too soft to tell of single pixels, so cells tell of the brightest light."""
        shadow = ThrownShadow(self.canvas, self.noise, self.count)
        for index in range(self.count):
            plate, inside, hidden, objects = self.samples.frame(index, self._masked(index), self.masks.union(index))
            shadow.see(plate, inside & ~hidden, inside & objects)
            yield self._tick()
        self.light = shadow.full_light()

    def _find_effects(self, last: bool = False) -> Steps[np.ndarray]:
        """Mark in `state` where each frame differs from its background. The last time give each frame's misfit, before
        follow its exposure."""
        gains, misfit = np.ones((self.count, 3)), np.zeros(self.count)
        uneven = measure_unevenness(self.count, self.exposed.read, self._from_canvas, self._clean, self.noise)
        self.unevens.append(uneven)
        self.exposures.append(self.exposed.gains)

        def find(index: int) -> None:
            plate, background = self.exposed.read(index), self._from_canvas(index)
            state = mark(self.state[index][0], plate, background, self.noise, self._tolerance(index), uneven)
            self.state[index] = state[None]
            if last:
                misfit[index] = misfit_of(state, plate, background, self.noise)
            else:
                gains[index] = gain_over(background, plate, state == CLEAN)

        yield from self._abreast(find)
        follow = not last and np.abs(gains - 1).max() > _FELT
        self.brightened.append(np.median(gains, axis=0) if follow else np.ones(3))
        if follow:
            self.exposed.gains = self.exposed.gains * gains / self.brightened[-1]
            self._brighten(self.brightened[-1])
        return misfit

    def _brighten(self, by: np.ndarray) -> None:
        """Multiply R, G and B of the canvas."""
        self.canvas = self.canvas * torch.from_numpy(by).float()[:, None, None]

    def _write(self) -> Steps[None]:
        count = 1 if self.static else self.count
        self.background = self.entry.create_stack("background", (count, 3, self.height, self.width))
        seen = self.entry.create_stack("seen", (count, 1, self.height, self.width))
        if self.static:
            self.background[0], seen[0] = self.canvas.numpy(), (self.times[None] / 8).clamp(max=1).numpy()
            if (self.tolerances[0] > 0).any():
                self._doubt_what_sways(self.entry.create_stack("doubt", (1, 3, self.height, self.width)))
            yield self._tick()
            return
        if self.rough:
            for index in range(self.count):
                light = self.mosaic.view(self.light, index, self.frame)
                self.background[index] = (self._from_canvas(index) * light).numpy()
                seen[index] = self._seen(index, self.frame).numpy()
                yield self._tick()
            return
        self.nearby = Nearby(self.mosaic, self.exposed, self.state, self.noise)
        yield from (self._tick() for _ in self.nearby.measure_shutter())
        doubts = self.entry.create_stack("doubt", (count, 3, self.height, self.width))

        def fetch(index: int) -> None:
            background, doubt = self._from_neighbours(index, self.frame)
            self.background[index], doubts[index] = background.numpy(), doubt.numpy()
            seen[index] = self._seen(index, self.frame).numpy()

        yield from self._abreast(fetch)

    def _doubt_what_sways(self, doubts: Stack) -> None:
        """How far the frames of a static camera differ where a block or one beside it sways."""
        swaying = F.max_pool2d(torch.from_numpy(self.tolerances[0])[None], 3, 1, 1)
        near = F.interpolate(swaying, (self.height, self.width), mode="nearest-exact")[0] > 0
        doubt, rows = torch.zeros(3, self.height, self.width), max(_LEAST_ROWS, self.samples.rows)
        for top in range(0, self.height, rows):
            band = Window(0, top, self.width, min(rows, self.height - top))
            around = grown(band, 1, self.whole)  # what strays is looked for around each pixel
            picture, state = self.samples.band(around, self.state)
            told = (state != MASKED) & (self.samples.told(self.trust, around) > _FAR * 255)
            found = strayed(picture, told, self.canvas[:, *pixels(around)], self.noise)
            doubt[:, *pixels(band)] = found[:, *pixels(band, around)]
        doubts[0] = torch.where(near, doubt, 0.0).numpy()

    def _from_neighbours(self, index: int, part: Window) -> tuple[Tensor, Tensor]:
        """The background of a part of a frame, and the doubt of it."""
        tolerance, light = self._tolerance(index)[pixels(part)], self.mosaic.view(self.light, index, part)
        background, doubt = self.nearby.background(index, part, self._from_canvas(index, part), tolerance)
        return background * light, doubt * light.square()

    def _seen(self, index: int, part: Window) -> Tensor:
        often, _ = sample(self.times[None], self.mosaic.on_canvas(index, part), "bilinear")
        return (often / 8).clamp(0, 1)
