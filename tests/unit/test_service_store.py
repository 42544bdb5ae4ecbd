"""The list of jobs on disk."""

import sqlite3
from pathlib import Path

import pytest

from penumbra.protocol import Event, Failure, JobState, Progress, to_wire
from penumbra_engine.errors import EngineError
from penumbra_engine.service import store
from penumbra_engine.service.store import JobStore
from serving import job

ENDED = Failure(5, "an earlier engine ended")
HALF = Progress("fit", 1, 2, 0.5)


@pytest.fixture
def jobs(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs.sqlite")


def test_events_are_numbered_and_the_status_is_the_last_of_them(jobs: JobStore, tmp_path: Path) -> None:
    jobs.add("a", job(tmp_path), "")
    jobs.append("a", JobState.RUNNING, HALF)
    jobs.append("a", JobState.FAILED, failure=ENDED)
    events = [Event(1, JobState.QUEUED), Event(2, JobState.RUNNING, HALF), Event(3, JobState.FAILED, failure=ENDED)]
    assert jobs.events("a", 0) == events
    assert jobs.events("a", 2) == events[2:]
    status = jobs.status("a")
    assert status is not None
    assert (status.state, status.last_event, status.progress, status.failure) == (JobState.FAILED, 3, HALF, ENDED)


def test_the_queue_is_in_the_order_of_arrival(jobs: JobStore, tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        jobs.add(name, job(tmp_path), "")
    jobs.append("a", JobState.CANCELLED)
    assert jobs.queued() == ["b", "c"]
    assert [status.id for status in jobs.statuses()] == ["c", "a", "b"]


def test_requests_and_keys_are_found_again(jobs: JobStore, tmp_path: Path) -> None:
    jobs.add("a", job(tmp_path, seed=3), "key")
    jobs.add("b", job(tmp_path), "")
    jobs.add("c", job(tmp_path), "")
    assert jobs.request("a") == to_wire(job(tmp_path, seed=3))
    assert (jobs.find_key("key"), jobs.find_key("other"), jobs.status("nobody")) == ("a", None, None)


def test_recovery_fails_what_was_begun_and_leaves_the_rest(jobs: JobStore, tmp_path: Path) -> None:
    states = [JobState.QUEUED, JobState.PREPARING, JobState.RUNNING, JobState.WRITING, JobState.DONE]
    for state in states:
        jobs.add(state.value, job(tmp_path), "")
        if state is not JobState.QUEUED:
            jobs.append(state.value, state)
    jobs.recover(ENDED)
    found = {status.id: status.state.value for status in jobs.statuses()}
    assert found == {
        "queued": "queued", "preparing": "failed", "running": "failed", "writing": "failed", "done": "done",
    }  # fmt: skip


def test_recovery_forgets_what_ended_long_ago(
    jobs: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = store.time.time()
    monkeypatch.setattr(store.time, "time", lambda: now - 31 * 86400)
    jobs.add("old", job(tmp_path), "")
    jobs.add("old but queued", job(tmp_path), "")
    jobs.append("old", JobState.DONE)
    monkeypatch.setattr(store.time, "time", lambda: now)
    jobs.add("new", job(tmp_path), "")
    jobs.append("new", JobState.DONE)
    jobs.recover(ENDED)
    assert [status.id for status in jobs.statuses()] == ["new", "old but queued"]
    assert jobs.events("old", 0) == []


def test_a_file_that_is_no_list_of_jobs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(EngineError, match=r"jobs\.sqlite.*move it away"):
        JobStore(path)


def test_a_list_of_another_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(EngineError, match="another version"):
        JobStore(path)
