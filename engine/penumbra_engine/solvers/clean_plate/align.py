"""Align: the clean plate as each frame of the plate would show it, in place and in exposure."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Entry, Store
from penumbra_engine.errors import InputError, UnsolvableError
from penumbra_engine.imaging.exposure import fit_exposure
from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.noise import Noise, estimate_noise
from penumbra_engine.imaging.registration import Frame, Pair, register_pair
from penumbra_engine.imaging.warp import warp
from penumbra_engine.media import Shot
from penumbra_engine.solvers.clean_plate.fuse import fuse
from penumbra_engine.solvers.clean_plate.own import still_canvas
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.plates import Plates, encoded_luminance
from penumbra_engine.solvers.report import named
from penumbra_engine.solvers.steps import Steps, code_version, within

_MARGIN = 0.02  # of the longer side: how far a rough mask may fall short of its subject
_TOLERANCE = (0.1, 0.5)  # px that registration may be off by, at least and at most
_AGREES = 0.08  # relative, of means over 5 x 5 pixels
_LEAST_AGREEMENT = 0.4  # of what both plates show: with less of it the two are not of one scene
_MEANS = 2  # px: exposure is fitted to means over squares of twice that and one
_ALIKE = 0.8  # where ECC still says that two pictures are of one scene


@dataclass(frozen=True)
class Alignment:
    """canvas: the aligned plate in the place of a background that was found. own: the part of it whose detail is that
    of the shot's own background (0 but with a static camera). inliers: T, matches behind each frame's
    homography. residual: T, their root mean square distance in pixels. agreement: T, the part of each frame in which
    the two plates show the same. gain, offset: T x 3, plate = gain * clean plate + offset."""

    canvas: Canvas
    own: float
    inliers: np.ndarray
    residual: np.ndarray
    agreement: np.ndarray
    gain: np.ndarray
    offset: np.ndarray


def align(shot: Shot, plates: Plates, masks: Masks | None, store: Store) -> Steps[Alignment]:
    """Register the clean plate to every frame and match its exposure, white balance and black level outside the masks.

    Raises InputError when clean plate and plate are the same files, UnsolvableError, naming the frames, when they do
    not show the same scene.
    """
    digests = [shot.digest_clean(frame) for frame in shot.clean_plate_frames]
    if shot.clean_plate is not None and all(
        shot.digest_clean(f).split("@")[0] == shot.digest_plate(f).split("@")[0] for f in shot.frames
    ):
        raise InputError(
            f"--clean-plate {shot.clean_plate}: it is the plate itself on every frame, so there is nothing to lift; "
            "give a picture of the same view without the subject",
            "--clean-plate",
        )
    own = None
    if len(digests) == 1:
        own = yield from within((0.0, 0.8), still_canvas(shot, plates, masks, store))
    with store.entry(
        "align",
        code=code_version(),
        plates=plates.key,
        clean=digests,
        masks=masks.key if masks else "none",
        own=own.key if own else "none",
    ) as entry:
        if not entry.complete:
            build = _Build(shot, plates, masks, own, entry)
            yield from within((0.8, 1.0) if own else (0.0, 1.0), build.run())
        meta, arrays = entry.meta, entry.load("frames")
        noise, misfit, gains = Noise(**meta["noise"]), arrays.pop("misfit"), arrays.pop("exposure")
        stacks = (entry.stack(name) for name in ("background", "seen", "tolerance"))
        return Alignment(Canvas(entry.key, noise, gains, misfit, *stacks), meta["own"], **arrays)


class _Matched(NamedTuple):
    """The clean plate in the place and the light of a picture: 3 x H x W, where it reaches (H x W bool), gain and
    offset of each channel, and what it was placed by."""

    picture: Tensor
    inside: Tensor
    gain: Tensor
    offset: Tensor
    pair: Pair


class _Build:
    """One alignment of all frames."""

    def __init__(self, shot: Shot, plates: Plates, masks: Masks | None, own: Canvas | None, entry: Entry) -> None:
        self.shot, self.plates, self.masks, self.own, self.entry = shot, plates, masks, own, entry
        self.count = len(shot.frames)
        self.gains = own.gains if own else np.ones((self.count, 3))
        self.fused = 0.0  # the part of the background that is the shot's own
        self.figures: dict[str, list] = {name: [] for name in ("inliers", "residual", "agreement", "gain", "offset")}

    def run(self) -> Steps[None]:
        shape, backgrounds = (self.shot.height, self.shot.width), 1 if self.own else self.count
        self.background = self.entry.create_stack("background", (backgrounds, 3, *shape))
        self.seen = self.entry.create_stack("seen", (backgrounds, 1, *shape))
        self.tolerance = self.entry.create_stack("tolerance", (self.count, 1, 2, 2))
        still = self._still(self.own) if self.own else None
        strangers = []
        for index, frame in enumerate(self.shot.frames):
            if not (self._seen_by(index, still) if self.own else self._frame(index)):
                strangers.append(frame)
            yield index, self.count + 1
        if strangers:
            raise UnsolvableError(
                f"frames {named(strangers)}: the clean plate does not show what the plate shows there; it must be "
                "of the same scene and light, from nearly the same place. Give another --clean-plate, or leave these "
                "frames out of --frames",
                "--clean-plate",
            )
        noise = self.own.noise if self.own else self._noise()
        misfit = np.array([self._misfit(index, noise) for index in range(self.count)])
        arrays = {name: np.array(values) for name, values in self.figures.items()}
        self.entry.save("frames", misfit=misfit, exposure=self.gains, **arrays)
        self.entry.finish({"noise": vars(noise), "own": self.fused})

    def _still(self, own: Canvas) -> _Matched | None:
        """One alignment for all frames of a static camera, to what the shot itself shows of its background; its detail
        is kept. None when the two are not of one scene."""
        index = self.count // 2
        found = own.background(index) / self._exposure(index)
        luminance = encoded_luminance(self.shot, found.numpy(), self.plates.exposure)
        everywhere = torch.ones(self.shot.height, self.shot.width, dtype=torch.bool)
        matched = self._matched(found, luminance, self._clean(0), everywhere)
        if matched is None or not _one_scene(found, matched, matched.inside):
            return None
        tolerance = torch.full(found.shape[1:], self._placed(matched.pair))
        fused = fuse(found, own.seen(index), matched.picture, matched.inside, own.noise, tolerance)
        self.background[0] = fused.background.numpy()
        self.seen[0] = (matched.inside | (own.seen(index) > 0))[None].float().numpy()
        self.fused = round(float(fused.own.mean()), 4)
        # What is not the shot's own is as far out of place as the clean plate is.
        loose = (1 - fused.own.mean()) * tolerance[0, 0]
        for frame in range(self.count):
            self.tolerance[frame] = np.full((1, 2, 2), max(float(loose), _TOLERANCE[0]), np.float32)
        return matched

    def _seen_by(self, index: int, matched: _Matched | None) -> bool:
        """Judge the one background by a frame."""
        if matched is None:
            return False
        gain = self._exposure(index)
        plate, outside = torch.from_numpy(self.plates.plate[index]), matched.inside & self._apart(index)
        exposed = matched._replace(
            picture=matched.picture * gain, gain=matched.gain * gain[:, 0, 0], offset=matched.offset * gain[:, 0, 0]
        )
        self._note(exposed, _agreement(plate, exposed.picture, outside))
        return True

    def _frame(self, index: int) -> bool:
        """Align one frame and keep its background; False when the two pictures are not of one scene."""
        plate = torch.from_numpy(self.plates.plate[index])
        matched = self._matched(plate, self.plates.luminance[index][0], self._clean(index), self._apart(index))
        if matched is None or not _one_scene(plate, matched, outside := matched.inside & self._apart(index)):
            return False
        # What the clean plate doesn't reach can't be told from the subject by it: the frame stands for itself there.
        self.background[index] = torch.where(matched.inside, matched.picture, plate).numpy()
        self.seen[index] = matched.inside[None].float().numpy()
        self.tolerance[index] = np.full((1, 2, 2), self._placed(matched.pair), np.float32)
        self._note(matched, _agreement(plate, matched.picture, outside))
        return True

    def _note(self, matched: _Matched, agreement: float) -> None:
        """Keep what the report says of a frame."""
        for name, value in (
            ("inliers", matched.pair.inliers),
            ("residual", matched.pair.residual),
            ("agreement", agreement),
            ("gain", matched.gain.double().numpy()),
            ("offset", matched.offset.double().numpy()),
        ):
            self.figures[name].append(value)

    def _placed(self, pair: Pair) -> float:
        """Pixels by which the clean plate may be out of place."""
        return float(np.clip(pair.residual / 2, *_TOLERANCE))

    def _exposure(self, index: int) -> Tensor:
        """A frame's over that of the one background, 3 x 1 x 1."""
        return torch.from_numpy(self.gains[index]).float()[:, None, None]

    def _matched(self, picture: Tensor, luminance: np.ndarray, clean: Tensor, where: Tensor) -> _Matched | None:
        """The clean plate for a picture, exposed as it is in `where`; None where nothing places it."""
        # Brought to about the same exposure first, so that both encode alike.
        gain = picture.flatten(1).median(1).values / clean.flatten(1).median(1).values.clamp(min=1e-6)
        balanced = (clean * gain.clamp(0.05, 20)[:, None, None]).numpy()
        sides = luminance, encoded_luminance(self.shot, balanced, self.plates.exposure)
        pair = register_pair((Frame(sides[0], corners=True), Frame(sides[1], corners=True)), (0, 1), polish=True)
        if pair is None:
            return None
        aligned, inside = warp(clean, torch.from_numpy(pair.homography), self.shot.height, self.shot.width)
        # Of means: noise and what is out of place by less than a pixel would make every slope too small.
        means = [box(side[None], _MEANS)[0][:, inside & where] for side in (aligned, picture)]
        gain, offset = fit_exposure(*means)
        return _Matched(gain[:, None, None] * aligned + offset[:, None, None], inside, gain, offset, pair)

    def _clean(self, index: int) -> Tensor:
        frame = self.shot.frames[index if len(self.shot.clean_plate_frames) > 1 else 0]
        return torch.from_numpy(np.ascontiguousarray(self.shot.clean(frame).transpose(2, 0, 1)))

    def _apart(self, index: int) -> Tensor:
        """Where the subject isn't, as far as its mask says; H x W bool."""
        if self.masks is None:
            return torch.ones(self.shot.height, self.shot.width, dtype=torch.bool)
        apart = ~self.masks.union(index, max(3.0, _MARGIN * max(self.shot.height, self.shot.width)))
        return torch.from_numpy(apart if apart.any() else ~apart)

    def _noise(self) -> Noise:
        """Of plate less clean plate: both have some, and the estimate is that of one of them."""
        pairs = []
        for index in np.unique(np.linspace(0, self.count - 1, 6).round().astype(int)).tolist():
            seen = torch.from_numpy(self.seen[index][0]) > 0
            plate, background = (torch.from_numpy(s[index]) for s in (self.plates.plate, self.background))
            pairs.append((plate, background, seen & self._apart(index)))
        one = estimate_noise(pairs)
        return Noise(2 * one.read, 2 * one.shot)

    def _misfit(self, index: int, noise: Noise) -> float:
        """The median distance of plate and background outside the subject, in what noise alone gives."""
        plate = torch.from_numpy(self.plates.plate[index])
        background = torch.from_numpy(self.background[0 if self.own else index]) * self._exposure(index)
        deviation = (plate - background).abs() / noise.variance(background).sqrt()
        return float(deviation[:, self._apart(index)].median()) / 0.6745


def _one_scene(plate: Tensor, matched: _Matched, where: Tensor) -> bool:
    """Whether two pictures show the same, by their means over small squares, or else by ECC."""
    agreement = _agreement(plate, matched.picture, where)
    return agreement >= _LEAST_AGREEMENT or matched.pair.correlation >= _ALIKE


def _agreement(plate: Tensor, matched: Tensor, where: Tensor) -> float:
    """The part of the pixels `where` (H x W bool) in whose neighbourhood both pictures have the same mean."""
    difference = box((plate - matched)[None], 2)[0].abs()
    level = box(matched[None].abs(), 2)[0] + 0.05 * matched.abs().mean()
    return float((difference < _AGREES * level).all(0)[where].float().mean())
