"""One job from its first step to its end: what the worker process and `penumbra run --in-process` have in common."""

import contextlib
import errno
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from penumbra.protocol import ErrorCode, Failure, JobState, Progress, Result, WordError
from penumbra_engine.errors import PenumbraError

#: What runs a job of any kind: a generator function (job, cache folder) that yields Progress and returns the Result.
RUNNER = "penumbra_engine.solvers.jobs:run"

Runner = Callable[[Any, Path], Generator[Progress, None, Result]]

log = logging.getLogger(__name__)


class Cancelled(BaseException):
    """The job was asked to stop, and has. No Exception, so that no runner takes it for an error of its own."""


def load_runner(path: str) -> Runner:
    """The function that `module:function` names. The solvers bring torch in: call this where that may be."""
    module, _, function = path.partition(":")
    runner: Runner = getattr(importlib.import_module(module), function)
    return runner


def work(
    steps: Generator[Progress, None, Result],
    report: Callable[[Progress], None],
    cancelled: Callable[[], bool] = lambda: False,
) -> Result:
    """Run a job's steps to the end; `report` hears each one, with the time to come where the runner gave none.

    Between steps it asks `cancelled`; then the steps are closed, so that they clean up, and Cancelled is raised.
    Lets through whatever the runner raises.
    """
    begun = time.monotonic()
    with contextlib.closing(steps):
        while not cancelled():
            try:
                progress = next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            report(_with_eta(progress, time.monotonic() - begun))
    raise Cancelled


def state_of(progress: Progress) -> JobState:
    """The state of a job that reported this."""
    return JobState.WRITING if progress.stage == "write" else JobState.RUNNING


def failure_of(error: Exception, log_file: str = "") -> Failure:
    """What to tell the user about an error of a runner; one that nobody foresaw is logged with its traceback."""
    if isinstance(error, PenumbraError):
        return Failure(int(error.code), str(error), error.argument)
    if isinstance(error, WordError):
        return Failure(int(ErrorCode.USAGE), str(error), error.argument)
    log.error("the job failed", exc_info=error)
    if isinstance(error, MemoryError):
        advice = "the machine ran out of memory; close other programs or ask for fewer frames"
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        advice = f"the disk is full ({error.filename or 'no file named'}); free some space"
    else:
        advice = f"internal error, {type(error).__name__}: {error}"
    where = f"; details are in {log_file}" if log_file else ""
    return Failure(int(ErrorCode.ENGINE), f"{advice}, then try again: finished stages are kept{where}")


@contextlib.contextmanager
def stdout_for_messages() -> Iterator[int]:
    """Keep stdout for our own messages: yields its file descriptor; what libraries print goes to stderr meanwhile."""
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield own
    finally:
        os.dup2(own, 1)
        os.close(own)


def _with_eta(progress: Progress, elapsed: float) -> Progress:
    """The same with the time to come, told by the share that is done; too early to tell below two percent."""
    if progress.eta_seconds is not None or progress.fraction < 0.02:
        return progress
    return replace(progress, eta_seconds=elapsed * (1 - progress.fraction) / progress.fraction)
