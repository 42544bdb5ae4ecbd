"""The bench of Clean Plate Matte: subject and effects of whole shots by several clean plates, beside baselines."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from penumbra.protocol import AUTO, CleanPlateJob, Mask
from penumbra_engine.bench.meter import measured_run
from penumbra_engine.bench.peer import ABSENT, installed
from penumbra_engine.bench.subject import FIGURES, Row, add_rows, baselines
from penumbra_engine.bench.table import Table
from penumbra_engine.bench.true_shot import TrueShot, find_shots, read_layer, read_rgb
from penumbra_engine.imaging.metrics.layers import Truth, replate_scores
from penumbra_engine.imaging.metrics.pictures import psnr

_PROTOCOL = (
    "Rendered shots. The subject's own alpha as written against the truth: mean absolute error of whole frames (times "
    "1000), on its soft edge (true alpha .02 to .98) and inside; dtSSD: mean over steps, times 100. bg: PSNR of the "
    "written background where subject or effect is, dB. replate: subject over effects on a darker, a brighter and "
    "another background against the true ones, dB. clean plate: captured beside the shot, from another place and in "
    "other light; true clean plate: the picture without the subject as rendered; auto: what the shot itself shows; "
    "all with the rough mask but where it says so; several objects are one subject, their masks one. "
    "PyMatting: its closed form on the encoded plate, frame by frame, with the shot's trimaps on their frames, and "
    "with a trimap made of the true alpha on every frame."
)
_LAYERS = ("bg_psnr_touched", "replate_dark", "replate_bright", "replate_other")


def bench_clean_plate(
    shots: Path, only: str = "", out: Path | None = None, tell: Callable[[str], None] = lambda line: None
) -> list[Table]:
    """Solve every shot with each clean plate that there is of it, cold; several objects are lifted as one subject.

    With `out`, layers and a contact sheet of each shot are kept there. Returns one table. Raises UsageError when no
    shot is there, and what the solver raises.
    """
    chosen = find_shots(shots, only)
    columns = ("shot", "subject", "method", "frames", *FIGURES, *_LAYERS, "seconds")
    table = Table("Clean Plate Matte", _PROTOCOL, columns)
    for shot in chosen:
        truth = shot.truth()
        truths = {_subject(shot): truth.union}
        rows: list[Row] = []
        with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as temporary:
            folder = (out or Path(temporary)) / shot.name
            for method, (clean, masked) in _methods(shot).items():
                tell(f"{shot.name}: {method}")
                to = folder / method.replace(",", "").replace(" ", "_")
                row, warnings = _solved(shot, truth, method, clean, masked, to, Path(temporary))
                rows.append(row)
                table.notes += [f"{shot.name}, {method}: {warning}" for warning in warnings]
            tell(f"{shot.name}: baselines")
            if len(shot.names) == 1:
                rows += baselines(shot, 0, truth.union)
            else:
                rows.append(Row(_subject(shot), "rough mask", shot.frames, _union(shot)))
            add_rows(table, shot, rows, truths, folder if out else None)
    if not installed():
        table.notes.append(ABSENT)
    return [table]


def _methods(shot: TrueShot) -> dict[str, tuple[str, bool]]:
    """The clean plate of each method, and whether the rough mask goes with it."""
    methods = {"true clean plate": (str(shot.folder / shot.files["clean"]), True), "auto": (AUTO, True)}
    if "cleanplate" in shot.files:
        captured = str(shot.folder / shot.files["cleanplate"])
        return {"clean plate": (captured, True), "clean plate, no mask": (captured, False), **methods}
    return methods


def _solved(
    shot: TrueShot, truth: Truth, method: str, clean: str, masked: bool, out: Path, temporary: Path
) -> tuple[Row, list[str]]:
    """The shot by one method, and what it warned of."""
    asked = shot.job(out)
    out.mkdir(parents=True, exist_ok=True)
    masks = []
    if masked:
        masks = asked.masks if len(asked.masks) == 1 else [Mask(_subject(shot), _one_mask(shot, temporary / "mask"))]
    job = CleanPlateJob(asked.plate, asked.frames, asked.colorspace, asked.out, clean_plate=clean, masks=masks)
    result, cost = measured_run(job, temporary / method)
    layers = [read_layer(out, name, shot.frames) for name in result.layers if name != "background"]
    background = read_layer(out, "background", shot.frames, read_rgb)
    scores = {"bg_psnr_touched": psnr(background, truth.clean, truth.hit)}
    if shot.ratio:  # a reflection on another floor has no truth
        scores |= replate_scores(truth, layers)
    return Row(_subject(shot), method, shot.frames, layers[0][:, 3:], cost.total, scores), result.warnings


def _subject(shot: TrueShot) -> str:
    return "together" if len(shot.names) > 1 else shot.names[0]


def _union(shot: TrueShot) -> np.ndarray:
    """The rough masks of all objects as one, T x 1 x H x W."""
    return np.maximum.reduce([shot.mask(index) for index in range(len(shot.names))])


def _one_mask(shot: TrueShot, folder: Path) -> str:
    """The same as files; their pattern."""
    folder.mkdir(exist_ok=True)
    for frame, mask in zip(shot.frames, _union(shot), strict=True):
        cv2.imwrite(str(folder / f"mask.{frame:04d}.png"), np.round(255 * mask[0]).astype(np.uint8))
    return str(folder / "mask.####.png")
