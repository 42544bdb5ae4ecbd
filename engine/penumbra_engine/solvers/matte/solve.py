"""The node Matte: its stages in order, from a job to files."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penumbra.protocol import MatteJob, Progress, Result
from penumbra_engine.cache import Store
from penumbra_engine.errors import UsageError
from penumbra_engine.media import Shot, check_out
from penumbra_engine.models.checkpoints import Loaded
from penumbra_engine.solvers.background import find_background
from penumbra_engine.solvers.clock import Clock
from penumbra_engine.solvers.delivery import Destination
from penumbra_engine.solvers.keyframes import read_keyframes
from penumbra_engine.solvers.matte.overview import Preview, overview
from penumbra_engine.solvers.matte.predict import Mattes, matte_frames
from penumbra_engine.solvers.matte.rough import uncover
from penumbra_engine.solvers.matte.scene import Scene
from penumbra_engine.solvers.matte.stream import checkpoint, passes, stream_mattes
from penumbra_engine.solvers.matte.train import learn_matte, plan_training, sketch_matte
from penumbra_engine.solvers.matte.write import write_mattes
from penumbra_engine.solvers.plates import Plates, decode
from penumbra_engine.solvers.report import (
    by_frame,
    deliver_report,
    frames_to_write,
    header,
    manifest,
    named,
    provenance,
)

#: Each stage's part of the whole, for the progress bar: about what it takes of the time of a cold solve.
_PARTS = {
    "decode": 0.01,
    "keyframes": 0.01,
    "background": 0.1,
    "sketch": 0.18,
    "uncover": 0.08,
    "train": 0.52,
    "matte": 0.06,
    "write": 0.04,
}
_STREAM_PARTS = {"decode": 0.05, "matte": 0.85, "write": 0.1}
_STREAMED = "matte"  # the name of what a network finds that was told no name


def solve(job: MatteJob, store: Store) -> Generator[Progress, None, Result]:
    """Solve a job and write its files. Closing the generator cancels: finished stages, the training so far and whole
    files stay.

    Raises UsageError, InputError, UnsolvableError and EngineError, each with one message for the user.
    """
    _check(job)
    clock = Clock(_PARTS if job.model == "small" else _STREAM_PARTS)
    shot = Shot.open(job)
    frames = frames_to_write(job, shot)
    weights = checkpoint(store.root.parent / "models") if job.model == "rvm" else None
    out = check_out(job.out)
    plates = yield from clock.run("decode", decode(shot, store))
    if weights:
        found = yield from _streamed(job, shot, plates, weights, clock, store)
    else:
        found = yield from _learned(job, shot, plates, out, clock, store)
    inputs = manifest(shot, found.stages)
    to = Destination(
        out, frames, provenance(job, shot, found.model, found.weights, inputs), job.full_window, job.float32
    )
    yield from clock.run("write", write_mattes(shot, plates, found.names, found.mattes, job.as_mask, to))
    if to.widened:
        found.warnings.append(f"frames {named(to.widened)}: values beyond 65504; written as 32-bit float")
    report: dict[str, Any] = {
        **header(job, shot, frames),
        **found.report,
        "doubt": by_frame(shot, 1e3 * found.mattes.doubt),
        "float32": to.widened,
        "inputs": inputs,
        "warnings": [*shot.warnings, *found.warnings],
    }
    sheet = overview(shot, plates, found.names, found.mattes, frames)
    report["seconds"] = clock.spent()
    return deliver_report(job, shot, Path(out), found.names, sheet, report)


@dataclass(frozen=True)
class _Found:
    """What either way to a matte gives. stages: keys for the manifest. report, warnings: its own part of them."""

    names: tuple[str, ...]
    mattes: Mattes
    model: str
    weights: str
    stages: dict[str, str]
    report: dict[str, Any]
    warnings: list[str]


def _learned(
    job: MatteJob, shot: Shot, plates: Plates, out: Path, clock: Clock, store: Store
) -> Generator[Progress, None, _Found]:
    """By a network that is trained on the keyframes."""
    keyframes = yield from clock.run("keyframes", read_keyframes(shot, _wrong, store))
    background = yield from clock.run("background", find_background(shot, plates, keyframes, store))
    scene = Scene(shot, plates, keyframes, background)
    plan = plan_training(scene, job.steps, job.seed, job.cold, store)
    show = Preview(out / "preview.png", scene, clock)
    try:
        sketch = yield from clock.run("sketch", sketch_matte(scene, plan, show, store))
        if not background.why_not:
            background = yield from clock.run("uncover", uncover(shot, scene, sketch, store))
            scene = Scene(shot, plates, keyframes, background)
        show.begin(scene, plan.sketch)
        learned = yield from clock.run("train", learn_matte(scene, plan, sketch, show, store))
    finally:
        show.remove()
    clock.message = ""
    mattes = yield from clock.run("matte", matte_frames(shot, scene, learned, store))
    why_not = background.why_not
    return _Found(
        scene.names,
        mattes,
        job.model,
        learned.key,
        {"decode": plates.key, "keyframes": keyframes.key},
        {
            "fit": {"key": learned.key, "parent": plan.parent, "loss": round(learned.loss, 5)},
            "next_keyframe": _next_keyframe(shot, scene, mattes.doubt),
        },
        [f"the mattes were learned from the picture alone, without its background: {why_not}"] if why_not else [],
    )


def _streamed(
    job: MatteJob, shot: Shot, plates: Plates, weights: Loaded, clock: Clock, store: Store
) -> Generator[Progress, None, _Found]:
    """By the user's checkpoint, without guidance."""
    through = passes(shot, job.downsample, job.both_directions)
    mattes = yield from clock.run("matte", stream_mattes(shot, plates, weights, through, store))
    report = {"network": {"kind": weights.kind.name, "licence": weights.kind.licence, **vars(through)}}
    return _Found((_STREAMED,), mattes, weights.kind.name, weights.sha256, {"decode": plates.key}, report, [])


def _check(job: MatteJob) -> None:
    """Refuse what the network doesn't do, rather than leave it out silently."""
    if job.model == "rvm":
        if job.keyframes:
            raise UsageError(
                "--keyframe: rvm can't learn from keyframes yet; use --model small with them", "--keyframe"
            )
        if job.steps:
            raise UsageError("--steps belongs to --model small; leave it out with rvm, which isn't trained", "--steps")
        return
    if job.downsample:
        raise UsageError("--downsample belongs to --model rvm; leave it out with small", "--downsample")
    if job.both_directions:
        raise UsageError("--both-directions belongs to --model rvm; leave it out with small", "--both-directions")


def _wrong(matte: np.ndarray) -> str:
    """What is wrong with a keyframe, in words that follow its file."""
    solid = matte > 0.5
    if solid.any() and not solid.all():
        return ""
    return (
        f"{'covers every pixel' if solid.any() else 'is empty'}; give a frame that shows both the object and what is "
        "around it, or name the channel the matte is in, as in matte.exr@A"
    )


def _next_keyframe(shot: Shot, scene: Scene, doubt: np.ndarray) -> int | None:
    """The frame whose matte would help most: that of which the network is least sure. None when all are keyed."""
    free = np.array([index not in scene.keyed for index in range(len(doubt))])
    return shot.frames[int(np.argmax(np.where(free, doubt, -1)))] if free.any() else None
