"""The bench of Trimap Propagate: mattes of whole shots from three trimaps, and from one, beside baselines."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from penumbra.protocol import Keyframe, TrimapJob
from penumbra_engine.bench.meter import measured_run
from penumbra_engine.bench.peer import ABSENT, installed
from penumbra_engine.bench.subject import FIGURES, Row, add_rows, baselines
from penumbra_engine.bench.table import Table
from penumbra_engine.bench.true_shot import TrueShot, find_shots, read_layer
from penumbra_engine.errors import UsageError

_PROTOCOL = (
    "Rendered shots, each object's own alpha as written against the truth: mean absolute error of whole frames (times "
    "1000), on its soft edge (true alpha .02 to .98) and inside; dtSSD: mean over steps, times 100. Ours: all frames "
    "from the shot's trimaps, cold. PyMatting: its closed form on the encoded plate, frame by frame, with the shot's "
    "trimaps on their frames, and with a trimap made of the true alpha (soft pixels and 4 px beside) on every frame. "
    "Seconds: of all processors and by the clock; with the first object of a solve."
)

_COLUMNS = ("shot", "subject", "method", "frames", *FIGURES, "cpu_seconds", "seconds")


def bench_trimap(
    shots: Path, only: str = "", out: Path | None = None, tell: Callable[[str], None] = lambda line: None
) -> list[Table]:
    """Solve every shot that has trimaps from all of them and from the middle one of each object.

    With `out`, layers and a contact sheet of each shot are kept there. Returns one table. Raises UsageError when no
    shot with trimaps is there, and what the solver raises.
    """
    chosen = [shot for shot in find_shots(shots, only) if shot.trimaps(0)]
    if not chosen:
        raise UsageError(f"--shots {shots}: no shot here names trimaps in its shot.json (files: trimap)")
    table = Table("Trimap Propagate", _PROTOCOL, _COLUMNS)
    for shot in chosen:
        truths = {name: shot.alpha(index) for index, name in enumerate(shot.names)}
        rows: list[Row] = []
        with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as temporary:
            folder = (out or Path(temporary)) / shot.name
            for method, keyed in (("three trimaps", _all), ("one trimap", _middle)):
                tell(f"{shot.name}: {method}")
                solved, warnings = _solved(shot, method, keyed, folder / method.replace(" ", "_"), Path(temporary))
                rows += solved
                table.notes += [f"{shot.name}, {method}: {warning}" for warning in warnings]
            tell(f"{shot.name}: baselines")
            for index, name in enumerate(shot.names):
                rows += baselines(shot, index, truths[name])
            add_rows(table, shot, rows, truths, folder if out else None)
    if not installed():
        table.notes.append(ABSENT)
    return [table]


def _all(frames: Sequence[int]) -> Sequence[int]:
    return frames


def _middle(frames: Sequence[int]) -> Sequence[int]:
    return frames[len(frames) // 2 : len(frames) // 2 + 1]


def _solved(
    shot: TrueShot, method: str, keyed: Callable[[Sequence[int]], Sequence[int]], out: Path, temporary: Path
) -> tuple[list[Row], list[str]]:
    """All subjects of a shot by one solve, and what it warned of."""
    keyframes = []
    for index, name in enumerate(shot.names):
        files = shot.trimaps(index)
        keyframes += [Keyframe(name, frame, str(files[frame])) for frame in keyed(list(files))]
    asked = shot.job(out)
    out.mkdir(parents=True, exist_ok=True)
    job = TrimapJob(asked.plate, asked.frames, asked.colorspace, asked.out, keyframes=keyframes)
    result, cost = measured_run(job, temporary / method)
    rows = [Row(name, method, shot.frames, read_layer(out, name, shot.frames)[:, 3:]) for name in shot.names]
    first = rows[0]
    spent = {"cpu_seconds": cost.cpu_total}
    return [Row(first.subject, method, first.frames, first.alpha, cost.total, spent), *rows[1:]], result.warnings
