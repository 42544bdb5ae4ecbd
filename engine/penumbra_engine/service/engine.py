"""The queue: takes jobs in, has a worker do one after the other, tells everybody who asks how they go."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import penumbra_engine
from penumbra.protocol import (
    PROTOCOL_VERSION,
    ErrorCode,
    Event,
    Failure,
    Health,
    JobState,
    JobStatus,
    Progress,
    Result,
    from_wire,
    to_wire,
)
from penumbra_engine.errors import EngineError, UsageError
from penumbra_engine.service.process import Worker, WorkerDied
from penumbra_engine.service.store import JobStore
from penumbra_engine.service.work import RUNNER, state_of

#: Seconds that a cancelled job may take to stop by itself before its worker is killed.
CANCEL_GRACE = 3.0

#: Seconds between two signs of life on a silent event stream.
HEARTBEAT = 15.0

log = logging.getLogger(__name__)


class UnknownJob(UsageError):
    """There is no job of this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"the engine knows no job {job_id!r}; `penumbra status` lists the jobs", "job")


class KeyTaken(UsageError):
    """The idempotency key came with another job before."""


class Busy(EngineError):
    """The engine has jobs, so it doesn't do this now."""


class Stopping(EngineError):
    """The engine is about to end."""


@dataclass
class _Run:
    """The job in work."""

    id: str
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False  # by its user; else the engine itself stops
    stage: str = ""


class Engine:
    """Jobs in, events out. Lives in one event loop; never imports what the workers import."""

    def __init__(
        self,
        home: Path,
        runner: str = RUNNER,
        cancel_grace: float = CANCEL_GRACE,
        heartbeat: float = HEARTBEAT,
    ) -> None:
        """`home` holds jobs.sqlite, cache and logs. Raises EngineError when the list of jobs can't be used."""
        self._home = home
        self._runner = runner
        self._cancel_grace = cancel_grace
        self._heartbeat = heartbeat
        home.mkdir(parents=True, exist_ok=True)
        self._store = JobStore(home / "jobs.sqlite")
        self._worker_log = home / "logs" / "worker.log"
        self._changed = asyncio.Event()  # replaced at every change; whoever waits takes it before looking
        self._loading: asyncio.Task[Worker] | None = None
        self._queue: asyncio.Task[None] | None = None
        self._run: _Run | None = None
        self._stopping = False  # takes no more jobs
        self._stopped = False  # and the last event is out
        self._device = ""
        self._begun = time.monotonic()
        self._touched = self._begun

    def start(self) -> None:
        """Take up the jobs that an earlier engine left, load the first worker, begin to work."""
        self._store.recover(_stopped("an earlier engine ended"))
        self._worker()
        self._queue = asyncio.create_task(self._work_off())

    async def stop(self) -> None:
        """End: the job in work fails and says so, queued jobs wait for the next engine."""
        self._stopping = True
        if self._run:
            self._run.stop.set()
        self._announce()
        if self._queue:
            await self._queue
        await self._drop_worker()
        self._stopped = True
        self._announce()

    def close(self) -> None:
        """Let go of the list of jobs; after stop(), when nobody asks any more."""
        self._store.close()

    def touch(self) -> None:
        """Somebody asked something: the engine isn't idle."""
        self._touched = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last request or job; 0 while there are jobs."""
        return 0.0 if self._run or self._store.queued() else time.monotonic() - self._touched

    def health(self) -> Health:
        task = self._loading
        if task is not None and not task.done():
            worker = "loading"
        elif task is None or task.exception() or not task.result().alive:
            worker = "stopped"
        else:
            worker = "busy" if self._run else "idle"
        return Health(
            state="loading" if worker == "loading" else "ready",
            worker=worker,
            device=self._device,
            version=penumbra_engine.__version__,
            protocol=PROTOCOL_VERSION,
            pid=os.getpid(),
            uptime=time.monotonic() - self._begun,
            queued=len(self._store.queued()),
            running=self._run.id if self._run else "",
            log=str(self._worker_log),
        )

    def submit(self, job: Any, key: str = "") -> JobStatus:
        """Queue a job; with a key that came before, return that call's job instead.

        Raises KeyTaken when the key came with another job, Stopping.
        """
        if self._stopping:
            raise Stopping("the engine is stopping; submit again to have a new one started")
        known = self._store.find_key(key) if key else None
        if known:
            if self._store.request(known) != to_wire(job):
                raise KeyTaken(f"the idempotency key {key!r} came with another job; use a new key", "Idempotency-Key")
            return self.status(known)
        job_id = secrets.token_hex(8)
        self._store.add(job_id, job, key)
        self._announce()
        return self.status(job_id)

    def status(self, job_id: str) -> JobStatus:
        """Raises UnknownJob."""
        status = self._store.status(job_id)
        if status is None:
            raise UnknownJob(job_id)
        return status

    def statuses(self) -> list[JobStatus]:
        """All jobs, the newest first."""
        return self._store.statuses()

    async def events(self, job_id: str, after: int) -> AsyncIterator[Event | None]:
        """Events with seq > after as they come, to the final one; None is a sign of life. The job must be known."""
        while True:
            changed = self._changed
            news = self._store.events(job_id, after)
            for event in news:
                after = event.seq
                yield event
            if news:
                continue  # more may have come while these were sent
            if self.status(job_id).state.final or self._stopped:
                return
            try:
                await asyncio.wait_for(changed.wait(), self._heartbeat)
            except TimeoutError:
                yield None

    def cancel(self, job_id: str) -> JobStatus:
        """Cancel this job alone; one that has ended stays as it is. Raises UnknownJob."""
        status = self.status(job_id)
        if self._run and self._run.id == job_id:
            self._run.cancelled = True
            self._run.stop.set()
        elif not status.state.final:
            self._append(job_id, JobState.CANCELLED, failure=_CANCELLED)
        return self.status(job_id)

    async def release(self) -> str:
        """Give back what the worker holds, by ending it; says what was done. Raises Busy."""
        self._check_free("the GPU is released")
        if self._loading is None:
            return "no worker runs, so no GPU memory is held"
        await self._drop_worker()
        return "the worker has ended and its GPU memory is free; the next job starts a new one"

    def check_shutdown(self) -> None:
        """Raises Busy while there are jobs."""
        self._check_free("the engine ends")

    def _check_free(self, what: str) -> None:
        waiting = ([self._run.id] if self._run else []) + self._store.queued()
        if waiting:
            raise Busy(f"{what} only without jobs, and there is {', '.join(waiting)}: wait for it or cancel it")

    async def _work_off(self) -> None:
        while not self._stopping:
            changed = self._changed
            queued = self._store.queued()
            if not queued:
                await changed.wait()
                continue
            self._run = _Run(queued[0])
            try:
                await self._do(self._run)
            except Exception:
                log.exception("job %s", self._run.id)
                failure = Failure(int(ErrorCode.ENGINE), "internal error of the engine; its log says more")
                self._append(self._run.id, JobState.FAILED, failure=failure)
            finally:
                self._run = None
                self.touch()

    async def _do(self, run: _Run) -> None:
        log.info("job %s begins", run.id)
        self._append(run.id, JobState.PREPARING)
        stopper: asyncio.Task[None] | None = None
        try:
            worker = await self._loaded_worker(run)
            if worker is None:
                self._end_early(run)
                return
            worker.send_job(run.id, self._store.request(run.id))
            stopper = asyncio.create_task(self._stop_when_asked(run, worker))
            while not await self._hear(run, worker):
                pass
        except WorkerDied as death:
            await self._drop_worker()
            if run.stop.is_set():
                self._end_early(run)
            else:
                self._append(run.id, JobState.FAILED, failure=self._death(run, death))
        finally:
            if stopper:
                stopper.cancel()
            log.info("job %s: %s", run.id, self.status(run.id).state.value)

    async def _loaded_worker(self, run: _Run) -> Worker | None:
        """A worker that is ready for the job; None when the job is to stop before that. Raises WorkerDied."""
        loading = self._worker()
        stop = asyncio.create_task(run.stop.wait())
        await asyncio.wait((loading, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        return None if run.stop.is_set() else loading.result()

    async def _hear(self, run: _Run, worker: Worker) -> bool:
        """Pass on the worker's next message; says whether it was the job's last."""
        message = await worker.read()
        if "progress" in message:
            progress: Progress = from_wire(Progress, message["progress"])
            run.stage = progress.stage
            self._append(run.id, state_of(progress), progress)
            return False
        if "result" in message:
            self._append(run.id, JobState.DONE, result=from_wire(Result, message["result"]))
        elif "failure" in message:
            self._append(run.id, JobState.FAILED, failure=from_wire(Failure, message["failure"]))
        else:
            self._end_early(run)
        if "leaving" in message:
            await self._drop_worker()
        return True

    async def _stop_when_asked(self, run: _Run, worker: Worker) -> None:
        await run.stop.wait()
        worker.send_cancel(run.id)
        await asyncio.sleep(self._cancel_grace)
        log.warning("job %s does not stop: its worker %d is killed", run.id, worker.pid)
        worker.kill()

    def _end_early(self, run: _Run) -> None:
        if run.cancelled:
            self._append(run.id, JobState.CANCELLED, failure=_CANCELLED)
        else:
            self._append(run.id, JobState.FAILED, failure=_stopped("the engine was stopped"))

    def _death(self, run: _Run, death: WorkerDied) -> Failure:
        doing = f"was at stage {run.stage!r}" if run.stage else "was getting ready"
        return Failure(
            int(ErrorCode.ENGINE),
            f"the worker process {death} while it {doing}; its log is {self._worker_log}; "
            "submit again: finished stages are kept",
        )

    def _worker(self) -> asyncio.Task[Worker]:
        """The worker, or the loading of one; a new one when there is none or it died."""
        task = self._loading
        if task is not None and task.done() and (task.exception() or not task.result().alive):
            task = None
        if task is None:
            task = self._loading = asyncio.create_task(self._load())
        return task

    async def _load(self) -> Worker:
        worker = await Worker.start(self._runner, self._home / "cache", self._worker_log)
        try:
            await worker.load()
        except asyncio.CancelledError:
            worker.kill()
            raise
        except WorkerDied as death:
            log.error("worker %d %s while it loaded; its log is %s", worker.pid, death, self._worker_log)
            raise
        self._device = worker.device
        log.info("worker %d is ready on %s", worker.pid, worker.device)
        return worker

    async def _drop_worker(self) -> None:
        task, self._loading = self._loading, None
        if task is None:
            return
        if not task.done():
            task.cancel()
        try:
            worker = await task
        except (asyncio.CancelledError, WorkerDied):
            return
        await worker.stop()

    def _append(self, job_id: str, state: JobState, progress: Progress | None = None, **end: Any) -> None:
        self._store.append(job_id, state, progress, **end)
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


_CANCELLED = Failure(int(ErrorCode.CANCELLED), "cancelled; finished stages and written frames are kept")


def _stopped(how: str) -> Failure:
    message = f"{how} while it had this job in work; submit again: finished stages are kept"
    return Failure(int(ErrorCode.ENGINE), message)
