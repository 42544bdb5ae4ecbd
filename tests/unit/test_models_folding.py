"""Folded networks: the same result with fewer modules."""

import pytest
import torch
from torch import nn

from penumbra_engine.models.folding import folded
from penumbra_engine.models.rvm import VARIANTS, RobustVideoMatting


def shaken(network: nn.Module) -> nn.Module:
    """A network whose normalisations have statistics and scales that matter."""
    generator = torch.Generator().manual_seed(0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.copy_(0.1 * torch.randn(norm.num_features, generator=generator))
            norm.running_var.copy_(0.5 + torch.rand(norm.num_features, generator=generator))
            norm.weight.data.copy_(0.8 + 0.4 * torch.rand(norm.num_features, generator=generator))
            norm.bias.data.copy_(0.1 * torch.randn(norm.num_features, generator=generator))
    return network.eval()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_folded_network_gives_the_same_mattes_and_memory(variant: str) -> None:
    torch.manual_seed(0)
    network = shaken(RobustVideoMatting(variant))
    head = network.get_submodule("project_mat.conv")
    assert isinstance(head, nn.Conv2d) and head.bias is not None
    nn.init.normal_(head.weight, std=0.02)
    nn.init.constant_(head.bias, 0.5)  # so that alpha leaves 0 and 1
    frames = torch.rand(1, 2, 3, 38, 50, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = network(frames, ratio=0.5)
        after = folded(network)(frames, ratio=0.5)
    assert before.alpha.std() > 1e-3
    torch.testing.assert_close(after.alpha, before.alpha, atol=1e-4, rtol=0)
    for ours, theirs in zip(after.state, before.state, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_a_normalisation_without_a_convolution_is_named() -> None:
    with pytest.raises(ValueError, match="normalisation 0"):
        folded(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()))
