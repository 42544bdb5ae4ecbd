"""The engine's end of a worker process: start it, talk to it, end it."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

#: The log of the workers is put aside when it is longer than this many bytes; one older file is kept.
LOG_LIMIT = 8 << 20

#: Seconds that a worker may take to end by itself.
GRACE = 6.0


class WorkerDied(Exception):
    """The worker process has ended, and nobody asked it to. The text says how."""


class Worker:
    """One running worker process. One coroutine reads from it at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.device = ""

    @classmethod
    async def start(cls, runner: str, cache: Path, log_file: Path) -> "Worker":
        """Start a process that will run jobs with `runner` and writes its log to `log_file`."""
        log_file.parent.mkdir(parents=True, exist_ok=True)
        if log_file.exists() and log_file.stat().st_size > LOG_LIMIT:
            log_file.replace(log_file.with_suffix(".old.log"))
        with log_file.open("ab") as log:
            # -P: a file in the folder where the engine was started must not shadow a library.
            words = (sys.executable, "-P", "-m", "penumbra_engine.service.worker", runner, str(cache), str(log_file))
            pipe = subprocess.PIPE
            process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=log, limit=1 << 26)
        return cls(process)

    async def load(self) -> None:
        """Wait until it has its libraries in memory. Raises WorkerDied."""
        self.device = (await self.read())["ready"]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    def send_job(self, job_id: str, job: Any) -> None:
        self._send({"id": job_id, "job": job})

    def send_cancel(self, job_id: str) -> None:
        self._send({"cancel": job_id})

    async def read(self) -> dict[str, Any]:
        """Its next message. Raises WorkerDied."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise WorkerDied(_how_it_ended(await self._process.wait()))
        message: dict[str, Any] = json.loads(line)
        return message

    def kill(self) -> None:
        """End it at once."""
        if self.alive:
            self._process.kill()

    async def stop(self) -> None:
        """End it: let it clean up, kill it when it takes too long."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), GRACE)
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    hint = ", often a sign that the machine ran out of memory" if -code == 9 else ""
    return f"died with signal {-code}{name}{hint}"
