"""The node Matte: its stages in order, from a job to files."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

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
from penumbra_engine.solvers.matte.joined import join, join_memory
from penumbra_engine.solvers.matte.overview import Preview, overview
from penumbra_engine.solvers.matte.predict import Mattes, matte_frames, prediction_memory
from penumbra_engine.solvers.matte.rough import uncover
from penumbra_engine.solvers.matte.scene import Scene, scene_memory
from penumbra_engine.solvers.matte.stream import Passes, checkpoint, passes, stream_mattes, stream_memory
from penumbra_engine.solvers.matte.student import Shown, Student, small, tuned
from penumbra_engine.solvers.matte.train import Learned, learn_matte, plan_training, sketch_matte, training_memory
from penumbra_engine.solvers.matte.write import write_mattes
from penumbra_engine.solvers.memory import require
from penumbra_engine.solvers.plates import Plates, decode
from penumbra_engine.solvers.report import (
    by_frame,
    deliver_report,
    frames_to_write,
    header,
    manifest,
    plate_warnings,
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
    "matte": 0.04,
    "join": 0.03,
    "write": 0.03,
}
_STREAM_PARTS = {"decode": 0.05, "matte": 0.85, "write": 0.1}
_STREAMED = "matte"  # the name of what a network finds that was told no name


def solve(job: MatteJob, store: Store) -> Generator[Progress, None, Result]:
    """Solve a job and write its files. Closing the generator cancels: finished stages, the training so far and whole
    files stay.

    Raises UsageError, InputError, UnsolvableError and EngineError, each with one message for the user.
    """
    _check(job)
    clock = Clock(_PARTS if job.keyframes else _STREAM_PARTS)
    shot = Shot.open(job)
    frames = frames_to_write(job, shot)
    weights = checkpoint(store.root.parent / "models") if job.model == "rvm" else None
    through = passes(shot, job.downsample, job.both_directions) if weights else None
    student = tuned(weights, through.ratio) if weights and through else small()
    _require_memory(job, shot, student, through)
    out = check_out(job.out)
    plates = yield from clock.run("decode", decode(shot, store))
    if not weights or not through:
        found = yield from _learned(job, shot, plates, student, clock, store)
    elif job.keyframes:
        found = yield from _tuned(job, shot, plates, student, weights, through, clock, store)
    else:
        found = yield from _streamed(shot, plates, weights, through, clock, store)
    inputs = manifest(shot, found.stages)
    to = Destination(
        out, frames, provenance(job, shot, found.model, found.weights, inputs), job.full_window, job.float32
    )
    yield from clock.run("write", write_mattes(shot, plates, found.names, found.mattes, job.as_mask, to))
    report: dict[str, Any] = {
        **header(job, shot, frames),
        **found.report,
        "doubt": by_frame(shot, 1e3 * found.mattes.doubt),
        "float32": to.widened,
        "inputs": inputs,
        "warnings": [*plate_warnings(shot, plates, to.widened), *found.warnings],
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


@dataclass(frozen=True)
class _Trained:
    """A network that learned the shot. report, warnings: what its training has to say."""

    scene: Scene
    learned: Learned
    stages: dict[str, str]
    report: dict[str, Any]
    warnings: list[str]


def _trained(
    job: MatteJob, shot: Shot, plates: Plates, student: Student, clock: Clock, store: Store
) -> Generator[Progress, None, _Trained]:
    """Train a network on the keyframes."""
    keyframes = yield from clock.run("keyframes", read_keyframes(shot, _wrong, store))
    background = yield from clock.run("background", find_background(shot, plates, keyframes, store))
    if job.model == "small" and not background.why_not:  # else nothing is joined
        _require(join_memory(shot, keyframes), "to matte the edges of", ["a smaller plate"], shot)
    scene = Scene(shot, plates, keyframes, background)
    plan = plan_training(scene, student, job.steps, job.seed, job.cold, store)
    show = Preview(Path(job.out) / "preview.png", scene, clock)
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
    fit = {"key": learned.key, "parent": plan.parent, "loss": round(learned.loss, 5), "steps": learned.steps}
    why = background.why_not
    warnings = [f"the mattes were learned from the picture alone, without its background: {why}"] if why else []
    return _Trained(scene, learned, {"decode": plates.key, "keyframes": keyframes.key}, {"fit": fit}, warnings)


def _learned(
    job: MatteJob, shot: Shot, plates: Plates, student: Student, clock: Clock, store: Store
) -> Generator[Progress, None, _Found]:
    """By the small network, from nothing but the keyframes."""
    trained = yield from _trained(job, shot, plates, student, clock, store)
    scene, learned = trained.scene, trained.learned
    mattes = yield from clock.run("matte", matte_frames(shot, scene, learned, store))
    report = {**trained.report, "next_keyframe": _next_keyframe(shot, scene, mattes)}
    if not scene.background.why_not:
        joining = join(shot, plates, scene.keyframes, mattes, scene.background, store)
        mattes, shares = yield from clock.run("join", joining)
        report["background_share"] = {name: round(share, 3) for name, share in shares.items()}
    warnings = [*trained.warnings, *_lost(scene, mattes)]
    return _Found(scene.names, mattes, job.model, learned.key, trained.stages, report, warnings)


def _tuned(
    job: MatteJob,
    shot: Shot,
    plates: Plates,
    student: Student,
    weights: Loaded,
    through: Passes,
    clock: Clock,
    store: Store,
) -> Generator[Progress, None, _Found]:
    """By the user's checkpoint, tuned to the keyframes."""
    trained = yield from _trained(job, shot, plates, student, clock, store)
    scene, learned = trained.scene, trained.learned
    shown = cast(Shown, learned.network)
    own = Loaded(shown.streaming, weights.kind, learned.key)
    mattes = yield from clock.run("matte", stream_mattes(shot, plates, own, through, store, scene.keyframes))
    report = {
        **_network(weights, through),
        **trained.report,
        "next_keyframe": _next_keyframe(shot, scene, mattes),
    }
    warnings = [*trained.warnings, *_lost(scene, mattes)]
    return _Found(scene.names, mattes, weights.kind.name, learned.key, trained.stages, report, warnings)


def _streamed(
    shot: Shot, plates: Plates, weights: Loaded, through: Passes, clock: Clock, store: Store
) -> Generator[Progress, None, _Found]:
    """By the user's checkpoint, without guidance."""
    mattes = yield from clock.run("matte", stream_mattes(shot, plates, weights, through, store))
    report = _network(weights, through)
    return _Found((_STREAMED,), mattes, weights.kind.name, weights.sha256, {"decode": plates.key}, report, [])


def _network(weights: Loaded, through: Passes) -> dict[str, Any]:
    """What the report says of the user's checkpoint."""
    said = {"kind": weights.kind.name, "licence": weights.kind.licence, "sha256": weights.sha256, **vars(through)}
    return {"network": said}


def _check(job: MatteJob) -> None:
    """Refuse what the network doesn't do, rather than leave it out silently."""
    if job.model == "rvm":
        if len({keyframe.name for keyframe in job.keyframes}) > 1:
            raise UsageError(
                "--keyframe: rvm mattes one thing; give all keyframes one name, or use --model small", "--keyframe"
            )
        if job.steps and not job.keyframes:
            raise UsageError("--steps: rvm is only trained on keyframes; give some, or leave it out", "--steps")
        return
    if job.downsample:
        raise UsageError("--downsample belongs to --model rvm; leave it out with small", "--downsample")
    if job.both_directions:
        raise UsageError("--both-directions belongs to --model rvm; leave it out with small", "--both-directions")


def _require_memory(job: MatteJob, shot: Shot, student: Student, through: Passes | None) -> None:
    """Refuse, before time is spent on it, a plate that is too large for this machine. Raises EngineError."""
    finding = stream_memory(shot, through) if through else prediction_memory(shot)
    what, less = "to matte", ["a smaller plate"]
    if job.keyframes:
        finding = scene_memory(shot) + max(finding, training_memory(shot, student))
        what, less = f"to learn from {len(shot.keyframes)} keyframes of", ["fewer keyframes", *less]
    if job.downsample:
        less.append("a smaller --downsample")
    _require(finding, what, less, shot)


def _require(needed: float, what: str, less: list[str], shot: Shot) -> None:
    """Raise EngineError for a plate that takes more bytes than there are. less: what may be given instead."""
    advice = f"give {' or '.join(less)}, or close other programs"
    require(needed, f"{what} {shot.width} x {shot.height} pixels", advice)


def _wrong(matte: np.ndarray) -> str:
    """What is wrong with a keyframe, in words that follow its file."""
    solid = matte > 0.5
    if solid.any() and not solid.all():
        return ""
    return (
        f"{'covers every pixel' if solid.any() else 'is empty'}; give a frame that shows both the object and what is "
        "around it, or name the channel the matte is in, as in matte.exr@A"
    )


def _next_keyframe(shot: Shot, scene: Scene, mattes: Mattes) -> int | None:
    """The frame whose matte would help most. None when all are keyed."""
    index = mattes.least_sure(scene.keyed)
    return None if index is None else shot.frames[index]


def _lost(scene: Scene, mattes: Mattes) -> list[str]:
    return [
        f"{name}: nothing of it was found on any frame that isn't keyed; give more --steps, or key more frames"
        for name in mattes.lost(scene.keyframes)
    ]
