"""The node Trimap Propagate: its stages in order, from a job to files."""

from collections.abc import Generator
from typing import Any

import numpy as np

from penumbra.protocol import Progress, Result, TrimapJob
from penumbra_engine.cache import Store
from penumbra_engine.errors import UsageError
from penumbra_engine.matting.by_name import alpha_solver
from penumbra_engine.media import Shot, check_out
from penumbra_engine.solvers.alpha import Expected, Known, alpha_memory, solve_alphas
from penumbra_engine.solvers.alpha_finder import leans_on_background
from penumbra_engine.solvers.background import Background, find_background
from penumbra_engine.solvers.clock import Clock
from penumbra_engine.solvers.delivery import Destination
from penumbra_engine.solvers.keyframes import Keyframes, read_keyframes
from penumbra_engine.solvers.memory import require
from penumbra_engine.solvers.motion import measure_motion
from penumbra_engine.solvers.plates import decode
from penumbra_engine.solvers.report import (
    by_frame,
    deliver_report,
    frames_to_write,
    header,
    manifest,
    plate_warnings,
    provenance,
)
from penumbra_engine.solvers.trimap.likeness import learn_likeness, learning_memory
from penumbra_engine.solvers.trimap.overview import overview
from penumbra_engine.solvers.trimap.propagate import propagate
from penumbra_engine.solvers.trimap.regions import regions, wrong
from penumbra_engine.solvers.trimap.uncover import one_sided, uncover
from penumbra_engine.solvers.trimap.write import write_mattes

#: Each stage's part of the whole, for the progress bar: about what it takes of the time of a cold solve.
_PARTS = {
    "keyframes": 0.01,
    "decode": 0.01,
    "motion": 0.04,
    "background": 0.25,
    "uncover": 0.2,
    "likeness": 0.3,
    "propagate": 0.04,
    "alpha": 0.1,
    "write": 0.05,
}


def solve(job: TrimapJob, store: Store) -> Generator[Progress, None, Result]:
    """Solve a job and write its files. Closing the generator cancels: finished stages, the training so far and whole
    files stay.

    Raises UsageError, InputError, UnsolvableError and EngineError, each with one message for the user.
    """
    try:
        alpha_solver(job.solver)
    except UsageError as error:
        raise UsageError(f"--solver: {error}", "--solver") from error
    clock = Clock(_PARTS)
    shot = Shot.open(job)
    frames = frames_to_write(job, shot)
    out = check_out(job.out)
    keyframes = yield from clock.run("keyframes", read_keyframes(shot, wrong, store))
    _require_memory(job, shot, keyframes)
    plates = yield from clock.run("decode", decode(shot, store))
    motion = yield from clock.run("motion", measure_motion(plates, store))
    background, likeness = None, None
    if job.propagation != "flow":
        count = len(shot.frames)
        rough = one_sided(keyframes, count)
        background = yield from clock.run("background", find_background(shot, plates, keyframes, store, rough=rough))
        if not background.why_not and one_sided(keyframes, count, background.still):
            steps = uncover(shot, plates, keyframes, motion, background, job.seed, store)
            background = yield from clock.run("uncover", steps)
        likeness = yield from clock.run(
            "likeness", learn_likeness(shot, plates, keyframes, motion, background, job.quality, job.seed, store)
        )
    carried = motion if job.propagation != "correlation" else None
    trimaps = yield from clock.run("propagate", propagate(shot, plates, keyframes, carried, likeness, store))
    alphas = yield from clock.run(
        "alpha",
        solve_alphas(
            shot,
            plates,
            Known(trimaps.key, trimaps.trimaps),
            motion,
            background,
            Expected(likeness.key, likeness.alphas) if likeness else None,
            job.solver,
            store,
        ),
    )
    inputs = manifest(shot, {"decode": plates.key, "keyframes": keyframes.key})
    made = provenance(job, shot, job.solver, likeness.key if likeness else "none", inputs)
    to = Destination(out, frames, made, job.full_window, job.float32)
    names = keyframes.names
    yield from clock.run("write", write_mattes(shot, plates, names, trimaps, alphas, to))
    report: dict[str, Any] = {
        **header(job, shot, frames),
        "propagation": {
            "by": job.propagation,
            "loss": round(likeness.loss, 5) if likeness else None,
            "background": background is not None and not background.why_not,
        },
        "doubt": by_frame(shot, 1e3 * trimaps.doubt),
        "unknown": by_frame(shot, _unknown(trimaps.trimaps, len(shot.frames))),
        "alpha": {
            "solver": job.solver,
            "background": leans_on_background(job.solver, background),
            "residual": {str(f): float(f"{r:.3g}") for f, r in zip(shot.frames, alphas.residual, strict=True)},
            "flicker": {"each_frame_alone": alphas.flicker[0], "brought_together": alphas.flicker[1]},
        },
        "next_keyframe": _next_keyframe(shot, keyframes, trimaps.doubt),
        "float32": to.widened,
        "inputs": inputs,
        "warnings": [
            *plate_warnings(shot, plates, to.widened),
            *_warnings(shot, keyframes, background, trimaps.doubt),
        ],
    }
    sheet = overview(shot, plates, names, trimaps, alphas, frames)
    report["seconds"] = clock.spent()
    return deliver_report(job, shot, out, [*names, *(f"{name}_trimap" for name in names)], sheet, report)


def _require_memory(job: TrimapJob, shot: Shot, keyframes: Keyframes) -> None:
    """Refuse, before a frame of it is read, a plate that is too large for this machine. Other frames have about as many
    unknown pixels as those keyed. Raises EngineError."""
    unknown = max(int((regions(keyframes.matte(name, index)) == 0.5).sum()) for name, index in keyframes.of)
    needed = alpha_memory(shot, unknown)
    if job.propagation != "flow":
        needed = max(needed, learning_memory(shot, len(keyframes.names)))
    what = f"to propagate trimaps over {shot.width} x {shot.height} pixels, {unknown} of them unknown,"
    require(needed, what, "give a smaller plate or trimaps with narrower grey bands, or close other programs")


def _unknown(trimaps: Any, count: int) -> list[float]:
    """The unknown part of each frame."""
    return [float((trimaps[index] == 0.5).any(0).mean()) for index in range(count)]


def _next_keyframe(shot: Shot, keyframes: Keyframes, doubt: np.ndarray) -> int | None:
    """The frame whose trimap would help most: that of the most doubt. None when all are keyed."""
    keyed = {index for _, index in keyframes.of}
    free = [index for index in range(len(doubt)) if index not in keyed]
    return shot.frames[max(free, key=lambda index: doubt[index])] if free else None


def _warnings(shot: Shot, keyframes: Keyframes, background: Background | None, doubt: np.ndarray) -> list[str]:
    said = []
    if background is not None and background.why_not:
        said.append(f"the background could not be used to tell the object from it: {background.why_not}")
    if (frame := _next_keyframe(shot, keyframes, doubt)) is not None:
        said.append(f"one more keyframe would help most on frame {frame}")
    return said
