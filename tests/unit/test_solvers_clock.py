"""How far a job is, by the parts of its stages."""

from collections.abc import Iterator

import pytest

from penumbra_engine.solvers.clock import Clock
from penumbra_engine.solvers.steps import Steps


def steps() -> Steps[str]:
    for done in range(2):
        yield done + 1, 2
    return "made"


def fractions(clock: Clock, stage: str) -> Iterator[float]:
    return (progress.fraction for progress in clock.run(stage, steps()))


def test_a_stage_that_is_left_out_counts_as_done() -> None:
    clock = Clock({"decode": 0.1, "uncover": 0.3, "learn": 0.2, "write": 0.4})
    assert list(fractions(clock, "decode")) == pytest.approx([0, 0.05, 0.1])
    assert list(fractions(clock, "learn")) == pytest.approx([0.4, 0.5, 0.6])
    assert list(fractions(clock, "write")) == pytest.approx([0.6, 0.8, 1])
    assert list(clock.seconds) == ["decode", "learn", "write"]
