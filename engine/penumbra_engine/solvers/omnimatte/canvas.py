"""Canvas: the background behind the objects and their effects, for every frame."""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.cache import Entry, Stack, Store
from penumbra_engine.errors import UnsolvableError
from penumbra_engine.imaging.background import REACH, Gathered, least_doubt, mean_of_clean, undisturbed
from penumbra_engine.imaging.camera_blur import CameraBlur, View
from penumbra_engine.imaging.disturbance import MOST_UNEVEN
from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.full_light import FullLight
from penumbra_engine.imaging.noise import Noise, estimate_noise, quantisation_noise
from penumbra_engine.imaging.sway import sway
from penumbra_engine.imaging.warp import pixel_grid, sample, transform, warp
from penumbra_engine.media import Shot
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.flow import Flow
from penumbra_engine.solvers.omnimatte.geometry import Geometry
from penumbra_engine.solvers.omnimatte.light import measure_exposures, measure_unevenness, neighbours
from penumbra_engine.solvers.omnimatte.multiview import MultiView
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.omnimatte.state import CLEAN, LEAST_CLEAN, MASKED, margin, mark, misfit_of
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version

_BAND_BYTES = 256 << 20  # what the samples of one band of rows may take
_PASSES = 3
_FELT = 0.01  # relative: a change of exposure below that may be the estimate's own error
_NEAR = 12  # neighbours on each side that a frame of a moving camera takes its background from
_BLOCK = 0.08  # of the width: the parts of a frame whose registration is judged on its own
_LEAST_TOLERANCE = 0.1  # px, for what resampling does to an edge
_NOISY, _SWAYS = 8, 16  # pairs of frames that noise and sway are measured on
_MAX_CANVAS = 16  # times the frame


@dataclass(frozen=True)
class Canvas:
    """The background as each frame sees it.

    background: T x 3 x H x W, or 1 x 3 x H x W when the camera is static. seen: same with one channel, how many clean
    samples a pixel has, of 8, cut to [0, 1]; 0 was never seen and is a guess. gains: T x 3, exposure of each frame over
    the canvas. misfit: T, how far the undisturbed part of each frame lies from its background, in standard deviations
    of the noise (1 is perfect). uneven: relative, what the background is too bright or dark by over wide parts.
    """

    key: str
    noise: Noise
    gains: np.ndarray
    misfit: np.ndarray
    _background: Stack
    _seen: Stack
    _tolerance: Stack
    uneven: float = field(default=MOST_UNEVEN, kw_only=True)
    _sure: Stack | None = field(default=None, kw_only=True)
    _doubt: Stack | None = field(default=None, kw_only=True)

    @property
    def still(self) -> bool:
        """Whether all frames share one background: the camera is static."""
        return len(self._background) == 1

    def background(self, index: int) -> Tensor:
        """3 x H x W in the exposure of the frame."""
        still = self._background[min(index, len(self._background) - 1)]
        return torch.from_numpy(still) * torch.from_numpy(self.gains[index]).float()[:, None, None]

    def seen(self, index: int) -> Tensor:
        """H x W."""
        return torch.from_numpy(self._seen[min(index, len(self._seen) - 1)][0])

    def tolerance(self, index: int) -> Tensor:
        """H x W, what registration may be off by in pixels."""
        coarse = torch.from_numpy(self._tolerance[index])[None]
        return F.interpolate(coarse, self._seen.shape[-2:], mode="bilinear", align_corners=False)[0, 0]

    def sure(self, index: int) -> np.ndarray | None:
        """H x W bool, where the background is not taken from beside an edge of depth; None where no depth was used."""
        return None if self._sure is None else self._sure[index][0] > 0

    def doubt(self, index: int) -> Tensor | None:
        """3 x H x W in the exposure of the frame, the variance of what the background differs by, as the frames that it
        was fetched from tell; None where the camera is static."""
        if self._doubt is None:
            return None
        return torch.from_numpy(self._doubt[index]) * torch.from_numpy(self.gains[index]).float()[:, None, None] ** 2


def build_canvas(
    shot: Shot,
    plates: Plates,
    masks: Masks,
    registration: Registration,
    flow: Flow,
    store: Store,
    geometry: Geometry | None = None,
) -> Steps[Canvas]:
    """Estimate the background, find what the objects do to it, and estimate it again without that: one flat picture
    under all frames, or for each frame its own where the geometry of the scene was solved."""
    solved = geometry is not None and geometry.cameras is not None
    key = geometry.key if geometry is not None and solved else ""
    with store.entry("canvas", code=code_version(), flow=flow.key, masks=masks.key, geometry=key) as entry:
        if not entry.complete:
            if geometry is not None and solved:
                yield from MultiView(shot, plates, masks, geometry, entry).run()
            else:
                yield from _Flat(shot, plates, masks, registration, flow, entry).run()
        meta, arrays = entry.meta, entry.load("frames")
        return Canvas(
            entry.key,
            Noise(**meta["noise"]),
            arrays["gains"],
            arrays["misfit"],
            entry.stack("background"),
            entry.stack("seen"),
            entry.stack("tolerance"),
            uneven=meta["uneven"],
            _sure=entry.stack("sure") if entry.has("sure") else None,
            _doubt=entry.stack("doubt") if entry.has("doubt") else None,
        )


class _Flat:
    """One build of a flat canvas; the parts share the shot's geometry."""

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
        self.static = registration.model == "static"
        self.gains = np.ones((self.count, 3))
        self.sampled = self.gains  # the gains that are out of the samples already
        self.flow = flow.flow
        self.to_canvas, self.canvas_height, self.canvas_width = self._extent()
        self.canvas = torch.zeros(3, self.canvas_height, self.canvas_width)
        self.times = torch.zeros(self.canvas_height, self.canvas_width)  # how often each texel was seen clean
        self.total = self.count * (2 * _PASSES + (5 if self.static else 4))
        self.done = 0

    def run(self) -> Steps[None]:
        self.gains = yield from measure_exposures(self.count, self._see, self._masked, self.static, self._tick)
        pairs = neighbours(self.count, _NOISY, self._see, self._masked)
        self.noise = estimate_noise(pairs, quantisation_noise(self.shot.levels()))
        self._measure_tolerance()
        self.state = self.entry.create_stack("state", (self.count, 1, self.height, self.width), np.uint8)
        for index in range(self.count):
            self.state[index] = np.where(self._masked(index), MASKED, CLEAN)[None].astype(np.uint8)
            yield self._tick()
        samples = yield from self._samples()
        yield from self._estimate(samples, first=True)
        for _ in range(_PASSES - 1):
            yield from self._find_effects(measure=False)
            yield from self._estimate(samples, first=False)
        if self.static:
            yield from self._lift()
        misfit = yield from self._find_effects(measure=True)
        yield from self._write()
        uneven = measure_unevenness(self.count, self._plate, self._behind, self._clean, self.noise)
        self.entry.save("frames", gains=self.gains, misfit=misfit)
        self.entry.finish({"noise": vars(self.noise), "uneven": uneven})

    def _tick(self) -> tuple[int, int]:
        self.done += 1
        return min(self.done, self.total), self.total

    def _extent(self) -> tuple[np.ndarray, int, int]:
        """Homographies T x 3 x 3 from frame to canvas pixels, and the canvas' height and width."""
        if self.static:
            return self.registration.cameras, self.height, self.width
        grid = pixel_grid(self.height, self.width)
        border = torch.cat([grid[0], grid[-1], grid[:, 0], grid[:, -1]]).double()  # a lens bends its lines
        flat = self.registration.lens.flat(border)
        moved = torch.cat([transform(flat, torch.from_numpy(c)) for c in self.registration.cameras]).numpy()
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
        return torch.from_numpy(self.plate[index] / self.gains[index].astype(np.float32)[:, None, None])

    def _clean(self, index: int) -> np.ndarray:
        return self.state[index][0] == CLEAN

    def _behind(self, index: int) -> Tensor:
        """The background that was found for a frame, 3 x H x W in the exposure of the canvas."""
        return torch.from_numpy(self.background[min(index, len(self.background) - 1)])

    def _on_canvas(self, index: int) -> Tensor:
        """Where a frame's pixels lie on the canvas, H x W x 2."""
        flat = self.registration.lens.flat(pixel_grid(self.height, self.width))
        return transform(flat, torch.from_numpy(self.to_canvas[index]))

    def _in_frame(self, index: int, points: Tensor) -> Tensor:
        """Where points of the canvas, ... x 2, lie in a frame."""
        return self.registration.lens.bent(transform(points, torch.from_numpy(np.linalg.inv(self.to_canvas[index]))))

    def _from_canvas(self, index: int) -> Tensor:
        """The canvas as a frame sees it, 3 x H x W."""
        if self.static:
            return self.canvas
        return sample(self.canvas, self._on_canvas(index))[0]

    def _from_frame(self, source: int, target: int, picture: Tensor) -> tuple[Tensor, Tensor]:
        """A picture over one frame as another sees it, and where it does."""
        to_source = np.linalg.inv(self.to_canvas[source]) @ self.to_canvas[target]
        return warp(picture, torch.from_numpy(to_source), self.height, self.width, lens=self.registration.lens)

    def _masked(self, index: int) -> np.ndarray:
        return self.masks.union(index, margin(self.width))

    def _see(self, target: int, source: int) -> tuple[Tensor, Tensor]:
        """A frame as another sees it, in the exposure of the canvas, and where it does."""
        if self.static or target == source:
            return self._plate(source), torch.ones(self.height, self.width, dtype=torch.bool)
        return self._from_frame(source, target, self._plate(source))

    def _measure_tolerance(self) -> None:
        """How far the background may be out of place in each part of each frame. With a moving camera, the median of
        what still moves there to the next frame: a median over a block is that of the background, whatever small thing
        moves on it. With a static one, what sways."""
        height, width = self.flow.shape[-2:]
        block = max(8, round(_BLOCK * width))
        rows, columns = -(-height // block), -(-width // block)
        self.tolerances = self.entry.create_stack("tolerance", (self.count, 1, rows, columns))
        if self.static:
            swaying = sway(neighbours(self.count, _SWAYS, self._see, self._masked), self.noise, block)[None].numpy()
            for index in range(self.count):
                self.tolerances[index] = swaying
            return
        for index in range(self.count):
            dx, dy, confidence = torch.from_numpy(self.flow[index])
            masked = torch.from_numpy(self._masked(index))[None, None].float()
            known = (F.interpolate(masked, (height, width), mode="area")[0, 0] == 0) & (confidence > 0.5)
            moved = torch.where(known, torch.hypot(dx, dy), torch.nan)
            padded = F.pad(moved, (0, columns * block - width, 0, rows * block - height), value=torch.nan)
            blocks = padded.reshape(rows, block, columns, block).permute(0, 2, 1, 3).flatten(2)
            median = blocks.nanmedian(-1).values
            typical = median.nanmedian()
            tolerance = torch.nan_to_num(torch.where(median.isnan(), typical, median)).clamp(_LEAST_TOLERANCE, 2)
            self.tolerances[index] = tolerance[None].numpy()

    def _tolerance(self, index: int) -> Tensor:
        coarse = torch.from_numpy(self.tolerances[index])[None]
        return F.interpolate(coarse, (self.height, self.width), mode="bilinear", align_corners=False)[0, 0]

    def _samples(self) -> Steps[Stack]:
        """The plate as the canvas sees it: the plate itself when the camera is static, else with a fourth channel that
        says where the frame reaches."""
        if self.static:
            return self.plate
        canvas = pixel_grid(self.canvas_height, self.canvas_width)
        warped = self.entry.create_stack("warped", (self.count, 4, self.canvas_height, self.canvas_width))
        for index in range(self.count):
            picture, inside = sample(self._plate(index), self._in_frame(index, canvas))
            warped[index] = torch.cat([picture, inside[None].float()]).numpy()
            yield self._tick()
        self.sampled = self.gains
        return warped

    def _estimate(self, samples: Stack, first: bool) -> Steps[None]:
        """One canvas from all frames, by bands of rows, so that memory does not grow with their number."""
        rows = max(8, _BAND_BYTES // (self.count * self.canvas_width * 4 * 8))
        bands = range(0, self.canvas_height, rows)
        shown = torch.zeros(self.canvas_height, self.canvas_width, dtype=torch.bool)
        for top in bands:
            bottom = min(top + rows, self.canvas_height)
            # Some rows more on each side: what is near a pixel decides too.
            above, below = max(0, top - REACH), min(self.canvas_height, bottom + REACH)
            band = torch.from_numpy(samples.rows(above, below))
            picture = band[:, :3] / torch.from_numpy(self.gains / self.sampled).float()[:, :, None, None]
            state = self._state_rows(above, below)
            if not self.static:
                state = torch.where(band[:, 3] > 0.5, state, MASKED)
            kept = slice(top - above, bottom - above)
            if first:
                estimate = undisturbed(picture, state != MASKED, self.noise)
            else:
                estimate = mean_of_clean(picture, state == CLEAN, self.canvas[:, above:below])
            self.canvas[:, top:bottom] = estimate[:, kept]
            self.times[top:bottom] = (state == CLEAN).sum(0)[kept].float()
            shown[top:bottom] = (state != MASKED).any(0)[kept]
            for _ in range(max(1, self.count // len(bands))):
                yield self._tick()
        if not shown.all():
            self.canvas = fill_smoothly(self.canvas, shown.float())

    def _state_rows(self, first: int, last: int) -> Tensor:
        """The state of the samples of a band of the canvas, T x rows x W uint8."""
        if self.static:
            return torch.from_numpy(self.state.rows(first, last)[:, 0])
        points = pixel_grid(self.canvas_height, self.canvas_width)[first:last]
        rows = []
        for index in range(self.count):
            x, y = self._in_frame(index, points).round().long().unbind(-1)
            state = torch.from_numpy(self.state[index][0])
            rows.append(state[y.clamp(0, self.height - 1), x.clamp(0, self.width - 1)])
        return torch.stack(rows)

    def _lift(self) -> Steps[None]:
        """Bring the canvas of a static camera to the brightest light it was seen in, where nothing moves on it."""
        light = FullLight(self.canvas, self.noise)
        for index in range(self.count):
            light.see(self._plate(index), ~torch.from_numpy(self._masked(index)))
            yield self._tick()
        self.canvas *= torch.where(self._tolerance(0) > 0, 1.0, light.gain())

    def _find_effects(self, measure: bool) -> Steps[np.ndarray]:
        """Mark in `state` where each frame differs from its background; give each frame's misfit, and unless that is
        all that is wanted, follow its exposure."""
        gains, misfit = np.ones((self.count, 3)), np.zeros(self.count)
        uneven = measure_unevenness(self.count, self._plate, self._from_canvas, self._clean, self.noise)
        for index in range(self.count):
            plate, background = self._plate(index), self._from_canvas(index)
            state = mark(self.state[index][0], plate, background, self.noise, self._tolerance(index), uneven)
            self.state[index] = state[None]
            misfit[index] = misfit_of(state, plate, background, self.noise)
            chosen = torch.from_numpy(state == CLEAN)
            if chosen.float().mean() > LEAST_CLEAN:
                lit = plate[:, chosen] / background[:, chosen].clamp(min=1e-4)
                gains[index] = lit.median(1).values.numpy()
            yield self._tick()
        if not measure and np.abs(gains - 1).max() > _FELT:
            typical = np.median(gains, axis=0)
            self.gains = self.gains * gains / typical
            self.canvas *= torch.from_numpy(typical).float()[:, None, None]
        return misfit

    def _write(self) -> Steps[None]:
        count = 1 if self.static else self.count
        self.background = self.entry.create_stack("background", (count, 3, self.height, self.width))
        seen = self.entry.create_stack("seen", (count, 1, self.height, self.width))
        if self.static:
            self.background[0], seen[0] = self.canvas.numpy(), (self.times[None] / 8).clamp(max=1).numpy()
            yield self._tick()
            return
        self.blur = CameraBlur(self.to_canvas, (self.width, self.height))
        yield from (self._tick() for _ in self.blur.measure(self._compared, _NEAR))
        doubts = self.entry.create_stack("doubt", (count, 3, self.height, self.width))
        for index in range(self.count):
            often, _ = sample(self.times[None], self._on_canvas(index), "bilinear")
            background, doubt = self._from_neighbours(index)
            self.background[index], doubts[index] = background.numpy(), doubt.numpy()
            seen[index] = (often / 8).clamp(0, 1).numpy()
            yield self._tick()

    def _compared(self, target: int, source: int) -> tuple[Tensor, Tensor, View]:
        return self._plate(target), torch.from_numpy(self._clean(target)), self._through(source)

    def _through(self, source: int) -> View:
        """A frame through homographies, and where it is seen with nothing in front of its background."""
        clean = torch.from_numpy(self._clean(source))[None]
        layers = torch.cat([self._plate(source), clean.float()])

        def seen_through(to_source: np.ndarray) -> tuple[Tensor, Tensor]:
            lens = self.registration.lens
            picture, inside = warp(layers, torch.from_numpy(to_source), self.height, self.width, lens=lens)
            return picture[:3], inside & (picture[3] > 0.95)

        return seen_through

    def _from_neighbours(self, index: int) -> tuple[Tensor, Tensor]:
        """The background of one frame from the clean parts of the frames near it, the nearest weighing most: the
        farther two frames are apart, the less exactly they are registered. The canvas stands in where none of them sees
        it. And the doubt of it."""
        canvas = self._from_canvas(index)
        near = Gathered(3, self.height, self.width)
        for other in range(max(0, index - _NEAR), min(self.count, index + _NEAR + 1)):
            if other == index:
                continue
            picture, clean = self.blur.seen(index, other, self._through(other))
            near.add(picture, clean * self.blur.sharpness(index, other) / abs(other - index))
        few = (1 - near.times / 2).clamp(min=0)
        background = near.mean * (1 - few) + canvas * few
        return background, least_doubt(near.doubt(self.noise), near.times, background, self._tolerance(index))
