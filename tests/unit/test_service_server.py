"""The engine as a process of its own: its runtime file, its signals, its lock, and how it comes back after a crash."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from penumbra import launcher
from penumbra.client import Client
from penumbra.protocol import PROTOCOL_VERSION, JobState
from penumbra_engine.cli.run import SELF
from penumbra_engine.errors import EngineError
from penumbra_engine.service import server
from serving import DEADLINE, job, until, with_runners

CODE = """
import json, sys
from penumbra_engine.service.server import serve
serve(runner="fake_runner:run", announce=lambda runtime: print("ready", flush=True), **json.loads(sys.argv[1]))
print("torch" in sys.modules, flush=True)
"""

Start = Callable[..., "subprocess.Popen[str]"]

needs_socket_files = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no socket files on this system")
needs_modes = pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes; the user's folder is private")


@pytest.fixture
def start(own_home: Path) -> Iterator[Start]:
    """Start an engine process and wait until it listens."""
    with starting(own_home) as run:
        yield run


@contextmanager
def starting(home: Path) -> Iterator[Start]:
    """The same for the block."""
    processes = []

    def run(**options: Any) -> "subprocess.Popen[str]":
        words = [sys.executable, "-c", CODE, json.dumps(options)]
        surroundings = {**os.environ, **with_runners(), "PENUMBRA_HOME": str(home)}
        process = subprocess.Popen(words, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            pytest.fail(process.communicate()[1])
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The home and the process of one that nothing ends."""
    home = tmp_path_factory.mktemp("shared") / "home"
    with starting(home) as run:
        yield home, run().pid


@pytest.fixture
def running(shared: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, int]:
    monkeypatch.setenv("PENUMBRA_HOME", str(shared[0]))
    return shared


def client() -> Client:
    runtime = launcher.find_engine()
    assert runtime is not None
    return Client(runtime)


def test_the_runtime_file_says_where_and_only_to_its_user(running: tuple[Path, int]) -> None:
    home, pid = running
    path = home / "run" / "runtime.json"
    runtime = launcher.find_engine()
    assert runtime is not None
    assert (runtime.pid, runtime.host, runtime.socket) == (pid, "127.0.0.1", "")
    assert (runtime.start_time, runtime.protocol) == (launcher.process_start(pid), PROTOCOL_VERSION)
    assert Path(runtime.log).exists()
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["engine.lock", "runtime.json"]


@needs_modes
def test_the_runtime_file_is_private_and_the_folder_too(running: tuple[Path, int]) -> None:
    path = running[0] / "run" / "runtime.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_it_never_imported_torch(start: Start, tmp_path: Path, number: int) -> None:
    process = start()
    job_id = client().submit(job(tmp_path)).id
    assert list(client().watch(job_id))[-1].state is JobState.DONE
    worker = list(client().watch(job_id))[-1].result
    assert worker is not None
    process.send_signal(number)
    out, error = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (0, "False\n"), error
    assert not launcher.runtime_path().exists()
    assert launcher.process_start(int(worker.report)) is None


def test_a_request_ends_it_too(start: Start) -> None:
    process = start()
    assert client().shutdown() == "the engine ends"
    assert process.wait(DEADLINE) == 0
    assert launcher.find_engine() is None


def test_an_idle_one_ends_by_itself(start: Start) -> None:
    process = start(idle_exit=0.001)
    assert process.wait(DEADLINE) == 0
    assert not launcher.runtime_path().exists()


@pytest.mark.usefixtures("running")
def test_a_second_engine_is_refused() -> None:
    before = launcher.find_engine()
    with pytest.raises(EngineError, match="already runs"):
        server.serve()
    assert launcher.find_engine() == before


def test_after_a_crash_the_next_one_tidies_up(start: Start, tmp_path: Path) -> None:
    process = start()
    done = client().submit(job(tmp_path / "a")).id
    worker = list(client().watch(done))[-1].result
    assert worker is not None
    running = client().submit(job(tmp_path / "b", "wait")).id
    queued = client().submit(job(tmp_path / "c")).id
    until((tmp_path / "b" / "steps").exists)
    process.kill()
    process.wait()
    assert launcher.runtime_path().exists()
    assert launcher.find_engine() is None, "what it left behind counts as none"
    until(lambda: launcher.process_start(int(worker.report)) is None)
    assert (tmp_path / "b" / "closed").exists(), "its worker stopped the job and ended as well"
    start()
    failed = client().status(running)
    assert failed.state is JobState.FAILED
    assert failed.failure is not None
    assert "an earlier engine ended while it had this job in work" in failed.failure.message
    assert list(client().watch(queued))[-1].state is JobState.DONE


def test_a_signal_during_a_job_says_so_in_the_job(start: Start, tmp_path: Path) -> None:
    process = start()
    running = client().submit(job(tmp_path, "wait")).id
    until((tmp_path / "steps").exists)
    process.terminate()
    assert process.wait(DEADLINE) == 0
    start()
    failed = client().status(running).failure
    assert failed is not None
    assert "the engine was stopped while it had this job in work" in failed.message


@needs_socket_files
def test_a_socket_file_instead_of_a_port(start: Start, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # short: a socket's path has at most about 100 letters
        path = Path(folder, "engine")
        process = start(socket_path=str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        runtime = client().runtime
        assert (runtime.socket, runtime.port) == (str(path), 0)
        assert list(client().watch(client().submit(job(tmp_path)).id))[-1].state is JobState.DONE
        process.kill()
        process.wait()
        assert path.exists(), "left by an engine that died"
        process = start(socket_path=str(path))
        assert client().health().pid == process.pid
        process.terminate()
        process.wait(DEADLINE)
        assert not path.exists()


@needs_socket_files
def test_a_file_that_is_no_socket_is_left_alone(own_home: Path, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("keep me")
    with pytest.raises(EngineError, match="precious"), server.listening(0, str(path)):
        pass
    assert path.read_text() == "keep me"


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(EngineError, match=f"port {port}"), server.listening(port):
            pass


@pytest.mark.parametrize("port", [-1, 70000])
def test_a_port_that_is_none_is_named(port: int) -> None:
    with pytest.raises(EngineError, match=str(port)), server.listening(port):
        pass


def test_a_home_that_can_t_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PENUMBRA_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(EngineError, match="PENUMBRA_HOME"):
        server.serve()


def test_a_client_starts_the_real_engine_which_keeps_torch_out_of_its_process(own_home: Path) -> None:
    client = Client(launcher.ensure_engine(SELF))
    until(lambda: client.health().state == "ready")
    health = client.health()
    assert (health.worker, health.pid) == ("idle", client.runtime.pid), "its worker has loaded the real solvers"
    assert health.device
    if Path("/proc/self/maps").exists():
        assert "libtorch" not in Path(f"/proc/{health.pid}/maps").read_text()
    client.shutdown()
    os.waitpid(health.pid, 0)
