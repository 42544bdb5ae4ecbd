"""Running one job's steps: the time to come, the cancel, and what errors are told as."""

import errno
import itertools
import logging
from collections.abc import Generator

import pytest

from penumbra.protocol import JobState, Progress, Result, WordError
from penumbra_engine.errors import UnsolvableError
from penumbra_engine.service import work as module
from penumbra_engine.service.work import Cancelled, failure_of, state_of, work

RESULT = Result("/o", "", "", {}, "1", "ACEScg", 0.0)


def steps(closed: list[bool], *fractions: float) -> Generator[Progress, None, Result]:
    try:
        for fraction in fractions:
            yield Progress("fit", 1, 1, fraction)
        return RESULT
    finally:
        closed.append(True)


def test_the_steps_are_run_to_their_result() -> None:
    told: list[Progress] = []
    assert work(steps([], 0.0, 0.5, 1.0), told.append) is RESULT
    assert [progress.fraction for progress in told] == [0.0, 0.5, 1.0]


def test_the_time_to_come_follows_from_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(100.0, 10.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    told: list[Progress] = []
    work(steps([], 0.01, 0.25, 1.0), told.append)
    assert [progress.eta_seconds for progress in told] == [None, 60.0, 0.0]


def test_a_runner_that_knows_the_time_to_come_is_believed() -> None:
    def knowing() -> Generator[Progress, None, Result]:
        yield Progress("fit", 1, 2, 0.5, "", 7.0)
        return RESULT

    told: list[Progress] = []
    work(knowing(), told.append)
    assert told[0].eta_seconds == 7.0


def test_a_cancel_closes_the_steps_before_the_next_one() -> None:
    closed: list[bool] = []
    told: list[Progress] = []
    with pytest.raises(Cancelled):
        work(steps(closed, 0.1, 0.2, 0.3), told.append, lambda: len(told) == 2)
    assert len(told) == 2
    assert closed == [True]


def test_an_interrupt_closes_the_steps() -> None:
    closed: list[bool] = []

    def interrupted(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(steps(closed, 0.1, 0.2), interrupted)
    assert closed == [True]


def test_errors_for_the_user_are_told_as_they_are() -> None:
    failure = failure_of(UnsolvableError("the camera can't be found", "--plate"))
    assert (failure.code, failure.message, failure.argument) == (4, "the camera can't be found", "--plate")
    assert failure_of(WordError("--frames", "no range")).code == 2


@pytest.mark.parametrize(
    ("error", "sign"),
    [
        (KeyError("x"), "KeyError"),
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOSPC, "No space left on device", "/o/a.exr"), "/o/a.exr"),
    ],
)
def test_other_errors_are_logged_and_say_where(
    error: Exception, sign: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        failure = failure_of(error, "/the/log")
    assert failure.code == 5
    assert sign in failure.message
    assert "/the/log" in failure.message
    assert caplog.records[0].exc_info is not None


def test_only_the_write_stage_is_writing() -> None:
    assert state_of(Progress("write", 0, 1, 0.9)) is JobState.WRITING
    assert state_of(Progress("fit", 0, 1, 0.5)) is JobState.RUNNING
