"""The matting solvers on stills with a true alpha, beside PyMatting's: quality, speed and memory."""

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.bench.meter import Meter
from penumbra_engine.bench.peer import ABSENT, installed, peer_alpha, peer_foreground
from penumbra_engine.bench.still import Still, find_stills
from penumbra_engine.bench.table import Table
from penumbra_engine.imaging.metrics.mattes import image_scores
from penumbra_engine.matting.by_name import ALPHA, FOREGROUND
from penumbra_engine.matting.closed_form import closed_form

_TOLERANCE = 1e-7  # PyMatting's own, of |b - A x| / |b|
_FRAMES = 24
_GRAIN = 1 / 255
_REPEATS = 3

Solver = Callable[[Tensor, Tensor], Tensor]


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
        f"are of all stills, tolerance {_TOLERANCE:g}; MB are what a solve of the still with most unknown pixels adds.",
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
    largest = max(stills, key=lambda still: int(still.unknown.sum()))
    for name in ALPHA:
        methods: list[tuple[str, Solver]] = [(name, _ours(name))]
        peer = peer_alpha(name) if with_peer else None
        if peer:
            methods.append((f"PyMatting {name}", peer))
        rows, alphas = [], []
        for label, solver in methods:
            tell(f"{label}: {len(stills)} stills")
            _warm_up(solver, largest.picture)
            row, found = _scored(solver, stills)
            row["peak_mb"] = _added_memory(label, largest)
            rows.append({"solver": label, **row})
            alphas.append(found)
        if peer:
            rows[0]["times_faster"] = rows[1]["cpu_seconds"] / rows[0]["cpu_seconds"]
            rows[0]["of_its_memory"] = rows[0]["peak_mb"] / rows[1]["peak_mb"]
            rows[0]["apart"] = mean(float((a - b).abs().mean()) for a, b in zip(*alphas, strict=True))
        for row in rows:
            table.add(row)
    table.notes.append(
        "times_faster and of_its_memory: ours beside PyMatting's of the same name, by CPU seconds. apart: mean "
        "absolute difference between the two, whole pictures. KNN and random walk of ours tie only unknown pixels."
    )
    return table


def _scored(solver: Solver, stills: list[Still]) -> tuple[dict[str, Any], list[Tensor]]:
    scores, alphas, wall, cpu = [], [], 0.0, 0.0
    for still in stills:
        began, spent = time.perf_counter(), time.process_time()
        alpha = solver(still.picture, still.trimap)
        wall, cpu = wall + time.perf_counter() - began, cpu + time.process_time() - spent
        scores.append(image_scores(alpha[0, 0].numpy(), still.truth[0, 0].numpy(), still.unknown))
        alphas.append(alpha)
    row = {name: mean(score[name] for score in scores) for name in scores[0]}
    return {**row, "seconds": wall, "cpu_seconds": cpu}, alphas


def _warm_up(solver: Solver, picture: Tensor) -> None:
    """Load what it loads, on a corner of a picture that is a third background and a third foreground."""
    trimap = torch.full((1, 1, 48, 48), 0.5)
    trimap[..., :16], trimap[..., 32:] = 0, 1
    solver(picture[..., :48, :48], trimap)


def _ours(name: str) -> Solver:
    return lambda picture, trimap: ALPHA[name](picture, trimap, tolerance=_TOLERANCE).alpha


def _added_memory(label: str, still: Still) -> float:
    """MB that a solve adds at its peak, in a process of its own, after a small one that loads what it needs."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        parts = [part.numpy() for part in (still.picture, still.trimap)]
        return pool.apply(_peak, (label, *parts))


def _peak(label: str, picture: np.ndarray, trimap: np.ndarray) -> float:
    name = label.removeprefix("PyMatting ")
    solver = _ours(name) if name == label else peer_alpha(name)
    assert solver
    frame, matte = torch.from_numpy(picture), torch.from_numpy(trimap)
    _warm_up(solver, frame)
    meter = Meter()
    meter.stage("before")
    before = meter.end().peak
    meter.stage("solve")
    solver(frame, matte)
    return meter.end().peak_mb["solve"] - before


def _sequence(still: Still, tell: Callable[[str], None]) -> Table:
    """Closed form on a pan over a still with fresh grain: each frame starts from the one before."""
    tell(f"closed-form: {_FRAMES} frames")
    width = still.picture.shape[-1] - _FRAMES
    random = torch.Generator().manual_seed(0)
    picture = torch.cat([still.picture[..., t : t + width] for t in range(_FRAMES)])
    picture = (picture + _GRAIN * torch.randn(picture.shape, generator=random)).clamp(0, 1)
    trimap = torch.cat([still.trimap[..., t : t + width] for t in range(_FRAMES)])
    peer = peer_alpha("closed-form")
    assert peer
    clock = time.process_time()
    solution = closed_form(picture, trimap, tolerance=_TOLERANCE)
    ours = time.process_time() - clock
    clock = time.process_time()
    theirs = peer(picture, trimap)
    spent = time.process_time() - clock
    table = Table(
        f"Closed form on {_FRAMES} frames",
        f"{still.name}, panned by one pixel a frame with grain of 1/255, at tolerance {_TOLERANCE:g}. CPU seconds.",
        ["solver", "cpu_seconds", "times_faster", "iterations_first", "iterations_later", "apart"],
    )
    later = mean(solution.iterations[1:])
    apart = float((solution.alpha - theirs).abs().mean())
    table.add(
        {
            "solver": "closed-form",
            "cpu_seconds": ours,
            "times_faster": spent / ours,
            "apart": apart,
            "iterations_first": solution.iterations[0],
            "iterations_later": later,
        }
    )
    table.add({"solver": "PyMatting closed-form", "cpu_seconds": spent})
    return table


def _our_foreground(name: str) -> Solver:
    return lambda picture, alpha: FOREGROUND[name](picture, alpha).foreground


def _foregrounds(stills: list[Still], with_peer: bool, tell: Callable[[str], None]) -> Table:
    """Each still over the next, mirrored: its own colours are the true foreground."""
    table = Table(
        "Foreground colours",
        "Each still composed over another by its true alpha. Error: mean |F - truth| * alpha where 0.02 < alpha < "
        f"0.98. Seconds are of all stills, the least of {_REPEATS}.",
        ["estimator", "error", "seconds", "cpu_seconds", "times_faster"],
    )
    methods: list[tuple[str, Solver]] = [(name, _our_foreground(name)) for name in FOREGROUND]
    if with_peer:
        methods.append(("PyMatting multi-level", peer_foreground))
    rows: dict[str, dict[str, Any]] = {}
    for label, estimate in methods:
        tell(f"{label}: {len(stills)} foregrounds")
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
        rows[label] = {"estimator": label, "error": mean(errors), "seconds": wall, "cpu_seconds": cpu}
    if with_peer:
        rows["multi-level"]["times_faster"] = (
            rows["PyMatting multi-level"]["cpu_seconds"] / rows["multi-level"]["cpu_seconds"]
        )
    for row in rows.values():
        table.add(row)
    return table
