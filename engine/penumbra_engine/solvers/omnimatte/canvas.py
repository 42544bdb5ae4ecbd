"""Canvas: the background behind the objects and their effects, for every frame."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Entry, Stack, Store
from penumbra_engine.errors import UnsolvableError
from penumbra_engine.imaging.background import disturbance, mean_of_clean, undisturbed
from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.imaging.noise import Noise, estimate_noise
from penumbra_engine.imaging.warp import pixel_grid, transform, warp
from penumbra_engine.media import Shot
from penumbra_engine.solvers.omnimatte.masks import Masks
from penumbra_engine.solvers.omnimatte.plates import Plates
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.steps import Steps, code_version

_MARGIN = 0.017  # of the width: how far a rough mask may fall short of its object
_BAND_BYTES = 256 << 20  # what the samples of one band of rows may take
_DISTURBED = 3.5  # standard deviations
_PASSES = 3
_NEAR = 10  # neighbours on each side that a frame of a moving camera takes its background from
_MAX_CANVAS = 16  # times the frame


@dataclass(frozen=True)
class Canvas:
    """The background as each frame sees it.

    background: T x 3 x H x W, or 1 x 3 x H x W when the camera is static. seen: same with one channel, how many clean
    samples a pixel has, of 8, cut to [0, 1]; 0 was never seen and is a guess. gains: T x 3, exposure of each frame over
    the canvas. tolerance: px that registration may be off by. misfit: T, how far the undisturbed part of each frame
    lies from its background, in standard deviations of the noise (1 is perfect).
    """

    key: str
    noise: Noise
    gains: np.ndarray
    tolerance: float
    misfit: np.ndarray
    _background: Stack
    _seen: Stack

    def background(self, index: int) -> Tensor:
        """3 x H x W in the exposure of the frame."""
        still = self._background[min(index, len(self._background) - 1)]
        return torch.from_numpy(still) * torch.from_numpy(self.gains[index]).float()[:, None, None]

    def seen(self, index: int) -> Tensor:
        """H x W."""
        return torch.from_numpy(self._seen[min(index, len(self._seen) - 1)][0])


def build_canvas(shot: Shot, plates: Plates, masks: Masks, registration: Registration, store: Store) -> Steps[Canvas]:
    """Estimate the background, find what the objects do to it, and estimate it again without that."""
    with store.entry("canvas", code=code_version(), registration=registration.key, masks=masks.key) as entry:
        if not entry.complete:
            yield from _Build(shot, plates, masks, registration, entry).run()
        meta, arrays = entry.meta, entry.load("frames")
        return Canvas(
            entry.key,
            Noise(**meta["noise"]),
            arrays["gains"],
            meta["tolerance"],
            arrays["misfit"],
            entry.stack("background"),
            entry.stack("seen"),
        )


class _Build:
    """One build of the canvas; the parts share the shot's geometry."""

    def __init__(self, shot: Shot, plates: Plates, masks: Masks, registration: Registration, entry: Entry) -> None:
        self.shot, self.plate, self.masks, self.registration, self.entry = (
            shot,
            plates.plate,
            masks,
            registration,
            entry,
        )
        self.count, self.height, self.width = len(shot.frames), shot.height, shot.width
        self.static = registration.model == "static"
        self.margin = max(3.0, _MARGIN * self.width)
        self.gains = np.ones((self.count, 3))
        self.tolerance = 0.0 if self.static else max(0.05, float(np.median(registration.residual)))
        self.to_canvas, self.canvas_height, self.canvas_width = self._extent()
        self.total = self.count * (2 * _PASSES + 3)
        self.done = 0

    def run(self) -> Steps[None]:
        self.noise = self._noise()
        self.clean = self.entry.create_stack("clean", (self.count, 1, self.height, self.width), np.uint8)
        for index in range(self.count):
            self.clean[index] = (~self.masks.union(index, self.margin))[None].astype(np.uint8)
            yield self._tick()
        samples = yield from self._samples()
        self.canvas = np.zeros((3, self.canvas_height, self.canvas_width), np.float32)
        yield from self._estimate(samples, undisturbed_only=False)
        for last in (p == _PASSES - 1 for p in range(_PASSES)):
            misfit = yield from self._find_effects(measure=last)
            if not last:
                yield from self._estimate(samples, undisturbed_only=True)
        yield from self._write()
        self.entry.save("frames", gains=self.gains, misfit=misfit)
        self.entry.finish({"noise": vars(self.noise), "tolerance": self.tolerance})

    def _tick(self) -> tuple[int, int]:
        self.done += 1
        return min(self.done, self.total), self.total

    def _extent(self) -> tuple[np.ndarray, int, int]:
        """Homographies T x 3 x 3 from frame to canvas pixels, and the canvas' height and width."""
        if self.static:
            return self.registration.cameras, self.height, self.width
        x, y = self.width - 1, self.height - 1
        corners = torch.tensor([[0, 0], [x, 0], [x, y], [0, y]], dtype=torch.float64)
        moved = torch.cat([transform(corners, torch.from_numpy(c)) for c in self.registration.cameras]).numpy()
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

    def _warp_to(self, source: int, target: int, picture: Tensor, mode: str) -> tuple[Tensor, Tensor]:
        to_source = np.linalg.inv(self.to_canvas[source]) @ self.to_canvas[target]
        return warp(picture, torch.from_numpy(to_source), self.height, self.width, mode)

    def _noise(self) -> Noise:
        """From up to eight pairs of neighbouring frames, outside the masks."""

        def pairs():  # type: ignore[no-untyped-def]
            for index in np.unique(np.linspace(0, self.count - 2, 8).round().astype(int)).tolist():
                a, b = (torch.from_numpy(self.plate[i]) for i in (index, index + 1))
                inside = torch.ones(self.height, self.width, dtype=torch.bool)
                if not self.static:
                    b, inside = self._warp_to(index + 1, index, b, "bicubic")
                outside = ~(self.masks.union(index, self.margin) | self.masks.union(index + 1, self.margin))
                yield a, b, inside & torch.from_numpy(outside)

        return estimate_noise(pairs() if self.count > 1 else ())

    def _samples(self) -> Steps[Stack]:
        """The plate as the canvas sees it: the plate itself when the camera is static."""
        if self.static:
            return self.plate
        warped = self.entry.create_stack("warped", (self.count, 4, self.canvas_height, self.canvas_width))
        for index in range(self.count):
            to_frame = torch.from_numpy(np.linalg.inv(self.to_canvas[index]))
            picture, inside = warp(self._plate(index), to_frame, self.canvas_height, self.canvas_width)
            warped[index] = torch.cat([picture, inside[None].float()]).numpy()
            yield self._tick()
        return warped

    def _estimate(self, samples: Stack, undisturbed_only: bool) -> Steps[None]:
        """One canvas from all frames, by bands of rows, so that memory does not grow with their number."""
        rows = max(8, _BAND_BYTES // (self.count * self.canvas_width * 4 * 8))
        bands = range(0, self.canvas_height, rows)
        for top in bands:
            bottom = min(top + rows, self.canvas_height)
            # One row more on each side: what is near a pixel decides too.
            above, below = max(0, top - 1), min(self.canvas_height, bottom + 1)
            band = torch.from_numpy(samples.rows(above, below))
            picture = band[:, :3]
            if self.static:
                picture = picture / torch.from_numpy(self.gains).float()[:, :, None, None]
            clean = self._clean_rows(above, below)
            if not self.static:
                clean &= band[:, 3] > 0.5
            kept = slice(top - above, bottom - above)
            if undisturbed_only:
                fallback = torch.from_numpy(self.canvas[:, above:below])
                estimate = mean_of_clean(picture, clean, fallback)
            else:
                estimate = undisturbed(picture, clean, self.noise)
            self.canvas[:, top:bottom] = estimate[:, kept].numpy()
            for _ in range(max(1, self.count // len(bands))):
                yield self._tick()
        if not undisturbed_only:
            yield from self._fill()

    def _clean_rows(self, first: int, last: int) -> Tensor:
        """Which samples of a band of the canvas are clean, T x rows x W bool."""
        if self.static:
            return torch.from_numpy(self.clean.rows(first, last)[:, 0] > 0)
        points = pixel_grid(self.canvas_height, self.canvas_width)[first:last].double()
        rows = []
        for index in range(self.count):
            at = transform(points, torch.from_numpy(np.linalg.inv(self.to_canvas[index]))).round().long()
            inside = (at >= 0).all(-1) & (at[..., 0] < self.width) & (at[..., 1] < self.height)
            clean = torch.from_numpy(self.clean[index][0])
            rows.append(inside & (clean[at[..., 1].clamp(0, self.height - 1), at[..., 0].clamp(0, self.width - 1)] > 0))
        return torch.stack(rows)

    def _fill(self) -> Steps[None]:
        """Continue the canvas smoothly to what no frame shows without an object."""
        seen = torch.zeros(self.canvas_height, self.canvas_width, dtype=torch.bool)
        rows = max(8, _BAND_BYTES // (self.count * self.canvas_width * 8))
        for top in range(0, self.canvas_height, rows):
            bottom = min(top + rows, self.canvas_height)
            seen[top:bottom] = self._clean_rows(top, bottom).any(0)
            yield self._tick()
        if not seen.all():
            self.canvas = fill_smoothly(torch.from_numpy(self.canvas), seen.float()).numpy()

    def _find_effects(self, measure: bool) -> Steps[np.ndarray]:
        """Mark in `clean` where each frame differs from its background; give each frame's gain and misfit."""
        canvas = torch.from_numpy(self.canvas)
        gains, misfit = np.ones((self.count, 3)), np.zeros(self.count)
        for index in range(self.count):
            plate = self._plate(index)
            background = canvas
            if not self.static:
                background, _ = warp(canvas, torch.from_numpy(self.to_canvas[index]), self.height, self.width)
            outside = ~self.masks.union(index, self.margin)
            differs = disturbance(plate[None], background[None], self.noise, self.tolerance)[0] > _DISTURBED
            clean = outside & ~dilate(differs.numpy(), 2)
            self.clean[index] = clean[None].astype(np.uint8)
            if clean.mean() > 0.02:
                chosen = torch.from_numpy(clean)
                lit = plate[:, chosen] / background[:, chosen].clamp(min=1e-4)
                gains[index] = lit.median(1).values.numpy()
                deviation = (plate - background)[:, chosen].square() / self.noise.variance(background[:, chosen])
                misfit[index] = float(deviation.mean().sqrt())
            yield self._tick()
        if not measure and np.abs(gains - 1).max() > 0.004:  # below that it is the median's own noise
            self.gains = self.gains * gains / np.median(gains, axis=0)
        return misfit

    def _write(self) -> Steps[None]:
        count = 1 if self.static else self.count
        background = self.entry.create_stack("background", (count, 3, self.height, self.width))
        seen = self.entry.create_stack("seen", (count, 1, self.height, self.width))
        if self.static:
            clean = np.zeros((self.height, self.width), np.float32)
            for index in range(self.count):
                clean += self.clean[index][0]
            background[0], seen[0] = self.canvas, np.clip(clean / 8, 0, 1)[None]
            yield self._tick()
            return
        for index in range(self.count):
            picture, times = self._from_neighbours(index)
            background[index], seen[index] = picture.numpy(), (times / 8).clamp(0, 1)[None].numpy()
            yield self._tick()

    def _from_neighbours(self, index: int) -> tuple[Tensor, Tensor]:
        """The background of one frame from the clean parts of the frames near it, nearest first: the farther two frames
        are apart, the less exactly they are registered. The canvas stands in where none of them sees it."""
        canvas, _ = warp(
            torch.from_numpy(self.canvas), torch.from_numpy(self.to_canvas[index]), self.height, self.width
        )
        total, weight = torch.zeros_like(canvas), torch.zeros(self.height, self.width)
        times = torch.zeros(self.height, self.width)
        for other in sorted(range(self.count), key=lambda t: abs(t - index)):
            if other == index:
                continue
            if abs(other - index) > _NEAR and bool((times >= 4).all()):
                break
            clean = torch.from_numpy(self.clean[other]).float()
            picture, inside = self._warp_to(other, index, torch.cat([self._plate(other), clean]), "bicubic")
            usable = inside & (picture[3] > 0.98)
            # Far frames only where near ones are too few.
            share = torch.where(usable & ((times < 4) | (abs(other - index) <= _NEAR)), 1 / abs(other - index), 0.0)
            total += share * picture[:3]
            weight += share
            times += usable
        few = (1 - times / 2).clamp(min=0)
        mixed = total / weight.clamp(min=1e-6) * (1 - few) + canvas * few
        return torch.where(weight > 0, mixed, canvas), times
