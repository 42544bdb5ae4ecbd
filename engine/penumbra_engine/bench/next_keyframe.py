"""Whether the keyframe that Matte asks for next is worth more than one at random."""

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from penumbra.protocol import MatteJob
from penumbra_engine.bench.matte import Method
from penumbra_engine.bench.meter import measured
from penumbra_engine.bench.table import Table
from penumbra_engine.bench.true_shot import TrueShot, read_alpha, read_stack
from penumbra_engine.imaging.metrics.mattes import matte_scores
from penumbra_engine.media import Sequence as Files
from penumbra_engine.solvers.jobs import run

_DRAWS = 5
_AGAIN = 0.5  # of the steps, as the node itself takes when it starts from an earlier network
_PROTOCOL = (
    "Shots with truth. The node learns from the true mattes of a shot's own keyframes and names the next one. Then the "
    "true matte of that frame is given as well, and in turn those of five that chance (seed 0) draws from all that "
    "aren't keyed; each time it starts from the first network and takes half of the steps. All frames judged, keyed "
    "too, mean over the objects: mean absolute error of whole frames (times 1000), on the soft edge; dtSSD. gain: by "
    "how much mad_e3 fell. Seconds: of all processors."
)
_COLUMNS = ("shot", "keyed as well", "frame", "mad_e3", "soft_mad", "dtssd", "gain", "cpu_seconds")
_FIGURES = ("mad_e3", "soft_mad", "dtssd")


def bench_next_keyframe(
    shots: Sequence[TrueShot],
    steps: int = 0,
    solve: Method | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Table:
    """Key the suggested frame, and random ones, on every shot. steps: of the first training, 0 for the usual number. A
    shot of which nothing is left to key has no rows. Raises what the solver raises."""
    table = Table("Next keyframe", _PROTOCOL, _COLUMNS)
    for shot in shots:
        with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as temporary:
            _measure(shot, steps, solve or run, Path(temporary), table, tell)
    return table


def _measure(
    shot: TrueShot, steps: int, solve: Method, folder: Path, table: Table, tell: Callable[[str], None]
) -> None:
    first = shot.matte_job(folder / "first", steps)
    tell(f"{shot.name}: its own keyframes")
    base = _scored(shot, first, folder / "cache", solve)
    suggested = json.loads((folder / "first" / "report.json").read_text())["next_keyframe"]
    if suggested is None:
        table.notes.append(f"{shot.name}: every frame is keyed")
        return
    table.add({"shot": shot.name, "keyed as well": "none", **base})
    drawn = draw(shot)
    found: dict[int, dict[str, float]] = {}
    for frame in dict.fromkeys([suggested, *drawn]):
        tell(f"{shot.name}: {frame} as well")
        found[frame] = _with(shot, frame, round(_AGAIN * steps), solve, folder)
        found[frame]["gain"] = base["mad_e3"] - found[frame]["mad_e3"]
    for said, frame in [("suggested", suggested), *(("random", frame) for frame in drawn)]:
        table.add({"shot": shot.name, "keyed as well": said, "frame": frame, **found[frame]})
    mean = {name: float(np.mean([found[frame][name] for frame in drawn])) for name in (*_FIGURES, "gain")}
    table.add({"shot": shot.name, "keyed as well": "random, mean", **mean})


def draw(shot: TrueShot) -> list[int]:
    """Frames at random of those on which no object is keyed, each at most once."""
    free = [frame for frame in shot.frames if not any(frame in keyed for keyed in shot.keyed)]
    order = np.random.default_rng(0).permutation(len(free))
    return [free[at] for at in order[:_DRAWS]]


def _with(shot: TrueShot, frame: int, steps: int, solve: Method, folder: Path) -> dict[str, float]:
    """The scores with a frame keyed as well, from a cache in which the first network is the last."""
    out, cache = folder / f"with {frame}", folder / f"cache {frame}"
    shutil.copytree(folder / "cache", cache, copy_function=os.link)
    shot = dataclasses.replace(shot, keyed=tuple(tuple(sorted({*keyed, frame})) for keyed in shot.keyed))
    found = _scored(shot, shot.matte_job(out, steps), cache, solve)
    shutil.rmtree(cache)
    return found


def _scored(shot: TrueShot, job: MatteJob, cache: Path, solve: Method) -> dict[str, float]:
    """Solve a job and judge its mattes, mean over the objects."""
    Path(job.out).mkdir(parents=True)
    _, cost = measured(solve(job, cache))
    scores = []
    for index, name in enumerate(shot.names):
        files = Files.parse(str(Path(job.out) / name / f"{name}.####.exr"), "--out")
        scores.append(matte_scores(read_stack(files, shot.frames, read_alpha), shot.alpha(index)))
    return {name: float(np.mean([of[name] for of in scores])) for name in _FIGURES} | {"cpu_seconds": cost.cpu_total}
