"""What a solve costs: seconds and memory, by stage, as it runs in this process."""

import re
import sys
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from penumbra.protocol import Job, Progress, Result
from penumbra_engine.solvers.jobs import run

R = TypeVar("R")

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Cost:
    """seconds, processor seconds of all threads, and peak_mb by stage, in the order in which they ran; peaks are of the
    process' resident memory."""

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    @property
    def cpu_total(self) -> float:
        return sum(self.cpu_seconds.values())

    @property
    def peak(self) -> float:
        return max(self.peak_mb.values())


class Meter:
    """Measures stages that follow each other. Call `stage` where one begins, `end` after the last."""

    def __init__(self) -> None:
        self.cost = Cost()
        self._stage, self._began, self._cpu_began = "", time.monotonic(), time.process_time()

    def stage(self, name: str) -> None:
        """Go on to a stage; the one that is measured already goes on."""
        if name != self._stage:
            self.end()
            self._stage, self._began, self._cpu_began = name, time.monotonic(), time.process_time()
            with suppress(OSError):  # where the system has no such thing, a peak is the highest so far
                _RESET.write_text("5")

    def end(self) -> Cost:
        """Close the last stage and give the cost of all."""
        if self._stage:
            spent, cpu = time.monotonic() - self._began, time.process_time() - self._cpu_began
            self.cost.seconds[self._stage] = self.cost.seconds.get(self._stage, 0.0) + spent
            self.cost.cpu_seconds[self._stage] = self.cost.cpu_seconds.get(self._stage, 0.0) + cpu
            self.cost.peak_mb[self._stage] = max(self.cost.peak_mb.get(self._stage, 0.0), _peak_mb())
            self._stage = ""
        return self.cost


def measured_run(job: Job, cache: Path) -> tuple[Result, Cost]:
    """Solve a job in this process, with `cache` for its stages, and measure it. Raises what the solver raises."""
    return measured(run(job, cache))


def measured(steps: Generator[Progress, None, R]) -> tuple[R, Cost]:
    """Run a solver to its end and measure it by the stages it reports."""
    meter = Meter()
    meter.stage("open")
    while True:
        try:
            meter.stage(next(steps).stage)
        except StopIteration as end:
            return end.value, meter.end()


def _peak_mb() -> float:
    """The highest resident memory since it was last reset, in MB of 10^6 bytes."""
    if _STATUS.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
        return int(found[1]) * 1024 / 1e6 if found else float("nan")
    if sys.platform == "win32":
        return float("nan")
    import resource

    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest / 1e6 if sys.platform == "darwin" else highest * 1024 / 1e6
