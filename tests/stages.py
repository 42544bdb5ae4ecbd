"""A stage of a solve, run to its end."""

from collections.abc import Generator
from typing import Any, TypeVar

R = TypeVar("R")


def finished(steps: Generator[Any, None, R]) -> R:
    """What a stage returns, its progress left unread."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
