"""`penumbra serve`, `status` and `cancel`: the engine and its jobs."""

import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penumbra import launcher
from penumbra.client import Client, EngineUnavailable, Runtime
from penumbra.protocol import JobStatus, to_wire
from penumbra_engine.cli.show import show_json
from penumbra_engine.errors import EngineError

AsJson = Annotated[bool, typer.Option("--json", help="Print one object on stdout.")]


def serve(
    port: Annotated[int, typer.Option(metavar="N", help="Port on 127.0.0.1; any free one when left out.")] = 0,
    socket: Annotated[str, typer.Option(metavar="PATH", help="Listen on a socket file instead of a port.")] = "",
    idle_exit: Annotated[
        float | None, typer.Option(metavar="MINUTES", min=0, help="End after so long without work; never if left out.")
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="End the running engine instead, if it has no jobs.")] = False,
) -> None:
    """Run the engine here until Ctrl-C. Clients start one by themselves when there is none.

    Example: penumbra serve --idle-exit 60
    """
    if stop:
        _stop()
        return
    from penumbra_engine.service import server

    def announce(runtime: Runtime) -> None:
        where = server.address(runtime)
        print(f"The Penumbra engine listens on {where}; Ctrl-C ends it. Its log is {runtime.log}", file=sys.stderr)

    server.serve(port, socket, idle_exit, announce=announce)


def status(
    job: Annotated[str, typer.Argument(metavar="[JOB]", help="A job's id; all jobs when left out.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show the engine and its jobs.

    Example: penumbra status
    """
    if job:
        found = _engine().status(job)
        if as_json:
            show_json(to_wire(found))
        else:
            print(_words(found))
        return
    runtime = launcher.find_engine()
    health = Client(runtime).health() if runtime else None
    jobs = Client(runtime).jobs() if runtime else []
    if as_json:
        show_json({"engine": to_wire(health) if health else None, "jobs": [to_wire(one) for one in jobs]})
        return
    if health is None:
        print("no engine runs; the next job starts one")
        return
    device = health.device or "not known yet"
    print(f"engine {health.pid} is {health.state}, its worker {health.worker}, its device {device}")
    if jobs:
        table = Table("job", "kind", "made", "state", box=None)
        for one in jobs:
            made = time.strftime("%d %b %H:%M:%S", time.localtime(one.created))
            table.add_row(one.id, one.kind, made, escape(_words(one)))
        Console().print(table)


def cancel(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id, as `penumbra status` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Cancel one job and wait until it has stopped.

    Example: penumbra cancel 3f9c2a7e51d0b846
    """
    client = _engine()
    last_seen = client.cancel(job).last_event
    for _ in client.watch(job, last_seen):
        pass
    found = client.status(job)
    if as_json:
        show_json(to_wire(found))
    else:
        print(_words(found))


def _engine() -> Client:
    runtime = launcher.find_engine()
    if runtime is None:
        raise EngineUnavailable("no engine runs, so there are no jobs to ask for; the next job starts one")
    return Client(runtime)


def _stop() -> None:
    runtime = launcher.find_engine()
    if runtime is None:
        print("no engine runs")
        return
    print(Client(runtime).shutdown())
    deadline = time.monotonic() + 30
    while launcher.process_start(runtime.pid) == runtime.start_time:
        if time.monotonic() > deadline:
            raise EngineError(f"engine {runtime.pid} does not end; its log is {runtime.log}")
        time.sleep(0.05)


def _words(job: JobStatus) -> str:
    if job.failure:
        return f"{job.state.value}: {job.failure.message}"
    if job.result:
        return f"{job.state.value}: {job.result.out}"
    if job.progress:
        return f"{job.state.value}: {job.progress.stage}, {job.progress.fraction:.0%}"
    return job.state.value
