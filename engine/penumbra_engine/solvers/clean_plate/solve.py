"""The node Clean Plate Matte: its stages in order, from a job to files."""

from collections.abc import Generator
from typing import Any

import numpy as np

from penumbra.protocol import AUTO, CleanPlateJob, Progress, Result
from penumbra_engine.cache import Store
from penumbra_engine.media import Shot, check_out
from penumbra_engine.solvers.clean_plate.align import Alignment, align
from penumbra_engine.solvers.clean_plate.matte import solve_matte
from penumbra_engine.solvers.clean_plate.network import checkpoint
from penumbra_engine.solvers.clean_plate.overview import overview
from penumbra_engine.solvers.clean_plate.own import own_canvas
from penumbra_engine.solvers.clean_plate.subject import find_subject
from penumbra_engine.solvers.clean_plate.write import write_mattes
from penumbra_engine.solvers.clock import Clock
from penumbra_engine.solvers.delivery import Destination
from penumbra_engine.solvers.masks import read_masks
from penumbra_engine.solvers.omnimatte.bound import bound_effects
from penumbra_engine.solvers.omnimatte.canvas import Canvas
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
    "decode": 0.05,
    "masks": 0.02,
    "align": 0.25,
    "subject": 0.05,
    "bound": 0.2,
    "matte": 0.35,
    "write": 0.08,
}
_MISFIT = 2.5  # times what noise alone gives
_UNLIKE = 0.6  # of the picture in agreement


def solve(job: CleanPlateJob, store: Store) -> Generator[Progress, None, Result]:
    """Solve a job and write its files. Closing the generator cancels: finished stages and whole files stay.

    Raises UsageError, InputError, UnsolvableError and EngineError, each with one message for the user.
    """
    clock = Clock(_PARTS)
    shot = Shot.open(job)
    frames = frames_to_write(job, shot)
    network = None
    if job.model != "closed-form":
        network = checkpoint(store.root.parent / "models", job.model, job.refine)
    out = check_out(job.out)
    plates = yield from clock.run("decode", decode(shot, store))
    masks, alignment = None, None
    if job.masks:
        masks = yield from clock.run("masks", read_masks(shot, plates, store))
    if masks and job.clean_plate == AUTO:
        canvas = yield from clock.run("align", own_canvas(shot, plates, masks, store))
    else:
        alignment = yield from clock.run("align", align(shot, plates, masks, store))
        canvas = alignment.canvas
    if masks is None:
        masks = yield from clock.run("subject", find_subject(shot, plates, canvas, store))
    bound = yield from clock.run("bound", bound_effects(shot, plates, masks, canvas, job.quality, store))
    matte = yield from clock.run("matte", solve_matte(shot, plates, masks, canvas, bound, network, job.quality, store))
    subject = shot.names[0] if shot.names else "subject"
    names = (subject,) if job.effects == "merge" else (subject, "effects")
    inputs = manifest(shot, {"decode": plates.key, "align": canvas.key})
    made = network.facts if network else {"kind": "closed form", "weights": "none"}
    made_by = provenance(job, shot, made["kind"], made["weights"], inputs)
    to = Destination(out, frames, made_by, job.full_window, job.float32)
    written = yield from clock.run("write", write_mattes(shot, plates, canvas, matte, names, to))
    report: dict[str, Any] = {
        **header(job, shot, frames),
        "order": [*names, "background"],
        "network": network.facts if network else None,
        "alignment": _aligned(shot, alignment, canvas),
        "recomposition": {
            "float": _rounded(written.exact),
            "half": _rounded(written.rounded),
            "float32": to.widened,
        },
        "inputs": inputs,
        "warnings": [*plate_warnings(shot, plates, to.widened), *_warnings(shot, alignment, canvas)],
    }
    picture = overview(shot, plates, canvas, matte, names, frames)
    report["seconds"] = clock.spent()
    return deliver_report(job, shot, out, names, picture, report)


def _aligned(shot: Shot, alignment: Alignment | None, canvas: Canvas) -> dict[str, Any]:
    """What the report says of how well the clean plate fits, frame by frame."""
    said: dict[str, Any] = {"source": "clean plate" if alignment else AUTO, "noise": vars(canvas.noise)}
    said["misfit_sigma"] = by_frame(shot, canvas.misfit)
    if alignment:
        said["own_detail"] = alignment.own
        said["inliers"] = {str(f): int(n) for f, n in zip(shot.frames, alignment.inliers, strict=True)}
        said["residual_px"] = by_frame(shot, alignment.residual)
        said["agreement"] = by_frame(shot, alignment.agreement)
        for name in ("gain", "offset"):
            values = getattr(alignment, name)
            said[name] = {str(f): [round(float(v), 5) for v in of] for f, of in zip(shot.frames, values, strict=True)}
    return said


def _warnings(shot: Shot, alignment: Alignment | None, canvas: Canvas) -> list[str]:
    said, frames = list[str](), np.array(shot.frames)
    loose = canvas.misfit > _MISFIT
    if loose.any():
        said.append(
            f"frames {named(frames[loose])}: outside the subject the plate differs from the clean plate by "
            f"{canvas.misfit.max():.1f} times what noise gives; parallax or other light may be in the layers"
        )
    if alignment is not None and (unlike := alignment.agreement < _UNLIKE).any():
        said.append(
            f"frames {named(frames[unlike])}: plate and clean plate agree on {100 * alignment.agreement.min():.0f} % "
            "of the picture only; look at background/"
        )
    return said


def _rounded(errors: dict[int, float]) -> dict[str, float]:
    return {str(frame): float(f"{error:.3g}") for frame, error in errors.items()}
