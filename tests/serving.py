"""An engine in a thread of the test's own process, reached over a real socket, its worker a real process."""

import asyncio
import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from penumbra.client import Client, Runtime
from penumbra.protocol import Event, JobState, Mask, OmnimatteJob, Result
from penumbra_engine.service import server
from penumbra_engine.service.engine import Engine

#: Seconds after which a condition that should long hold is a failure; generous, the machine may be busy.
DEADLINE = 60.0


class Served:
    """One engine that answers."""

    def __init__(self, home: Path, runtime: Runtime, thread: threading.Thread, stop: Callable[[], None]) -> None:
        self.home = home
        self.runtime = runtime
        self.thread = thread
        self.stop = stop  # as a signal does
        self.client = Client(runtime)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """A plain request with the token, unless `headers` say otherwise; an empty header is left out."""
        sent = {"Authorization": f"Bearer {self.runtime.token}", "Content-Type": "application/json"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        connection = http.client.HTTPConnection(self.runtime.host, self.runtime.port, timeout=DEADLINE)
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, content, {name: value for name, value in sent.items() if value})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(text) if is_json else text

    def watch(self, job_id: str, after: int = 0) -> list[Event]:
        """All events of a job to its end."""
        return list(self.client.watch(job_id, after))

    def result(self, job: OmnimatteJob) -> Result:
        """What a job that must succeed returns."""
        last = self.watch(self.client.submit(job).id)[-1]
        assert last.state is JobState.DONE, last
        assert last.result is not None
        return last.result

    def wait_for(self, job_id: str, *states: JobState) -> None:
        """Wait until a job is in one of the states."""
        until(lambda: self.client.status(job_id).state in states)


@contextmanager
def served(
    home: Path, runner: str = "fake_runner:run", idle_exit: float | None = None, **knobs: Any
) -> Iterator[Served]:
    """An engine for the block; `knobs` are those of Engine, or `socket_path`. Jobs that run at the end are stopped."""
    socket_path = knobs.pop("socket_path", "")
    begun: list[tuple[Runtime, Callable[[], None]]] = []
    ready = threading.Event()

    async def answer() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        with server.listening(0, socket_path) as listener:
            runtime = server.runtime_of(listener, socket_path)
            begun.append((runtime, lambda: loop.call_soon_threadsafe(stop.set)))
            ready.set()
            await server.answer(Engine(home, runner, **knobs), listener, runtime, stop, idle_exit)

    with mock.patch.dict(os.environ, with_runners()):
        thread = threading.Thread(target=asyncio.run, args=(answer(),), daemon=True)
        thread.start()
        assert ready.wait(DEADLINE)
        runtime, stop = begun[0]
        try:
            yield Served(home, runtime, thread, stop)
        finally:
            if thread.is_alive():
                stop()
            thread.join(DEADLINE)
            assert not thread.is_alive()


def shared_engine(**knobs: Any) -> Callable[..., Iterator[Served]]:
    """A fixture: an engine for all tests of a module, as of `served`."""

    @pytest.fixture(scope="module")
    def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
        with served(tmp_path_factory.mktemp("engine"), **knobs) as engine:
            yield engine

    return engine


@contextmanager
def lent(engine: Served) -> Iterator[Served]:
    """An engine that tests share, for one of them: what that leaves in work is cancelled at its end."""
    yield engine
    for status in engine.client.jobs():
        if not status.state.final:
            engine.client.cancel(status.id)
            engine.watch(status.id)


def job(out: Path, how: str = "done", **changed: Any) -> OmnimatteJob:
    """A job for the fake runner."""
    words: dict[str, Any] = dict(frames="1001-1010", colorspace="ACEScg", masks=[Mask("a", "/fake/a.####.png")])
    return OmnimatteJob(plate=f"/fake/{how}", out=str(out), **{**words, **changed})


def until(holds: Callable[[], Any]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


def with_runners() -> dict[str, str]:
    """The environment in which a worker finds the runners of the tests."""
    return {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])}
