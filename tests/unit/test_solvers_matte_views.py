"""What the network is shown: two objects whose colours say which is which, over a grey wall."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from penumbra_engine.cache import Store
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.solvers.matte import views as module
from penumbra_engine.solvers.matte.scene import Scene
from penumbra_engine.solvers.matte.views import Views

HEIGHT, WIDTH = 48, 64


class Space:
    """The working space is linear Rec.709 itself."""

    @staticmethod
    def working_to_lin_rec709(picture: np.ndarray) -> np.ndarray:
        return picture


class Shot:
    """What a scene asks of a shot."""

    frames, height, width, space = (1, 2), HEIGHT, WIDTH, Space()


class Wall:
    """A background that is known: grey, without grain."""

    noise, why_not, key, parallax = Noise(0.0, 0.0), "", "wall", False

    @staticmethod
    def read(index: int) -> torch.Tensor:
        return torch.full((3, HEIGHT, WIDTH), 0.2)


def box(left: int) -> np.ndarray:
    drawn = np.zeros((HEIGHT, WIDTH), np.float32)
    drawn[16:32, left : left + 16] = 1
    return drawn


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A red box keyed on the first frame, a blue one on the second."""
    from penumbra_engine.solvers.keyframes import Keyframes
    from penumbra_engine.solvers.plates import Plates

    red, blue = box(8), box(40)
    picture = np.full((3, HEIGHT, WIDTH), 0.2, np.float32) * (1 - red - blue)
    picture[0] += 0.8 * red
    picture[2] += 0.8 * blue
    with Store(tmp_path).entry("scene") as entry:
        plate, mattes = (entry.create_stack(name, (2, c, HEIGHT, WIDTH)) for name, c in (("plate", 3), ("mattes", 1)))
        for index, matte in enumerate((red, blue)):
            plate[index], mattes[index] = picture, matte[None]
    plates: Any = Plates("", plate, plate, 1.0)
    keyframes = Keyframes("", mattes, (("red", 0), ("blue", 1)))
    shot: Any = Shot()
    background: Any = Wall()
    return Scene(shot, plates, keyframes, background)


def test_a_keyed_view_says_nothing_of_the_object_that_is_not_keyed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COMPOSED", 0.0)
    known = torch.cat([Views(scene, 48, 4).batch(np.random.default_rng(seed)).known for seed in range(8)])
    assert (known.sum(1) == 1).all() and known.any(0).all()  # each frame keys one of them, and both frames come up


def test_subjects_cross_and_the_front_one_takes_from_the_matte_behind(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COMPOSED", 1.0)
    monkeypatch.setattr(module, "_CROSSED", 1.0)
    for name in ("_SHADED", "_STREAKED", "_BLURRED", "_EXPOSURE"):
        monkeypatch.setattr(module, name, 0.0)
    views, both = Views(scene, 48, 4), 0
    for seed in range(6):
        batch = views.batch(np.random.default_rng(seed))
        inputs, mattes = batch.inputs, batch.mattes
        assert batch.known.all() and float(mattes.sum(1).max()) <= 1 + 1e-5
        both += int(((mattes > 0.9).flatten(2).any(2)).all(1).sum())
        # Where a matte is solid the picture has the colour of that object: the order is that of the picture.
        red, blue = inputs[:, 0] > 0.7, inputs[:, 2] > 0.7
        assert bool((red | ~(mattes[:, 0] > 0.999)).all()) and bool((blue | ~(mattes[:, 1] > 0.999)).all())
    assert both > 6


class Stripes(Wall):
    """Dark and bright by turns."""

    def __init__(self, parallax: bool) -> None:
        self.parallax = parallax

    @staticmethod
    def read(index: int) -> torch.Tensor:
        stripes = 0.2 + 0.2 * (torch.arange(WIDTH) // 6 % 2)
        return stripes.expand(3, HEIGHT, WIDTH).contiguous()


@pytest.mark.parametrize("parallax", [False, True])
def test_a_background_put_together_by_depth_lies_astray_in_some_composites(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, parallax: bool
) -> None:
    monkeypatch.setattr(module, "_COMPOSED", 1.0)
    for name in ("_SHADED", "_STREAKED", "_BLURRED", "_EXPOSURE"):
        monkeypatch.setattr(module, name, 0.0)
    background: Any = Stripes(parallax)
    scene.background = background
    batch = Views(scene, 48, 12).batch(np.random.default_rng(0))
    free = (batch.mattes.sum(1) < 1e-4).unsqueeze(1)
    astray = (batch.inputs[:, 3:].abs() * free).amax((1, 2, 3)) > 0.02
    assert bool(astray.any()) == parallax and not bool(astray.all())
