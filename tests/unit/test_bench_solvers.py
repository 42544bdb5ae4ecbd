"""The bench of the matting solvers, on two small stills made here."""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from penumbra_engine.bench import solvers
from penumbra_engine.bench.peer import ABSENT
from penumbra_engine.bench.still import find_stills
from penumbra_engine.errors import InputError, UsageError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    for name, radius in (("A", 18), ("B", 22)):
        distance = np.hypot(y - 32, x - 32)
        alpha = np.clip((radius - distance) / 4, 0, 1)
        trimap = np.where(distance < radius - 8, 1, np.where(distance > radius + 4, 0, 0.5))
        picture = alpha[..., None] * [0.2, 0.3, 0.8] + (1 - alpha[..., None]) * [0.6, 0.4, 0.2]
        picture = picture + 0.02 * random.random(picture.shape)
        for part, pixels in (("input", picture), ("trimap1", trimap), ("gt", alpha)):
            (tmp_path / part).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / part / f"{name}.png"), np.round(255 * pixels).astype(np.uint8))
    return tmp_path


def test_every_solver_has_its_row_and_a_missing_peer_is_said(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solvers, "installed", lambda: False)
    monkeypatch.setattr(
        solvers, "_alone", lambda measure, *given, threads=1: measure(*given)
    )  # starts a process for each
    alphas, foregrounds = solvers.bench_solvers(pictures, "", lambda line: None)
    assert [row["solver"] for row in alphas.rows] == list(solvers.ALPHA)
    assert all(0 < row["sad"] < 0.1 and row["cpu_seconds"] > 0 for row in alphas.rows)  # type: ignore[operator]
    assert ABSENT in alphas.notes
    assert [row["estimator"] for row in foregrounds.rows] == list(solvers.FOREGROUND)


def test_threads_of_numpy_and_numba_are_told_to_the_peer_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def threads(label: str) -> tuple[str | None, str | None]:
        return os.environ.get("OPENBLAS_NUM_THREADS"), os.environ.get("NUMBA_NUM_THREADS")

    @contextmanager
    def pool(processes: int, *begins: Any) -> Iterator[SimpleNamespace]:
        """In the place of a process that would inherit what is set here: starting one takes seconds."""
        begun.append(begins)
        yield SimpleNamespace(apply=lambda measure, given: measure(*given))

    begun: list[Any] = []
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: SimpleNamespace(Pool=pool))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    peer, ours = (solvers._alone(threads, label, threads=2) for label in ("PyMatting x", "x"))
    assert peer == ("2", "2") and ours == threads("") == ("3", None)
    assert begun == [(), (torch.set_num_threads, (2,))]


def test_stills_are_found_by_name_and_read_as_they_are(pictures: Path) -> None:
    assert [still.name for still in find_stills(pictures)] == ["A", "B"]
    (still,) = find_stills(pictures, "B")
    assert still.picture.shape == (1, 3, 64, 64) and still.trimap.shape == still.truth.shape == (1, 1, 64, 64)
    assert still.picture[0, 0, 32, 32] > still.picture[0, 2, 32, 32]  # written blue first: the front is red
    assert still.unknown[32, 32 + 20] and not still.unknown[32, 32]


def test_missing_pictures_are_named(pictures: Path) -> None:
    with pytest.raises(UsageError, match="no C in its folder input"):
        find_stills(pictures, "C")
    (pictures / "gt" / "A.png").unlink()
    with pytest.raises(InputError, match=r"A\.png can't be read"):
        find_stills(pictures)
