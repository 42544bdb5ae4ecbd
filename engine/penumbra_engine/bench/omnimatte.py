"""The bench of Omnimatte Layers: our solver and its baselines on rendered shots, by the referee's definitions."""

import functools
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from penumbra.protocol import OmnimatteJob, Progress, Result
from penumbra_engine.bench.median import mask_over_median
from penumbra_engine.bench.meter import Cost, measured
from penumbra_engine.bench.paper import paper_omnimatte
from penumbra_engine.bench.table import Cell, Table
from penumbra_engine.bench.true_shot import TrueShot, find_shots, read_result
from penumbra_engine.files import write_atomically
from penumbra_engine.imaging.metrics.layers import Truth, composite, layer_scores, union
from penumbra_engine.media import Shot
from penumbra_engine.solvers.contact_sheet import checkerboard, contact_sheet, seen_as_is
from penumbra_engine.solvers.jobs import run

PROTOCOL = (
    "Rendered shots, scene-linear, half-float files as written. PSNR of values cut to [0, 1]; `touched`: where an "
    "object or effect is; alpha: objects and shadows together against the truth (MAD), on shadows alone, inside "
    "objects, on soft edges, and beyond the truth where nothing is (leak); dtSSD: mean over steps, times 100; replate: "
    "the layers on a darker, a brighter and another background, dB."
)
FIGURES = (
    "bg_psnr", "bg_psnr_touched", "bg_ssim", "bg_dtssd", "alpha_mad_e3", "effect_mad", "core_mad", "soft_mad", "leak",
    "dtssd", "replate_dark", "replate_bright", "replate_other", "ownership", "recomp_max", "recomp_p999",
)  # fmt: skip

#: A way to get layers: a job of the shot and a cache for it, progress yielded, files written.
Method = Callable[[OmnimatteJob, Path], Generator[Progress, None, Result]]


def standard(job: OmnimatteJob, cache: Path) -> Generator[Progress, None, Result]:
    return run(replace(job, quality="standard"), cache)


def draft(job: OmnimatteJob, cache: Path) -> Generator[Progress, None, Result]:
    return run(replace(job, quality="draft"), cache)


METHODS: dict[str, Method] = {"standard": standard, "draft": draft, "mask over median": mask_over_median}


@dataclass(frozen=True)
class Outcome:
    """What one method made of one shot: where its files are, their figures, what they cost, and what it warned of."""

    shot: str
    method: str
    out: Path
    frames: int
    scores: dict[str, float]
    cost: Cost
    warnings: tuple[str, ...]


def bench_shots(
    shots: Path,
    only: str = "",
    out: Path | None = None,
    paper: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Table]:
    """Run every method on every shot, cold, one after the other. With `out`, layers and contact sheets are kept there.

    paper: the paper's own configuration too, trained for as long as our standard solve took. tell: hears what is being
    done. Returns the table of figures, the one of costs, and the one of costs by stage.
    Raises UsageError when no such shot is there, and what the solvers raise.
    """
    outcomes: list[Outcome] = []
    for shot in find_shots(shots, only):
        with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as temporary:
            folder, done = (out or Path(temporary)) / shot.name, len(outcomes)
            for name, method in METHODS.items():
                tell(f"{shot.name}: {name}")
                outcomes.append(_solve(shot, name, method, folder, Path(temporary)))
            if paper:
                tell(f"{shot.name}: paper")
                timed = functools.partial(paper_omnimatte, seconds=outcomes[done].cost.total)
                outcomes.append(_solve(shot, "paper", timed, folder, Path(temporary)))
            truth = shot.truth()
            outcomes[done:] = [_scored(shot, truth, outcome) for outcome in outcomes[done:]]
            if out:
                write_atomically(folder / "sheet.png", _sheet(shot, truth, outcomes[done:]))
    return [figures_table(outcomes), cost_table(outcomes), stage_table(outcomes)]


def _solve(shot: TrueShot, name: str, method: Method, folder: Path, temporary: Path) -> Outcome:
    out, cache = folder / name.replace(" ", "_"), temporary / f"cache {name}"
    out.mkdir(parents=True, exist_ok=True)
    result, cost = measured(method(shot.job(out), cache))
    return Outcome(shot.name, name, out, len(shot.frames), {}, cost, tuple(result.warnings))


def _scored(shot: TrueShot, truth: Truth, outcome: Outcome) -> Outcome:
    scores = layer_scores(truth, *read_result(outcome.out, shot.names, shot.frames))
    if not shot.ratio:  # a reflection on another floor has no truth
        scores = {name: score for name, score in scores.items() if not name.startswith("replate")}
    return replace(outcome, scores=scores)


def figures_table(outcomes: Sequence[Outcome]) -> Table:
    """One row for each shot and method."""
    table = Table("Omnimatte Layers", PROTOCOL, ("shot", "method", *FIGURES))
    for outcome in outcomes:
        table.add({"shot": outcome.shot, "method": outcome.method, **outcome.scores})
        table.notes += [f"{outcome.shot}, {outcome.method}: {warning}" for warning in outcome.warnings]
    return table


def cost_table(outcomes: Sequence[Outcome]) -> Table:
    """What the same solves cost."""
    protocol = (
        "Cold, one after the other in one process, whose memory includes what earlier rows left behind; start-up and "
        "imports not counted. Compare rows of one run only."
    )
    table = Table("Omnimatte Layers: cost", protocol, ("shot", "method", "seconds", "frames/s", "peak MB"))
    for outcome in outcomes:
        seconds, peak = outcome.cost.total, round(outcome.cost.peak)
        table.add(
            {
                "shot": outcome.shot,
                "method": outcome.method,
                "seconds": seconds,
                "frames/s": outcome.frames / seconds,
                "peak MB": peak,
            }
        )
    return table


def stage_table(outcomes: Sequence[Outcome]) -> Table:
    """The same by stage."""
    stages = list(dict.fromkeys(stage for outcome in outcomes for stage in outcome.cost.seconds))
    protocol = "Seconds and peak resident memory in MB of each stage."
    table = Table("Omnimatte Layers: cost by stage", protocol, ("shot", "method", "of", *stages))
    for outcome in outcomes:
        for of, costs in (("seconds", outcome.cost.seconds), ("peak MB", outcome.cost.peak_mb)):
            cells: dict[str, Cell] = {"shot": outcome.shot, "method": outcome.method, "of": of}
            table.add({**cells, **{stage: float(f"{cost:.4g}") for stage, cost in costs.items()}})
    return table


def _sheet(shot: TrueShot, truth: Truth, outcomes: Sequence[Outcome]) -> bytes:
    """A PNG of the fullest frame: the truth in the first row, then a row for each method."""
    index = shot.frames.index(shot.fullest)
    opened = Shot.open(shot.job(outcomes[0].out))
    check = checkerboard(opened).numpy()
    mask = np.max([opened.mask(name, shot.fullest) for name in opened.names], axis=0)
    rows = [
        {
            "truth": truth.over(np.broadcast_to(check, truth.clean.shape))[index],
            "alpha": _grey(truth.alpha[index]),
            f"plate {shot.fullest}": truth.plate[index],
            "background": truth.clean[index],
            "rough masks": _grey(mask[None]),
        }
    ]
    for outcome in outcomes:
        background, layers = read_result(outcome.out, shot.names, (shot.fullest,))
        alphas = [layer[:, 3:] for layer in layers]
        alpha = union(alphas)[0]
        rows.append(
            {
                outcome.method: composite(layers, alphas, check[None])[0],
                "alpha": _grey(alpha),
                "alpha error x 4": _grey(np.abs(alpha - truth.alpha[index]) * 4),
                "background": background[0],
                "background error x 8": np.abs(background[0] - truth.clean[index]) * 8,
            }
        )
    pictures = [{label: torch.tensor(p, dtype=torch.float32) for label, p in row.items()} for row in rows]
    return contact_sheet(opened, pictures)


def _grey(alpha: np.ndarray) -> np.ndarray:
    return seen_as_is(torch.from_numpy(np.float32(alpha)).clamp(0, 1)).numpy()
