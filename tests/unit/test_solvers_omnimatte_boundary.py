"""What the rough masks of a frame become before the edge of the objects is looked for."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.solvers.omnimatte.boundary import boundary_of

HEIGHT, WIDTH, BAND = 120, 320, 6.0
NOISE = Noise(1e-5, 1e-4)


def union_of(seen: float, by_depth: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The union for a car on a road, what was drawn of it, and the car. The mask leaves out a rim of it and holds some
    road beyond a gap. seen: how often the road was. H x W bool all."""
    generator = torch.Generator().manual_seed(0)
    road = 0.3 + 0.2 * torch.rand(3, HEIGHT, WIDTH, generator=generator)
    car, bonnet, empty = (np.zeros((HEIGHT, WIDTH), bool) for _ in range(3))
    car[50:80, 100:150], bonnet[54:76, 104:146], empty[30:60, 240:280] = True, True, True
    picture = torch.where(torch.from_numpy(car), torch.tensor([0.9, 0.1, 0.1])[:, None, None], road)
    picture = picture + NOISE.variance(picture).sqrt() * torch.randn(picture.shape, generator=generator)
    canvas: Any = SimpleNamespace(
        noise=NOISE,
        by_depth=by_depth,
        background=lambda index: road,
        seen=lambda index: torch.full((HEIGHT, WIDTH), seen),
        tolerance=lambda index: torch.zeros(HEIGHT, WIDTH),
    )
    plates: Any = SimpleNamespace(plate=picture.numpy()[None])
    masks: Any = SimpleNamespace(union=lambda index: bonnet | empty)
    bound: Any = SimpleNamespace(read=lambda index: (torch.ones(3, HEIGHT, WIDTH), torch.zeros(HEIGHT, WIDTH)))
    return boundary_of(0, plates, masks, canvas, bound, BAND).union, bonnet | empty, car


def test_what_a_mask_misses_is_taken_in_and_what_shows_the_background_left_out() -> None:
    union, _, car = union_of(seen=1.0, by_depth=False)
    assert (union & car).sum() > 0.95 * car.sum()
    assert not union[~dilate(car, 2)].any()


def test_a_background_by_depth_adds_nothing_and_a_guess_tells_nothing() -> None:
    union, drawn, car = union_of(seen=1.0, by_depth=True)
    assert np.array_equal(union & car, drawn & car) and not union[:, 230:].any()
    union, drawn, _ = union_of(seen=0.1, by_depth=False)
    assert np.array_equal(union, drawn)
