"""Training from a folder or from nothing: what is read, what is refused, and what `penumbra train` writes."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch

from penumbra_engine.cache import Store
from penumbra_engine.errors import InputError, UsageError
from penumbra_engine.models.small_matte import SmallMatte
from penumbra_engine.training import recipes
from penumbra_engine.training.recipes import train_model
from penumbra_engine.training.sources import batch, beside, source_of
from pictures import write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A grey square of half its picture, and two backgrounds as bright as it."""
    layer = np.zeros((60, 80, 4), np.float32)
    layer[15:45, 20:60] = (0.4, 0.4, 0.4, 1)
    write(tmp_path / "foreground" / "square.exr", layer, "float")
    for name in ("a", "b"):
        write(tmp_path / "background" / f"{name}.exr", np.full((60, 80, 3), 0.4, np.float32), "float")
    return tmp_path


def run(out: Path, store: Store, data: str = "procedural", steps: int = 2, stop_after: int = 0) -> float:
    training = train_model("small", data, steps, 1, out, store)
    try:
        while True:
            done, _ = next(training)
            if done == stop_after:
                training.close()
                return 0.0
    except StopIteration as end:
        return end.value


def test_layers_are_put_over_backgrounds(folder: Path) -> None:
    picture, clean, alpha = source_of(str(folder))(32, np.random.default_rng(0))
    assert picture.shape == clean.shape == (32, 32, 3)
    assert alpha.max() == 1
    assert np.abs(clean - 0.4).max() < 1e-5 and np.abs(picture - 0.4).max() < 0.1  # alike but for the grain


def test_a_darker_layer_is_lit_like_its_new_place(folder: Path) -> None:
    write(folder / "foreground" / "square.exr", np.full((60, 80, 4), 1.0, np.float32) * (0.3, 0.3, 0.3, 1), "float")
    picture, _, alpha = source_of(str(folder))(16, np.random.default_rng(3))
    assert picture[alpha == 1].mean() == pytest.approx(0.4, abs=0.01)


def test_a_folder_that_lacks_something_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="foreground"):
        source_of(str(tmp_path / "nothing"))
    write(folder / "foreground" / "square.exr", np.zeros((8, 8, 3)), "float")
    with pytest.raises(InputError, match="needs RGBA"):
        source_of(str(folder))


def test_the_network_sees_the_picture_and_its_difference_from_the_background() -> None:
    grey, white = np.full((2, 2, 3), 0.5, np.float32), np.ones((2, 2, 3), np.float32)
    seen = beside(white, grey)
    assert seen.shape == (6, 2, 2)
    assert seen[:3] == pytest.approx(1) and seen[3:] == pytest.approx(1 - 0.735357, abs=1e-4)  # sRGB of 0.5
    assert not beside(grey, grey)[3:].any()


def test_a_batch_is_made_of_its_randomness_alone() -> None:
    source = source_of("procedural")
    first, second = (batch(source, 2, 32, np.random.default_rng(9)) for _ in range(2))
    assert first[0].shape == (2, 6, 32, 32) and first[1].shape == (2, 1, 32, 32)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_a_training_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "_SIDE", 32)
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    assert run(whole, Store(tmp_path / "a")) > 0
    run(stopped, Store(tmp_path / "b"), stop_after=1)
    assert not stopped.exists()
    run(stopped, Store(tmp_path / "b"))
    assert stopped.read_bytes() == whole.read_bytes()
    SmallMatte().load_state_dict(safetensors.torch.load_file(whole))


def test_an_unknown_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="small"):
        next(train_model("large", "procedural", 1, 0, tmp_path / "x", Store(tmp_path)))
