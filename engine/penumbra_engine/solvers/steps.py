"""What all stages share: how they tell their progress, and the version of the code that a cached result depends on."""

import functools
import hashlib
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

R = TypeVar("R")

#: A stage yields (done, total) while it works and returns its result. Closing it cancels it.
Steps = Generator[tuple[int, int], None, R]

_SOLVE = ("imaging", "matting", "models", "training", "solvers")


@functools.cache
def code_version() -> str:
    """A hash of the source of everything that a solve runs through: part of the key of each cached stage."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for folder in _SOLVE:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def within(span: tuple[float, float], steps: Steps[R]) -> Steps[R]:
    """A stage as a part of another; span: where it begins and ends, of 1."""
    while True:
        try:
            done, total = next(steps)
        except StopIteration as end:
            return end.value
        at = span[0] + (span[1] - span[0]) * done / max(total, 1)
        try:
            yield round(1000 * at), 1000
        except GeneratorExit:
            steps.close()
            raise
