"""Grain moved to where there is none."""

import pytest
import torch
from torch import Tensor

from penumbra_engine.imaging.grain import transplant_grain


@pytest.fixture
def residual() -> Tensor:
    return torch.randn(3, 60, 80, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def holes() -> Tensor:
    shape = torch.zeros(60, 80, dtype=torch.bool)
    shape[10:45, 20:60] = True
    return shape


def test_holes_get_the_strength_of_the_noise_and_the_rest_nothing(residual: Tensor, holes: Tensor) -> None:
    grain = transplant_grain(residual, ~holes, holes, 1)
    assert grain[:, holes].std() == pytest.approx(1, abs=0.1)
    assert grain[:, holes].mean() == pytest.approx(0, abs=0.1)
    assert not grain[:, ~holes].any()


def test_grain_comes_from_the_clean_part_alone(residual: Tensor, holes: Tensor) -> None:
    spoilt = torch.where(holes, 1e3, residual)
    assert torch.equal(transplant_grain(spoilt, ~holes, holes, 1), transplant_grain(residual, ~holes, holes, 1))


def test_grain_keeps_its_size_and_colour(holes: Tensor) -> None:
    stripes = torch.tensor([1.0, -1.0]).repeat_interleave(2).repeat(20).expand(60, 80)
    grain = transplant_grain(torch.stack([stripes, stripes, -stripes]), ~holes, holes, 1)[:, holes]
    assert torch.equal(grain[0], grain[1]) and torch.equal(grain[0], -grain[2])
    assert grain.abs().unique().tolist() == [1.0]


def test_every_frame_has_its_own_and_the_same_again(residual: Tensor, holes: Tensor) -> None:
    one, again, other = (transplant_grain(residual, ~holes, holes, seed)[:, holes] for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert (one != other).float().mean() > 0.9


def test_specks_are_no_grain(residual: Tensor, holes: Tensor) -> None:
    residual[:, ::5, ::5] = 50
    assert transplant_grain(residual, ~holes, holes, 1).max() == 4


def test_without_a_clean_pixel_the_grain_is_white_noise(residual: Tensor) -> None:
    everywhere = torch.ones(60, 80, dtype=torch.bool)
    grain = transplant_grain(residual * 0, ~everywhere, everywhere, 1)
    assert grain.std() == pytest.approx(1, abs=0.05)


def test_no_holes_no_grain(residual: Tensor, holes: Tensor) -> None:
    assert not transplant_grain(residual, ~holes, holes & False, 1).any()
