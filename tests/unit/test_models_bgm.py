"""Background Matting, both versions, with random weights: keys, sizes and the modes of the refiner. The official
weights aren't ours to ship, so that their figures come out is not tested here."""

import pytest
import torch
from torch import Tensor

from penumbra_engine.models.bgm_v1 import BackgroundMatting
from penumbra_engine.models.bgm_v2 import BackgroundMattingV2
from penumbra_engine.models.checkpoints import KINDS, shapes


def pictures(height: int = 38, width: int = 54) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    return torch.rand(1, 3, height, width, generator=random), torch.rand(1, 3, height, width, generator=random)


def second(mode: str, **more: float) -> BackgroundMattingV2:
    torch.manual_seed(0)
    return BackgroundMattingV2("mobilenetv2", 0.5, mode, **more).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name, entries, parameters",
    [
        ("bgm-v1", 322, 17.9),
        ("bgm-v2-mobilenetv2", 382, 5.01),
        ("bgm-v2-resnet50", 394, 40.25),
        ("bgm-v2-resnet101", 700, 59.24),
    ],
)
def test_state_has_the_published_size(name: str, entries: int, parameters: float) -> None:
    assert len(shapes(KINDS[name])) == entries
    with torch.device("meta"):
        network = KINDS[name].build()
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(parameters, abs=0.01)


def test_state_has_the_published_keys_and_shapes() -> None:
    first, mobile = shapes(KINDS["bgm-v1"]), shapes(KINDS["bgm-v2-mobilenetv2"])
    assert first["model_enc_multi.1.weight"] == (64, 4, 7, 7)
    assert first["comb_multi.0.weight"] == (64, 512, 1, 1)
    assert first["model_res_dec.9.conv_block.5.weight"] == (256, 256, 3, 3)
    assert first["model_al_out.9.weight"] == (1, 64, 7, 7)
    assert first["model_fg_out.1.weight"] == (64, 256, 3, 3)
    assert mobile["backbone.features.0.0.weight"] == (32, 6, 3, 3)
    assert mobile["backbone.features.17.conv.2.weight"] == (320, 960, 1, 1)
    assert mobile["aspp.convs.4.1.weight"] == (256, 320, 1, 1)
    assert mobile["aspp.project.0.weight"] == (256, 1280, 1, 1)
    assert mobile["decoder.conv4.weight"] == (37, 54, 3, 3)
    assert mobile["refiner.conv1.weight"] == (24, 42, 3, 3)
    assert mobile["refiner.conv4.bias"] == (4,)


def test_the_first_hears_nothing_of_motion() -> None:
    """As the released weights want it."""
    torch.manual_seed(0)
    net, (picture, plate) = BackgroundMatting().eval(), pictures(32, 48)
    mask, motion = torch.ones(1, 1, 32, 48), torch.rand(1, 4, 32, 48)
    with torch.no_grad():
        still, moving = net(picture, plate, mask, 0 * motion), net(picture, plate, mask, motion)
        other = net(picture, plate, -mask, motion)
    assert torch.equal(still.alpha, moving.alpha) and not torch.equal(moving.alpha, other.alpha)
    assert still.alpha.shape == (1, 1, 32, 48) and still.foreground.shape == (1, 3, 32, 48)
    assert still.alpha.min() >= 0 and still.alpha.max() <= 1


@pytest.mark.parametrize("height, width", [(38, 54), (40, 52), (33, 61)])
def test_refining_every_patch_is_refining_everywhere(height: int, width: int) -> None:
    both = pictures(height, width)
    with torch.no_grad():
        everywhere, patches = second("full")(*both), second("thresholding", threshold=-1.0)(*both)
    assert everywhere.alpha.shape == (1, 1, height, width) and everywhere.foreground.std() > 0.01
    torch.testing.assert_close(everywhere.alpha, patches.alpha, atol=1e-5, rtol=0)
    torch.testing.assert_close(everywhere.foreground, patches.foreground, atol=1e-5, rtol=0)


def test_sampling_takes_the_largest_errors_and_leaves_the_rest() -> None:
    net, error = second("sampling", pixels=48), torch.arange(20.0).view(1, 1, 4, 5)
    assert net.select(error).flatten().nonzero().flatten().tolist() == [17, 18, 19]
    assert net.select(0 * error).sum() == 0, "what has no error needs no refining"
    assert second("sampling").select(error).sum() == 19, "fewer patches than asked for"


def test_without_a_patch_the_coarse_result_is_enlarged() -> None:
    both = pictures(40, 52)
    with torch.no_grad():
        net = second("thresholding", threshold=1.0)
        coarse = net.base(torch.cat(both, 1))[0]
        matted = net(*both)
    assert matted.refined.sum() == 0
    enlarged = torch.nn.functional.interpolate(coarse, (40, 52), mode="bilinear", align_corners=False)
    torch.testing.assert_close(matted.alpha, enlarged[:, :1].clamp(0, 1))


@pytest.mark.parametrize("words", [("vgg", 0.25, "full"), ("resnet50", 0.25, "some"), ("resnet50", 0.75, "full")])
def test_what_it_can_not_do_is_named(words: tuple[str, float, str]) -> None:
    with pytest.raises(ValueError, match="is n"):
        BackgroundMattingV2(*words)
