"""The small network: any size, a matte between 0 and 1, and the guess itself before it has learned anything."""

import pytest
import torch

from penumbra_engine.models.small_matte import SmallMatte


@pytest.mark.parametrize("size", [(64, 96), (37, 53), (16, 16)])
def test_any_size_gives_a_matte_of_that_size(size: tuple[int, int]) -> None:
    network = SmallMatte().eval()
    matte = network(torch.rand(2, 3, *size), torch.rand(2, 1, *size))
    assert matte.shape == (2, 1, *size)
    assert float(matte.detach().min()) >= 0 and float(matte.detach().max()) <= 1


def test_before_training_the_guess_comes_through() -> None:
    guess = torch.zeros(1, 1, 32, 32)
    guess[..., 10:20, 10:20] = 1
    matte = SmallMatte().eval()(torch.rand(1, 3, 32, 32), guess)
    assert torch.equal(matte > 0.5, guess > 0.5)


def test_it_is_small() -> None:
    assert sum(p.numel() for p in SmallMatte().parameters()) < 500_000
