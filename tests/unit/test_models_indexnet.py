"""IndexNet with random weights: keys, sizes and indices. The official weights aren't ours to ship, so that their
figures come out is not tested here."""

import torch
import torch.nn.functional as F

from penumbra_engine.models.indexnet import IndexBlock, IndexNet


def test_state_has_the_published_keys() -> None:
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in IndexNet().state_dict().items()}
    assert shapes["layer0.0.weight"] == (32, 4, 3, 3)
    assert shapes["layer1.0.conv.3.weight"] == (16, 32, 1, 1)
    assert shapes["layer2.1.conv.6.weight"] == (24, 144, 1, 1)
    assert shapes["layer7.0.conv.7.running_var"] == (320,)
    assert shapes["index0.indexnet4.0.weight"] == (32, 32, 4, 4)
    assert shapes["index6.indexnet1.3.weight"] == (160, 160, 1, 1)
    assert "index5.indexnet1.0.weight" not in shapes
    assert shapes["dconv_pp.aspp1.atrous_conv.0.weight"] == (256, 320, 1, 1)
    assert shapes["dconv_pp.aspp4.atrous_conv.3.weight"] == (256, 320, 1, 1)
    assert shapes["dconv_pp.global_avg_pool.1.weight"] == (256, 320, 1, 1)
    assert shapes["dconv_pp.bottleneck_conv.0.weight"] == (160, 1280, 1, 1)
    assert shapes["decoder_layer6.dconv.0.weight"] == (96, 320, 5, 5)
    assert shapes["decoder_layer1.dconv.0.weight"] == (32, 32, 5, 5)
    assert shapes["pred.0.0.weight"] == (1, 32, 5, 5)
    assert shapes["pred.1.weight"] == (1, 1, 5, 5)


def test_what_goes_down_is_a_weighed_mean_of_four_pixels() -> None:
    torch.manual_seed(0)
    feature = torch.randn(2, 8, 12, 16)
    with torch.no_grad():
        down, up = IndexBlock(8).eval()(feature)
    assert down.shape == up.shape == feature.shape
    torch.testing.assert_close(4 * F.avg_pool2d(down, 2), torch.ones(2, 8, 6, 8))
    assert down.std() > 1e-3 and up.min() > 0 and up.max() < 1


def test_any_size_comes_back_and_the_trimap_matters() -> None:
    torch.manual_seed(0)
    net, picture = IndexNet().eval(), torch.rand(1, 4, 37, 50)
    with torch.no_grad():
        alpha, other = net(picture), net(picture * torch.tensor([1.0, 1, 1, 0])[:, None, None])
    assert alpha.shape == (1, 1, 37, 50)
    assert not torch.equal(alpha, other)
