"""`penumbra run`: one solve, by the engine or in this process."""

import os
import sys
import uuid
from typing import Annotated

import typer

from penumbra import launcher
from penumbra.client import Client
from penumbra.protocol import ErrorCode, Event, Failure, JobState, Mask, OmnimatteJob, Result
from penumbra_engine.cli.show import Ended, ProgressDisplay, show_result
from penumbra_engine.errors import UsageError
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
    plate: Annotated[str, typer.Option(metavar="P", help="Pattern of the plate: a.####.exr, a.%04d.exr or a folder.")],
    frames: Annotated[str, typer.Option(metavar="R", help="Frames to read and solve: 1001-1036, 1001-1036x2, 1,3,5.")],
    colorspace: Annotated[str, typer.Option(metavar="S", help="The plate's space: name, alias or role in the config.")],
    mask: Annotated[list[str], typer.Option(metavar="NAME=P", help="Rough mask of an object; the front one first.")],
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder for the layers.")],
    write: Annotated[str, typer.Option(metavar="R", help="Frames to write; all when left out.")] = "",
    ocio: Annotated[str, typer.Option(metavar="FILE", help="OCIO config; else $OCIO, else a pinned built-in.")] = "",
    mask_missing: Annotated[str, typer.Option(metavar="error|empty", help="What a missing mask file means.")] = "error",
    quality: Annotated[str, typer.Option(metavar="draft|standard|final", help="Draft: closed form only.")] = "standard",
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same result.")] = 0,
    cold: Annotated[bool, typer.Option("--cold", help="Start from no earlier fit of the shot.")] = False,
    full_window: Annotated[bool, typer.Option("--full-window", help="Don't crop layers to what they hold.")] = False,
    float32: Annotated[bool, typer.Option("--float", help="Write 32-bit float instead of half.")] = False,
    in_process: Annotated[bool, typer.Option("--in-process", help="Solve here, without the engine.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one result object on stdout.")] = False,
) -> None:
    """Layers of objects with their shadows, reflections and dust, and the background without them.

    Example: penumbra run omnimatte --plate 'plate.####.exr' --frames 1001-1036 --colorspace ACEScg
    --mask 'runner=roto/runner.####.png' --mask 'dog=roto/dog.####.png' --out layers/v001
    """
    job = OmnimatteJob(
        plate=_absolute(plate),
        frames=frames,
        colorspace=colorspace,
        out=_absolute(out),
        masks=[_mask(word) for word in mask],
        write=write,
        ocio=_config(ocio),
        mask_missing=mask_missing,
        quality=quality,
        seed=seed,
        cold=cold,
        full_window=full_window,
        float32=float32,
    )
    check_job(job)
    try:
        with ProgressDisplay() as display:
            result = _run_here(job, display) if in_process else _run_by_engine(job, display)
    except KeyboardInterrupt:
        message = "cancelled; finished stages and written frames are kept"
        raise Ended(Failure(int(ErrorCode.CANCELLED), message)) from None
    show_result(result, as_json)


def _run_here(job: OmnimatteJob, display: ProgressDisplay) -> Result:
    with stdout_for_messages():
        steps = load_runner(RUNNER)(job, launcher.home() / "cache")
        return work(steps, display.show)


def _run_by_engine(job: OmnimatteJob, display: ProgressDisplay) -> Result:
    job.ocio = job.ocio or _default_config()
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


def _mask(word: str) -> Mask:
    name, equals, pattern = word.partition("=")
    if not equals:
        raise UsageError(f"--mask {word!r}: write NAME=PATTERN, such as runner=roto/runner.####.png", "--mask")
    return Mask(name, _absolute(pattern))


def _absolute(path: str) -> str:
    """The whole path; the engine works in another folder. Shells leave ~ alone behind `NAME=`."""
    return os.path.abspath(os.path.expanduser(path)) if path else path  # noqa: PTH100, PTH111  (keeps @layer as it is)


def _config(ocio: str) -> str:
    """The config as the engine can find it: a file by its whole path, the name of a built-in as it is."""
    is_file = "://" not in ocio and (os.path.exists(ocio) or os.path.dirname(ocio))  # noqa: PTH110, PTH120
    return _absolute(ocio) if is_file else ocio


def _default_config() -> str:
    """The config of this shell. The engine may have been started with another $OCIO."""
    from penumbra_engine.media.colour import BUILT_IN

    return _config(os.environ.get("OCIO", "")) or BUILT_IN
