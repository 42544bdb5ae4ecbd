"""What every node's report and files say alike: the job, its inputs by content, and how the files were made."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import penumbra_engine
from penumbra.protocol import Job, Result, format_frames, parse_frames, to_wire
from penumbra_engine.media import Shot, write_atomically
from penumbra_engine.media.picture import Value
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import code_version


def frames_to_write(job: Job, shot: Shot) -> tuple[int, ...]:
    """The frames a job wants written; all that are solved when it names none. Shot.open has checked the words."""
    return parse_frames(job.write, "--write") if job.write else shot.frames


def manifest(shot: Shot, stages: dict[str, str]) -> dict[str, Any]:
    """The content of all that a result depends on; stages: keys of the first cached stages."""
    said: dict[str, Any] = {
        "plate": {str(frame): shot.digest_plate(frame) for frame in shot.frames},
        "masks": {name: {str(frame): shot.digest_mask(name, frame) for frame in shot.frames} for name in shot.names},
        "ocio": shot.space.config_id,
        "stages": stages,
    }
    if shot.keyframes:
        said["keyframes"] = {f"{name}:{frame}": shot.digest_keyframe(name, frame) for name, frame, _ in shot.keyframes}
    if shot.clean_plate:
        said["clean_plate"] = {str(frame): shot.digest_clean(frame) for frame in shot.clean_plate_frames}
    return said


def plate_warnings(shot: Shot, plates: Plates, widened: list[int]) -> list[str]:
    """What any node has to say of its plate. widened: frames that were written as 32-bit floats."""
    said = list(shot.warnings)
    if plates.black:
        said.append(
            f"frames {named(shot.frames[index] for index in plates.black)}: every pixel of the plate is 0; leave them "
            "out of --frames, or look at what wrote them"
        )
    if widened:
        said.append(f"frames {named(widened)}: values beyond 65504; written as 32-bit float")
    return said


def provenance(job: Job, shot: Shot, model: str, weights: str, inputs: dict[str, Any]) -> dict[str, Value]:
    """What every file says of how it was made. weights: a hash, or `none`. inputs: the manifest."""
    return {
        "penumbra:version": penumbra_engine.__version__,
        "penumbra:node": job.kind,
        "penumbra:model": model,
        "penumbra:weights": weights,
        "penumbra:job": digest(to_wire(job)),
        "penumbra:manifest": digest(inputs),
        "penumbra:ocio": shot.space.config_id,
        "penumbra:seed": job.seed,
    }


def header(job: Job, shot: Shot, frames: tuple[int, ...]) -> dict[str, Any]:
    """The part of a report that is the same for every node."""
    return {
        "penumbra": penumbra_engine.__version__,
        "node": job.kind,
        "job": to_wire(job),
        "frames": format_frames(shot.frames),
        "written": format_frames(frames),
        "size": [shot.width, shot.height],
        "colour": {"space": shot.space.name, "working": shot.space.working, "config": shot.space.config_id},
        "code": code_version(),
    }


def deliver_report(
    job: Job, shot: Shot, out: Path, layers: Iterable[str], overview: bytes, report: dict[str, Any]
) -> Result:
    """Write overview.png and report.json, which come last, and give the job's result. layers: names of folders."""
    picture, text = out / "overview.png", out / "report.json"
    write_atomically(picture, overview, "--out")
    write_atomically(text, json.dumps(report, indent=1, ensure_ascii=False).encode(), "--out")
    return Result(
        out=str(out),
        report=str(text),
        overview=str(picture),
        layers={name: str(out / name) for name in layers},
        frames=report["written"],
        colorspace=shot.space.working,
        seconds=report["seconds"]["all"],
        warnings=report["warnings"],
    )


def by_frame(shot: Shot, values: Iterable[float]) -> dict[str, float]:
    """A figure for each frame, as a report has it."""
    return {str(frame): round(float(value), 4) for frame, value in zip(shot.frames, values, strict=True)}


def named(frames: Iterable[int]) -> str:
    """Frame numbers in any order as the text a warning names them by."""
    return format_frames(tuple(sorted(int(frame) for frame in frames)))


def digest(content: dict[str, Any]) -> str:
    """A hash of what can be said as JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
