"""The bench of Omnimatte Layers on a traffic camera of CDnet 2014: alpha against hand-drawn cars and shadows."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from penumbra.protocol import Mask, OmnimatteJob, format_frames
from penumbra_engine.bench.meter import measured_run
from penumbra_engine.bench.table import Table
from penumbra_engine.bench.true_shot import read_alpha, read_stack
from penumbra_engine.errors import UsageError
from penumbra_engine.imaging.metrics.segmentation import contour_accuracy, pixel_f1, region_similarity
from penumbra_engine.media import Sequence, read_mask, read_picture

_SHADOW, _OUTSIDE, _UNKNOWN, _MOVES = 50, 85, 170, 255  # the labels of CDnet that count, or that don't
_PUBLISHED_F1 = 0.991  # of Omnimatte, Lu et al. 2021
_SPECKLE, _GAP = 5, 11  # px: smaller spots go, smaller holes close


@dataclass(frozen=True)
class Labels:
    """T x H x W bool: what an object or its shadow covers, and where the labels say so for sure."""

    truth: np.ndarray
    known: np.ndarray


def bench_highway(folder: Path, tell: Callable[[str], None] = lambda line: None) -> Table:
    """Solve a folder with frames/in######.jpg and groundtruth/gt######.png, all cars as one object whose rough mask
    is OpenCV's background subtraction. Raises UsageError when it is none, and what the solver raises."""
    if not (folder / "frames").is_dir() or not (folder / "groundtruth").is_dir():
        raise UsageError(f"--highway {folder}: expected the folders frames and groundtruth of CDnet in it", "--highway")
    plate = Sequence.parse(str(folder / "frames" / "in######.jpg"), "--highway")
    frames = plate.frames()
    labels = read_labels(folder, frames)
    table = Table(
        "CDnet highway",
        "Alpha > 0.5 against object and shadow, unknown and outside pixels left out. F1 over all pixels of all frames; "
        "J and F: means over frames (DAVIS).",
        ("method", "F1", "J", "F", "seconds"),
        notes=["published: figure of the paper for its own alpha, with its own masks"],
    )
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as temporary:
        masks = _subtract_background(plate, Path(temporary) / "masks")
        table.add({"method": "rough mask", **mask_scores(masks, labels)})
        for quality in ("standard", "draft"):
            tell(f"highway: {quality}")
            job = OmnimatteJob(
                plate=str(folder / "frames" / "in######.jpg"),
                frames=format_frames(frames),
                colorspace="srgb_tx",
                out=str(Path(temporary) / quality),
                masks=[Mask("cars", str(Path(temporary) / "masks" / "mask.####.png"))],
                quality=quality,
            )
            _, cost = measured_run(job, Path(temporary) / f"cache {quality}")
            written = Sequence.parse(str(Path(job.out) / "cars" / "cars.####.exr"))
            alpha = read_stack(written, frames, read_alpha)[:, 0]
            table.add({"method": quality, **mask_scores(alpha > 0.5, labels), "seconds": cost.total})
    table.add({"method": "Omnimatte, published", "F1": _PUBLISHED_F1})
    return table


def read_labels(folder: Path, frames: tuple[int, ...]) -> Labels:
    """The hand-drawn labels of some frames."""
    files = Sequence.parse(str(folder / "groundtruth" / "gt######.png"), "--highway")
    files.require(frames)
    labels = np.stack([np.round(read_mask(files.path(frame)).pixels[..., 0] * 255) for frame in frames])
    return Labels(np.isin(labels, (_SHADOW, _MOVES)), ~np.isin(labels, (_OUTSIDE, _UNKNOWN)))


def mask_scores(masks: np.ndarray, labels: Labels) -> dict[str, float]:
    """F1, J and F of T x H x W bool."""
    pairs = [(mask & known, true & known) for mask, true, known in zip(masks, labels.truth, labels.known, strict=True)]
    return {
        "F1": pixel_f1(masks, labels.truth, labels.known),
        "J": float(np.mean([region_similarity(*pair) for pair in pairs])),
        "F": float(np.mean([contour_accuracy(*pair) for pair in pairs])),
    }


def _subtract_background(plate: Sequence, folder: Path) -> np.ndarray:
    """Rough masks of what moves, without shadows, by nearest neighbours in colour (Zivkovic and van der Heijden 2006):
    written to mask.####.png, and T x H x W bool. It sees all frames once before it says anything."""
    frames = plate.frames()
    pictures = [np.round(read_picture(plate.path(frame), "rgb").pixels * 255).astype(np.uint8) for frame in frames]
    subtractor = cv2.createBackgroundSubtractorKNN(history=len(pictures), detectShadows=True)
    for picture in pictures:
        subtractor.apply(picture)
    folder.mkdir()
    masks = []
    closing = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_GAP, _GAP))
    for frame, picture in zip(frames, pictures, strict=True):
        moves = subtractor.apply(picture, learningRate=0) == _MOVES
        spots = cv2.medianBlur(moves.astype(np.uint8), _SPECKLE)
        masks.append(cv2.morphologyEx(spots, cv2.MORPH_CLOSE, closing) > 0)
        write_mask(folder / f"mask.{frame:04d}.png", masks[-1])
    return np.stack(masks)


def write_mask(path: Path, mask: np.ndarray) -> None:
    """H x W bool as a PNG of 0 and 255."""
    if not cv2.imwrite(str(path), mask.astype(np.uint8) * 255):
        raise OSError(f"{path} can't be written")
