"""A picture that is looked at in bands gives the mattes of the whole."""

import pytest
import torch

from penumbra_engine.models.small_matte import CHANNELS, SmallMatte
from penumbra_engine.solvers.matte import predict


@pytest.mark.parametrize("height", [100, 320, 333])
def test_bands_are_the_whole(height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = SmallMatte(2).eval()
    torch.nn.init.normal_(network.head.weight)
    seen = torch.rand(CHANNELS, height, 40, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = network(seen[None])[0]
        monkeypatch.setattr(predict, "_BAND", 64)
        found = predict.in_bands(network, seen)
    assert found.shape == (2, height, 40)
    assert float(whole.std()) > 0.01
    assert float((found - whole).abs().max()) < 1e-3
