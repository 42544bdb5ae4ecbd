"""The engine through its own client: how jobs go, how they end, and what outlives what."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penumbra import launcher
from penumbra.client import RequestRefused
from penumbra.protocol import Failure, JobState
from penumbra_engine.service.engine import Engine
from serving import DEADLINE, Served, job, lent, served, shared_engine, until

shared = shared_engine(cancel_grace=0.5)


@pytest.fixture
def engine(shared: Served) -> Iterator[Served]:
    with lent(shared) as engine:
        yield engine


@pytest.fixture
def logged(engine: Served) -> Callable[[], str]:
    """What the worker's log says that it did not before this test."""
    log = Path(engine.client.health().log)
    before = len(log.read_bytes())
    return lambda: log.read_bytes()[before:].decode()


def failure_of(engine: Served, out: Path, how: str) -> Failure:
    last = engine.watch(engine.client.submit(job(out, how)).id)[-1]
    assert last.state is JobState.FAILED
    assert last.failure is not None
    return last.failure


def alive(pid: str) -> bool:
    return launcher.process_start(int(pid)) is not None


def test_a_job_goes_through_its_states_in_order(engine: Served, tmp_path: Path) -> None:
    events = engine.watch(engine.client.submit(job(tmp_path / "out")).id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert list(dict.fromkeys(event.state.value for event in events)) == [
        "queued", "preparing", "running", "writing", "done",
    ]  # fmt: skip
    half = next(event.progress for event in events if event.progress and event.progress.stage == "fit")
    assert half.message == "half way"
    assert half.eta_seconds is not None, "the service tells the time to come where the runner does not"
    result = events[-1].result
    assert result is not None
    assert (result.layers, result.warnings) == ({"a": str(tmp_path / "out" / "a")}, ["grain"])


def test_the_runner_gets_the_cache_of_this_home(engine: Served, tmp_path: Path) -> None:
    assert engine.result(job(tmp_path)).overview == str(engine.home / "cache")


def test_one_worker_does_job_after_job(engine: Served, tmp_path: Path) -> None:
    ids = [engine.client.submit(job(tmp_path / str(number))).id for number in range(3)]
    reports = set()
    for job_id in ids:
        result = engine.watch(job_id)[-1].result
        assert result is not None
        reports.add(result.report)
    assert len(reports) == 1
    assert [status.id for status in engine.client.jobs()[:3]] == ids[::-1]


def test_cancel_takes_effect_within_a_second_of_work(engine: Served, tmp_path: Path) -> None:
    import fake_runner

    job_id = engine.client.submit(job(tmp_path, "wait")).id
    until((tmp_path / "steps").exists)
    engine.client.cancel(job_id)
    at_cancel = int((tmp_path / "steps").read_text())
    last = engine.watch(job_id)[-1]
    assert last.state is JobState.CANCELLED
    assert last.failure is not None
    assert last.failure.code == 130
    assert (int((tmp_path / "closed").read_text()) - at_cancel) * fake_runner.STEP < 1.0


def test_cancel_interrupts_a_long_step_and_the_worker_lives_on(own_home: Path, tmp_path: Path) -> None:
    with served(own_home, cancel_grace=DEADLINE) as engine:
        first = engine.result(job(tmp_path / "a")).report
        job_id = engine.client.submit(job(tmp_path / "b", "busy")).id
        until((tmp_path / "b" / "steps").exists)
        engine.client.cancel(job_id)
        assert engine.watch(job_id)[-1].state is JobState.CANCELLED
        assert (tmp_path / "b" / "closed").exists(), "the job could clean up"
        assert engine.result(job(tmp_path / "a")).report == first


def test_cancel_hits_its_own_job_alone(engine: Served, tmp_path: Path) -> None:
    running, second, third = (engine.client.submit(job(tmp_path / name, "wait")).id for name in "abc")
    until((tmp_path / "a" / "steps").exists)
    assert engine.client.cancel(second).state is JobState.CANCELLED, "a queued job ends at once"
    for name in "abc":
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "go").touch()
    assert engine.watch(running)[-1].state is JobState.DONE
    assert engine.watch(third)[-1].state is JobState.DONE
    assert not (tmp_path / "b" / "steps").exists()
    assert engine.client.cancel(running).state is JobState.DONE, "what has ended stays as it is"


def test_a_client_that_goes_away_cancels_nothing(engine: Served, tmp_path: Path) -> None:
    job_id = engine.client.submit(job(tmp_path, "wait")).id
    events = engine.client.watch(job_id)
    while next(events).state is not JobState.RUNNING:
        pass
    events.close()  # type: ignore[attr-defined]
    (tmp_path / "go").touch()
    assert engine.watch(job_id)[-1].state is JobState.DONE


def test_a_job_that_does_not_heed_the_cancel_is_killed(engine: Served, tmp_path: Path) -> None:
    first = engine.result(job(tmp_path)).report
    job_id = engine.client.submit(job(tmp_path, "stuck")).id
    engine.wait_for(job_id, JobState.RUNNING)
    engine.client.cancel(job_id)
    assert engine.watch(job_id)[-1].state is JobState.CANCELLED
    assert not alive(first)
    assert engine.result(job(tmp_path)).report != first


@pytest.mark.parametrize(
    ("how", "sign"), [("die", "signal 9 (SIGKILL)"), ("crash", "signal 11 (SIGSEGV)"), ("exit", "ended with code 3")]
)
def test_a_worker_that_dies_is_an_error_in_one_job(engine: Served, tmp_path: Path, how: str, sign: str) -> None:
    first = engine.result(job(tmp_path)).report
    failure = failure_of(engine, tmp_path, how)
    assert failure.code == 5
    assert sign in failure.message
    assert "'register'" in failure.message, "it says what the job was doing"
    assert engine.client.health().log in failure.message
    assert engine.result(job(tmp_path)).report != first, "the next job gets a new worker"


def test_the_log_tells_where_a_worker_crashed(engine: Served, tmp_path: Path, logged: Callable[[], str]) -> None:
    failure_of(engine, tmp_path, "crash")
    assert "fake_runner.py" in logged()


def test_a_worker_that_dies_between_jobs_is_replaced_in_silence(engine: Served, tmp_path: Path) -> None:
    first = engine.result(job(tmp_path)).report
    os.kill(int(first), signal.SIGKILL)
    until(lambda: engine.client.health().worker == "stopped")
    assert engine.result(job(tmp_path)).report != first


def test_an_error_of_the_input_keeps_its_code_argument_and_worker(engine: Served, tmp_path: Path) -> None:
    first = engine.result(job(tmp_path)).report
    assert failure_of(engine, tmp_path, "input") == Failure(3, "frame 1003 is missing", "--plate")
    assert engine.result(job(tmp_path)).report == first


@pytest.mark.parametrize(("how", "sign"), [("bug", "TypeError: unsupported operand"), ("memory", "out of memory")])
def test_an_error_nobody_foresaw_ends_the_worker(
    engine: Served, tmp_path: Path, logged: Callable[[], str], how: str, sign: str
) -> None:
    first = engine.result(job(tmp_path)).report
    failure = failure_of(engine, tmp_path, how)
    assert failure.code == 5
    assert sign in failure.message
    assert "Traceback" in logged()
    assert engine.result(job(tmp_path)).report != first


def test_what_libraries_print_does_not_disturb(engine: Served, tmp_path: Path, logged: Callable[[], str]) -> None:
    engine.result(job(tmp_path, "print"))
    assert "a library says hello" in logged()
    assert "past Python" in logged()


def test_a_runner_that_can_t_be_loaded_fails_the_job_not_the_engine(own_home: Path, tmp_path: Path) -> None:
    with served(own_home, runner="no_such_module:run") as engine:
        for _ in range(2):
            failure = failure_of(engine, tmp_path, "done")
            assert failure.code == 5
            assert "while it was getting ready" in failure.message
        assert "no_such_module" in Path(engine.client.health().log).read_text()


def test_jobs_outlive_the_engine(own_home: Path, tmp_path: Path) -> None:
    with served(own_home) as engine:
        finished = engine.client.submit(job(tmp_path / "a")).id
        events = engine.watch(finished)
        running = engine.client.submit(job(tmp_path / "b", "wait")).id
        queued = engine.client.submit(job(tmp_path / "c")).id
        until((tmp_path / "b" / "steps").exists)
    with served(own_home) as engine:
        assert engine.watch(finished) == events
        last = engine.watch(running)[-1]
        assert last.state is JobState.FAILED
        assert last.failure is not None
        assert last.failure.code == 5
        assert "finished stages are kept" in last.failure.message
        assert engine.watch(queued)[-1].state is JobState.DONE
    assert (tmp_path / "b" / "closed").exists(), "the job could clean up"


def test_who_watches_hears_that_the_engine_stops(own_home: Path, tmp_path: Path) -> None:
    with served(own_home) as engine:
        events = engine.client.watch(engine.client.submit(job(tmp_path, "wait")).id)
        until((tmp_path / "steps").exists)
        next(events)
        engine.stop()
        last = list(events)[-1]
    assert last.state is JobState.FAILED
    assert last.failure is not None
    assert "stopped" in last.failure.message


def test_the_same_key_is_the_same_job(engine: Served, tmp_path: Path) -> None:
    before = len(engine.client.jobs())
    first = engine.client.submit(job(tmp_path), "key-1").id
    assert engine.client.submit(job(tmp_path), "key-1").id == first
    assert engine.client.submit(job(tmp_path), "key-2").id != first
    with pytest.raises(RequestRefused) as refused:
        engine.client.submit(job(tmp_path, seed=7), "key-1")
    assert refused.value.failure.argument == "Idempotency-Key"
    assert len(engine.client.jobs()) == before + 2


def test_release_ends_the_idle_worker(engine: Served, tmp_path: Path) -> None:
    first = engine.result(job(tmp_path)).report
    assert engine.client.health().worker == "idle"
    assert "GPU memory is free" in engine.client.release_gpu()
    assert not alive(first)
    assert engine.client.health().worker == "stopped"
    assert "no worker runs" in engine.client.release_gpu()
    assert engine.result(job(tmp_path)).report != first


def test_release_and_shutdown_are_refused_while_there_are_jobs(own_home: Path, tmp_path: Path) -> None:
    with served(own_home) as engine:
        job_id = engine.client.submit(job(tmp_path, "wait")).id
        for ask in (engine.client.release_gpu, engine.client.shutdown):
            with pytest.raises(RequestRefused) as refused:
                ask()
            assert refused.value.failure.code == 5
            assert job_id in refused.value.failure.message
        (tmp_path / "go").touch()
        assert engine.watch(job_id)[-1].state is JobState.DONE
        engine.client.shutdown()
        until(lambda: not engine.thread.is_alive())


def test_while_libraries_load_the_engine_answers(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    monkeypatch.setenv("PENUMBRA_TEST_GATE", str(gate))
    with served(own_home, runner="slow_runner:run") as engine:
        assert (engine.client.health().state, engine.client.health().worker) == ("loading", "loading")
        given_up = engine.client.submit(job(tmp_path / "a")).id
        engine.wait_for(given_up, JobState.PREPARING)
        engine.client.cancel(given_up)
        assert engine.watch(given_up)[-1].state is JobState.CANCELLED
        kept = engine.client.submit(job(tmp_path / "b")).id
        gate.touch()
        assert engine.watch(kept)[-1].state is JobState.DONE
        health = engine.client.health()
        assert (health.state, health.worker, health.device) == ("ready", "idle", "cpu")


def test_a_release_while_libraries_load_stops_that(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENUMBRA_TEST_GATE", str(tmp_path / "gate"))
    with served(own_home, runner="slow_runner:run") as engine:
        engine.client.release_gpu()
        assert engine.client.health().worker == "stopped"


def test_an_idle_engine_ends(own_home: Path) -> None:
    with served(own_home, idle_exit=0.0001) as engine:
        until(lambda: not engine.thread.is_alive())


def test_an_engine_with_jobs_is_not_idle(own_home: Path, tmp_path: Path) -> None:
    with served(own_home) as engine:
        engine.client.submit(job(tmp_path / "a", "wait"))
        queued = engine.client.submit(job(tmp_path / "b", "wait")).id
        until((tmp_path / "a" / "steps").exists)
    with served(own_home, idle_exit=0.0001) as engine:
        until(lambda: (tmp_path / "b" / "steps").exists() and int((tmp_path / "b" / "steps").read_text()) > 3)
        assert engine.thread.is_alive(), "its job has run for longer than that"
        (tmp_path / "b" / "go").touch()
        until(lambda: not engine.thread.is_alive())
    with served(own_home) as engine:
        assert engine.client.status(queued).state is JobState.DONE


def test_an_engine_that_is_asked_is_not_idle(own_home: Path) -> None:
    engine = Engine(own_home)
    engine.touch()
    first = engine.idle_seconds
    until(lambda: engine.idle_seconds > first)
    before = engine.idle_seconds
    engine.touch()
    assert engine.idle_seconds < before
    engine.close()
