"""The matte of one subject against its truth: rows, baselines and sheets that several benches share."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from penumbra_engine.bench.peer import installed, peer_alpha
from penumbra_engine.bench.table import Cell, Table
from penumbra_engine.bench.true_shot import TrueShot, read_alpha
from penumbra_engine.cache import Store
from penumbra_engine.files import write_atomically
from penumbra_engine.imaging.metrics.mattes import matte_scores
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.media import Shot
from penumbra_engine.solvers.contact_sheet import contact_sheet, seen_as_is
from penumbra_engine.solvers.plates import decode

FIGURES = ("mad_e3", "soft_mad", "core_mad", "dtssd")
_SOFT = (0.02, 0.98)  # true alpha that is neither object nor background
_BLACK, _WHITE = 0.1, 0.9  # of a trimap, as PyMatting reads it
_BAND = 4.0  # px: how far beside its soft pixels a matte is unknown in a trimap made of it


@dataclass(frozen=True)
class Row:
    """One method on one subject. alpha: T x 1 x H x W of `frames`. seconds: None where nothing was solved, or where
    they stand with another subject of the same solve. scores: beyond those of the matte itself."""

    subject: str
    method: str
    frames: tuple[int, ...]
    alpha: np.ndarray
    seconds: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


def baselines(shot: TrueShot, index: int, truth: np.ndarray) -> list[Row]:
    """The rough mask, and where PyMatting is installed its closed form, frame by frame: on the frames that have a true
    trimap by that, and on all by trimaps made of the true alpha `truth` (T x 1 x H x W). It refuses trimaps without
    foreground or without background: such frames are left out."""
    name = shot.names[index]
    rows = [Row(name, "rough mask", shot.frames, shot.mask(index))]
    solver = peer_alpha("closed-form") if installed() else None
    if solver is None:
        return rows
    pictures, given = _encoded(shot), shot.trimaps(index)
    trimaps = {
        "PyMatting, true trimaps": {frame: read_alpha(path) for frame, path in given.items()},
        "PyMatting, trimaps of the truth": {f: trimap_of(a) for f, a in zip(shot.frames, truth, strict=True)},
    }
    for method, given_to in trimaps.items():
        by_frame = {f: t for f, t in given_to.items() if (t > _WHITE).any() and (t < _BLACK).any()}
        if by_frame:
            seen = pictures[[shot.frames.index(frame) for frame in by_frame]]
            began = time.perf_counter()
            alpha = solver(torch.from_numpy(seen), torch.from_numpy(np.stack(list(by_frame.values()))))
            rows.append(Row(name, method, tuple(by_frame), alpha.numpy(), time.perf_counter() - began))
    return rows


def trimap_of(alpha: np.ndarray) -> np.ndarray:
    """A trimap of a true alpha, 1 x H x W both: unknown where it is soft, and some pixels beside that."""
    soft = dilate((alpha[0] > _SOFT[0]) & (alpha[0] < _SOFT[1]), _BAND)
    return np.where(soft, 0.5, alpha[0] > 0.5).astype(np.float32)[None]


def _encoded(shot: TrueShot) -> np.ndarray:
    """The plate as the solvers of Trimap Propagate see it, T x 3 x H x W in [0, 1]."""
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as cache:
        opened = Shot.open(shot.job(Path(cache)))
        steps = decode(opened, Store(Path(cache)))
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return np.stack([end.value.encoded(opened, index) for index in range(len(shot.frames))])


def add_rows(
    table: Table,
    shot: TrueShot,
    rows: Sequence[Row],
    truths: Mapping[str, np.ndarray],
    folder: Path | None = None,
    frame: int = 0,
) -> None:
    """Score the rows of a shot and add them; with a folder, their sheet of a frame (0 for the fullest) goes there.
    truths: the true alpha by subject, T x 1 x H x W. dtSSD is told only of frames that follow each other."""
    for row in rows:
        at = [shot.frames.index(frame) for frame in row.frames]
        scores = matte_scores(row.alpha, truths[row.subject][at])
        if len(at) != len(shot.frames):
            del scores["dtssd"]
        cells: dict[str, Cell] = {"shot": shot.name, "subject": row.subject, "method": row.method, "frames": len(at)}
        table.add({**cells, **scores, **row.scores, "seconds": row.seconds})
    if folder:
        write_atomically(folder / "sheet.png", _sheet(shot, rows, truths, frame or shot.fullest))


def _sheet(shot: TrueShot, rows: Sequence[Row], truths: Mapping[str, np.ndarray], frame: int) -> bytes:
    """A PNG of a frame: plate, alpha and how far it is off, for each row that has the frame."""
    index = shot.frames.index(frame)
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as cache:
        opened = Shot.open(shot.job(Path(cache)))
    plate = torch.from_numpy(np.ascontiguousarray(opened.plate(frame).transpose(2, 0, 1)))
    pictures = []
    for row in rows:
        if frame in row.frames:
            alpha = torch.from_numpy(np.float32(row.alpha[row.frames.index(frame)]))
            truth = torch.from_numpy(np.float32(truths[row.subject][index]))
            pictures.append(
                {
                    f"plate {frame}": plate,
                    f"{row.subject}: truth": seen_as_is(truth),
                    row.method: seen_as_is(alpha),
                    "error x 4": seen_as_is((4 * (alpha - truth).abs()).clamp(0, 1)),
                }
            )
    return contact_sheet(opened, pictures)
