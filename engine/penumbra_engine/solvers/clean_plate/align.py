"""Align: the clean plate as each frame of the plate would show it, in place and in exposure."""

from dataclasses import dataclass

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
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.plates import Plates, encoded_luminance
from penumbra_engine.solvers.report import named
from penumbra_engine.solvers.steps import Steps, code_version

_MARGIN = 0.02  # of the width: how far a rough mask may fall short of its subject
_TOLERANCE = (0.1, 0.5)  # px that registration may be off by, at least and at most
_AGREES = 0.08  # relative, of means over 5 x 5 pixels
_LEAST_AGREEMENT = 0.4  # of what both plates show: with less of it the two are not of one scene
_ALIKE = 0.8  # where ECC still says that two pictures are of one scene


@dataclass(frozen=True)
class Alignment:
    """canvas: the aligned plate in the place of a background that was found. inliers: T, matches behind each frame's
    homography. residual: T, their root mean square distance in pixels. agreement: T, the part of each frame in which
    the two plates show the same. gain, offset: T x 3, plate = gain * clean plate + offset."""

    canvas: Canvas
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
    with store.entry(
        "align", code=code_version(), plates=plates.key, clean=digests, masks=masks.key if masks else "none"
    ) as entry:
        if not entry.complete:
            yield from _Build(shot, plates, masks, entry).run()
        meta, arrays = entry.meta, entry.load("frames")
        noise, misfit = Noise(**meta["noise"]), arrays.pop("misfit")
        stacks = (entry.stack(name) for name in ("background", "seen", "tolerance"))
        canvas = Canvas(entry.key, noise, np.ones((len(shot.frames), 3)), misfit, *stacks)
        return Alignment(canvas, **arrays)


class _Build:
    """One alignment of all frames."""

    def __init__(self, shot: Shot, plates: Plates, masks: Masks | None, entry: Entry) -> None:
        self.shot, self.plates, self.masks, self.entry = shot, plates, masks, entry
        self.count = len(shot.frames)

    def run(self) -> Steps[None]:
        shape = self.shot.height, self.shot.width
        self.background = self.entry.create_stack("background", (self.count, 3, *shape))
        self.seen = self.entry.create_stack("seen", (self.count, 1, *shape))
        self.tolerance = self.entry.create_stack("tolerance", (self.count, 1, 2, 2))
        figures: dict[str, list] = {name: [] for name in ("inliers", "residual", "agreement", "gain", "offset")}
        strangers = []
        for index, frame in enumerate(self.shot.frames):
            found = self._frame(index)
            if found is None:
                strangers.append(frame)
            else:
                for name, value in found.items():
                    figures[name].append(value)
            yield index, self.count + 1
        if strangers:
            raise UnsolvableError(
                f"frames {named(strangers)}: the clean plate does not show what the plate shows there; it must be "
                "of the same scene and light, from nearly the same place. Give another --clean-plate, or leave these "
                "frames out of --frames",
                "--clean-plate",
            )
        noise = self._noise()
        misfit = np.array([self._misfit(index, noise) for index in range(self.count)])
        self.entry.save("frames", misfit=misfit, **{name: np.array(values) for name, values in figures.items()})
        self.entry.finish({"noise": vars(noise)})

    def _frame(self, index: int) -> dict | None:
        """Align one frame and keep its background; None when the two pictures are not of one scene."""
        plate, clean = torch.from_numpy(self.plates.plate[index]), self._clean(index)
        pair = self._register(plate, clean, index)
        if pair is None:
            return None
        homography = torch.from_numpy(pair.homography)
        aligned, inside = warp(clean, homography, self.shot.height, self.shot.width)
        outside = inside & self._apart(index)
        gain, offset = fit_exposure(aligned[:, outside], plate[:, outside])
        matched = gain[:, None, None] * aligned + offset[:, None, None]
        agreement = _agreement(plate, matched, outside)
        if agreement < _LEAST_AGREEMENT and pair.correlation < _ALIKE:
            return None
        # What the clean plate doesn't reach can't be told from the subject by it: the frame stands for itself there.
        self.background[index] = torch.where(inside, matched, plate).numpy()
        self.seen[index] = inside[None].float().numpy()
        self.tolerance[index] = np.full((1, 2, 2), np.clip(pair.residual / 2, *_TOLERANCE), np.float32)
        return {
            "inliers": pair.inliers,
            "residual": pair.residual,
            "agreement": agreement,
            "gain": gain.double().numpy(),
            "offset": offset.double().numpy(),
        }

    def _clean(self, index: int) -> Tensor:
        frame = self.shot.frames[index if len(self.shot.clean_plate_frames) > 1 else 0]
        return torch.from_numpy(np.ascontiguousarray(self.shot.clean(frame).transpose(2, 0, 1)))

    def _register(self, plate: Tensor, clean: Tensor, index: int) -> Pair | None:
        """Frame to clean plate, brought to about the same exposure so that both encode alike."""
        gain = plate.flatten(1).median(1).values / clean.flatten(1).median(1).values.clamp(min=1e-6)
        balanced = (clean * gain.clamp(0.05, 20)[:, None, None]).numpy()
        luminance = encoded_luminance(self.shot, balanced, self.plates.exposure)
        frames = Frame(self.plates.luminance[index][0]), Frame(luminance)
        return register_pair(frames, (0, 1), polish=True)

    def _apart(self, index: int) -> Tensor:
        """Where the subject isn't, as far as its mask says; H x W bool."""
        if self.masks is None:
            return torch.ones(self.shot.height, self.shot.width, dtype=torch.bool)
        apart = ~self.masks.union(index, max(3.0, _MARGIN * self.shot.width))
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
        plate, background = (torch.from_numpy(s[index]) for s in (self.plates.plate, self.background))
        deviation = (plate - background).abs() / noise.variance(background).sqrt()
        return float(deviation[:, self._apart(index)].median()) / 0.6745


def _agreement(plate: Tensor, matched: Tensor, where: Tensor) -> float:
    """The part of the pixels `where` (H x W bool) in whose neighbourhood both pictures have the same mean."""
    difference = box((plate - matched)[None], 2)[0].abs()
    level = box(matched[None].abs(), 2)[0] + 0.05 * matched.abs().mean()
    return float((difference < _AGREES * level).all(0)[where].float().mean())
