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
from penumbra_engine.solvers.omnimatte.camera_files import write_camera
from penumbra_engine.solvers.omnimatte.canvas import build_canvas
from penumbra_engine.solvers.omnimatte.fit import fit_ownership
from penumbra_engine.solvers.omnimatte.flow import Flow, estimate_flow
from penumbra_engine.solvers.omnimatte.footage import Footage
from penumbra_engine.solvers.omnimatte.geometry import Geometry, solve_geometry
from penumbra_engine.solvers.omnimatte.overview import overview
from penumbra_engine.solvers.omnimatte.refine import refine
from penumbra_engine.solvers.omnimatte.register import Registration, register
from penumbra_engine.solvers.omnimatte.report import warnings
from penumbra_engine.solvers.omnimatte.write import write_layers
from penumbra_engine.solvers.plates import decode
from penumbra_engine.solvers.report import (
    by_frame,
    deliver_report,
    frames_to_write,
    header,
    manifest,
    named,
    plate_warnings,
    provenance,
)

#: Each stage's part of the whole, for the progress bar: about what it takes of the time of a cold solve.
_PARTS = {
    "decode": 0.04,
    "masks": 0.01,
    "register": 0.16,
    "flow": 0.04,
    "geometry": 0.02,
    "canvas": 0.18,
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
    if shot.plate_files.still:
        raise UnsolvableError(
            f"--plate {shot.plate_files} is one still, held on every frame: nothing moves off what is behind it. Give "
            "the sequence, such as plate.####.exr",
            "--plate",
        )
    out = check_out(job.out)
    plates = yield from clock.run("decode", decode(shot, store))
    masks = yield from clock.run("masks", read_masks(shot, plates, store))
    registration = yield from clock.run("register", register(shot, plates, store))
    flow = yield from clock.run("flow", estimate_flow(plates, registration, store))
    footage = Footage(shot, plates, masks, registration, flow)
    geometry = yield from clock.run("geometry", solve_geometry(footage, store))
    canvas = yield from clock.run("canvas", build_canvas(footage, store, geometry, job.cold))
    bound = yield from clock.run("bound", bound_effects(shot, plates, masks, canvas, job.quality, store))
    owners = yield from clock.run(
        "fit", fit_ownership(shot, plates, masks, registration, bound, job.quality, job.seed, job.cold, store)
    )
    layers = yield from clock.run("refine", refine(shot, plates, masks, canvas, bound, owners, job.quality, store))
    inputs = manifest(shot, {"decode": plates.key, "masks": masks.key})
    learned = owners.loss is not None
    made = provenance(job, shot, "ownership" if learned else "closed form", owners.key if learned else "none", inputs)
    to = Destination(out, frames, made, job.full_window, job.float32)
    written = yield from clock.run("write", write_layers(shot, plates, canvas, geometry, layers, to, store))
    report: dict[str, Any] = {
        **header(job, shot, frames),
        "camera": {
            **_camera(registration, geometry),
            "residual_px": by_frame(shot, registration.residual),
            "inliers": {str(f): int(n) for f, n in zip(shot.frames, registration.inliers, strict=True)},
            "moves_on_its_own_px": _own_motion(shot, masks, flow),
        },
        "canvas": {
            "key": canvas.key,
            "parent": canvas.parent,
            "kept": named(shot.frames[index] for index in canvas.kept) if canvas.kept else "",
            "noise": vars(canvas.noise),
            "lens_takes": round(1 - float(canvas.falloff.min() / canvas.falloff.max()), 3),
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
        "warnings": [
            *plate_warnings(shot, plates, to.widened),
            *warnings(shot, masks, registration, geometry, canvas),
        ],
    }
    if geometry.cameras is not None:
        write_camera(shot, geometry.cameras, out)
    picture = overview(shot, plates, canvas, layers, frames)
    report["seconds"] = clock.spent()
    return deliver_report(job, shot, out, shot.names, picture, report)


def _camera(registration: Registration, geometry: Geometry) -> dict[str, Any]:
    """The model of the camera, why it was chosen, and its lens where that was solved (pixels of the plate's data
    window)."""
    if geometry.cameras is not None:
        lens = {"focal_px": geometry.cameras.focal, "centre_px": geometry.cameras.centre}
        return {"model": "multi-view", "why": geometry.why, **lens, "radial": geometry.cameras.radial}
    if registration.model == "static":
        return {"model": "static", "why": geometry.why}
    worst = f"it explains the camera to {registration.residual.max():.2f} px on the worst frame"
    lens = {"bend": round(registration.lens.bend, 4)} if registration.lens.bend else {}
    return {"model": registration.model, "why": f"{geometry.why}; {worst}", **lens}


def _own_motion(shot: Shot, masks: Masks, flow: Flow) -> dict[str, float]:
    """Per frame, the 95th percentile of what moves outside the masks, in pixels, once the homography is out."""
    moved = [flow.outside(t, masks.union(t, 0.02 * shot.width)) for t in range(len(shot.frames))]
    return {
        str(frame): round(float(np.quantile(m, 0.95)), 3) if len(m) else 0.0
        for frame, m in zip(shot.frames, moved, strict=True)
    }


def _rounded(errors: dict[int, float]) -> dict[str, float]:
    return {str(frame): float(f"{error:.3g}") for frame, error in sorted(errors.items())}
