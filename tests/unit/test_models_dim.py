"""Deep Image Matting with random weights: keys and sizes. No weights were there to compare figures with."""

import torch
from torch import nn

from penumbra_engine.models.dim import DeepImageMatting


def test_state_has_the_public_keys() -> None:
    with torch.device("meta"):
        net = DeepImageMatting()
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert shapes["conv11.weight"] == (64, 4, 3, 3)
    assert shapes["bn53.running_var"] == (512,)
    assert shapes["conv6.weight"] == (4096, 512, 7, 7)
    assert shapes["dconv6.weight"] == (512, 4096, 1, 1)
    assert shapes["dconv4.weight"] == (256, 512, 5, 5)
    assert shapes["dconv1.weight"] == (64, 64, 5, 5)
    assert shapes["alpha_pred.weight"] == (1, 64, 5, 5)
    assert len(shapes) == 13 * 7 + 2 + 6 * 2 + 2


def test_any_size_comes_back_and_the_trimap_matters() -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        net = DeepImageMatting().eval()
    net.conv6, net.dconv6 = nn.Conv2d(512, 8, 7, padding=3), nn.Conv2d(8, 512, 1)  # 400 MB less for the same path
    for name, module in net.named_children():
        if module.weight.is_meta:
            net.add_module(name, module.to_empty(device="cpu"))
            module.reset_parameters()
    picture = torch.rand(1, 4, 37, 50)
    with torch.no_grad():
        alpha, other = net(picture), net(picture * torch.tensor([1.0, 1, 1, 0])[:, None, None])
    assert alpha.shape == (1, 1, 37, 50)
    assert not torch.allclose(alpha, other)
