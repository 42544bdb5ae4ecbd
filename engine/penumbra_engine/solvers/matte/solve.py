"""The node Matte: its stages in order, from a job to files."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from penumbra.protocol import MatteJob, Progress, Result
from penumbra_engine.cache import Store
from penumbra_engine.errors import UnsolvableError, UsageError
from penumbra_engine.files import write_atomically
from penumbra_engine.media import Shot, check_out
from penumbra_engine.models.small_matte import SmallMatte
from penumbra_engine.solvers.background import Background, find_background
from penumbra_engine.solvers.clock import Clock
from penumbra_engine.solvers.delivery import Destination
from penumbra_engine.solvers.keyframes import read_keyframes
from penumbra_engine.solvers.matte.overview import overview, preview
from penumbra_engine.solvers.matte.predict import matte_frames
from penumbra_engine.solvers.matte.scene import Scene
from penumbra_engine.solvers.matte.train import learn_matte
from penumbra_engine.solvers.matte.write import write_mattes
from penumbra_engine.solvers.plates import decode
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
    "background": 0.12,
    "train": 0.72,
    "matte": 0.1,
    "write": 0.04,
}


def solve(job: MatteJob, store: Store) -> Generator[Progress, None, Result]:
    """Solve a job and write its files. Closing the generator cancels: finished stages, the training so far and whole
    files stay.

    Raises UsageError, InputError, UnsolvableError and EngineError, each with one message for the user.
    """
    _check(job)
    clock = Clock(_PARTS)
    shot = Shot.open(job)
    frames = frames_to_write(job, shot)
    out = check_out(job.out)
    plates = yield from clock.run("decode", decode(shot, store))
    keyframes = yield from clock.run("keyframes", read_keyframes(shot, _wrong, store))
    background = yield from clock.run("background", find_background(shot, plates, keyframes, store))
    scene = Scene(shot, plates, keyframes, background)
    picture = out / "preview.png"

    def show(network: SmallMatte, step: int) -> None:
        write_atomically(picture, preview(scene, network), "--out")
        clock.message = f"step {step}, preview {picture}"

    try:
        learned = yield from clock.run("train", learn_matte(scene, job.steps, job.seed, job.cold, show, store))
    finally:
        picture.unlink(missing_ok=True)
    clock.message = ""
    mattes = yield from clock.run("matte", matte_frames(shot, scene, learned, store))
    inputs = manifest(shot, {"decode": plates.key, "keyframes": keyframes.key})
    to = Destination(out, frames, provenance(job, shot, job.model, learned.key, inputs), job.full_window, job.float32)
    yield from clock.run("write", write_mattes(shot, plates, scene.names, mattes, job.as_mask, to))
    report: dict[str, Any] = {
        **header(job, shot, frames),
        "fit": {"key": learned.key, "parent": learned.parent, "loss": round(learned.loss, 5)},
        "doubt": by_frame(shot, 1e3 * mattes.doubt),
        "next_keyframe": _next_keyframe(shot, scene, mattes.doubt),
        "float32": to.widened,
        "inputs": inputs,
        "warnings": _warnings(shot, background, to.widened),
    }
    sheet = overview(shot, plates, scene.names, mattes, frames)
    report["seconds"] = clock.spent()
    return deliver_report(job, shot, Path(out), scene.names, sheet, report)


def _check(job: MatteJob) -> None:
    """Refuse what the network doesn't do, rather than leave it out silently."""
    if job.model != "small":
        raise UnsolvableError(
            f"--model {job.model}: this version can't run it yet; give keyframes and --model small", "--model"
        )
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


def _warnings(shot: Shot, background: Background, widened: list[int]) -> list[str]:
    said = list(shot.warnings)
    if background.why_not:
        said.append(f"the mattes were learned from the picture alone, without its background: {background.why_not}")
    if widened:
        said.append(f"frames {named(widened)}: values beyond 65504; written as 32-bit float")
    return said
