"""A rendered shot whose truth is known: a folder with `shot.json`, and the layers that a solve of it gave."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penumbra.protocol import Keyframe, Mask, MatteJob, OmnimatteJob, format_frames
from penumbra_engine.errors import InputError, UsageError
from penumbra_engine.imaging.metrics.layers import Truth
from penumbra_engine.media import Sequence, read_mask, read_picture
from penumbra_engine.media.windows import place

_DARKEST = 1e-3  # of a clean picture that an effect is a ratio of
_ALWAYS, _PERHAPS = ("plate", "clean", "alpha", "layer", "effect", "mask"), ("trimap", "cleanplate")


@dataclass(frozen=True)
class TrueShot:
    """folder: where its files are. frames: ascending. files: patterns by kind, as shot.json has them; those of alpha,
    layer, effect and mask are lists, one for each object, front to back; `trimap`, the same, and `cleanplate` are there
    only where the shot has them. ratio: whether effects are known as ratios and so have a truth on other backgrounds.
    fullest: the frame that shows most. keyed: the frames of each object whose matte an artist would finish; the first,
    the middle and the last where shot.json names none."""

    folder: Path
    name: str
    frames: tuple[int, ...]
    colorspace: str
    static: bool
    files: dict[str, Any]
    ratio: bool
    fullest: int
    keyed: tuple[tuple[int, ...], ...]

    @classmethod
    def open(cls, folder: Path) -> "TrueShot":
        """Read shot.json. Raises InputError when it is missing or lacks something."""
        path = folder / "shot.json"
        try:
            meta = json.loads(path.read_text(encoding="utf-8"))
            first, last = meta["frames"]
            spread = [first, (first + last + 1) // 2, last]
            objects = meta.get("objects", [{}] * len(meta["files"]["mask"]))
            return cls(
                folder,
                meta["name"],
                tuple(range(first, last + 1)),
                meta["colourspace"],
                meta["camera"] == "static",
                {kind: meta["files"][kind] for kind in _ALWAYS}
                | {kind: files for kind in _PERHAPS if (files := meta["files"].get(kind))},
                meta["effect_kind"] == "ratio",
                meta.get("fullest_frame", first),
                tuple(tuple(of.get("trimap_frames") or spread) for of in objects),
            )
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} doesn't describe a shot with truth ({error!r})", "--shots") from error

    @property
    def names(self) -> list[str]:
        """The objects' names in the bench's own solves, front to back."""
        return [f"object{index + 1}" for index in range(len(self.files["mask"]))]

    def job(self, out: Path, quality: str = "standard") -> OmnimatteJob:
        """The request for its layers."""
        return OmnimatteJob(
            plate=str(self.folder / self.files["plate"]),
            frames=format_frames(self.frames),
            colorspace=self.colorspace,
            out=str(out),
            masks=[
                Mask(name, str(self.folder / files)) for name, files in zip(self.names, self.files["mask"], strict=True)
            ],
            quality=quality,
        )

    def matte_job(self, out: Path, steps: int = 0) -> MatteJob:
        """The request for the objects' mattes, their true ones given on the keyed frames."""
        return MatteJob(
            plate=str(self.folder / self.files["plate"]),
            frames=format_frames(self.frames),
            colorspace=self.colorspace,
            out=str(out),
            keyframes=[
                Keyframe(name, frame, str(Sequence.parse(str(self.folder / files)).path(frame)))
                for name, files, keyed in zip(self.names, self.files["alpha"], self.keyed, strict=True)
                for frame in keyed
            ],
            steps=steps,
        )

    def truth(self) -> Truth:
        """All of the truth, in memory. Raises InputError for a file that is missing or damaged."""
        clean = self._stack(self.files["clean"], read_rgb)
        return Truth(
            plate=self._stack(self.files["plate"], read_rgb),
            clean=clean,
            alphas=[self._stack(files, read_alpha) for files in self.files["alpha"]],
            layers=[self._stack(files, read_rgba) for files in self.files["layer"]],
            effects=[self._effect(files, clean) for files in self.files["effect"]],
        )

    def clean(self) -> np.ndarray:
        """The background alone: T x 3 x H x W."""
        return self._stack(self.files["clean"], read_rgb)

    def alpha(self, index: int) -> np.ndarray:
        """An object's own alpha: T x 1 x H x W."""
        return self._stack(self.files["alpha"][index], read_alpha)

    def mask(self, index: int) -> np.ndarray:
        """An object's rough mask: T x 1 x H x W."""
        return self._stack(self.files["mask"][index], read_alpha)

    def trimaps(self, index: int) -> dict[int, Path]:
        """The files of an object's trimaps by frame, ascending; none where the shot has no trimaps."""
        if "trimap" not in self.files:
            return {}
        files = Sequence.parse(str(self.folder / self.files["trimap"][index]), "--shots")
        return {frame: files.path(frame) for frame in files.frames()}

    def _effect(self, files: str, clean: np.ndarray) -> np.ndarray:
        if self.ratio:
            return self._stack(files, read_rgb)
        raw = self._stack(files, read_rgba)  # the picture with the effect, alpha 1 where it differs from clean
        return np.where(raw[:, 3:] > 0.5, raw[:, :3], clean) / np.maximum(clean, _DARKEST)

    def _stack(self, files: str, read: Callable[[Path], np.ndarray]) -> np.ndarray:
        return read_stack(Sequence.parse(str(self.folder / files), "--shots"), self.frames, read)


def find_shots(folder: Path, only: str = "") -> list[TrueShot]:
    """The shots in a folder, or the one that it is. Raises UsageError when there is none, or none of that name."""
    if (folder / "shot.json").exists():
        return [TrueShot.open(folder)]
    shots = [TrueShot.open(path.parent) for path in sorted(folder.glob("*/shot.json"))]
    chosen = [shot for shot in shots if only in ("", shot.name)]
    if not chosen:
        there = ", ".join(shot.name for shot in shots) or "none"
        raise UsageError(f"--shots {folder}: no shot{f' {only}' if only else ''} with a shot.json; there: {there}")
    return chosen


def read_result(out: Path, names: list[str], frames: tuple[int, ...]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The background T x 3 x H x W and the layers K of T x 4 x H x W that a solve wrote, as they are in the files."""
    return read_layer(out, "background", frames, read_rgb), [read_layer(out, name, frames) for name in names]


def read_layer(
    out: Path, name: str, frames: tuple[int, ...], read: Callable[[Path], np.ndarray] | None = None
) -> np.ndarray:
    """One layer that a solve wrote, T x 4 x H x W, or as `read` reads its files."""
    return read_stack(Sequence.parse(str(out / name / f"{name}.####.exr"), "--out"), frames, read or read_rgba)


def read_stack(files: Sequence, frames: tuple[int, ...], read: Callable[[Path], np.ndarray]) -> np.ndarray:
    """Pictures as T x C x H x W over the display window; a still is read once."""
    if files.still:
        picture = read(files.path(frames[0]))
        return np.broadcast_to(picture, (len(frames), *picture.shape))
    files.require(frames)
    return np.stack([read(files.path(frame)) for frame in frames])


def read_rgb(path: Path) -> np.ndarray:
    """3 x H x W over the display window. Raises InputError as read_picture."""
    return _channels(path, "RGB")


def read_rgba(path: Path) -> np.ndarray:
    """4 x H x W over the display window."""
    return _channels(path, "RGBA")


def _channels(path: Path, names: str) -> np.ndarray:
    picture = read_picture(path)
    pixels = place(picture.pixels, picture.window, picture.display)
    return np.ascontiguousarray(pixels[..., [picture.channels.index(name) for name in names]].transpose(2, 0, 1))


def read_alpha(path: Path) -> np.ndarray:
    """1 x H x W over the display window: alpha if there is one, else the one channel, else R."""
    picture = read_mask(path)
    return np.ascontiguousarray(place(picture.pixels, picture.window, picture.display).transpose(2, 0, 1))
