"""Deep Video Matting with random weights: keys, sizes, the deformable convolution against the ordinary one, and that
neighbours matter. The official weights aren't ours to ship, so that their figures come out is not tested here."""

import pytest
import torch
import torch.nn.functional as F

from penumbra_engine.models.dvm import DeepVideoMatting, DeformableConvolution, Fusion, GlobalConvolution


def deformable() -> DeformableConvolution:
    torch.manual_seed(0)
    return DeformableConvolution(16)


def test_without_offsets_it_is_half_of_an_ordinary_convolution() -> None:
    layer, feature = deformable(), torch.randn(2, 16, 7, 9)
    with torch.no_grad():
        layer.bias.uniform_()
        ordinary = 0.5 * F.conv2d(feature, layer.weight, padding=1) + layer.bias[:, None, None]
        torch.testing.assert_close(layer(feature, torch.randn(2, 16, 7, 9)), ordinary, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("down, right", [(1, 0), (0, 2), (-1, 1)])
def test_whole_offsets_look_at_other_pixels(down: int, right: int) -> None:
    """Offsets are y before x; what lies beyond the edge is zero."""
    layer, feature = deformable(), torch.zeros(1, 16, 12, 12)
    feature[..., 3:9, 3:9] = torch.randn(1, 16, 6, 6)
    with torch.no_grad():
        bias = layer.conv_offset_mask.bias
        bias[: 2 * 8 * 9 : 2], bias[1 : 2 * 8 * 9 : 2] = down, right
        moved = 0.5 * F.conv2d(feature.roll((-down, -right), (2, 3)), layer.weight, padding=1)
        torch.testing.assert_close(layer(feature, feature), moved, atol=1e-5, rtol=1e-5)


def test_half_a_pixel_is_the_mean_of_two() -> None:
    layer, feature = deformable(), torch.zeros(1, 16, 12, 12)
    feature[..., 3:9, 3:9] = torch.randn(1, 16, 6, 6)
    with torch.no_grad():
        layer.conv_offset_mask.bias[1 : 2 * 8 * 9 : 2] = 0.5
        mean = (feature + feature.roll(-1, 3)) / 2
        expected = 0.5 * F.conv2d(mean, layer.weight, padding=1)
        torch.testing.assert_close(layer(feature, feature), expected, atol=1e-5, rtol=1e-5)


def test_each_frame_is_fused_with_those_before_it_and_no_others() -> None:
    torch.manual_seed(0)
    fusion = Fusion((16, 16), shift=1).eval()
    features = [torch.randn(4, 16, 8, 8), torch.randn(4, 16, 4, 4)]
    with torch.no_grad():
        fused = fusion(features)
        changed = fusion([torch.cat([10 + feature[:1], feature[1:]]) for feature in features])
    assert [len(level) for level in fused] == [3, 3]
    for before, after in zip(fused, changed, strict=True):
        assert (before[0] - after[0]).abs().max() > 1e-3
        torch.testing.assert_close(before[1:], after[1:])


def test_strips_keep_the_size_of_small_pictures_too() -> None:
    for height, width in ((9, 12), (2, 3)):
        assert GlobalConvolution(4)(torch.rand(1, 4, height, width)).shape == (1, 4, height, width)


def test_state_has_the_published_keys_and_any_size_goes_through() -> None:
    with torch.device("meta"):
        net = DeepVideoMatting().eval()
        matted = net(torch.rand(3, 4, 70, 90))
    assert matted.alpha.shape == matted.coarse.shape == (2, 1, 70, 90)
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert shapes["encoder.conv1.weight"] == (64, 4, 7, 7)
    assert shapes["encoder.layer4.0.conv2.weight"] == (512, 512, 3, 3)
    assert shapes["fusion.flow3.off_conv1.weight"] == (1024, 2048, 3, 3)
    assert shapes["fusion.flow0.dcnpack.conv_offset_mask.weight"] == (216, 64, 3, 3)
    assert shapes["fusion.attn4.ca.fc.0.weight"] == (2048, 4096)
    assert shapes["fusion.attn4.sa.conv.weight"] == (1, 2, 7, 7)
    assert shapes["fusion.fuse1.norm.running_mean"] == (256,)
    assert "fusion.flow4.off_conv1.weight" not in shapes
    assert shapes["decoder.skip2.conv_r1.weight"] == (512, 512, 1, 7)
    assert shapes["decoder.deconv1.rs.conv.weight"] == (256, 256, 1, 1)
    assert shapes["decoder.deconv0.deconv.conv.weight"] == (64, 68, 3, 3)
    assert shapes["refine.conv1.conv.weight"] == (64, 4, 3, 3)
    assert shapes["refine_head.bias"] == (1,)
