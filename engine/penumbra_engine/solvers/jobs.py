"""The one door to all solvers: a job in, its progress out."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from penumbra.protocol import Job, Progress, Result
from penumbra_engine.cache import Store
from penumbra_engine.errors import UsageError
from penumbra_engine.solvers.clean_plate.solve import solve as solve_clean_plate
from penumbra_engine.solvers.matte.solve import solve as solve_matte
from penumbra_engine.solvers.omnimatte.solve import solve as solve_omnimatte
from penumbra_engine.solvers.trimap.solve import solve as solve_trimap

#: Each takes the job of its kind.
_SOLVERS: dict[str, Callable[[Any, Store], Generator[Progress, None, Result]]] = {
    "omnimatte": solve_omnimatte,
    "clean-plate": solve_clean_plate,
    "matte": solve_matte,
    "trimap": solve_trimap,
}


def run(job: Job, cache_root: Path) -> Generator[Progress, None, Result]:
    """Run a job of any kind. Yields progress, returns the result; closing the generator cancels the job."""
    if job.kind not in _SOLVERS:
        raise UsageError(f"job kind {job.kind!r}: use {' or '.join(_SOLVERS)}", "kind")
    return (yield from _SOLVERS[job.kind](job, Store(cache_root)))
