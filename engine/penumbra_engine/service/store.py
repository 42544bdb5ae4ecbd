"""Jobs and their events, in SQLite, so that both outlive the engine. Used from one thread."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from penumbra import protocol
from penumbra.protocol import Event, Failure, JobState, JobStatus, Progress, Result, to_wire
from penumbra_engine.errors import EngineError

#: Days after which a job that has ended is forgotten.
KEEP_DAYS = 30

_SCHEMA = 1

_TABLES = """
CREATE TABLE job (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT UNIQUE,            -- the client's idempotency key
    kind TEXT NOT NULL,
    request TEXT NOT NULL,      -- the job as JSON
    created REAL NOT NULL,
    state TEXT NOT NULL,
    last_event INTEGER NOT NULL,
    progress TEXT, result TEXT, failure TEXT
);
CREATE TABLE event (
    job TEXT NOT NULL REFERENCES job(id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (job, seq)
) WITHOUT ROWID;
"""


class JobStore:
    """All jobs of one engine's home."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises EngineError when it can't be used."""
        try:
            self._db = sqlite3.connect(path)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            if found == 0:
                self._db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_SCHEMA}; COMMIT;")
            elif found != _SCHEMA:
                raise EngineError(f"{path} was written by another version of Penumbra; move it away to start anew")
        except sqlite3.Error as error:
            raise EngineError(f"the job list {path} can't be used: {error}; move it away to start anew") from error

    def close(self) -> None:
        self._db.close()

    def add(self, job_id: str, job: Any, key: str) -> None:
        """Take a new job in, queued, with its first event."""
        with self._db:
            self._db.execute(
                "INSERT INTO job (id, key, kind, request, created, state, last_event) VALUES (?, ?, ?, ?, ?, ?, 0)",
                (job_id, key or None, job.kind, json.dumps(to_wire(job)), time.time(), JobState.QUEUED.value),
            )
            self._append(job_id, Event(1, JobState.QUEUED))

    def find_key(self, key: str) -> str | None:
        """The id of the job that came with this idempotency key."""
        row = self._db.execute("SELECT id FROM job WHERE key = ?", (key,)).fetchone()
        return row["id"] if row else None

    def request(self, job_id: str) -> dict[str, Any]:
        """The job as the client sent it. The id must be known."""
        request: dict[str, Any] = json.loads(self._row(job_id)["request"])
        return request

    def status(self, job_id: str) -> JobStatus | None:
        row = self._row(job_id)
        return _status(row) if row else None

    def statuses(self) -> list[JobStatus]:
        """All jobs, the newest first."""
        return [_status(row) for row in self._db.execute("SELECT * FROM job ORDER BY number DESC")]

    def queued(self) -> list[str]:
        """The ids of the jobs that wait, the oldest first."""
        rows = self._db.execute("SELECT id FROM job WHERE state = ? ORDER BY number", (JobState.QUEUED.value,))
        return [row["id"] for row in rows]

    def append(
        self,
        job_id: str,
        state: JobState,
        progress: Progress | None = None,
        result: Result | None = None,
        failure: Failure | None = None,
    ) -> None:
        """Add the next event of a job, and with it the job's new state."""
        seq = self._row(job_id)["last_event"] + 1
        with self._db:
            self._append(job_id, Event(seq, state, progress, result, failure))

    def events(self, job_id: str, after: int) -> list[Event]:
        """The events of a job with seq > after, in order."""
        rows = self._db.execute("SELECT event FROM event WHERE job = ? AND seq > ? ORDER BY seq", (job_id, after))
        return [protocol.from_wire(Event, json.loads(row["event"])) for row in rows]

    def recover(self, failure: Failure) -> None:
        """Let the jobs that an engine left in the middle fail with `failure`, and forget those long ended."""
        final = tuple(state.value for state in JobState if state.final)
        idle = (*final, JobState.QUEUED.value)
        for row in self._db.execute("SELECT id FROM job WHERE state NOT IN (?, ?, ?, ?)", idle).fetchall():
            self.append(row["id"], JobState.FAILED, failure=failure)
        oldest = time.time() - KEEP_DAYS * 86400
        with self._db:
            self._db.execute("DELETE FROM job WHERE state IN (?, ?, ?) AND created < ?", (*final, oldest))

    def _append(self, job_id: str, event: Event) -> None:
        self._db.execute("INSERT INTO event VALUES (?, ?, ?)", (job_id, event.seq, json.dumps(to_wire(event))))
        self._db.execute(
            "UPDATE job SET state = ?, last_event = ?, progress = coalesce(?, progress), result = ?, failure = ? "
            "WHERE id = ?",
            (event.state.value, event.seq, _text(event.progress), _text(event.result), _text(event.failure), job_id),
        )

    def _row(self, job_id: str) -> Any:
        return self._db.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()


def _status(row: sqlite3.Row) -> JobStatus:
    fields = ("id", "kind", "state", "created", "last_event")
    parts = {name: row[name] and json.loads(row[name]) for name in ("progress", "result", "failure")}
    status: JobStatus = protocol.from_wire(JobStatus, {**{name: row[name] for name in fields}, **parts})
    return status


def _text(part: Any) -> str | None:
    return None if part is None else json.dumps(to_wire(part))
