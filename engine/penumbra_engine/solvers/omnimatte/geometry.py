"""Geometry: where a travelling camera stood, and the depth of the scene behind the objects."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.cache import Entry, Stack, Store
from penumbra_engine.imaging.carried_depth import agreement, carry
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.imaging.pinhole import Cameras
from penumbra_engine.imaging.plane_sweep import Match, best_depth, breaks, sharpen, smooth, sweep, tighten
from penumbra_engine.solvers.omnimatte.footage import Footage
from penumbra_engine.solvers.omnimatte.state import margin
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version

_PARALLAX = 0.5  # px: what a homography may leave at the 90th percentile before geometry is asked
_LEAST_FRAMES, _LEAST_POINTS, _MOST_ERROR = 8, 100, 1.0
_MAX_SIDE = 640  # depth is measured no finer than this
_PLANES, _STRIDE, _SOURCES = 64, 3, 8
_WIDENED = 5  # px of a depth map
_POLL = 0.2  # seconds
_CONFIRMING, _AGREE, _CARRYING = 4, 3, 14  # frames on each side; how many must agree


@dataclass(frozen=True)
class Geometry:
    """cameras: None when the shot was not solved, and why says the reason either way. depth: T x 1 x h x w inverse
    depth of the static scene behind the objects, for cameras scaled to that size. step: T, inverse depth between the
    planes that each frame was measured by. measured: T x 2 x h x w, the inverse depth matched in each frame and 1 where
    its neighbours confirm it; depth is made of it."""

    key: str
    why: str
    cameras: Cameras | None
    depth: Stack | None
    step: np.ndarray
    measured: Stack | None = None

    def inverse_depth(self, index: int, height: int, width: int) -> Tensor:
        """H x W of a solved shot at any size. Enlarged without blending: between two surfaces there is nothing."""
        assert self.depth is not None
        depth = torch.from_numpy(self.depth[index])[None]
        return F.interpolate(depth, (height, width), mode="nearest-exact")[0, 0]

    def sure(self, index: int, height: int, width: int) -> np.ndarray:
        """H x W bool, where depth is that of the surface itself: matching widens what lies in front by some pixels."""
        assert self.depth is not None
        torn = breaks(torch.from_numpy(self.depth[index][0]), float(self.step[index]))
        sure = torch.from_numpy(~dilate(torn.numpy(), _WIDENED))[None, None].float()
        return F.interpolate(sure, (height, width), mode="nearest-exact")[0, 0].numpy() > 0

    def carried(self, lost: np.ndarray) -> Iterator[Tensor]:
        """Inverse depth h x w of each frame of a solved shot, where it is lost carried in from frames that measured it.
        lost: T x H x W bool, what a frame shows there is not the static scene."""
        assert self.cameras is not None and self.measured is not None
        count, _, height, width = self.measured.shape
        cameras = self.cameras.scaled(width / lost.shape[2])
        rays = cameras.rays(height, width)
        measured = torch.from_numpy(self.measured[:])
        depth, valid = measured[:, 0], (measured[:, 1] > 0) & ~_small_masks(lost, (height, width))
        for index in range(count):
            sources = _around(index, count, _CARRYING)
            yield carry(depth, valid, cameras, rays, index, sources, float(self.step[index]))


def solve_geometry(
    footage: Footage,
    store: Store,
    earlier: Geometry | None = None,
) -> Steps[Geometry]:
    """Poses by structure from motion and depth by a plane sweep, where one homography a frame leaves parallax.

    earlier: of the shot behind other masks, if it was solved: poses and what the frames measured are kept, and depth is
    carried in behind these.
    """
    known = earlier if earlier is not None and earlier.cameras is not None else None
    parts = {"earlier": known.key} if known else {}
    with store.entry("geometry", code=code_version(), flow=footage.flow.key, masks=footage.masks.key, **parts) as entry:
        if not entry.complete:
            if known:
                yield from _carry_anew(footage, known, entry)
            else:
                yield from _solve(footage, entry)
        meta = entry.meta
        if not meta["solved"]:
            return Geometry(entry.key, meta["why"], None, None, np.zeros(0))
        arrays = entry.load("cameras")
        cameras = _cameras(arrays)
        return Geometry(entry.key, meta["why"], cameras, entry.stack("depth"), arrays["step"], entry.stack("measured"))


def _solve(footage: Footage, entry: Entry) -> Steps[None]:
    shot = footage.shot

    def unsolved(why: str) -> None:
        entry.finish({"solved": False, "why": why})

    if footage.registration.model == "static":
        return unsolved("no frame moves against the middle one")
    left = _left_over(footage)
    homography = f"one homography a frame leaves {left:.2f} px at the 90th percentile outside the masks"
    if left < _PARALLAX:
        return unsolved(homography)
    if len(shot.frames) < _LEAST_FRAMES:
        return unsolved(f"{homography}; structure from motion needs {_LEAST_FRAMES} frames")
    if shot.pixel_aspect != 1:
        return unsolved(f"{homography}; structure from motion needs square pixels")
    hidden = np.stack([_hidden(footage, index) for index in range(len(shot.frames))])
    solved = yield from _poses(footage.plates, hidden)
    if isinstance(solved, str):
        return unsolved(f"{homography}; {solved}")
    yield from _depth(footage.plates, hidden, solved, entry)
    entry.finish(
        {
            "solved": True,
            "why": f"{homography}; structure from motion explains {len(solved['points'])} points to "
            f"{float(solved['error']):.2f} px",
        }
    )


def _carry_anew(footage: Footage, earlier: Geometry, entry: Entry) -> Steps[None]:
    """Fill the entry with an earlier geometry, its depth carried in behind other masks."""
    assert earlier.cameras is not None and earlier.measured is not None
    count, _, height, width = earlier.measured.shape
    measured = entry.create_stack("measured", earlier.measured.shape)
    hidden = np.stack([_hidden(footage, index) for index in range(count)])
    depth = entry.create_stack("depth", (count, 1, height, width))
    for index, inverse_depth in enumerate(earlier.carried(hidden)):
        measured[index], depth[index] = earlier.measured[index], inverse_depth[None].numpy()
        yield index, count
    entry.save("cameras", pose=earlier.cameras.pose.numpy(), parameters=_parameters(earlier.cameras), step=earlier.step)
    entry.finish({"solved": True, "why": earlier.why})


def _hidden(footage: Footage, index: int) -> np.ndarray:
    """What may be an object on a frame, H x W bool."""
    return footage.masks.union(index, margin(max(footage.shot.height, footage.shot.width)))


def _left_over(footage: Footage) -> float:
    """The median over frames of the 90th percentile of what moves outside the masks once the homography is out, px."""
    moved = [footage.flow.outside(index, _hidden(footage, index)) for index in range(len(footage.shot.frames))]
    return float(np.median([np.quantile(m, 0.9) for m in moved if len(m)] or [0.0]))


def _poses(plates: Plates, hidden: np.ndarray) -> Steps[dict[str, np.ndarray] | str]:
    """What the program structure_from_motion found, or why it found nothing that can be relied on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in ("images", "masks"):
            (folder / kind).mkdir()
        for index, lost in enumerate(hidden):
            cv2.imwrite(str(folder / "images" / f"{index:06d}.png"), plates.luminance[index][0])
            cv2.imwrite(str(folder / "masks" / f"{index:06d}.png.png"), np.where(lost, 0, 255).astype(np.uint8))
        code, said = yield from _run([sys.executable, "-m", "penumbra_engine.imaging.structure_from_motion", name])
        if code == 3:
            return "structure from motion could not place every frame (no baseline, or too few features)"
        if code:
            return (
                f"structure from motion failed (exit code {code}: {(said.strip().splitlines() or ['no message'])[-1]})"
            )
        with np.load(folder / "poses.npz") as found:
            solved = dict(found)
    if len(solved["points"]) < _LEAST_POINTS or solved["error"] > _MOST_ERROR:
        return (
            f"structure from motion found {len(solved['points'])} points to {float(solved['error']):.2f} px, too few "
            "or too inexact for depth"
        )
    return solved


def _run(command: list[str]) -> Steps[tuple[int, str]]:
    """A program's exit code and what it said; it ends with the stage when that is cancelled."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                yield 0, 1
                time.sleep(_POLL)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        return process.returncode, said.read()


def _depth(plates: Plates, hidden: np.ndarray, solved: dict[str, np.ndarray], entry: Entry) -> Steps[None]:
    """Depth of every frame from its neighbours, confirmed by them, and carried in where objects hide the scene."""
    count, _, height, width = plates.plate.shape
    scale = min(1.0, _MAX_SIDE / max(height, width))
    size = round(height * scale), round(width * scale)
    half = round(size[0] / 2), round(size[1] / 2)
    full = _cameras(solved)
    cameras, coarse_cameras = full.scaled(size[1] / width), full.scaled(half[1] / width)
    rays, coarse_rays = cameras.rays(*size), coarse_cameras.rays(*half)
    pictures, lost = _small(plates, size), _small_masks(hidden, size)
    coarse_pictures, coarse_lost = F.interpolate(pictures, half, mode="area"), _small_masks(hidden, half)
    depth, step = torch.zeros(count, *size), np.zeros(count)
    for index in range(count):
        low, high = _range(solved["points"], cameras, index, size)
        planes = torch.linspace(low, high, _PLANES)
        step[index] = (high - low) / (_PLANES - 1)
        sources = _around(index, count, _SOURCES * _STRIDE, _STRIDE)[:_SOURCES]
        coarse = Match(coarse_pictures, coarse_lost, coarse_cameras, coarse_rays, index, sources)
        rough = best_depth(smooth(sweep(coarse, planes), coarse_pictures[index]), planes)
        fine = Match(pictures, lost, cameras, rays, index, sources)
        depth[index] = tighten(fine, sharpen(fine, rough, float(step[index])), float(step[index]))
        yield index, 2 * count
    valid = torch.stack(
        [
            agreement(depth, lost, cameras, rays, t, _around(t, count, _CONFIRMING), float(step[t])) >= _AGREE
            for t in range(count)
        ]
    )
    measured = entry.create_stack("measured", (count, 2, *size))
    for index in range(count):
        measured[index] = torch.stack([depth[index], valid[index].float()]).numpy()
    stack = entry.create_stack("depth", (count, 1, *size))
    geometry = Geometry("", "", full, None, step, measured)
    for index, inverse_depth in enumerate(geometry.carried(hidden)):
        stack[index] = inverse_depth[None].numpy()
        yield count + index, 2 * count
    entry.save("cameras", pose=solved["pose"], parameters=solved["parameters"], step=step)


def _cameras(solved: Mapping[str, np.ndarray]) -> Cameras:
    """The cameras that a program or an entry tells of: there a picture begins at the edge of its first pixel."""
    focal, x, y, radial = solved["parameters"].tolist()
    return Cameras(torch.from_numpy(solved["pose"]), focal, (x - 0.5, y - 0.5), radial)


def _parameters(cameras: Cameras) -> np.ndarray:
    """What `_cameras` reads."""
    x, y = cameras.centre
    return np.array([cameras.focal, x + 0.5, y + 0.5, cameras.radial])


def _around(index: int, count: int, reach: int, stride: int = 1) -> list[int]:
    """The frames near one, the nearest first."""
    offsets = (sign * offset for offset in range(stride, reach + 1, stride) for sign in (-1, 1))
    return [index + o for o in offsets if 0 <= index + o < count] or [index - 1 if index else index + 1]


def _small(plates: Plates, size: tuple[int, int]) -> Tensor:
    """All frames as matching sees them, T x 3 x h x w: the root makes shot noise even, the exposure is the shot's."""
    frames = (torch.from_numpy(plates.plate[t])[None] for t in range(len(plates.plate)))
    pictures = torch.cat([F.interpolate(frame, size, mode="area") for frame in frames])
    return (pictures * plates.exposure).clamp(0, 2).sqrt()


def _small_masks(hidden: np.ndarray, size: tuple[int, int]) -> Tensor:
    whole = torch.from_numpy(hidden)[:, None].float()
    return F.interpolate(whole, size, mode="area")[:, 0] > 0


def _range(points: np.ndarray, cameras: Cameras, index: int, size: tuple[int, int]) -> tuple[float, float]:
    """Inverse depths that the sweep of a frame covers: those of the points in view, without their outliers."""
    pose = cameras.pose[index].numpy()
    x, y, z = (points @ pose[:, :3].T + pose[:, 3]).T
    with np.errstate(divide="ignore", invalid="ignore"):
        column, row = x / z * cameras.focal + cameras.centre[0], y / z * cameras.focal + cameras.centre[1]
    inside = (z > 0) & (column > 0) & (row > 0) & (column < size[1]) & (row < size[0])
    chosen = 1 / z[inside if inside.sum() >= 20 else z > 0]
    low, high = np.quantile(chosen, [0.01, 0.99])
    return 0.85 * float(low), 1.3 * float(high)
