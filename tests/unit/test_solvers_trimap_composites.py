"""Composites of a red and a blue box before a green wall."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from penumbra_engine.imaging.noise import Noise
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.trimap.composites import NUMBER, Composite, composites, keyed_alphas

HEIGHT, WIDTH = 40, 72
WALL = np.array([0.1, 0.5, 0.1], np.float32)
COLOURS = {"red": np.array([0.8, 0.1, 0.1], np.float32), "blue": np.array([0.1, 0.1, 0.8], np.float32)}
TYRE = np.array([0.04, 0.07, 0.04], np.float32)
LEFT = {"red": 10, "blue": 40}


def trimap(name: str) -> np.ndarray:
    drawn = np.zeros((HEIGHT, WIDTH), np.float32)
    drawn[10:30, LEFT[name] : LEFT[name] + 22] = 0.5
    drawn[14:26, LEFT[name] + 4 : LEFT[name] + 18] = 1
    return drawn


def keyed(names: tuple[str, ...], known: bool = True, tyred: bool = False) -> tuple[Any, ...]:
    """A shot of two frames, its plates, the keyframes of the first, their alphas and the background. The boxes end in
    the middle of the grey; tyred: their lowest rows are as dark as the wall would be in a shadow, and stand in one."""
    wall = np.broadcast_to(WALL[:, None, None], (3, HEIGHT, WIDTH)).copy()
    plate = wall.copy()
    for name in names:
        plate[:, 12:28, LEFT[name] + 2 : LEFT[name] + 20] = COLOURS[name][:, None, None]
        if tyred:
            plate[:, 26:28, LEFT[name] + 2 : LEFT[name] + 20] = TYRE[:, None, None]
            plate[:, 28:30, LEFT[name] + 2 : LEFT[name] + 20] = 0.3 * WALL[:, None, None]
    behind, seen = torch.from_numpy(wall), torch.ones(HEIGHT, WIDTH)
    background: Any = SimpleNamespace(
        read=lambda index: behind if known else None,
        seen=lambda index: seen if known else None,
        noise=Noise(1e-6, 0.0),
        why_not="" if known else "not known",
    )
    keyframes: Any = SimpleNamespace(
        names=names,
        of=tuple((name, 0) for name in names),
        frames=lambda name: [0],
        matte=lambda name, index: trimap(name),
    )
    shot: Any = SimpleNamespace(width=WIDTH, height=HEIGHT, frames=(1, 2))
    plates: Any = SimpleNamespace(plate=[plate, wall], encoded=lambda shot, index: plate)
    still = Motion("m", np.zeros((2, 6, HEIGHT, WIDTH), np.float32))  # type: ignore[arg-type]
    return shot, plates, keyframes, keyed_alphas(shot, plates, keyframes, still, background), background


def made(names: tuple[str, ...], seed: int = 0, known: bool = True) -> list[Composite]:
    """The composites of that shot."""
    return list(composites(*keyed(names, known), seed))


def test_where_an_object_surely_is_its_colour_is_and_where_it_cannot_be_the_background_is() -> None:
    found = made(("red",))
    assert len(found) == NUMBER
    for picture, _, targets in found:
        surely, perhaps = targets[..., 0] > 0.99, targets[..., 1] > 0
        assert (targets[..., 0] <= targets[..., 1]).all()
        assert targets[surely, 2].min(initial=1) > 0.98 and targets[~perhaps, 2].max() < 0.02
        assert np.abs(picture.numpy()[:, surely] - COLOURS["red"][:, None]).max(initial=0) < 0.02
        assert np.abs(picture.numpy()[:, ~perhaps] - WALL[:, None]).max() < 0.02


def test_what_is_dark_on_a_keyframe_is_the_object_unless_it_is_just_the_wall_in_a_shadow() -> None:
    alpha = keyed(("red",), tyred=True)[3]["red", 0]
    columns = slice(LEFT["red"] + 4, LEFT["red"] + 18)
    assert alpha[26:28, columns].min() > 0.7 and alpha[29].max() < 0.1


def test_an_object_comes_to_lie_where_no_keyframe_shows_it() -> None:
    places = [np.nonzero(targets[..., 1])[1].mean() for _, _, targets in made(("red",)) if targets.any()]
    assert min(places) < 15 and max(places) > 50


def test_where_objects_cross_one_is_in_front_and_none_is_surely_two() -> None:
    crossing = 0
    for picture, _, targets in made(("red", "blue")):
        assert not ((targets[..., 0] > 0.01) & (targets[..., 3] > 0.01)).any()
        assert (targets[..., 2] + targets[..., 5]).max() < 1.001
        ratio = picture.numpy()[0] / picture.numpy()[2]  # no shadow changes it
        assert (ratio[targets[..., 0] > 0.99] > 4).all() and (ratio[targets[..., 3] > 0.99] < 0.25).all()
        crossing += ((targets[..., 1] > 0.1) & (targets[..., 4] > 0.1)).any()
    assert crossing > NUMBER / 8


def test_composites_depend_on_the_seed_alone() -> None:
    first, again, other = made(("red",)), made(("red",)), made(("red",), seed=1)
    assert all(torch.equal(a.picture, b.picture) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0].picture, other[0].picture)


def test_there_are_none_where_no_background_is_known() -> None:
    assert made(("red",), known=False) == []
