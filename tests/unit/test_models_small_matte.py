"""The small network: any size, a matte for each object between 0 and 1, and little to store."""

import pytest
import torch

from penumbra_engine.models.small_matte import CHANNELS, SmallMatte


@pytest.mark.parametrize("size", [(64, 96), (37, 53), (16, 16)])
def test_any_size_gives_mattes_of_that_size(size: tuple[int, int]) -> None:
    matte = SmallMatte(objects=2).eval()(torch.rand(3, CHANNELS, *size))
    assert matte.shape == (3, 2, *size)
    assert float(matte.detach().min()) >= 0 and float(matte.detach().max()) <= 1


def test_before_training_most_of_a_picture_is_not_the_object() -> None:
    matte = SmallMatte().eval()(torch.zeros(1, CHANNELS, 32, 32))
    assert float(matte.detach().mean()) < 0.3


def test_it_is_small() -> None:
    assert sum(p.numel() for p in SmallMatte().parameters()) < 500_000
