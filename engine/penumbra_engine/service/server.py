"""Serve one engine: bind, say where in the runtime file, answer until told to stop, tidy up."""

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import secrets
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

import penumbra_engine
from penumbra import launcher
from penumbra.client import Runtime
from penumbra.protocol import PROTOCOL_VERSION
from penumbra_engine.errors import EngineError
from penumbra_engine.service.app import create_app
from penumbra_engine.service.engine import Engine
from penumbra_engine.service.work import RUNNER

log = logging.getLogger(__name__)


def serve(
    port: int = 0,
    socket_path: str = "",
    idle_exit: float | None = None,
    runner: str = RUNNER,
    announce: Callable[[Runtime], None] = lambda runtime: None,
) -> None:
    """Serve this user's engine until SIGTERM, Ctrl-C, a request to end, or `idle_exit` minutes without work.

    Listens on 127.0.0.1 at `port` (0: any free one), or on the socket file `socket_path`. `announce` is called once it
    listens. Raises EngineError when another engine runs or the address can't be had.
    """
    home = launcher.home()
    runtime_file = launcher.runtime_path()
    try:
        runtime_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = launcher.Lock(runtime_file.with_name("engine.lock"))
        free = lock.take()
    except OSError as error:
        raise EngineError(f"{home} can't be written: {error}; set PENUMBRA_HOME to a folder of yours") from error
    if not free:
        raise EngineError("the engine already runs; `penumbra status` shows it, `penumbra serve --stop` ends it")
    try:
        with _log_to(launcher.log_path()), listening(port, socket_path) as listener:
            runtime = runtime_of(listener, socket_path)
            asyncio.run(_serve(Engine(home, runner), listener, runtime, idle_exit, announce))
    finally:
        lock.release()


async def _serve(
    engine: Engine,
    listener: socket.socket,
    runtime: Runtime,
    idle_exit: float | None,
    announce: Callable[[Runtime], None],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    write_runtime(runtime, launcher.runtime_path())
    log.info("engine %d (version %s) listens on %s", runtime.pid, runtime.version, address(runtime))
    announce(runtime)
    try:
        await answer(engine, listener, runtime, stop, idle_exit)
    finally:
        launcher.runtime_path().unlink(missing_ok=True)
        log.info("engine %d has ended", runtime.pid)


async def answer(
    engine: Engine, listener: socket.socket, runtime: Runtime, stop: asyncio.Event, idle_exit: float | None = None
) -> None:
    """Answer requests on the listening socket until `stop` is set or the engine is idle for `idle_exit` minutes."""
    hosts = _hosts(runtime)
    config = uvicorn.Config(
        create_app(engine, runtime.token, hosts, stop.set),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=3,
    )
    server = _Server(config)
    engine.start()
    serving = asyncio.create_task(server.serve([listener]))
    watching = asyncio.create_task(_stop_when_idle(engine, stop, idle_exit))
    await asyncio.wait((serving, asyncio.create_task(stop.wait())), return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    await engine.stop()  # event streams end with the last event, so that the server has nothing to wait for
    server.should_exit = True
    await serving
    engine.close()


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn would pass them on after its end, before ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def write_runtime(runtime: Runtime, path: Path) -> None:
    """Write the runtime file for this user's eyes only; it appears whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mkstemp makes it 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(runtime), file)
    Path(name).replace(path)


def address(runtime: Runtime) -> str:
    """Where an engine listens, for people."""
    return runtime.socket or f"http://{runtime.host}:{runtime.port}"


def runtime_of(listener: socket.socket, socket_path: str = "") -> Runtime:
    """What an engine in this process says of itself, with a new token."""
    host, port = ("", 0) if socket_path else listener.getsockname()[:2]
    pid = os.getpid()
    start_time = launcher.process_start(pid)
    assert start_time is not None  # this process lives
    return Runtime(
        pid=pid,
        start_time=start_time,
        host=host,
        port=port,
        socket=str(Path(socket_path).absolute()) if socket_path else "",
        token=secrets.token_urlsafe(32),
        version=penumbra_engine.__version__,
        protocol=PROTOCOL_VERSION,
        log=str(launcher.log_path()),
    )


def _hosts(runtime: Runtime) -> frozenset[str]:
    """The Host headers that name this engine."""
    if runtime.socket:
        return frozenset(["localhost"])
    return frozenset([f"127.0.0.1:{runtime.port}", f"localhost:{runtime.port}"])


@contextlib.contextmanager
def listening(port: int = 0, socket_path: str = "") -> Iterator[socket.socket]:
    """A socket that listens, so that clients may come from now on. Raises EngineError when the address can't be had."""
    if socket_path:
        with _listening_on_file(Path(socket_path)) as listener:
            yield listener
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        if sys.platform != "win32":  # there it would let others take the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise EngineError(f"port {port} can't be had: {error}; leave --port out for a free one") from error
        listener.listen()
        yield listener


@contextlib.contextmanager
def _listening_on_file(path: Path) -> Iterator[socket.socket]:
    if not hasattr(socket, "AF_UNIX"):
        raise EngineError("this system has no socket files; leave --socket out")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        mask = os.umask(0o177)
        try:
            # We hold the lock, so a socket that lies here was left by an engine that died.
            if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
                path.unlink()
            listener.bind(str(path))
        except OSError as error:
            raise EngineError(f"the socket file {path} can't be made: {error}; choose another path") from error
        finally:
            os.umask(mask)
        try:
            listener.listen()
            yield listener
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _log_to(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [logging.FileHandler(path, encoding="utf-8")]
    if sys.stderr.isatty():
        handlers.append(logging.StreamHandler())
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        yield
    finally:
        logging.shutdown()


async def _stop_when_idle(engine: Engine, stop: asyncio.Event, minutes: float | None) -> None:
    if minutes is None:
        return
    while (left := minutes * 60 - engine.idle_seconds) > 0:
        await asyncio.sleep(left)
    log.info("nothing to do for %g minutes", minutes)
    stop.set()
