"""The matting solvers on stills with a true alpha, beside PyMatting's: quality, speed and memory."""

import math
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.bench.meter import Meter
from penumbra_engine.bench.peer import ABSENT, installed, peer_alpha, peer_foreground
from penumbra_engine.bench.still import Still, find_stills
from penumbra_engine.bench.table import Table
from penumbra_engine.imaging.metrics.mattes import image_scores
from penumbra_engine.matting.by_name import ALPHA, FOREGROUND
from penumbra_engine.matting.solution import Solution

_TOLERANCE = 1e-7  # PyMatting's own, of |b - A x| / |b|
_FRAMES = 24
_GRAIN = 1 / 255
_REPEATS = 3
_THREADS = (1, 2)
_TIMES = {"times_faster": "seconds", "times_less_cpu": "cpu_seconds"}  # PyMatting's over ours

_PEER = "PyMatting "  # before the name of a solver of theirs
_PEER_THREADS = ("OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")

Solver = Callable[[Tensor, Tensor], Solution]
R = TypeVar("R")


def bench_solvers(pictures: Path, only: str, tell: Callable[[str], None]) -> list[Table]:
    """Tables of alpha and of cost, of a sequence, and of foregrounds. Raises UsageError when there are no pictures."""
    stills = find_stills(pictures, only)
    with_peer = installed()
    tables = [_alphas(stills, with_peer, tell), _foregrounds(stills, with_peer, tell)]
    if with_peer:
        tables.insert(1, _sequence(stills[0], tell))
    else:
        tables[0].notes.append(ABSENT)
    return tables


def _alphas(stills: list[Still], with_peer: bool, tell: Callable[[str], None]) -> Table:
    table = Table(
        f"Alpha of {len(stills)} stills",
        "Adobe protocol over the unknown region, means over the stills; sums over 1000 for SAD, Grad and Conn. Seconds "
        f"are of all stills, on one thread, tolerance {_TOLERANCE:g}; MB are what a solve of the still with most "
        "unknown pixels adds.",
        [
            "solver",
            "sad",
            "mse",
            "grad",
            "conn",
            "seconds",
            "cpu_seconds",
            "peak_mb",
            "times_faster",
            "of_its_memory",
            "apart",
        ],
    )
    for name in ALPHA:
        labels = [name, _PEER + name] if with_peer and peer_alpha(name) else [name]
        rows, alphas = [], []
        for label in labels:
            tell(f"{label}: {len(stills)} stills")
            row, found = _alone(_scored, label, stills)
            rows.append({"solver": label, **row, "peak_mb": _alone(_added_memory, label, stills)})
            alphas.append(found)
        if len(rows) > 1:
            rows[0]["times_faster"] = rows[1]["cpu_seconds"] / rows[0]["cpu_seconds"]
            rows[0]["of_its_memory"] = rows[0]["peak_mb"] / rows[1]["peak_mb"]
            rows[0]["apart"] = mean(float(np.abs(a - b).mean()) for a, b in zip(*alphas, strict=True))
        for row in rows:
            table.add(row)
    table.notes.append(
        "times_faster and of_its_memory: ours beside PyMatting's of the same name, by CPU seconds. apart: mean "
        "absolute difference between the two, whole pictures. KNN and random walk of ours tie only unknown pixels."
    )
    return table


def _alone(measure: Callable[..., R], label: str, *given: Any, threads: int = 1) -> R:
    """What `measure` gives in a process of its own, for neither shall find memory that the other has left. threads: of
    ours, or of NumPy's BLAS and Numba, which is where PyMatting has any."""
    if not label.startswith(_PEER):
        with multiprocessing.get_context("spawn").Pool(1, torch.set_num_threads, (threads,)) as pool:
            return pool.apply(measure, (label, *given))
    before = {name: os.environ.get(name) for name in _PEER_THREADS}
    os.environ.update(dict.fromkeys(_PEER_THREADS, str(threads)))  # which the process inherits
    try:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(measure, (label, *given))
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _scored(label: str, stills: list[Still]) -> tuple[dict[str, Any], list[np.ndarray]]:
    solver = _solver(label)
    _warm_up(solver, stills[0].picture)
    scores, alphas, wall, cpu = [], [], 0.0, 0.0
    for still in stills:
        began, spent = time.perf_counter(), time.process_time()
        alpha = solver(still.picture, still.trimap).alpha[0, 0].numpy()
        wall, cpu = wall + time.perf_counter() - began, cpu + time.process_time() - spent
        scores.append(image_scores(alpha, still.truth[0, 0].numpy(), still.unknown))
        alphas.append(alpha)
    row = {name: mean(score[name] for score in scores) for name in scores[0]}
    return {**row, "seconds": wall, "cpu_seconds": cpu}, alphas


def _warm_up(solver: Solver, picture: Tensor) -> None:
    """Load what it loads, on a corner of a picture that is a third background and a third foreground."""
    trimap = torch.full((1, 1, 48, 48), 0.5)
    trimap[..., :16], trimap[..., 32:] = 0, 1
    solver(picture[..., :48, :48], trimap)


def _solver(label: str) -> Solver:
    """Ours, or PyMatting's."""
    if label.startswith(_PEER):
        peer = peer_alpha(label.removeprefix(_PEER))
        assert peer
        return lambda picture, trimap: Solution(peer(picture, trimap), [], [])
    return lambda picture, trimap: ALPHA[label](picture, trimap, tolerance=_TOLERANCE)


def _added_memory(label: str, stills: list[Still]) -> float:
    """MB that a solve adds at its peak, after a small one that loads what it needs."""
    still = max(stills, key=lambda still: int(still.unknown.sum()))
    solver = _solver(label)
    _warm_up(solver, still.picture)
    meter = Meter()
    meter.stage("before")
    before = meter.end().peak
    meter.stage("solve")
    solver(still.picture, still.trimap)
    return meter.end().peak_mb["solve"] - before


def _sequence(still: Still, tell: Callable[[str], None]) -> Table:
    """Closed form on a pan over a still with fresh grain, from frame to frame."""
    table = Table(
        f"Closed form on {_FRAMES} frames",
        f"{still.name}, panned by one pixel a frame with grain of 1/255, at tolerance {_TOLERANCE:g}; the least of "
        f"{_REPEATS} runs each. seconds: of the clock, both with as many threads as the row says (PyMatting's NumPy "
        "and Numba have as many as there are cores unless they are told). cpu_seconds: of all threads.",
        ["solver", "threads", "seconds", "cpu_seconds", *_TIMES, "iterations_first", "iterations_later", "apart"],
    )
    for threads in _THREADS:
        tell(f"closed-form: {_FRAMES} frames, {threads} threads")
        theirs, other, _ = _alone(_panned, _PEER + "closed-form", still, threads=threads)
        ours, alpha, iterations = _alone(_panned, "closed-form", still, threads=threads)
        table.add(
            {
                "solver": "closed-form",
                "threads": threads,
                **ours,
                **{name: theirs[of] / ours[of] for name, of in _TIMES.items()},
                "apart": float(np.abs(alpha - other).mean()),
                "iterations_first": iterations[0],
                "iterations_later": mean(iterations[threads:]),
            }
        )
        table.add({"solver": f"{_PEER}closed-form", "threads": threads, **theirs})
    return table


def _panned(label: str, still: Still) -> tuple[dict[str, float], np.ndarray, list[int]]:
    """Seconds, alpha, and the iterations of each frame where they are known."""
    width = still.picture.shape[-1] - _FRAMES
    random = torch.Generator().manual_seed(0)
    picture = torch.cat([still.picture[..., t : t + width] for t in range(_FRAMES)])
    picture = (picture + _GRAIN * torch.randn(picture.shape, generator=random)).clamp(0, 1)
    trimap = torch.cat([still.trimap[..., t : t + width] for t in range(_FRAMES)])
    solver = _solver(label)
    _warm_up(solver, picture[:1])
    wall, cpu = math.inf, math.inf
    for _ in range(_REPEATS):
        began, spent = time.perf_counter(), time.process_time()
        solution = solver(picture, trimap)
        wall, cpu = min(wall, time.perf_counter() - began), min(cpu, time.process_time() - spent)
    return {"seconds": wall, "cpu_seconds": cpu}, solution.alpha.numpy(), solution.iterations


def _foregrounds(stills: list[Still], with_peer: bool, tell: Callable[[str], None]) -> Table:
    """Each still over the next, mirrored: its own colours are the true foreground."""
    table = Table(
        "Foreground colours",
        "Each still composed over another by its true alpha. Error: mean |F - truth| * alpha where 0.02 < alpha < "
        f"0.98. Seconds are of all stills, the least of {_REPEATS}, on one thread.",
        ["estimator", "error", "seconds", "cpu_seconds", "times_faster"],
    )
    labels = [*FOREGROUND, f"{_PEER}multi-level"] if with_peer else [*FOREGROUND]
    rows: dict[str, dict[str, Any]] = {}
    for label in labels:
        tell(f"{label}: {len(stills)} foregrounds")
        rows[label] = {"estimator": label, **_alone(_coloured, label, stills)}
    if with_peer:
        rows["multi-level"]["times_faster"] = (
            rows[f"{_PEER}multi-level"]["cpu_seconds"] / rows["multi-level"]["cpu_seconds"]
        )
    for row in rows.values():
        table.add(row)
    return table


def _coloured(label: str, stills: list[Still]) -> dict[str, float]:
    estimate = peer_foreground if label.startswith(_PEER) else lambda *given: FOREGROUND[label](*given).foreground
    estimate(stills[0].picture[..., :48, :48], stills[0].truth[..., :48, :48])
    errors, wall, cpu = [], 0.0, 0.0
    for still, other in zip(stills, stills[1:] + stills[:1], strict=True):
        back = torch.nn.functional.interpolate(other.picture, still.picture.shape[-2:]).flip(-1)
        picture = still.truth * still.picture + (1 - still.truth) * back
        times = []
        for _ in range(_REPEATS):
            began, spent = time.perf_counter(), time.process_time()
            found = estimate(picture, still.truth)
            times.append((time.perf_counter() - began, time.process_time() - spent))
        wall, cpu = wall + min(t[0] for t in times), cpu + min(t[1] for t in times)
        soft = ((still.truth > 0.02) & (still.truth < 0.98)).expand_as(picture)
        errors.append(float(((found - still.picture).abs() * still.truth)[soft].mean()))
    return {"error": mean(errors), "seconds": wall, "cpu_seconds": cpu}
