"""The ownership network: shapes, repeatability, and that it learns."""

import pytest
import torch
from torch import Tensor

from penumbra_engine.models.ownership import CHANNELS, OwnershipNet


def network(seed: int) -> OwnershipNet:
    torch.manual_seed(seed)
    return OwnershipNet()


@pytest.mark.parametrize("count, height, width", [(1, 8, 8), (2, 17, 31), (1, 54, 96), (3, 9, 40)])
def test_any_size_in_and_one_alpha_of_that_size_out(count: int, height: int, width: int) -> None:
    alpha = network(0)(torch.randn(count, CHANNELS, height, width))
    assert alpha.shape == (count, 1, height, width)
    assert alpha.min() >= 0 and alpha.max() <= 1


def test_the_same_seed_gives_the_same_weights() -> None:
    one, again, other = (network(seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_it_begins_with_next_to_no_effects() -> None:
    with torch.no_grad():
        assert network(0)(torch.zeros(1, CHANNELS, 32, 32)).mean() < 0.1


def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    net, batch = network(0), torch.randn(2, CHANNELS, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(net(batch)[1:], net(batch[1:]))


def shadow_beside_a_mask() -> tuple[Tensor, Tensor]:
    """A square at five places, and its shadow three pixels right of it."""
    pictures, targets = torch.zeros(5, CHANNELS, 24, 32), torch.zeros(5, 1, 24, 32)
    for index, left in enumerate(range(2, 22, 4)):
        pictures[index, 0, 8:14, left : left + 6] = 1
        targets[index, 0, 8:14, left + 3 : left + 9] = 0.6
    return pictures, targets


def test_a_few_steps_on_a_toy_lower_the_loss() -> None:
    net = network(0)
    pictures, targets = shadow_beside_a_mask()
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for _ in range(20):
        loss = (net(pictures) - targets).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
