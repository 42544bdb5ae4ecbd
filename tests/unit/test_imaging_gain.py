"""The exposure of one picture over another."""

import pytest
import torch
from torch import Tensor

from penumbra_engine.imaging.gain import exposure_ratio

EVERYWHERE = torch.ones(40, 60, dtype=torch.bool)


def takes(gain: Tensor) -> tuple[Tensor, Tensor]:
    """A noisy picture at an exposure, and another at 1."""
    generator = torch.Generator().manual_seed(3)
    scene = 0.2 + 0.4 * torch.rand(3, 40, 60, generator=generator)
    first, second = (0.01 * torch.randn(3, 40, 60, generator=generator) for _ in range(2))
    return (scene + first) * gain[:, None, None], scene + second


@pytest.mark.parametrize("gain", [(1.0, 1.0, 1.0), (0.8, 0.8, 0.8), (1.04, 1.0, 0.94)])
def test_a_gain_is_found_in_each_channel(gain: tuple[float, ...]) -> None:
    factor = torch.tensor(gain)
    torch.testing.assert_close(exposure_ratio(*takes(factor), EVERYWHERE), factor, atol=0.003, rtol=0)


def test_a_shadow_on_a_third_of_the_picture_does_not_count() -> None:
    picture, reference = takes(torch.full((3,), 1.1))
    picture[..., :20] *= 0.6
    assert (exposure_ratio(picture, reference, EVERYWHERE) - 1.1).abs().max() < 0.004


def test_only_what_is_valid_counts() -> None:
    picture, reference = takes(torch.ones(3))
    picture[..., :45] *= 2
    valid = EVERYWHERE.clone()
    valid[:, :48] = False
    assert (exposure_ratio(picture, reference, valid) - 1).abs().max() < 0.008


def test_too_few_pixels_say_nothing() -> None:
    picture, reference = takes(torch.full((3,), 2.0))
    assert exposure_ratio(picture, reference, ~EVERYWHERE).tolist() == [1, 1, 1]
    assert exposure_ratio(0 * picture, reference, EVERYWHERE).tolist() == [1, 1, 1]
