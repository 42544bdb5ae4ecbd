"""What the commands show: progress on stderr, results on stdout."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from penumbra.protocol import Failure, Progress, Result, to_wire


class Ended(Exception):
    """The job ended without a result."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class ProgressDisplay:
    """Progress on stderr: a bar in a terminal; elsewhere a line for each stage and each tenth of the whole."""

    def __init__(self) -> None:
        self._bar = _bar() if sys.stderr.isatty() else None
        self._line: tuple[str, int] | None = None

    def __enter__(self) -> "ProgressDisplay":
        if self._bar:
            self._bar.start()
            self._bar.add_task("waiting", total=1.0, eta="")
        return self

    def __exit__(self, *raised: object) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Show where a job is."""
        eta = "" if progress.eta_seconds is None else f"{_duration(progress.eta_seconds)} left"
        text = f"{progress.stage} {progress.done}/{progress.total} {progress.message}".rstrip()
        if self._bar:
            self._bar.update(self._bar.task_ids[0], description=text, completed=progress.fraction, eta=eta)
            return
        line = (progress.stage, int(progress.fraction * 10))
        if line != self._line:
            self._line = line
            print(f"{progress.fraction:4.0%}  {text}{', ' if eta else ''}{eta}", file=sys.stderr, flush=True)


def show_result(result: Result, as_json: bool) -> None:
    """What a job wrote, for people or for programs."""
    if as_json:
        show_json(to_wire(result))
        return
    for warning in result.warnings:
        print(f"penumbra: warning: {warning}", file=sys.stderr)
    print(f"Solved {result.frames} in {_duration(result.seconds)}; layers in {result.colorspace}")
    paths = {**result.layers, "all files": result.out, "overview": result.overview, "report": result.report}
    width = max(map(len, paths))
    for name, path in paths.items():
        print(f"  {name:<{width}}  {path}")


def show_json(value: Any) -> None:
    """One object on stdout."""
    print(json.dumps(value), flush=True)


def _bar() -> Bar:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    return Bar(*columns, TextColumn("{task.fields[eta]}"), console=Console(stderr=True), transient=True)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
