"""Flat: one background under all frames of a camera that stands or turns, and for each frame its own made of it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.cache import Entry, Stack
from penumbra_engine.errors import UnsolvableError
from penumbra_engine.imaging.background import REACH, Gathered, least_doubt, mean_of_clean, undisturbed
from penumbra_engine.imaging.camera_blur import CameraBlur, View
from penumbra_engine.imaging.falloff import spread
from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.full_light import FullLight
from penumbra_engine.imaging.morphology import distance_outside
from penumbra_engine.imaging.noise import Noise, estimate_noise, quantisation_noise
from penumbra_engine.imaging.sway import strayed
from penumbra_engine.imaging.thrown_shadow import ThrownShadow
from penumbra_engine.imaging.warp import pixel_grid, sample, transform, warp
from penumbra_engine.imaging.witnesses import witnesses
from penumbra_engine.media import Shot
from penumbra_engine.media.windows import Window
from penumbra_engine.solvers.abreast import abreast
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.flow import Flow
from penumbra_engine.solvers.omnimatte.light import (
    gain_over,
    measure_exposures,
    measure_lens,
    measure_unevenness,
    neighbours,
)
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.omnimatte.state import CLEAN, MASKED, NEARBY, margin, mark, misfit_of
from penumbra_engine.solvers.omnimatte.tolerance import tolerance_by_flow, tolerance_by_sway
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps

_BAND_BYTES = 112 << 20  # what the samples of the rows that are looked at together may take
_LEAST_ROWS = 8
_PASSES = 3
_FELT = 0.01  # relative: a change of exposure below that may be the estimate's own error
_NEAR = 12  # neighbours on each side that a frame of a moving camera takes its background from
_NOISY, _SWAYS = 8, 16  # pairs of frames that noise and sway are measured on
_FAR = 0.25  # of full trust: as far from the objects as effects are likely
_MAX_CANVAS = 16  # times the frame
_COARSE = 160  # pixels across a frame: finely enough to tell where objects stand
_SPARE = 8  # rows more of a source than are asked for at first: the blur of a camera asks for some beside them


class Flat:
    """One build of a flat canvas; the parts share the shot's geometry. It fills an entry as Canvas reads it.

    area: what is built of the canvas, all of it here. Frames are looked at where it lies in them.
    """

    noise: Noise
    state: Stack
    tolerances: Stack
    trust: Stack
    background: Stack
    blur: CameraBlur

    def __init__(
        self, shot: Shot, plates: Plates, masks: Masks, registration: Registration, flow: Flow, entry: Entry
    ) -> None:
        self.shot, self.plate, self.masks, self.registration, self.entry = (
            shot,
            plates.plate,
            masks,
            registration,
            entry,
        )
        self.count, self.height, self.width = len(shot.frames), shot.height, shot.width
        self.frame = Window(0, 0, self.width, self.height)
        self.static = registration.model == "static"
        self.gains = np.ones((self.count, 3))
        self._take_out(torch.ones(3, 1, 1))
        self.sampled = self.gains  # the gains that are out of the samples already
        self.flow = flow.flow
        self.pinhole = registration.lens.flat(pixel_grid(self.height, self.width))
        self.to_canvas, self.canvas_height, self.canvas_width = self._extent()
        self.whole = self.area = Window(0, 0, self.canvas_width, self.canvas_height)
        self.canvas = torch.zeros(3, self.canvas_height, self.canvas_width)
        self.times = torch.zeros(self.canvas_height, self.canvas_width)  # how often each texel was seen clean
        self.light = torch.ones(3, self.height, self.width)  # what brings a static camera's canvas to full light
        self.unevens: list[float] = []  # what was measured for each search for effects
        self.exposures: list[np.ndarray] = []  # the gains that each began with
        self.brightened: list[np.ndarray] = []  # what each multiplied the canvas by in the end, R, G and B
        self.total = self.count * (2 * _PASSES + (5 if self.static else 4))
        self.done = 0

    def run(self) -> Steps[None]:
        self.gains = yield from measure_exposures(self.count, self._see, self._masked, self.static, self._tick)
        if not self.static:
            size = (self.height, self.width)
            self._take_out(measure_lens(self.count, self._see, self._near_objects, self._places, size))
        pairs = self._pairs(_NOISY)
        self.noise = estimate_noise(pairs, quantisation_noise(self.shot.levels()))
        self._measure_tolerance()
        self.state = self.entry.create_stack("state", (self.count, 1, self.height, self.width), np.uint8)
        for index in range(self.count):
            self.state[index] = np.where(self._masked(index), MASKED, CLEAN)[None].astype(np.uint8)
            yield self._tick()
        yield from self._build()
        if self.static:
            yield from self._lift()
        misfit = yield from self._find_effects(last=True)
        yield from self._write()
        uneven = measure_unevenness(self.count, self._plate, self._behind, self._clean, self.noise)
        own = [self.entry.key] * self.count
        self.finish(misfit, {"uneven": uneven, "frames": own, "pictures": own, "changed": [], "parent": ""})

    def finish(self, misfit: np.ndarray, said: dict[str, Any]) -> None:
        """Complete the entry, and say in its meta: uneven, as of Canvas; frames, pictures: the key of the build that is
        the last to tell anything new of each frame, and to give it another background; changed: the frames whose masks
        are no more what they were in the last build of the whole; parent: the build that this one started from, "" for
        none."""
        self.entry.save("frames", gains=self.gains, misfit=misfit, falloff=self.falloff.numpy())
        self.entry.save("passes", exposures=np.stack(self.exposures), brightened=np.stack(self.brightened))
        self.entry.save("canvas", canvas=self.canvas.numpy(), times=self.times.numpy(), light=self.light.numpy())
        self.entry.finish(
            {
                **said,
                "noise": vars(self.noise),
                "unevens": self.unevens,
                "shutter": 0.0 if self.static else self.blur.shutter,
            }
        )

    def _build(self) -> Steps[None]:
        """The canvas in the area, and the state of the frames there."""
        samples = yield from self._samples()
        self._measure_trust()
        yield from self._estimate(samples, first=True)
        for _ in range(_PASSES - 1):
            yield from self._find_effects()
            yield from self._estimate(samples, first=False)

    def _tick(self) -> tuple[int, int]:
        self.done += 1
        return min(self.done, self.total), self.total

    def _abreast(self, make: Callable[[int], None], frames: Iterable[int] | None = None) -> Steps[None]:
        """Do what is to be done for each frame, or each of some, on its own."""
        for _ in abreast(make, range(self.count) if frames is None else frames, self.height * self.width):
            yield self._tick()

    def _extent(self) -> tuple[np.ndarray, int, int]:
        """Homographies T x 3 x 3 from frame to canvas pixels, and the canvas' height and width."""
        if self.static:
            return self.registration.cameras, self.height, self.width
        grid = self.pinhole
        border = torch.cat([grid[0], grid[-1], grid[:, 0], grid[:, -1]]).double()  # a lens bends its lines
        moved = torch.cat([transform(border, torch.from_numpy(c)) for c in self.registration.cameras]).numpy()
        low, high = np.floor(moved.min(0)) - 1, np.ceil(moved.max(0)) + 1
        width, height = (high - low + 1).astype(int).tolist()
        if width * height > _MAX_CANVAS * self.width * self.height:
            raise UnsolvableError(
                f"the camera turns or zooms too far for one background: it would take {width}x{height} pixels for a "
                f"plate of {self.width}x{self.height}. Split --frames in two or more ranges",
                "--frames",
            )
        shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]])
        return shift @ self.registration.cameras, height, width

    def _plate(self, index: int) -> Tensor:
        """A frame in the exposure of the canvas."""
        return torch.from_numpy(self.plate[index]) / self._exposure(index)

    def _exposure(self, index: int) -> Tensor:
        """What the canvas is multiplied by to be as bright as a frame, 3 x H x W."""
        return torch.from_numpy(self.gains[index]).float()[:, None, None] * self.lens_light

    def _clean(self, index: int) -> np.ndarray:
        return self.state[index][0] == CLEAN

    def _behind(self, index: int) -> Tensor:
        """The background that was found for a frame, 3 x H x W in the exposure of the canvas."""
        return torch.from_numpy(self.background[min(index, len(self.background) - 1)])

    def _on_canvas(self, index: int, part: Window) -> Tensor:
        """Where a part of a frame lies on the canvas, h x w x 2."""
        return transform(self.pinhole[pixels(part)], torch.from_numpy(self.to_canvas[index]))

    def _in_frame(self, index: int, points: Tensor) -> Tensor:
        """Where points of the canvas, ... x 2, lie in a frame."""
        return self.registration.lens.bent(transform(points, torch.from_numpy(np.linalg.inv(self.to_canvas[index]))))

    def _from_canvas(self, index: int, part: Window | None = None) -> Tensor:
        """The canvas as a part of a frame sees it, or all of it, 3 x h x w."""
        if self.static:
            return self.canvas[:, *pixels(part or self.frame)]
        return sample(self.canvas, self._on_canvas(index, part or self.frame))[0]

    def _masked(self, index: int) -> np.ndarray:
        return self.masks.union(index, margin(self.width))

    def _near_objects(self, index: int) -> np.ndarray:
        """Where effects are likely, H x W bool."""
        return self.masks.union(index, NEARBY * self.width)

    def _see(self, target: int, source: int) -> tuple[Tensor, Tensor]:
        """A frame as another sees it, in the exposure of the canvas, and where it does."""
        if self.static or target == source:
            return self._plate(source), torch.ones(self.height, self.width, dtype=torch.bool)
        to_source = torch.from_numpy(np.linalg.inv(self.to_canvas[source]) @ self.to_canvas[target])
        return warp(self._plate(source), to_source, self.height, self.width, lens=self.registration.lens)

    def _take_out(self, falloff: Tensor) -> None:
        """Look at frames as a lens shows them that leaves all light everywhere."""
        self.falloff, self.lens_light = falloff, spread(falloff, self.height, self.width)

    def _places(self, target: int, source: int) -> Tensor:
        """Where in a frame the pixels of another lie, H x W x 2."""
        return self._in_frame(source, self._on_canvas(target, self.frame))

    def _measure_tolerance(self) -> None:
        """How far the background may be out of place in each part of each frame: by what sways before a camera that
        stands, by what still moves to the next frame before another."""
        if self.static:
            size = (self.height, self.width)
            most = tolerance_by_sway(self.count, lambda step: self._pairs(_SWAYS, step), self.noise, size)
            every: Iterable[Tensor] = [most] * self.count
        else:
            every = (tolerance_by_flow(torch.from_numpy(self.flow[t]), self._masked(t)) for t in range(self.count))
        for index, tolerance in enumerate(every):
            if not index:
                self.tolerances = self.entry.create_stack("tolerance", (self.count, 1, *tolerance.shape))
            self.tolerances[index] = tolerance[None].numpy()

    def _pairs(self, wanted: int, step: int = 1) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        return neighbours(self.count, wanted, self._see, self._masked, step)

    def _measure_trust(self) -> None:
        """How far what a frame shows is to be trusted to be the background, of 255: effects lie where objects are, and
        an object that stands shows them at rest."""
        self.trust = self.entry.create_stack("trust", (self.count, 1, self.height, self.width), np.uint8)
        voices = witnesses(self._objects_on_canvas(index) for index in range(self.count))
        for index in range(self.count):
            distance = np.minimum(distance_outside(self.masks.union(index)), self.width)
            trust = voices[index] * np.square(distance / (distance + NEARBY * self.width))
            self.trust[index] = np.ceil(255 * trust)[None].astype(np.uint8)

    def _objects_on_canvas(self, index: int) -> np.ndarray:
        """Where a frame's objects lie on the canvas, coarsely, h x w bool."""
        coarse = max(1, round(self.width / _COARSE))
        to_coarse = np.diag([1 / coarse, 1 / coarse, 1]) @ self.to_canvas[index]
        size = (-(-self.canvas_width // coarse), -(-self.canvas_height // coarse))
        union = self.masks.union(index).astype(np.uint8)
        return cv2.warpPerspective(union, to_coarse, size, flags=cv2.INTER_NEAREST) > 0

    def _tolerance(self, index: int) -> Tensor:
        coarse = torch.from_numpy(self.tolerances[index])[None]
        return F.interpolate(coarse, (self.height, self.width), mode="bilinear", align_corners=False)[0, 0]

    def _around(self) -> Window:
        """The area and what decides about it."""
        return grown(self.area, REACH, self.whole)

    def _samples(self) -> Steps[Stack]:
        """The plate as the canvas sees it: the plate itself when the camera is static, else around the area, with a
        fourth channel that says where the frame reaches."""
        if self.static:
            return self.plate
        around = self._around()
        texels = pixel_grid(self.canvas_height, self.canvas_width)[pixels(around)]
        warped = self.entry.create_stack("warped", (self.count, 4, around.height, around.width))

        def see(index: int) -> None:
            picture, inside = sample(self._plate(index), self._in_frame(index, texels))
            warped[index] = torch.cat([picture, inside[None].float()]).numpy()

        yield from self._abreast(see)
        self.sampled = self.gains
        return warped

    def _estimate(self, samples: Stack, first: bool) -> Steps[None]:
        """The area of the canvas from all frames, by bands of rows, so that memory does not grow with their number."""
        area = self.area
        beside, threads = REACH if first else 0, torch.get_num_threads()
        rows = min(-(-area.height // threads), max(_LEAST_ROWS, self._rows_at_once() // threads - 2 * beside))
        tops = range(area.y, area.bottom, rows)
        shown = torch.ones(self.canvas_height, self.canvas_width, dtype=torch.bool)

        def estimate(top: int) -> None:
            held = Window(area.x, top, area.width, min(rows, area.bottom - top))
            band = grown(held, beside, self.whole)  # at first, what is near a pixel decides too
            picture, state = self._band(samples, band)
            kept = pixels(held, band)
            if first:
                found = undisturbed(picture, state != MASKED, self.noise, self._rows(self.trust, band) / 255)
            else:
                found = mean_of_clean(picture, state == CLEAN, self.canvas[:, *pixels(band)])
            self.canvas[:, *pixels(held)] = found[:, *kept]
            self.times[pixels(held)] = (state == CLEAN).sum(0)[kept].float()
            shown[pixels(held)] = (state != MASKED).any(0)[kept]

        for _ in abreast(estimate, tops, rows * area.width):
            for _ in range(max(1, self.count // len(tops))):
                yield self._tick()
        if not shown.all():
            self.canvas = fill_smoothly(self.canvas, shown.float())

    def _rows_at_once(self) -> int:
        """Rows of the canvas whose samples are held at a time."""
        return _BAND_BYTES // (self.count * self._around().width * 4 * 8)

    def _band(self, samples: Stack, band: Window) -> tuple[Tensor, Tensor]:
        """The samples of a part of the canvas, T x 3 x h x w, and their states, T x h x w uint8."""
        state = self._rows(self.state, band)
        if self.static:
            picture = torch.from_numpy(samples.rows(band.y, band.bottom)[..., pixels(band)[1]])
        else:
            rows, columns = pixels(band, self._around())
            sampled = torch.from_numpy(samples.rows(rows.start, rows.stop)[..., columns])
            picture, state = sampled[:, :3], torch.where(sampled[:, 3] > 0.5, state, MASKED)
        return picture / torch.from_numpy(self.gains / self.sampled).float()[:, :, None, None], state

    def _rows(self, of: Stack, band: Window) -> Tensor:
        """What a stack over the frames, T x 1 x H x W, tells of the samples of a part of the canvas, T x h x w."""
        if self.static:
            return torch.from_numpy(of.rows(band.y, band.bottom)[:, 0, :, pixels(band)[1]])
        points = pixel_grid(self.canvas_height, self.canvas_width)[pixels(band)]
        told = []
        for index in range(self.count):
            x, y = self._in_frame(index, points).round().long().unbind(-1)
            frame = torch.from_numpy(of[index][0])
            told.append(frame[y.clamp(0, self.height - 1), x.clamp(0, self.width - 1)])
        return torch.stack(told)

    def _lift(self) -> Steps[None]:
        """Bring the canvas of a static camera to the brightest light it was seen in, and out of the shadow that lies on
        it on all frames, where nothing moves on it."""
        brightest, shadow = FullLight(self.canvas, self.noise), ThrownShadow(self.canvas, self.noise)
        for index in range(self.count):
            plate, shown = self._plate(index), torch.from_numpy(~self._masked(index))
            brightest.see(plate, shown)
            shadow.see(plate, shown, torch.from_numpy(self.masks.union(index)))
            yield self._tick()
        self.light = torch.where(self._tolerance(0) > 0, 1.0, shadow.full_light(brightest.gain()))
        self.canvas *= self.light

    def _find_effects(self, last: bool = False) -> Steps[np.ndarray]:
        """Mark in `state` where each frame differs from its background. The last time give each frame's misfit, before
        follow its exposure."""
        gains, misfit = np.ones((self.count, 3)), np.zeros(self.count)
        uneven = measure_unevenness(self.count, self._plate, self._from_canvas, self._clean, self.noise)
        self.unevens.append(uneven)
        self.exposures.append(self.gains)

        def find(index: int) -> None:
            plate, background = self._plate(index), self._from_canvas(index)
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
            self.gains = self.gains * gains / self.brightened[-1]
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
        self.blur = CameraBlur(self.to_canvas, (self.width, self.height))
        yield from (self._tick() for _ in self.blur.measure(self._compared, _NEAR))
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
        doubt, rows = torch.zeros(3, self.height, self.width), max(_LEAST_ROWS, self._rows_at_once())
        for top in range(0, self.height, rows):
            band = Window(0, top, self.width, min(rows, self.height - top))
            picture, state = self._band(self.plate, band)
            told = (state != MASKED) & (self._rows(self.trust, band) > _FAR * 255)
            doubt[:, *pixels(band)] = strayed(picture, told, self.canvas[:, *pixels(band)], self.noise)
        doubts[0] = torch.where(near, doubt, 0.0).numpy()

    def _seen(self, index: int, part: Window) -> Tensor:
        often, _ = sample(self.times[None], self._on_canvas(index, part), "bilinear")
        return (often / 8).clamp(0, 1)

    def _compared(self, target: int, source: int) -> tuple[Tensor, Tensor, View]:
        return self._plate(target), torch.from_numpy(self._clean(target)), self._through(source, self.frame)

    def _through(self, source: int, part: Window) -> View:
        """A frame through homographies from a part of another, and where it is seen with nothing in front of its
        background."""
        top, layers = 0, torch.empty(4, 0, self.width)

        def seen_through(to_source: np.ndarray) -> tuple[Tensor, Tensor]:
            nonlocal top, layers
            points = self.registration.lens.bent(transform(self.pinhole[pixels(part)], torch.from_numpy(to_source)))
            low, high = (int(row) for row in points[..., 1].nan_to_num().clamp(0, self.height - 1).aminmax())
            first, last = max(low - 2, 0), min(high + 4, self.height)  # what interpolation looks at
            if first < top or last > top + layers.shape[1]:
                top = max(first - _SPARE, 0)
                layers = self._layers(source, top, min(last + _SPARE, self.height))
            picture, inside = sample(layers, points - points.new_tensor([0, top]))
            return picture[:3], inside & (picture[3] > 0.95)

        return seen_through

    def _layers(self, index: int, first: int, last: int) -> Tensor:
        """Some rows of a frame in the exposure of the canvas, and where they are clean, 4 x h x W."""
        plate = torch.from_numpy(self.plate.rows(first, last, [index])[0]) / self._exposure(index)[:, first:last]
        clean = torch.from_numpy(self.state.rows(first, last, [index])[0] == CLEAN)
        return torch.cat([plate, clean.float()])

    def _from_neighbours(self, index: int, part: Window) -> tuple[Tensor, Tensor]:
        """The background of a part of a frame from the clean parts of the frames near it, the nearest weighing most:
        the farther two frames are apart, the less exactly they are registered. The canvas stands in where none of them
        sees it. And the doubt of it."""
        canvas = self._from_canvas(index, part)
        near = Gathered(3, part.height, part.width)
        for other in range(max(0, index - _NEAR), min(self.count, index + _NEAR + 1)):
            if other == index:
                continue
            picture, clean = self.blur.seen(index, other, self._through(other, part))
            near.add(picture, clean * self.blur.sharpness(index, other) / abs(other - index))
        few = (1 - near.times / 2).clamp(min=0)
        background = near.mean * (1 - few) + canvas * few
        tolerance = self._tolerance(index)[pixels(part)]
        return background, least_doubt(near.doubt(self.noise), near.times, background, tolerance)


def pixels(part: Window, of: Window | None = None) -> tuple[slice, slice]:
    """The rows and columns of a part in an array over a window; over one from the first row and column on if none."""
    x, y = (of.x, of.y) if of else (0, 0)
    return slice(part.y - y, part.bottom - y), slice(part.x - x, part.right - x)


def grown(part: Window, by: int, within: Window) -> Window:
    """A window with a margin, cut to another."""
    return Window(part.x - by, part.y - by, part.width + 2 * by, part.height + 2 * by).intersection(within)
