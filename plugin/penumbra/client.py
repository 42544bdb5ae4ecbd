"""Talk to a running engine: submit, watch, cancel. Blocking calls; watch from a thread of its own."""

import http.client
import json
import socket
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional
from urllib.parse import quote

from . import protocol
from .protocol import Answer, ErrorCode, Event, Failure, Health, JobStatus

#: Seconds to wait for an answer, and for the next line of an event stream (the engine's heartbeat is shorter).
ANSWER_TIMEOUT = 10.0
STREAM_TIMEOUT = 40.0


@dataclass
class Runtime:
    """Where an engine listens and what it calls itself: the content of its runtime file."""

    pid: int
    start_time: str  # as launcher.process_start() tells it; a reused pid has another one
    host: str
    port: int  # 0 when it listens on a socket file
    socket: str  # path of the socket file, or ""
    token: str
    version: str
    protocol: int
    log: str


class EngineError(Exception):
    """Base of what a client raises. `failure` says what was expected and what to do."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class EngineUnavailable(EngineError):
    """No engine answers."""

    def __init__(self, message: str) -> None:
        super().__init__(Failure(int(ErrorCode.ENGINE), message))


class RequestRefused(EngineError):
    """The engine answered and said no."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """One engine, reached through its runtime file. Safe to use from several threads; each call has its connection."""

    def __init__(self, runtime: Runtime, patience: float = 30.0, pause: Callable[[float], None] = time.sleep) -> None:
        """`patience`: seconds that watch() goes on asking an engine that stopped answering."""
        self.runtime = runtime
        self._patience = patience
        self._pause = pause
        self._closed = False
        self._streams = []  # type: List[socket.socket]

    def health(self) -> Health:
        """How the engine is. Raises EngineUnavailable."""
        health = self._message(Health, self._call("GET", "/v1/health"))  # type: Health
        return health

    def submit(self, job: Any, idempotency_key: str = "") -> JobStatus:
        """Hand in a job. With the key of an earlier call it returns that call's job and starts nothing.

        Raises RequestRefused when a word of the job is wrong, EngineUnavailable.
        """
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._status(self._call("POST", "/v1/jobs", protocol.to_wire(job), headers))

    def jobs(self) -> List[JobStatus]:
        """All jobs the engine remembers, the newest first."""
        return [self._status(data) for data in self._call("GET", "/v1/jobs")]

    def status(self, job_id: str) -> JobStatus:
        """Where one job is. Raises RequestRefused when the engine knows no such job, EngineUnavailable."""
        return self._status(self._call("GET", _job_path(job_id)))

    def cancel(self, job_id: str) -> JobStatus:
        """Cancel this one job; a job that has ended stays as it is. Raises RequestRefused, EngineUnavailable."""
        return self._status(self._call("DELETE", _job_path(job_id)))

    def release_gpu(self) -> str:
        """Make the engine give back its GPU memory; returns what it did. Raises RequestRefused while a job runs."""
        return str(self._message(Answer, self._call("POST", "/v1/gpu/release")).message)

    def shutdown(self) -> str:
        """End the engine; returns what it did. Raises RequestRefused while it has jobs."""
        return str(self._message(Answer, self._call("POST", "/v1/shutdown")).message)

    def watch(self, job_id: str, after: int = 0) -> Iterator[Event]:
        """Events of a job with seq > `after`, to its final state; ends early after close().

        When the stream breaks, it asks for the status and rejoins after the last event it saw.
        Raises RequestRefused when the engine knows no such job, EngineUnavailable when it stays silent.
        """
        silent_since = None  # type: Optional[float]
        while not self._closed:
            try:
                for event in self._stream(job_id, after):
                    silent_since, after = None, event.seq
                    yield event
                    if event.state.final:
                        return
            except (OSError, http.client.HTTPException):
                pass  # the status below says whether there is still an engine
            if self._closed:
                return
            try:
                status = self.status(job_id)
            except EngineUnavailable:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > self._patience:
                    raise
            else:
                silent_since = None
                if status.last_event > after:
                    after = status.last_event
                    yield Event(after, status.state, status.progress, status.result, status.failure)
                if status.state.final:
                    return
            self._pause(1.0)

    def close(self) -> None:
        """End every watch() of this client, from any thread."""
        self._closed = True
        for stream in list(self._streams):
            try:
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the engine closed it first

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        if self.runtime.socket:
            return _UnixConnection(self.runtime.socket, timeout)
        return http.client.HTTPConnection(self.runtime.host, self.runtime.port, timeout=timeout)

    def _headers(self) -> Dict[str, str]:
        return {"Authorization": "Bearer " + self.runtime.token}

    def _call(self, method: str, path: str, body: Any = None, headers: Optional[Dict[str, str]] = None) -> Any:
        connection = self._connect(ANSWER_TIMEOUT)
        all_headers = dict(self._headers(), **(headers or {}))
        content = None
        if body is not None:
            content = json.dumps(body).encode("utf-8")
            all_headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, content, all_headers)
            response = connection.getresponse()
            status, text = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise EngineUnavailable("the engine (process {}) does not answer: {}; its log is {}".format(
                self.runtime.pid, error or type(error).__name__, self.runtime.log)) from error
        finally:
            connection.close()
        return self._read(status, text)

    def _read(self, status: int, text: bytes) -> Any:
        try:
            data = json.loads(text.decode("utf-8"))
        except ValueError as error:
            raise self._stranger("HTTP {}: {!r}".format(status, text[:200])) from error
        if status >= 400:
            raise RequestRefused(self._message(Failure, data))
        return data

    def _message(self, kind: type, data: Any) -> Any:
        try:
            return protocol.from_wire(kind, data)
        except (TypeError, ValueError, AttributeError) as error:
            raise self._stranger("{!r} is no {}".format(data, kind.__name__)) from error

    def _stranger(self, what: str) -> EngineUnavailable:
        return EngineUnavailable("what answers at the address of engine process {} does not speak protocol {} ({}); "
                                 "end it and try again".format(self.runtime.pid, protocol.PROTOCOL_VERSION, what))

    def _status(self, data: Any) -> JobStatus:
        status = self._message(JobStatus, data)  # type: JobStatus
        return status

    def _stream(self, job_id: str, after: int) -> Iterator[Event]:
        connection = self._connect(STREAM_TIMEOUT)
        connection.connect()
        stream = connection.sock  # the connection forgets it once the answer has begun
        self._streams.append(stream)
        try:
            if self._closed:
                return
            headers = dict(self._headers(), Accept="text/event-stream")
            connection.request("GET", "{}/events?after={}".format(_job_path(job_id), after), headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                self._read(response.status, response.read())
            for data in _sse_data(response):
                yield self._message(Event, json.loads(data))
        finally:
            self._streams.remove(stream)
            connection.close()


def _job_path(job_id: str) -> str:
    return "/v1/jobs/" + quote(job_id, safe="")


def _sse_data(lines: Any) -> Iterator[str]:
    """The data of each whole event of a stream; comments (the heartbeat) and other fields are skipped."""
    data = []  # type: List[str]
    for raw in lines:
        line = raw.decode("utf-8").rstrip("\r\n")
        if line.startswith("data:"):
            data.append(line[5:].lstrip(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
