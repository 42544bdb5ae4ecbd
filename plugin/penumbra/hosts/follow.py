"""Follow one job: hand it in, listen, cancel, leave. Knows no host and touches no node."""

import threading
import time
import traceback
from typing import Any, Callable, Optional, Tuple

from ..client import Client, EngineError, EngineUnavailable
from ..launcher import ensure_engine, find_engine
from ..protocol import ErrorCode, Event, Failure, JobState

#: Seconds between two progress messages to a host's panel.
QUIET = 0.1


def any_engine() -> Client:
    """A client of this user's engine, started if need be. Raises EngineUnavailable."""
    return Client(ensure_engine())


def running_engine() -> Client:
    """A client of the engine that runs. Raises EngineUnavailable when none does."""
    runtime = find_engine()
    if runtime is None:
        raise EngineUnavailable("no engine runs; Solve starts one")
    return Client(runtime)


def in_background(work: Callable[[], None]) -> None:
    """Do this on a thread that the host need not wait for when it ends."""
    threading.Thread(target=work, name="penumbra", daemon=True).start()


class Follower:
    """One job being followed: `run` once, on any thread; `cancel` and `leave` from any other."""

    def __init__(self, connect: Callable[[], Client], job: Any = None, key: str = "", job_id: str = "",
                 clock: Callable[[], float] = time.monotonic) -> None:
        """`job` is handed in under the idempotency key `key`, unless `job_id` names one the engine has already."""
        self._connect, self._job, self._key, self._id, self._clock = connect, job, key, job_id, clock
        self._cancelled = threading.Event()
        self._left = False
        self._client: Optional[Client] = None
        self._told: Optional[Tuple[JobState, float]] = None

    def run(self, made: Callable[[str], None], tell: Callable[[Event], None]) -> None:
        """Follow to the end of the job, or until leave().

        `made(job_id)` is called once the engine has the job, `tell(event)` for progress, at most ten times a second,
        and for the final event, which always comes; neither is called after leave().
        """
        try:
            last = self._follow(made, tell)
        except EngineError as error:
            last = Event(0, JobState.FAILED, failure=error.failure)
        except Exception as error:  # a thread that dies silently would leave the node "solving" for ever
            traceback.print_exc()
            last = Event(0, JobState.FAILED, failure=Failure(
                int(ErrorCode.ENGINE), "an error inside Penumbra, {!r}; the terminal says more".format(error)))
        if last is not None and not self._left:
            tell(last)

    def cancel(self) -> None:
        """Ask the engine to cancel this job; the final event still comes. Does not wait for the engine."""
        self._cancelled.set()
        in_background(self._cancel)

    def leave(self) -> None:
        """Stop following. The job goes on."""
        self._left = True
        if self._client is not None:
            self._client.close()

    def _follow(self, made: Callable[[str], None], tell: Callable[[Event], None]) -> Optional[Event]:
        if self._cancelled.is_set():
            return Event(0, JobState.CANCELLED)
        self._client = self._connect()
        if not self._id:
            self._id = self._client.submit(self._job, self._key).id
        if self._left:
            return None
        made(self._id)
        if self._cancelled.is_set():
            self._client.cancel(self._id)
        for event in self._client.watch(self._id):
            if event.state.final:
                return event
            if not self._left and self._due(event.state):
                tell(event)
        return None

    def _due(self, state: JobState) -> bool:
        now = self._clock()
        if self._told is not None and self._told[0] is state and now - self._told[1] < QUIET:
            return False
        self._told = (state, now)
        return True

    def _cancel(self) -> None:
        if self._client is not None and self._id:
            try:
                self._client.cancel(self._id)
            except EngineError:
                pass  # run() listens to the same engine and says what became of it


class Relay:
    """Hands the newest event to the main thread; events it had no time for in between are dropped, never the last."""

    def __init__(self, call_main: Callable[[Callable[[], None]], None], show: Callable[[Event], None]) -> None:
        self._call_main, self._show = call_main, show
        self._lock = threading.Lock()
        self._newest: Optional[Event] = None

    def tell(self, event: Event) -> None:
        """From any thread."""
        with self._lock:
            asked = self._newest is not None
            self._newest = event
        if not asked:
            self._call_main(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            event, self._newest = self._newest, None
        if event is not None:
            self._show(event)


def say(event: Event) -> str:
    """An event as one line for the panel."""
    if event.state is JobState.FAILED:
        return event.failure.message if event.failure else "the engine failed and did not say why; look at its log"
    if event.state is JobState.DONE and event.result is not None:
        result = event.result
        text = "solved {} in {:.0f} s, layers in {}".format(result.frames, result.seconds, result.colorspace)
        if len(result.warnings) == 1:
            text += "; " + result.warnings[0]
        elif result.warnings:
            text += "; {} warnings, see {}".format(len(result.warnings), result.report)
        return text
    progress = event.progress
    if progress is None:
        return event.state.value
    parts = ["{} {} of {}".format(progress.stage, progress.done, progress.total),
             "{:.0f} %".format(100 * progress.fraction)]
    if progress.eta_seconds is not None:
        parts.append("{:.0f} s left".format(progress.eta_seconds))
    if progress.message:
        parts.append(progress.message)
    return ", ".join(parts)
