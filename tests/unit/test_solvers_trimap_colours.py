"""Whose of two objects a colour is."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from penumbra_engine.solvers.trimap.colours import KeyedColours

HEIGHT, WIDTH = 20, 40
RED, BLUE, GREEN = np.array([0.8, 0.1, 0.1]), np.array([0.1, 0.1, 0.8]), np.array([0.1, 0.6, 0.1])


def colours(names: tuple[str, ...], sure: float = 1) -> KeyedColours:
    """A red box to the left and a blue one to the right on the first frame, on the second they have changed places.
    sure: what a keyframe is within the blue one."""
    first = np.empty((3, HEIGHT, WIDTH), np.float32)
    first[:] = GREEN[:, None, None]
    second, boxes = first.copy(), {"red": (slice(5, 15), slice(5, 15)), "blue": (slice(5, 15), slice(25, 35))}
    for name, colour, other in (("red", RED, "blue"), ("blue", BLUE, "red")):
        first[:, *boxes[name]], second[:, *boxes[other]] = colour[:, None, None], colour[:, None, None]

    def matte(name: str, index: int) -> np.ndarray:
        drawn = np.zeros((HEIGHT, WIDTH), np.float32)
        drawn[boxes[name]] = 1 if name == "red" else sure
        return drawn

    keyframes: Any = SimpleNamespace(names=names, of=tuple((name, 0) for name in names), matte=matte)
    plates: Any = SimpleNamespace(encoded=lambda shot, index: (first, second)[index])
    shot: Any = SimpleNamespace(height=HEIGHT, width=WIDTH)
    return KeyedColours(shot, plates, keyframes)


def test_a_colour_is_of_the_object_that_has_it_wherever_it_is_and_nobody_s_is_of_either() -> None:
    red, blue = colours(("red", "blue")).odds(1)
    assert red[6:14, 26:34].min() > 1.9 and blue[6:14, 26:34].max() < 0.1
    assert blue[6:14, 6:14].min() > 1.9 and red[6:14, 6:14].max() < 0.1
    assert np.abs(red[17:, :] - 1).max() < 0.02


def test_a_single_object_has_all_colours() -> None:
    assert np.abs(colours(("red",)).odds(1) - 1).max() < 1e-6


def test_an_object_that_no_keyframe_is_sure_of_has_any_colour() -> None:
    red, smoke = colours(("red", "blue"), sure=0.5).odds(1)
    assert red[6:14, 26:34].min() > 1.9 and np.abs(red[6:14, 6:14] - 1).max() < 0.02
    assert np.abs(smoke[6:14, 6:14] - 1).max() < 0.02
