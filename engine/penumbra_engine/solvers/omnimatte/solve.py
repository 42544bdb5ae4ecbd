"""The node Omnimatte Layers: its stages in order, from a job to files."""

from collections.abc import Generator
from typing import Any

import numpy as np

from penumbra.protocol import OmnimatteJob, Progress, Result
from penumbra_engine.cache import Store
from penumbra_engine.errors import UnsolvableError
from penumbra_engine.media import Shot, check_out
from penumbra_engine.solvers.clock import Clock
from penumbra_engine.solvers.delivery import Destination
from penumbra_engine.solvers.masks import Masks, read_masks
from penumbra_engine.solvers.omnimatte.bound import bound_effects
from penumbra_engine.solvers.omnimatte.canvas import build_canvas
from penumbra_engine.solvers.omnimatte.fit import fit_ownership
from penumbra_engine.solvers.omnimatte.flow import estimate_flow
from penumbra_engine.solvers.omnimatte.overview import overview
from penumbra_engine.solvers.omnimatte.refine import refine
from penumbra_engine.solvers.omnimatte.register import register
from penumbra_engine.solvers.omnimatte.report import warnings
from penumbra_engine.solvers.omnimatte.write import write_layers
from penumbra_engine.solvers.plates import decode
from penumbra_engine.solvers.report import by_frame, deliver_report, frames_to_write, header, manifest, provenance

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
    clock = Clock(_PARTS)
    shot = Shot.open(job)
    frames = frames_to_write(job, shot)
    if len(shot.frames) == 1:
        raise UnsolvableError(
            f"--frames {job.frames} is one frame: the background behind an object is learned from the frames that show "
            "it. Give the frames around it, and --write for the one that is wanted",
            "--frames",
        )
    out = check_out(job.out)
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
    inputs = manifest(shot, {"decode": plates.key, "masks": masks.key})
    learned = owners.loss is not None
    made = provenance(job, shot, "ownership" if learned else "closed form", owners.key if learned else "none", inputs)
    to = Destination(out, frames, made, job.full_window, job.float32)
    written = yield from clock.run("write", write_layers(shot, plates, canvas, layers, to))
    report: dict[str, Any] = {
        **header(job, shot, frames),
        "camera": {
            "model": registration.model,
            "why": _why(registration.model, float(registration.residual.max())),
            "residual_px": by_frame(shot, registration.residual),
            "inliers": {str(f): int(n) for f, n in zip(shot.frames, registration.inliers, strict=True)},
            "moves_on_its_own_px": _own_motion(shot, masks, flow.flow),
        },
        "canvas": {
            "noise": vars(canvas.noise),
            "misfit_sigma": by_frame(shot, canvas.misfit),
            "gains": {
                str(f): [round(float(g), 5) for g in gain] for f, gain in zip(shot.frames, canvas.gains, strict=True)
            },
        },
        "fit": {"key": owners.key, "parent": owners.parent, "loss": owners.loss},
        "recomposition": {
            "float": _rounded(written.exact),
            "half": _rounded(written.rounded),
            "float32": to.widened,
        },
        "inputs": inputs,
        "warnings": warnings(shot, masks, registration, canvas, to.widened),
    }
    picture = overview(shot, plates, canvas, layers, frames)
    report["seconds"] = clock.spent()
    return deliver_report(job, shot, out, shot.names, picture, report)


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


def _rounded(errors: dict[int, float]) -> dict[str, float]:
    return {str(frame): float(f"{error:.3g}") for frame, error in errors.items()}
