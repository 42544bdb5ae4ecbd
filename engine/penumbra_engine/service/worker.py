"""The worker process: takes jobs as JSON lines on stdin, tells how they go as JSON lines on stdout.

It is a process of its own so that whatever brings it down (the memory killer, a driver, a segfault) is an error in
one job and not the end of the engine. It ends when the engine closes its stdin, which also happens when that dies.
"""

import _thread
import contextlib
import faulthandler
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from penumbra.protocol import Progress, to_wire
from penumbra_engine.errors import PenumbraError
from penumbra_engine.service.intake import read_job
from penumbra_engine.service.work import Cancelled, failure_of, load_runner, stdout_for_messages, work

#: Seconds that a job may take to clean up after the engine is gone.
GRACE = 5.0

#: Seconds that a cancelled job may take to its next step; after that it is interrupted in the middle of it.
PATIENCE = 0.4

#: Seconds between two messages of the same stage: more often nobody can read.
INTERVAL = 0.1

log = logging.getLogger(__name__)


class Requests:
    """What the engine asks, read in a thread of its own so that a cancel arrives while a job runs.

    A cancel stops a job between two of its steps, where it expects it. If a step takes long, the job is interrupted as
    Ctrl-C would: at the next instruction, so that it still cleans up.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        self._engine_gone = threading.Event()
        self._at_work = ""
        signal.signal(signal.SIGINT, self._interrupt)
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def next_job(self) -> dict[str, Any] | None:
        """The next job to do, when there is one; None when the engine is gone."""
        return self._jobs.get()

    @contextlib.contextmanager
    def at_work(self, job_id: str) -> Iterator[Callable[[], bool]]:
        """The job is at work in the block: ask what is yielded whether it is cancelled; if not asked in time, Cancelled
        is raised wherever the block is."""
        self._at_work = job_id
        try:
            yield self._heed_cancel
        finally:
            self._at_work = ""

    def _heed_cancel(self) -> bool:
        cancelled = self._at_work in self._cancelled or self._engine_gone.is_set()
        if cancelled:
            self._at_work = ""  # it cleans up now, and in peace
        return cancelled

    def _interrupt(self, *_: object) -> None:
        # Ctrl-C in the engine's terminal arrives here too; it is the engine's business.
        if self._at_work and self._heed_cancel():
            raise Cancelled

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            request = json.loads(line)
            if "cancel" in request:
                self._cancelled.add(request["cancel"])
                threading.Timer(PATIENCE, _thread.interrupt_main).start()
            else:
                self._jobs.put(request)
        self._engine_gone.set()
        self._jobs.put(None)
        time.sleep(PATIENCE)
        _thread.interrupt_main()
        time.sleep(GRACE)
        os._exit(1)  # the job in hand doesn't come to an end


class Messages:
    """What the engine is told."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._stage = ""
        self._told = 0.0

    def tell(self, **message: Any) -> None:
        line = json.dumps(message).encode() + b"\n"
        while line:
            line = line[os.write(self._descriptor, line) :]

    def progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage != self._stage or now - self._told >= INTERVAL:
            self._stage, self._told = progress.stage, now
            self.tell(progress=to_wire(progress))


def device() -> str:
    """What the loaded runner computes on."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name()}"
    return "cpu"


def main(runner: str, cache: str, log_file: str) -> None:
    """Do jobs until the engine goes."""
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s worker %(process)d %(levelname)s %(message)s")
    requests = Requests()
    with stdout_for_messages() as descriptor:
        messages = Messages(descriptor)
        run = load_runner(runner)
        messages.tell(ready=device())
        while (request := requests.next_job()) is not None:
            job_id = request["id"]
            log.info("job %s begins", job_id)
            try:
                steps = run(read_job(json.dumps(request["job"])), Path(cache))
                with requests.at_work(job_id) as cancelled:
                    result = work(steps, messages.progress, cancelled)
            except Cancelled:
                messages.tell(cancelled=True)
            except PenumbraError as error:
                messages.tell(failure=to_wire(failure_of(error)))
            except Exception as error:
                # An error that nobody foresaw may leave the device unusable: the next job gets a new process.
                messages.tell(failure=to_wire(failure_of(error, log_file)), leaving=True)
                return
            else:
                messages.tell(result=to_wire(result))
            log.info("job %s ended", job_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
