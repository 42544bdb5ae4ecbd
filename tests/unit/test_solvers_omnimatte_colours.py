"""Colours of the objects, learned on frames where a first look tells them and used where it doesn't."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import torch

from penumbra_engine.cache import Store
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.bound import Bound
from penumbra_engine.solvers.omnimatte.boundary import Boundary
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.colours import ObjectColours, learn_colours
from penumbra_engine.solvers.omnimatte.edges import edge_at
from penumbra_engine.solvers.plates import Plates
from stages import finished

HEIGHT, WIDTH, BAND, SIGMA, COUNT = 48, 80, 6.0, 0.005, 6
RED, SHOE, GREEN, GREY = [0.7, 0.1, 0.1], [0.3, 0.3, 0.34], [0.2, 0.6, 0.3], [0.4, 0.4, 0.4]


class Walk:
    """A red box with a grey shoe, which walks from before a green wall, where the shoe is told apart, to before one
    that is as grey; and there the mask leaves the shoe out."""

    def __init__(self, folder: Path) -> None:
        self.store, random = Store(folder), np.random.default_rng(5)
        self.solid = np.zeros((COUNT, HEIGHT, WIDTH), bool)
        self.pictures, self.behind = [], []
        for index in range(COUNT):
            left = 14 + 4 * index
            self.solid[index, 10:34, left : left + 16] = True
            colour = np.where(
                (np.arange(HEIGHT) < 28)[:, None], np.array(RED)[:, None, None], np.array(SHOE)[:, None, None]
            )
            wall = GREEN if index < COUNT - 1 else GREY
            behind = np.broadcast_to(np.array(wall)[:, None, None], (3, HEIGHT, WIDTH))
            picture = np.where(self.solid[index], colour, behind) + SIGMA * random.standard_normal(behind.shape)
            self.pictures.append(torch.from_numpy(picture).float())
            self.behind.append(torch.from_numpy(behind.copy()).float())
        self.rough = self.solid.copy()
        self.rough[-1, 30:] = False  # leaves the shoe out
        with self.store.entry("shot") as entry:
            stack = entry.create_stack("masks", (COUNT, 1, HEIGHT, WIDTH), np.uint8)
            stack[:] = 255 * self.rough[:, None].astype(np.uint8)
        self.masks = Masks("masks", stack)

    def boundary(self, index: int) -> Boundary:
        picture, variance = self.pictures[index], torch.full((HEIGHT, WIDTH), SIGMA**2)
        light, effect = torch.ones_like(picture), torch.zeros(HEIGHT, WIDTH)
        return Boundary(picture, light, self.behind[index], variance, effect, self.rough[index])

    def learn(
        self, bound: str = "bound", kept: tuple[int, ...] = (), whole: str = "canvas", names: tuple[str, ...] = ("man",)
    ) -> ObjectColours:
        plates = SimpleNamespace(key="plates", plate=np.zeros((COUNT, 3, HEIGHT, WIDTH)))
        steps = learn_colours(
            names,
            cast(Plates, plates),
            self.masks,
            cast(Canvas, SimpleNamespace(kept=list(kept), whole=whole)),
            cast(Bound, SimpleNamespace(key=bound)),
            self.boundary,
            BAND,
            self.store,
        )
        return finished(steps)


def test_a_shoe_of_the_wall_s_colour_is_whole_when_other_frames_tell_of_it(tmp_path: Path) -> None:
    walk = Walk(tmp_path)
    colours = walk.learn()
    at, shoe = walk.boundary(COUNT - 1), walk.solid[COUNT - 1].copy()
    shoe[:29] = False
    without, found = (edge_at(at, BAND, palette=palette) for palette in (None, colours.around(COUNT - 1)))
    assert (1 - found)[shoe].mean() < 0.5 * (1 - without)[shoe].mean()
    assert found[~walk.solid[COUNT - 1]].mean() < 0.01


def test_colours_are_read_again_as_they_were_learned(tmp_path: Path) -> None:
    walk = Walk(tmp_path)
    first, again = walk.learn(), walk.learn()
    assert again.key == first.key
    for index in range(COUNT):
        one, other = first.around(index), again.around(index)
        assert one is not None and other is not None
        assert torch.equal(one.colours, other.colours) and torch.equal(one.places, other.places)


def test_after_a_mask_was_changed_they_stay_what_they_were(tmp_path: Path) -> None:
    walk = Walk(tmp_path)
    first = walk.learn("before")
    after = walk.learn("after", kept=(0, 1, 2))
    assert after.key == first.key
    assert walk.learn("after", kept=(0, 1, 2)).key == first.key, "the same request finds the same"
    assert walk.learn("another").key != first.key, "a cold canvas has its own"


def test_of_objects_that_are_on_no_frame_nothing_is_known(tmp_path: Path) -> None:
    walk = Walk(tmp_path)
    walk.rough[:] = False
    walk.masks.masks[:] = np.zeros((COUNT, 1, HEIGHT, WIDTH), np.uint8)
    assert walk.learn().around(0) is None


def test_those_of_other_objects_or_behind_another_canvas_are_learned_anew(tmp_path: Path) -> None:
    walk = Walk(tmp_path)
    first = walk.learn("before")
    assert walk.learn("renamed", kept=(0, 1, 2), names=("car",)).key != first.key
    assert walk.learn("after", kept=(0, 1, 2), whole="another").key != first.key


def test_an_object_that_is_not_on_a_frame_lends_it_no_colours(tmp_path: Path) -> None:
    walk = Walk(tmp_path)
    colours = walk.learn()
    walk.masks.masks[0] = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    assert colours.around(0) is None and colours.around(1) is not None
