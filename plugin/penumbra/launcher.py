"""Find the engine of this user, or start it. Standard library only: hosts call this from their own Python."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any, Dict, List, Optional

from . import protocol
from .client import Client, EngineUnavailable, Runtime

#: An engine that a client started ends after this many minutes without jobs and requests.
IDLE_EXIT_MINUTES = 30

#: Seconds an engine may take from its start until it listens (a cold disk, a virus scanner).
START_TIMEOUT = 60.0

# A host's own Python, libraries and Qt settings break the engine's interpreter.
_FOREIGN = ("PYTHON", "LD_", "DYLD_", "QT_", "__PYVENV_LAUNCHER__")


def home() -> Path:
    """The folder of this user's engine: cache, runtime file, logs and jobs. $PENUMBRA_HOME chooses another one."""
    chosen = os.environ.get("PENUMBRA_HOME")
    if chosen:
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "Penumbra"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Penumbra"
    return Path.home() / ".local" / "share" / "penumbra"


def runtime_path() -> Path:
    """The file in which a running engine says where it listens; readable by its user only."""
    return home() / "run" / "runtime.json"


def log_path() -> Path:
    """The engine's log."""
    return home() / "logs" / "engine.log"


def read_runtime() -> Optional[Runtime]:
    """What the runtime file says, whether that engine still lives or not; None without a readable file."""
    try:
        data = json.loads(runtime_path().read_text(encoding="utf-8"))
        runtime = protocol.from_wire(Runtime, data)  # type: Runtime
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return runtime


def find_engine() -> Optional[Runtime]:
    """The running engine of this user, or None. A runtime file that a dead engine left counts as none.

    Raises EngineUnavailable when one runs that speaks another protocol.
    """
    runtime = read_runtime()
    if runtime is None or process_start(runtime.pid) != runtime.start_time:
        return None
    if runtime.protocol != protocol.PROTOCOL_VERSION:
        raise EngineUnavailable(
            "the running engine (process {}, version {}) speaks protocol {}, this side speaks {}; end that process, "
            "then try again".format(runtime.pid, runtime.version, runtime.protocol, protocol.PROTOCOL_VERSION))
    try:
        Client(runtime).health()
    except EngineUnavailable:
        return None
    return runtime


def engine_command() -> List[str]:
    """How to call the `penumbra` command: $PENUMBRA_ENGINE, else what the installation wrote to engine.json.

    Raises EngineUnavailable when neither says so.
    """
    chosen = os.environ.get("PENUMBRA_ENGINE")
    if chosen:
        if not os.path.isfile(chosen):
            raise EngineUnavailable("$PENUMBRA_ENGINE is {!r}, which is no file; set it to the engine's `penumbra` "
                                    "program".format(chosen))
        return [chosen]
    path = home() / "engine.json"
    try:
        command = json.loads(path.read_text(encoding="utf-8"))["command"]
        return [str(word) for word in command]
    except FileNotFoundError as error:
        raise EngineUnavailable("no engine is installed for this user ({} is missing); run `python3 install.py nuke` "
                                "or `natron` in Penumbra's folder, or set PENUMBRA_ENGINE".format(path)) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineUnavailable("{} can't be read ({!r}); run Penumbra's install.py "
                                "again".format(path, error)) from error


def clean_environment() -> Dict[str, str]:
    """This process's environment without what a host sets for its own Python, libraries and Qt."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


def ensure_engine(command: Optional[List[str]] = None, timeout: float = START_TIMEOUT) -> Runtime:
    """The running engine of this user; starts one when there is none. Raises EngineUnavailable."""
    return find_engine() or start_engine(command, timeout)


def start_engine(command: Optional[List[str]] = None, timeout: float = START_TIMEOUT) -> Runtime:
    """Start the engine apart from this process and wait until it answers; returns one that others started meanwhile.

    `command` calls the `penumbra` command, engine_command() when None. Raises EngineUnavailable with the end of
    the log when the engine ends or stays silent for `timeout` seconds.
    """
    call = [*(command or engine_command()), "serve", "--idle-exit", str(IDLE_EXIT_MINUTES)]
    deadline = time.monotonic() + timeout
    lock = Lock(home() / "run" / "start.lock")
    while not lock.take():  # somebody else is starting it
        _wait(deadline, "another program has been starting the engine for {:.0f} s".format(timeout), 0)
    try:
        found = find_engine()
        return found or _start(call, deadline)
    finally:
        lock.release()


def _start(call: List[str], deadline: float) -> Runtime:
    log_path().parent.mkdir(parents=True, exist_ok=True)
    with log_path().open("ab") as log:
        before = log.tell()
        try:
            process = subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=str(home()),
                                       env=clean_environment(), close_fds=True, **_detached())
        except OSError as error:
            raise EngineUnavailable("the engine can't be started with {!r}: {}".format(call[0], error)) from error
    while True:
        ended = process.poll()
        found = find_engine()
        if found:
            return found
        if ended is not None:
            raise EngineUnavailable("the engine ended with code {} while it started{}".format(ended, _log_tail(before)))
        _wait(deadline, "the engine (process {}) was started but does not answer".format(process.pid), before)


def _wait(deadline: float, complaint: str, log_start: int) -> None:
    if time.monotonic() > deadline:
        raise EngineUnavailable(complaint + _log_tail(log_start))
    time.sleep(0.05)


def _detached() -> Dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _log_tail(start: int) -> str:
    try:
        with log_path().open("rb") as log:
            log.seek(start)
            lines = log.read().decode("utf-8", "replace").strip().splitlines()[-15:]
    except OSError:
        lines = []
    return "; its log is {}{}".format(log_path(), "".join("\n    " + line for line in lines))


class Lock:
    """A lock between processes on one machine. The system frees it when its holder dies, so it is never stale."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = None  # type: Optional[IO[bytes]]

    def take(self) -> bool:
        """Take it if it is free; says whether it is ours now. Raises OSError when the file can't be made."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._path.open("ab")
        try:
            _lock_file(file)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Free it."""
        if self._file is not None:
            self._file.close()
            self._file = None


if sys.platform == "win32":
    import ctypes
    import msvcrt

    def _lock_file(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def process_start(pid: int) -> Optional[str]:
        """When the process started, as a word that only compares equal for the same process; None when it is gone."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = ctypes.c_void_p(kernel.OpenProcess(0x1000, False, pid))  # PROCESS_QUERY_LIMITED_INFORMATION
        if not handle:
            return None
        created, ended, system, user = (ctypes.c_ulonglong() for _ in range(4))
        code = ctypes.c_ulong()
        try:
            if not kernel.GetProcessTimes(handle, *(ctypes.byref(t) for t in (created, ended, system, user))):
                return None
            kernel.GetExitCodeProcess(handle, ctypes.byref(code))
            return str(created.value) if code.value == 259 else None  # STILL_ACTIVE
        finally:
            kernel.CloseHandle(handle)
else:
    import fcntl

    def _lock_file(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    def process_start(pid: int) -> Optional[str]:
        """When the process started, as a word that only compares equal for the same process; None when it is gone."""
        if sys.platform.startswith("linux"):
            try:
                stat = Path("/proc/{}/stat".format(pid)).read_bytes()
            except OSError:
                return None
            fields = stat.rpartition(b")")[2].split()  # the program's name may hold blanks
            return None if fields[0] in (b"Z", b"X") else fields[19].decode("ascii")
        answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], stdout=subprocess.PIPE, check=False)
        state, _, started = answer.stdout.decode("ascii", "replace").strip().partition(" ")
        return started.strip() or None if not state.startswith("Z") else None
