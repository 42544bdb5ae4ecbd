"""The node Omnimatte Layers: its stages in order, from a job to files."""

import hashlib
import json
import time
from collections.abc import Generator
from typing import Any

import numpy as np

import penumbra_engine
from penumbra.protocol import OmnimatteJob, Progress, Result, WordError, format_frames, parse_frames, to_wire
from penumbra_engine.cache import Store
from penumbra_engine.errors import UnsolvableError, UsageError
from penumbra_engine.media import Shot, check_out, write_atomically
from penumbra_engine.media.picture import Value
from penumbra_engine.solvers.omnimatte.bound import bound_effects
from penumbra_engine.solvers.omnimatte.canvas import build_canvas
from penumbra_engine.solvers.omnimatte.fit import Ownership, fit_ownership
from penumbra_engine.solvers.omnimatte.flow import estimate_flow
from penumbra_engine.solvers.omnimatte.masks import Masks, read_masks
from penumbra_engine.solvers.omnimatte.overview import overview
from penumbra_engine.solvers.omnimatte.plates import Plates, decode
from penumbra_engine.solvers.omnimatte.refine import refine
from penumbra_engine.solvers.omnimatte.register import register
from penumbra_engine.solvers.omnimatte.report import warnings
from penumbra_engine.solvers.omnimatte.write import Destination, write_layers
from penumbra_engine.solvers.steps import R, Steps, code_version

#: Each stage's part of the whole, for the progress bar: about what it takes of the time of a cold solve.
_PARTS = {
    "decode": 0.04,
    "masks": 0.01,
    "register": 0.16,
    "flow": 0.04,
    "canvas": 0.2,
    "bound": 0.15,
    "fit": 0.1,
    "refine": 0.22,
    "write": 0.08,
}


def solve(job: OmnimatteJob, store: Store) -> Generator[Progress, None, Result]:
    """Solve a job and write its files. Closing the generator cancels: finished stages and whole files stay.

    Raises UsageError, InputError, UnsolvableError and EngineError, each with one message for the user.
    """
    started = time.monotonic()
    shot = Shot.open(job)
    frames = _frames_to_write(job, shot)
    if len(shot.frames) == 1:
        raise UnsolvableError(
            f"--frames {job.frames} is one frame: the background behind an object is learned from the frames that show "
            "it. Give the frames around it, and --write for the one that is wanted",
            "--frames",
        )
    out = check_out(job.out)
    clock = _Clock()
    plates = yield from clock.run("decode", decode(shot, store))
    masks = yield from clock.run("masks", read_masks(shot, store))
    registration = yield from clock.run("register", register(shot, plates, store))
    flow = yield from clock.run("flow", estimate_flow(plates, registration, store))
    canvas = yield from clock.run("canvas", build_canvas(shot, plates, masks, registration, flow, store))
    bound = yield from clock.run("bound", bound_effects(shot, plates, masks, canvas, job.quality, store))
    owners = yield from clock.run(
        "fit", fit_ownership(shot, plates, masks, registration, bound, job.quality, job.seed, job.cold, store)
    )
    layers = yield from clock.run("refine", refine(shot, plates, masks, canvas, bound, owners, store))
    manifest = _manifest(job, shot, plates, masks)
    to = Destination(out, frames, _provenance(job, shot, owners, manifest), job.full_window, job.float32)
    written = yield from clock.run("write", write_layers(shot, plates, canvas, layers, to))
    said = warnings(shot, masks, registration, canvas, written)
    report: dict[str, Any] = {
        "penumbra": penumbra_engine.__version__,
        "node": job.kind,
        "job": to_wire(job),
        "frames": format_frames(shot.frames),
        "written": format_frames(frames),
        "size": [shot.width, shot.height],
        "colour": {"space": shot.space.name, "working": shot.space.working, "config": shot.space.config_id},
        "camera": {
            "model": registration.model,
            "why": _why(registration.model, float(registration.residual.max())),
            "residual_px": _by_frame(shot, registration.residual),
            "inliers": {str(f): int(n) for f, n in zip(shot.frames, registration.inliers, strict=True)},
            "moves_on_its_own_px": _own_motion(shot, masks, flow.flow),
        },
        "canvas": {
            "noise": vars(canvas.noise),
            "misfit_sigma": _by_frame(shot, canvas.misfit),
            "gains": {
                str(f): [round(float(g), 5) for g in gain] for f, gain in zip(shot.frames, canvas.gains, strict=True)
            },
        },
        "fit": {"key": owners.key, "parent": owners.parent, "loss": owners.loss},
        "recomposition": {
            "float": _rounded(written.exact),
            "half": _rounded(written.rounded),
            "float32": written.float32,
        },
        "inputs": manifest,
        "code": code_version(),
        "seconds": {**{name: round(value, 3) for name, value in clock.seconds.items()}},
        "warnings": said,
    }
    picture, text = out / "overview.png", out / "report.json"
    write_atomically(picture, overview(shot, plates, canvas, layers, frames), "--out")
    report["seconds"]["all"] = round(time.monotonic() - started, 3)
    write_atomically(text, json.dumps(report, indent=1, ensure_ascii=False).encode(), "--out")
    return Result(
        out=str(out),
        report=str(text),
        overview=str(picture),
        layers={name: str(out / name) for name in shot.names},
        frames=format_frames(frames),
        colorspace=shot.space.working,
        seconds=report["seconds"]["all"],
        warnings=said,
    )


class _Clock:
    """Turns the steps of stages into the progress of the job, and keeps the time each took."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.before = 0.0
        self.seconds: dict[str, float] = {}

    def run(self, stage: str, steps: Steps[R]) -> Generator[Progress, None, R]:
        began = time.monotonic()
        part = _PARTS[stage]
        yield self._progress(stage, 0, 1, self.before)
        while True:
            try:
                done, total = next(steps)
            except StopIteration as end:
                self.before += part
                self.seconds[stage] = time.monotonic() - began
                return end.value
            except GeneratorExit:
                steps.close()
                raise
            try:
                yield self._progress(stage, done, total, self.before + part * done / max(total, 1))
            except GeneratorExit:
                steps.close()  # now, so that what it holds is let go of before the job is called cancelled
                raise

    def _progress(self, stage: str, done: int, total: int, fraction: float) -> Progress:
        spent = time.monotonic() - self.started
        eta = spent * (1 - fraction) / fraction if fraction > 0.02 and spent > 1 else None
        return Progress(stage, done, total, min(fraction, 1.0), eta_seconds=eta)


def _frames_to_write(job: OmnimatteJob, shot: Shot) -> tuple[int, ...]:
    if not job.write:
        return shot.frames
    try:
        frames = parse_frames(job.write, "--write")
    except WordError as error:
        raise UsageError(str(error), error.argument) from error
    outside = [frame for frame in frames if frame not in shot.frames]
    if outside:
        raise UsageError(
            f"--write {job.write}: frame {outside[0]} is not one of the solved frames {format_frames(shot.frames)}",
            "--write",
        )
    return frames


def _manifest(job: OmnimatteJob, shot: Shot, plates: Plates, masks: Masks) -> dict[str, Any]:
    """The content of all that the result depends on."""
    return {
        "plate": {str(frame): shot.digest_plate(frame) for frame in shot.frames},
        "masks": {name: {str(frame): shot.digest_mask(name, frame) for frame in shot.frames} for name in shot.names},
        "ocio": shot.space.config_id,
        "stages": {"decode": plates.key, "masks": masks.key},
    }


def _provenance(job: OmnimatteJob, shot: Shot, owners: Ownership, manifest: dict[str, Any]) -> dict[str, Value]:
    """What every file says of how it was made."""
    learned = owners.loss is not None
    return {
        "penumbra:version": penumbra_engine.__version__,
        "penumbra:node": job.kind,
        "penumbra:model": "ownership" if learned else "closed form",
        "penumbra:weights": owners.key if learned else "none",
        "penumbra:job": _hash(to_wire(job)),
        "penumbra:manifest": _hash(manifest),
        "penumbra:ocio": shot.space.config_id,
        "penumbra:seed": job.seed,
    }


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _why(model: str, residual: float) -> str:
    if model == "static":
        return "no frame moves against the middle one"
    return f"the camera moves, and one homography a frame explains it to {residual:.2f} px on the worst frame"


def _own_motion(shot: Shot, masks: Masks, flow: Any) -> dict[str, float]:
    """Per frame, the 95th percentile of what moves outside the masks, in pixels, once the camera's motion is out."""
    motion = {}
    for index, frame in enumerate(shot.frames):
        dx, dy, confidence = flow[index]
        rows = np.linspace(0, shot.height - 1, dx.shape[0]).round().astype(int)
        columns = np.linspace(0, shot.width - 1, dx.shape[1]).round().astype(int)
        outside = ~masks.union(index, 0.02 * shot.width)[np.ix_(rows, columns)] & (confidence > 0.5)
        motion[str(frame)] = round(float(np.quantile(np.hypot(dx, dy)[outside], 0.95)), 3) if outside.any() else 0.0
    return motion


def _by_frame(shot: Shot, values: np.ndarray) -> dict[str, float]:
    return {str(frame): round(float(value), 4) for frame, value in zip(shot.frames, values, strict=True)}


def _rounded(errors: dict[int, float]) -> dict[str, float]:
    return {str(frame): float(f"{error:.3g}") for frame, error in errors.items()}
