"""What a mask takes in of the scene around its object, and what of it is the object's."""

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.noise import Noise
from penumbra_engine.solvers.omnimatte.loose import without_loose

SIZE, SIGMA = 160, 0.004
BRIGHT, DARK = torch.tensor([0.5, 0.45, 0.4]), torch.tensor([0.3, 0.2, 0.15])
EVERYWHERE = torch.ones(SIZE, SIZE, dtype=torch.bool)


def area(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    shape = np.zeros((SIZE, SIZE), bool)
    shape[top:bottom, left:right] = True
    return shape


OBJECT, AROUND = area(50, 100, 60, 100), area(30, 120, 35, 125)


def tiles() -> Tensor:
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    return torch.where((y % 10 < 2) | (x % 10 < 2), BRIGHT[:, None, None], DARK[:, None, None])


def plate_of(background: Tensor, colour: list[float]) -> Tensor:
    """The object before a background, half of which is in its shadow."""
    lit = background * torch.where(torch.arange(SIZE) > 90, 0.6, 1.0)
    picture = torch.where(torch.from_numpy(OBJECT), torch.tensor(colour)[:, None, None], lit)
    return picture + SIGMA * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))


def tightened(mask: np.ndarray, picture: Tensor, background: Tensor, often: Tensor = EVERYWHERE) -> np.ndarray:
    return without_loose(mask, picture, background, Noise(SIGMA**2, 0.0), torch.zeros(SIZE, SIZE), often)


def test_a_box_is_drawn_in_to_its_object_in_light_and_shadow() -> None:
    found = tightened(AROUND, plate_of(tiles(), [0.1, 0.3, 0.6]), tiles())
    assert (found & OBJECT).sum() > 0.99 * OBJECT.sum()
    assert (found & ~OBJECT).sum() < 0.15 * (AROUND & ~OBJECT).sum()


def test_a_mask_that_is_drawn_a_little_too_wide_stays_as_it_is() -> None:
    wide = area(46, 104, 56, 104)
    assert np.array_equal(tightened(wide, plate_of(tiles(), [0.1, 0.3, 0.6]), tiles()), wide)


def test_an_object_of_the_colour_of_a_plain_ground_is_kept() -> None:
    ground = BRIGHT[:, None, None].expand(3, SIZE, SIZE)
    picture = plate_of(ground, (0.7 * BRIGHT).tolist())
    assert np.array_equal(tightened(AROUND, picture, ground), AROUND)


def test_a_background_that_is_seldom_seen_takes_nothing_from_a_mask() -> None:
    picture = plate_of(tiles(), [0.1, 0.3, 0.6])
    assert np.array_equal(tightened(AROUND, picture, tiles(), ~EVERYWHERE), AROUND)
    assert not np.array_equal(tightened(AROUND, picture, tiles()), AROUND)


def test_masks_that_hold_nothing_or_all_stay() -> None:
    for mask in (np.zeros((SIZE, SIZE), bool), np.ones((SIZE, SIZE), bool)):
        assert np.array_equal(tightened(mask, tiles(), tiles()), mask)
