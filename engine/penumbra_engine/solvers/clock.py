"""The clock of a job: turns the steps of its stages into progress, and keeps the time each took."""

import itertools
import time
from collections.abc import Generator, Mapping

from penumbra.protocol import Progress
from penumbra_engine.solvers.steps import R, Steps


class Clock:
    """Runs stages one after the other. parts: each stage's part of the whole, about what it takes of a cold solve's
    time, in their order; they sum to 1, and a stage that is left out counts as done once a later one runs. seconds:
    what each stage took so far. message: what progress says, until it is changed."""

    def __init__(self, parts: Mapping[str, float]) -> None:
        self.parts = parts
        self.started = time.monotonic()
        self.before = dict(zip(parts, itertools.accumulate(parts.values(), initial=0.0), strict=False))
        self.seconds: dict[str, float] = {}
        self.message = ""

    def run(self, stage: str, steps: Steps[R]) -> Generator[Progress, None, R]:
        """Run a stage to its end. Closing this generator closes the stage."""
        began = time.monotonic()
        before, part = self.before[stage], self.parts[stage]
        yield self._progress(stage, 0, 1, before)
        while True:
            try:
                done, total = next(steps)
            except StopIteration as end:
                self.seconds[stage] = time.monotonic() - began
                return end.value
            except GeneratorExit:
                steps.close()
                raise
            try:
                yield self._progress(stage, done, total, before + part * done / max(total, 1))
            except GeneratorExit:
                steps.close()  # now, so that what it holds is let go of before the job is called cancelled
                raise

    def spent(self) -> dict[str, float]:
        """Seconds by stage, and of all so far."""
        return {
            **{name: round(value, 3) for name, value in self.seconds.items()},
            "all": round(time.monotonic() - self.started, 3),
        }

    def _progress(self, stage: str, done: int, total: int, fraction: float) -> Progress:
        spent = time.monotonic() - self.started
        eta = spent * (1 - fraction) / fraction if fraction > 0.02 and spent > 1 else None
        return Progress(stage, done, total, min(fraction, 1.0), self.message, eta)
