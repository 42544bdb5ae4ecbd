"""The bench of Omnimatte Layers on the synthetic clips of Omnimatte-SP: their films show results beside the truth.

A film is a grid of panels: input, Omnimatte, Omnimatte-SP after 0 and 200 steps, truth; the first row backgrounds, then
a row for each object.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from penumbra.protocol import Mask, OmnimatteJob
from penumbra_engine.bench.meter import measured_run
from penumbra_engine.bench.table import Table
from penumbra_engine.bench.true_shot import read_rgb, read_rgba, read_stack
from penumbra_engine.errors import InputError, UsageError
from penumbra_engine.imaging.metrics.pictures import psnr
from penumbra_engine.media import ColourSpace, Sequence, Shot, srgb_encode

_SIZE, _STEP_Y = 128, 148  # px of a panel, and from row to row
_OMNIMATTE, _SP, _TRUTH = 1, 5, 7  # columns
_EMPTY = 250  # a row without an object is white
_PUBLISHED = {"Omnimatte, published": _OMNIMATTE, "Omnimatte-SP, published": _SP}


@dataclass(frozen=True)
class Clip:
    """A film of panels: T x height x width x 3 uint8, display-referred sRGB."""

    name: str
    film: np.ndarray

    @classmethod
    def open(cls, path: Path) -> "Clip":
        """Raises InputError when it is no such film."""
        video, frames = cv2.VideoCapture(str(path)), []
        while True:
            there, frame = video.read()
            if not there:
                break
            frames.append(frame[..., ::-1])
        if not frames or frames[0].shape[1] < (_TRUTH + 1) * _SIZE:
            raise InputError(f"{path}: expected a film of panels, {(_TRUTH + 1) * _SIZE} pixels wide", "--panels")
        return cls(path.stem, np.stack(frames))

    @property
    def objects(self) -> int:
        rows = self.film.shape[1] // _STEP_Y
        return sum(self.panel(0, row)[0].mean() < _EMPTY for row in range(1, rows))

    def panel(self, column: int, row: int) -> np.ndarray:
        """T x 128 x 128 x 3 uint8."""
        y, x = row * _STEP_Y, column * _SIZE
        return self.film[:, y : y + _SIZE, x : x + _SIZE]

    def picture(self, column: int, row: int) -> np.ndarray:
        """The same as T x 3 x 128 x 128 in [0, 1]."""
        return self.panel(column, row).transpose(0, 3, 1, 2) / np.float32(255)


def bench_panels(folder: Path, only: str = "", tell: Callable[[str], None] = lambda line: None) -> Table:
    """Solve every film in the folder's sub-folders, or those of one of them. Means over clips.

    Raises UsageError when there is none, InputError for a film of another kind, and what the solver raises.
    """
    table = Table(
        "Synthetic clips of Omnimatte-SP",
        "PSNR in dB of display-referred sRGB pictures, mean over clips; the truth and the published results are panels "
        "of the same film, codec noise included. canvas: ours before the plate takes its place where no layer is; "
        "objects: each object with its effects over its method's own background.",
        ("set", "method", "clips", "background", "canvas", "objects", "seconds a clip"),
    )
    sets = [path for path in sorted(folder.iterdir()) if any(path.glob("*.mp4"))] if folder.is_dir() else []
    sets = [path for path in sets if only in ("", path.name)]
    if not sets:
        raise UsageError(f"--panels {folder}: no folder{f' {only}' if only else ''} with .mp4 films in it", "--panels")
    for path in sets:
        films = sorted(path.glob("*.mp4"))
        found: dict[str, list[dict[str, float]]] = {}
        for number, film in enumerate(films):
            tell(f"{path.name}: {film.name}, {number + 1} of {len(films)}")
            for method, scores in clip_scores(Clip.open(film)):
                found.setdefault(method, []).append(scores)
        for method, each in found.items():
            means = {name: float(np.mean([scores[name] for scores in each])) for name in each[0]}
            table.add({"set": path.name, "method": method, "clips": len(each), **means})
    return table


def clip_scores(clip: Clip) -> Iterator[tuple[str, dict[str, float]]]:
    """Figures of each method on one clip: ours, the published ones, and leaving the plate as it is."""
    background, rows = clip.picture(_TRUTH, 0), range(1, clip.objects + 1)
    yield "nothing done", {"background": psnr(clip.picture(0, 0), background)}
    for method, column in _PUBLISHED.items():
        objects = [psnr(clip.picture(column, row), clip.picture(_TRUTH, row)) for row in rows]
        yield method, {"background": psnr(clip.picture(column, 0), background), "objects": float(np.mean(objects))}
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as temporary:
        out = Path(temporary) / "out"
        job, frames = _job(clip, Path(temporary), out), tuple(range(1, len(clip.film) + 1))
        _, cost = measured_run(job, Path(temporary) / "cache")
        space = Shot.open(job).space

        def written(name: str) -> np.ndarray:
            return read_stack(Sequence.parse(str(out / name / f"{name}.####.exr")), frames, read_rgba)

        ours = read_stack(Sequence.parse(str(out / "background" / "background.####.exr")), frames, read_rgb)
        canvas = written("canvas")[:, :3]
        layers = [written(mask.name) for mask in job.masks]
        over = [layer[:, :3] + (1 - layer[:, 3:]) * canvas for layer in layers]
        objects = [
            psnr(displayed(each, space), clip.picture(_TRUTH, row)) for each, row in zip(over, rows, strict=True)
        ]
        yield (
            "standard",
            {
                "background": psnr(displayed(ours, space), background),
                "canvas": psnr(displayed(canvas, space), background),
                "objects": float(np.mean(objects)),
                "seconds a clip": cost.total,
            },
        )


def displayed(pictures: np.ndarray, space: ColourSpace) -> np.ndarray:
    """Pictures T x 3 x H x W that were solved in the working space of `space`, as the display-referred sRGB of the
    films, in [0, 1]."""
    lin_rec709 = space.working_to_lin_rec709(np.ascontiguousarray(np.moveaxis(pictures, 1, -1)))
    return np.moveaxis(srgb_encode(lin_rec709), -1, 1)


def _job(clip: Clip, folder: Path, out: Path) -> OmnimatteJob:
    """The clip's input and masks as files, and the request for its layers."""
    count = clip.objects
    for index in range(len(clip.film)):
        pictures = {"plate": clip.panel(0, 0)[index, ..., ::-1]}
        pictures |= {f"mask{row}": clip.panel(0, row)[index, ..., 1] for row in range(1, count + 1)}
        for name, picture in pictures.items():
            cv2.imwrite(str(folder / f"{name}.{index + 1:04d}.png"), picture)
    masks = [Mask(f"object{row}", str(folder / f"mask{row}.####.png")) for row in range(1, count + 1)]
    return OmnimatteJob(str(folder / "plate.####.png"), f"1-{len(clip.film)}", "srgb_tx", str(out), masks=masks)
