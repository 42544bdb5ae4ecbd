"""Robust Video Matting with random weights: keys, sizes, memory and streaming. The official weights aren't ours to
ship, so that their figures come out is not tested here."""

import pytest
import torch
from torch import Tensor

from penumbra_engine.models.mobilenet_v3 import MobileNetV3
from penumbra_engine.models.resnet import ResNet
from penumbra_engine.models.rvm import VARIANTS, RobustVideoMatting, automatic_ratio


def network(variant: str = "mobilenetv3", refiner: str = "deep") -> RobustVideoMatting:
    """Random weights, but a head that is strong enough for alpha to leave 0 and 1."""
    torch.manual_seed(0)
    net = RobustVideoMatting(variant, refiner).eval()
    with torch.no_grad():
        net.project_mat.conv.weight.mul_(10)
        net.project_mat.conv.bias.fill_(0.5)
    return net


def clip(frames: int = 4, height: int = 38, width: int = 51) -> Tensor:
    return torch.rand(1, frames, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("variant, entries, parameters", [("mobilenetv3", 380, 3.749), ("resnet50", 390, 26.89)])
def test_state_has_the_published_size(variant: str, entries: int, parameters: float) -> None:
    net = network(variant)
    assert len(net.state_dict()) == entries
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(parameters, abs=0.001 + parameters * 1e-4)


def test_state_has_the_published_keys_and_shapes() -> None:
    shapes = {name: tuple(value.shape) for name, value in network().state_dict().items()}
    assert shapes["backbone.features.0.0.weight"] == (16, 3, 3, 3)
    assert shapes["backbone.features.1.block.0.0.weight"] == (16, 1, 3, 3), "the first block does not widen"
    assert shapes["backbone.features.4.block.2.fc1.weight"] == (24, 72, 1, 1)
    assert shapes["backbone.features.15.block.1.0.weight"] == (960, 1, 5, 5)
    assert shapes["backbone.features.16.1.running_var"] == (960,)
    assert shapes["aspp.aspp2.1.weight"] == (128, 960, 1, 1)
    assert shapes["decoder.decode4.gru.ih.0.weight"] == (128, 128, 3, 3)
    assert shapes["decoder.decode3.conv.0.weight"] == (80, 128 + 40 + 3, 3, 3)
    assert shapes["decoder.decode1.gru.hh.0.bias"] == (16,)
    assert shapes["decoder.decode0.conv.3.weight"] == (16, 16, 3, 3)
    assert shapes["refiner.box_filter.weight"] == (4, 1, 3, 3)
    assert shapes["refiner.conv.0.weight"] == (16, 24, 1, 1)
    deep = {name: tuple(value.shape) for name, value in network("resnet50").state_dict().items()}
    assert deep["backbone.layer4.0.downsample.0.weight"] == (2048, 1024, 1, 1)
    assert deep["decoder.decode2.conv.0.weight"] == (64, 128 + 256 + 3, 3, 3)
    assert deep["decoder.decode4.gru.hh.0.weight"] == (128, 256, 3, 3)


def test_encoders_end_at_a_sixteenth_of_the_size_rounded_up() -> None:
    picture = torch.rand(1, 3, 35, 50)
    for encoder, channels in ((MobileNetV3(), (16, 24, 40, 960)), (ResNet("resnet50"), (64, 256, 512, 2048))):
        with torch.no_grad():
            features = encoder.eval()(picture)
        assert [tuple(f.shape[1:]) for f in features] == [
            (channels[0], 18, 25),
            (channels[1], 9, 13),
            (channels[2], 5, 7),
            (channels[3], 3, 4),
        ]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_chunks_that_hand_on_their_memory_are_the_whole(variant: str, ratio: float) -> None:
    net, frames = network(variant), clip()
    with torch.no_grad():
        whole = net(frames, ratio=ratio)
        first = net(frames[:, :1], ratio=ratio)
        second = net(frames[:, 1:], first.state, ratio)
    for index in (0, 1):
        torch.testing.assert_close(torch.cat([first[index], second[index]], 1), whole[index], atol=1e-5, rtol=0)
    for ours, theirs in zip(second.state, whole.state, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert whole.alpha.std() > 1e-3, "else they would agree whatever happened"
    assert whole.alpha.shape == (1, 4, 1, 38, 51) and whole.foreground.shape == (1, 4, 3, 38, 51)


def test_what_was_seen_before_changes_the_matte() -> None:
    net, frames = network(), clip()
    with torch.no_grad():
        before = net(frames[:, :3])
        remembered, fresh = net(frames[:, 3:], before.state), net(frames[:, 3:])
    assert (remembered.alpha - fresh.alpha).abs().max() > 1e-3
    assert [tuple(memory.shape) for memory in before.state] == [
        (1, 16, 19, 26),
        (1, 20, 10, 13),
        (1, 40, 5, 7),
        (1, 64, 3, 4),
    ]


def test_clips_of_a_batch_do_not_see_each_other() -> None:
    net, frames = network(), torch.cat([clip(), clip().flip(1)])
    with torch.no_grad():
        torch.testing.assert_close(net(frames).alpha[1:], net(frames[1:]).alpha, atol=1e-5, rtol=0)


def test_the_guided_filter_keeps_what_is_a_straight_line_of_its_guide() -> None:
    """A target that is 0.5 guide + 0.1 in the small picture comes out so in the large one, away from the edge."""
    net = network(refiner="fast")
    fine = torch.linspace(0, 1, 64).view(1, 1, 1, 64).expand(1, 3, 64, 64)
    coarse = torch.nn.functional.avg_pool2d(fine, 2)
    target = 0.5 * torch.cat([coarse, coarse.mean(1, keepdim=True)], 1) + 0.1
    result = net.refiner(fine, coarse, target, coarse)[..., 4:-4, 4:-4]
    assert (result - 0.5 * fine[:, :1, 4:-4, 4:-4] - 0.1).abs().max() < 0.01
    assert not any(name.startswith("refiner") for name in net.state_dict())


def test_segmentation_has_its_own_head_at_the_encoders_size() -> None:
    with torch.no_grad():
        logits, state = network().segment(clip(2), ratio=0.5)
    assert logits.shape == (1, 2, 1, 19, 25) and len(state) == 4


def test_gradients_reach_every_parameter_but_the_other_head() -> None:
    net = network()
    matted = net(clip(2), ratio=0.5)
    (matted.foreground.mean() + matted.alpha.mean()).backward()
    idle = {name for name, parameter in net.named_parameters() if parameter.grad is None}
    assert idle == {"project_seg.conv.weight", "project_seg.conv.bias"}


@pytest.mark.parametrize("height, width, ratio", [(1080, 1920, 512 / 1920), (1920, 1080, 512 / 1920), (288, 512, 1)])
def test_the_ratio_brings_the_long_side_to_512(height: int, width: int, ratio: float) -> None:
    assert automatic_ratio(height, width) == pytest.approx(ratio)


def test_unknown_variants_are_named() -> None:
    with pytest.raises(ValueError, match="vgg"):
        RobustVideoMatting("vgg")
    with pytest.raises(ValueError, match="slow"):
        RobustVideoMatting(refiner="slow")
