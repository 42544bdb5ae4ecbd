"""The bench of Matte: mattes learned from a few true keyframes, and baselines, against the truth of rendered shots."""

import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

import numpy as np

from penumbra.protocol import MatteJob, Progress, Result
from penumbra_engine.bench.meter import measured
from penumbra_engine.bench.nearest import nearest_keyframe
from penumbra_engine.bench.subject import FIGURES, Row, add_rows
from penumbra_engine.bench.table import Table
from penumbra_engine.bench.true_shot import TrueShot, read_alpha, read_stack
from penumbra_engine.imaging.metrics.mattes import gradient_error
from penumbra_engine.media import Sequence as Files
from penumbra_engine.solvers.jobs import run

_PROTOCOL = (
    "Shots with truth, the true mattes of a few frames given as keyframes; all frames judged, keyed too. An object's "
    "own alpha as written against the truth: mean absolute error of whole frames (times 1000), on its soft edge (true "
    "alpha .02 to .98) and inside; dtSSD: mean over steps, times 100; Grad: sum over 1000, mean over frames. Seconds: "
    "cold, in one process, after start-up, of all processors and by the clock; with the first object of a solve."
)
_COLUMNS = ("shot", "subject", "method", "frames", *FIGURES, "grad", "cpu_seconds", "seconds")

#: A way to get mattes: a job of the shot and a cache for it, progress yielded, files written.
Method = Callable[[MatteJob, Path], Generator[Progress, None, Result]]

METHODS: dict[str, Method] = {"small": run, "nearest keyframe by flow": nearest_keyframe}


def bench_mattes(
    shots: Sequence[TrueShot],
    out: Path | None = None,
    steps: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> Table:
    """Run every method on every shot, cold, one after the other. With `out`, mattes and contact sheets are kept there,
    each of the frame where the first method is furthest off.

    steps: of training, 0 for the usual number. tell: hears what is being done. Raises what the solver raises.
    """
    table = Table("Matte", _PROTOCOL, _COLUMNS)
    for shot in shots:
        truths = {name: shot.alpha(index) for index, name in enumerate(shot.names)}
        rows: list[Row] = []
        with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as temporary:
            folder = (out or Path(temporary)) / shot.name
            for name, method in METHODS.items():
                tell(f"{shot.name}: {name}")
                solved, warnings = _solved(shot, name, method, folder, Path(temporary), steps)
                rows += solved
                table.notes += [f"{shot.name}, {name}: {warning}" for warning in warnings]
            masks = [shot.mask(index) for index in range(len(shot.names))]
            rows += [Row(name, "rough mask", shot.frames, mask) for name, mask in zip(shot.names, masks, strict=True)]
            rows = [_with_gradient(row, truths) for row in rows]
            add_rows(table, shot, rows, truths, folder if out else None, _worst(shot, rows, truths))
    return table


def _solved(
    shot: TrueShot, name: str, method: Method, folder: Path, temporary: Path, steps: int
) -> tuple[list[Row], list[str]]:
    """All objects of a shot by one solve, and what it warned of."""
    out = folder / name.replace(" ", "_")
    out.mkdir(parents=True, exist_ok=True)
    result, cost = measured(method(shot.matte_job(out, steps), temporary / f"cache {name}"))
    rows: list[Row] = []
    for of in shot.names:
        files = Files.parse(str(out / of / f"{of}.####.exr"), "--out")
        alpha = read_stack(files, shot.frames, read_alpha)
        if rows:
            rows.append(Row(of, name, shot.frames, alpha))
        else:
            rows.append(Row(of, name, shot.frames, alpha, cost.total, {"cpu_seconds": cost.cpu_total}))
    return rows, result.warnings


def _with_gradient(row: Row, truths: Mapping[str, np.ndarray]) -> Row:
    pairs = zip(row.alpha[:, 0], truths[row.subject][:, 0], strict=True)
    grad = float(np.mean([gradient_error(ours, true).sum() / 1000 for ours, true in pairs]))
    return Row(row.subject, row.method, row.frames, row.alpha, row.seconds, {**row.scores, "grad": grad})


def _worst(shot: TrueShot, rows: list[Row], truths: Mapping[str, np.ndarray]) -> int:
    """The frame where the mattes of the first method are furthest from the truth."""
    first = [row for row in rows if row.method == rows[0].method]
    errors = [np.abs(row.alpha - truths[row.subject]).mean((1, 2, 3)) for row in first]
    return shot.frames[int(np.argmax(np.sum(errors, axis=0)))]
