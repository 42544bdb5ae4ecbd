"""`penumbra run`: one solve, by the engine or in this process."""

import sys
import uuid
from typing import Annotated

import typer

from penumbra import launcher
from penumbra.client import Client
from penumbra.protocol import (
    AUTO,
    CleanPlateJob,
    ErrorCode,
    Event,
    Failure,
    Job,
    JobState,
    MatteJob,
    OmnimatteJob,
    Result,
    TrimapJob,
)
from penumbra_engine.cli import words
from penumbra_engine.cli.show import Ended, ProgressDisplay, show_result
from penumbra_engine.service.intake import check_job
from penumbra_engine.service.work import RUNNER, load_runner, stdout_for_messages, work

#: How this command line calls itself to start the engine: the same environment, whatever is on the PATH. With -P a
#: file in the present folder doesn't shadow a library.
SELF = [sys.executable, "-P", "-m", "penumbra_engine.cli"]

app = typer.Typer(no_args_is_help=True)


@app.callback()
def run() -> None:
    """Solve a shot and write its layers.

    Example: penumbra run omnimatte --plate 'plate.####.exr' --frames 1001-1036 --colorspace ACEScg
    --mask 'runner=roto/runner.####.png' --out layers/v001
    """


@app.command()
def omnimatte(
    plate: words.Plate,
    frames: words.Frames,
    colorspace: words.Colorspace,
    mask: Annotated[list[str], typer.Option(metavar="NAME=P", help="Rough mask of an object; the front one first.")],
    out: words.Out,
    write: words.Write = "",
    ocio: words.Ocio = "",
    mask_missing: words.MaskMissing = "error",
    quality: Annotated[str, typer.Option(metavar="draft|standard|final", help="Draft: closed form only.")] = "standard",
    seed: words.Seed = 0,
    cold: words.Cold = False,
    full_window: words.FullWindow = False,
    float32: words.Float32 = False,
    in_process: words.InProcess = False,
    as_json: words.AsJson = False,
) -> None:
    """Layers of objects with their shadows, reflections and dust, and the background without them.

    Example: penumbra run omnimatte --plate 'plate.####.exr' --frames 1001-1036 --colorspace ACEScg
    --mask 'runner=roto/runner.####.png' --mask 'dog=roto/dog.####.png' --out layers/v001
    """
    job = OmnimatteJob(
        plate=words.absolute(plate),
        frames=frames,
        colorspace=colorspace,
        out=words.absolute(out),
        masks=[words.mask(word) for word in mask],
        write=write,
        ocio=words.config(ocio),
        mask_missing=mask_missing,
        quality=quality,
        seed=seed,
        cold=cold,
        full_window=full_window,
        float32=float32,
    )
    _solve(job, in_process, as_json)


@app.command("clean-plate")
def clean_plate(
    plate: words.Plate,
    frames: words.Frames,
    colorspace: words.Colorspace,
    clean_plate: Annotated[str, typer.Option(metavar="P|auto", help="Still or sequence without the subject.")],
    out: words.Out,
    mask: Annotated[
        list[str], typer.Option(metavar="NAME=P", help="Rough mask of the subject, where there is one.")
    ] = [],  # noqa: B006  (typer's way)
    mask_missing: words.MaskMissing = "error",
    effects: Annotated[
        str, typer.Option(metavar="separate|merge", help="Shadows apart, or in the subject.")
    ] = "separate",
    model: Annotated[
        str, typer.Option(metavar="closed-form|bgm-v1|bgm-v2", help="What finds alpha; bgm is your checkpoint.")
    ] = "closed-form",
    refine: Annotated[
        str, typer.Option(metavar="sampling|full|thresholding", help="Patches that bgm-v2 refines.")
    ] = "sampling",
    write: words.Write = "",
    ocio: words.Ocio = "",
    quality: Annotated[str, typer.Option(metavar="draft|standard|final", help="How long it may take.")] = "standard",
    seed: words.Seed = 0,
    cold: words.Cold = False,
    full_window: words.FullWindow = False,
    float32: words.Float32 = False,
    in_process: words.InProcess = False,
    as_json: words.AsJson = False,
) -> None:
    """A subject and its shadows from a plate and the same view without the subject.

    Example: penumbra run clean-plate --plate 'plate.####.exr' --frames 1001-1036 --colorspace ACEScg
    --clean-plate clean.exr --out mattes/v001
    """
    job = CleanPlateJob(
        plate=words.absolute(plate),
        frames=frames,
        colorspace=colorspace,
        out=words.absolute(out),
        clean_plate=clean_plate if clean_plate == AUTO else words.absolute(clean_plate),
        masks=[words.mask(word) for word in mask],
        mask_missing=mask_missing,
        effects=effects,
        model=model,
        refine=refine,
        write=write,
        ocio=words.config(ocio),
        quality=quality,
        seed=seed,
        cold=cold,
        full_window=full_window,
        float32=float32,
    )
    _solve(job, in_process, as_json)


@app.command()
def trimap(
    plate: words.Plate,
    frames: words.Frames,
    colorspace: words.Colorspace,
    keyframe: words.Keyframes,
    out: words.Out,
    propagation: Annotated[str, typer.Option(metavar="flow|correlation|both", help="What carries trimaps.")] = "both",
    solver: Annotated[
        str,
        typer.Option(metavar="NAME", help="What finds alpha: closed-form, knn, bayesian, random-walk."),
    ] = "closed-form",
    write: words.Write = "",
    ocio: words.Ocio = "",
    quality: Annotated[str, typer.Option(metavar="draft|standard|final", help="How long it may take.")] = "standard",
    seed: words.Seed = 0,
    cold: words.Cold = False,
    full_window: words.FullWindow = False,
    float32: words.Float32 = False,
    in_process: words.InProcess = False,
    as_json: words.AsJson = False,
) -> None:
    """Trimaps and mattes of all frames from the trimaps of a few.

    Example: penumbra run trimap --plate 'plate.####.exr' --frames 1001-1036 --colorspace ACEScg
    --keyframe 1001=trimap.1001.png --keyframe 1036=trimap.1036.png --out mattes/v001
    """
    job = TrimapJob(
        plate=words.absolute(plate),
        frames=frames,
        colorspace=colorspace,
        out=words.absolute(out),
        keyframes=[words.keyframe(word) for word in keyframe],
        propagation=propagation,
        solver=solver,
        write=write,
        ocio=words.config(ocio),
        quality=quality,
        seed=seed,
        cold=cold,
        full_window=full_window,
        float32=float32,
    )
    _solve(job, in_process, as_json)


@app.command()
def matte(
    plate: words.Plate,
    frames: words.Frames,
    colorspace: words.Colorspace,
    out: words.Out,
    keyframe: words.Keyframes = [],  # noqa: B006  (typer's way)
    model: Annotated[
        str, typer.Option(metavar="small|rvm", help="Small learns this shot; rvm is your checkpoint.")
    ] = "small",
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of training; 0 lets the engine choose.")] = 0,
    downsample: Annotated[
        float, typer.Option(metavar="X", help="Downsample ratio of rvm; 0 is the published one.")
    ] = 0.0,
    both_directions: Annotated[bool, typer.Option("--both-directions", help="Run rvm both ways and average.")] = False,
    as_mask: Annotated[bool, typer.Option("--as-mask", help="Write rough masks for the other nodes.")] = False,
    write: words.Write = "",
    ocio: words.Ocio = "",
    seed: words.Seed = 0,
    cold: words.Cold = False,
    full_window: words.FullWindow = False,
    float32: words.Float32 = False,
    in_process: words.InProcess = False,
    as_json: words.AsJson = False,
) -> None:
    """Mattes without a trimap: learned on this shot from a few finished ones, or by Robust Video Matting.

    Example: penumbra run matte --plate 'plate.####.exr' --frames 1001-1036 --colorspace ACEScg
    --keyframe 1001=matte.1001.exr --keyframe 1036=matte.1036.exr --out mattes/v001
    """
    job = MatteJob(
        plate=words.absolute(plate),
        frames=frames,
        colorspace=colorspace,
        out=words.absolute(out),
        keyframes=[words.keyframe(word) for word in keyframe],
        model=model,
        steps=steps,
        downsample=downsample,
        both_directions=both_directions,
        as_mask=as_mask,
        write=write,
        ocio=words.config(ocio),
        seed=seed,
        cold=cold,
        full_window=full_window,
        float32=float32,
    )
    _solve(job, in_process, as_json)


def _solve(job: Job, in_process: bool, as_json: bool) -> None:
    check_job(job)
    try:
        with ProgressDisplay() as display:
            result = _run_here(job, display) if in_process else _run_by_engine(job, display)
    except KeyboardInterrupt:
        message = "cancelled; finished stages and written frames are kept"
        raise Ended(Failure(int(ErrorCode.CANCELLED), message)) from None
    show_result(result, as_json)


def _run_here(job: Job, display: ProgressDisplay) -> Result:
    with stdout_for_messages():
        steps = load_runner(RUNNER)(job, launcher.home() / "cache")
        return work(steps, display.show)


def _run_by_engine(job: Job, display: ProgressDisplay) -> Result:
    job.ocio = job.ocio or words.default_config()
    client = Client(launcher.ensure_engine(SELF))
    job_id = client.submit(job, idempotency_key=uuid.uuid4().hex).id
    try:
        return _follow(client, job_id, display)
    except KeyboardInterrupt:
        client.cancel(job_id)
        return _follow(client, job_id, display)  # what it says at the end: cancelled, or done just before


def _follow(client: Client, job_id: str, display: ProgressDisplay) -> Result:
    last = Event(0, JobState.QUEUED)
    for last in client.watch(job_id):
        if last.progress:
            display.show(last.progress)
    if last.result:
        return last.result
    raise Ended(last.failure or Failure(int(ErrorCode.ENGINE), f"job {job_id} ended as {last.state.value}"))
