"""An engine that does what a test tells it to, and the client that talks to it, in one."""

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penumbra.client import EngineUnavailable, RequestRefused
from penumbra.protocol import ErrorCode, Event, Failure, Health, JobState, JobStatus, Progress, Result


class Engine:
    """Takes jobs and sends the events that the test, or `by_itself`, puts into their streams."""

    def __init__(self) -> None:
        self.jobs: dict[str, Any] = {}
        self.keys: list[str] = []
        self.cancelled: list[str] = []
        self.streams: dict[str, queue.Queue[Event | None]] = {}
        self.by_itself = False
        self.gone = False
        self.refuses: Failure | None = None
        self.space = ""
        self.picture: bytes | None = None

    def connect(self) -> "Engine":
        if self.gone:
            raise EngineUnavailable("no engine is installed for this user")
        return self

    # What a Client has.

    def submit(self, job: Any, key: str) -> JobStatus:
        if self.refuses:
            raise RequestRefused(self.refuses)
        name = f"job{len(self.jobs) + 1}"
        self.jobs[name] = job
        self.keys.append(key)
        self.streams[name] = queue.Queue()
        if self.by_itself:
            self.progress(name, 1)
            self.finish(name)
        return JobStatus(name, "omnimatte", JobState.QUEUED, 0.0)

    def watch(self, job_id: str) -> Iterator[Event]:
        if job_id not in self.streams:
            raise RequestRefused(Failure(int(ErrorCode.USAGE), f"the engine knows no job {job_id}"))
        while True:
            event = self.streams[job_id].get(timeout=10)
            if event is None:
                return
            yield event
            if event.state.final:
                return

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)
        self.streams[job_id].put(Event(99, JobState.CANCELLED))

    def close(self) -> None:
        """Ends the watch() that is under way; the script closes."""
        for stream in self.streams.values():
            stream.put(None)

    def release_gpu(self) -> str:
        return "gave back 3 GiB"

    def health(self) -> Health:
        return Health("ready", "idle", "cpu", "0.1.0", 1, 7, 1.0, 0, "", "/tmp/engine.log")

    # What the test says.

    def progress(self, job_id: str, done: int) -> None:
        progress = Progress("fit", done, 100, done / 100, eta_seconds=12.0)
        self.streams[job_id].put(Event(done, JobState.RUNNING, progress))

    def fail(self, job_id: str, message: str) -> None:
        self.streams[job_id].put(Event(50, JobState.FAILED, failure=Failure(int(ErrorCode.INPUT), message)))

    def finish(self, job_id: str) -> None:
        """Write a result as CONTRACT has it, files that hold `picture` or else their own name, and say so."""
        job = self.jobs[job_id]
        keyframes = dict.fromkeys(keyframe.name for keyframe in getattr(job, "keyframes", []))
        names = [*(mask.name for mask in getattr(job, "masks", [])), *keyframes]
        trimaps = [f"{name}_trimap" for name in keyframes]
        for name in [*names, *trimaps, "layers", "background", "background_grain", "canvas", "removal", "confidence"]:
            folder = Path(job.out) / name
            folder.mkdir(parents=True)
            first, last = map(int, job.frames.split("-"))
            for frame in range(first, last + 1):
                content = self.picture or f"{name} {frame}".encode()
                (folder / f"{name}.{frame:04d}.exr").write_bytes(content)
        result = Result(
            out=job.out,
            report=str(Path(job.out) / "report.json"),
            overview="",
            layers={name: str(Path(job.out) / name) for name in names},
            frames=job.frames,
            colorspace=self.space or job.colorspace,
            seconds=3.0,
        )
        self.streams[job_id].put(Event(100, JobState.DONE, result=result))
