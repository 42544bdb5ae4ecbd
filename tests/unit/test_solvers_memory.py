"""A plate that is too large is refused by what it would take, before anything is learned."""

from types import SimpleNamespace
from typing import Any

import pytest

from penumbra_engine.errors import EngineError
from penumbra_engine.solvers import memory
from penumbra_engine.solvers.alpha import alpha_memory
from penumbra_engine.solvers.matte.predict import prediction_memory
from penumbra_engine.solvers.matte.scene import scene_memory
from penumbra_engine.solvers.memory import available, require
from penumbra_engine.solvers.trimap.likeness import learning_memory


def of(width: int, height: int, keyframes: int) -> float:
    shot = SimpleNamespace(width=width, height=height, keyframes=[("fox", 1000 + at, None) for at in range(keyframes)])
    return scene_memory(shot) + prediction_memory(shot)  # type: ignore[arg-type]


def test_what_does_not_fit_is_refused_with_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 8e9)
    require(7.9e9, "a plate", "give less")
    with pytest.raises(EngineError, match=r"a plate takes about 8.1 GB of memory and 8.0 GB are free here: give less"):
        require(8.1e9, "a plate", "give less")


def test_nothing_is_refused_where_the_system_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(free: float | None) -> bool:
        monkeypatch.setattr(memory, "available", lambda: free)
        try:
            require(1e15, "a plate", "give less")
        except EngineError:
            return True
        return False

    assert refused(8e9)
    assert not refused(None)


def test_this_machine_tells_what_it_has() -> None:
    found = available()
    assert found is None or 1e8 < found < 1e14


def test_a_small_plate_takes_little_and_an_8k_one_gigabytes_more_with_every_keyframe() -> None:
    assert of(480, 270, 3) < 2e8
    assert 1.5e10 < of(7680, 4320, 3) < 2.5e10
    assert of(7680, 4320, 4) - of(7680, 4320, 3) > 3e9


def test_rows_are_looked_at_in_bands_however_many_there_are() -> None:
    wide = SimpleNamespace(width=7680, height=4320)
    assert prediction_memory(wide) < 8e9  # type: ignore[arg-type]


def test_trimaps_take_what_their_plate_their_objects_and_their_grey_pixels_take() -> None:
    hd: Any = SimpleNamespace(width=1920, height=1080)
    assert 1.8e9 < learning_memory(hd, 1) < 2.2e9
    assert learning_memory(hd, 3) > learning_memory(hd, 1)
    assert alpha_memory(hd, 1_000_000) - alpha_memory(hd, 0) == 2e9
