"""Holes filled smoothly from around them."""

import pytest
import torch

from penumbra_engine.imaging.fill import fill_smoothly


@pytest.mark.parametrize("height, width", [(1, 1), (7, 5), (32, 32), (33, 47), (3, 90), (1, 20)])
def test_known_pixels_stay_and_holes_lie_between_them(height: int, width: int) -> None:
    random = torch.Generator().manual_seed(height)
    picture = 2 + torch.rand(3, height, width, generator=random)
    known = torch.rand(height, width, generator=random) < 0.15
    known[0, 0] = True
    spoilt = torch.where(known, picture, -1e3)
    filled = fill_smoothly(spoilt, known.float())
    assert torch.equal(filled[:, known], picture[:, known])
    for channel, values in zip(filled, picture[:, known], strict=True):
        assert channel.min() >= values.min() - 1e-4 and channel.max() <= values.max() + 1e-4


def test_half_of_a_wide_strip_is_filled_from_the_other() -> None:
    known = torch.zeros(2, 64)
    known[:, :8] = 1
    torch.testing.assert_close(fill_smoothly(torch.full((1, 2, 64), 0.7), known), torch.full((1, 2, 64), 0.7))


def test_a_hole_in_a_ramp_is_bridged() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 64, 64)
    known = torch.ones(64, 64)
    known[24:40, 24:40] = 0
    filled = fill_smoothly(ramp, known)
    assert (filled - ramp).abs().max() < 0.08  # the hole itself spans 0.25


def test_no_weight_at_all_gives_black() -> None:
    assert not fill_smoothly(torch.ones(3, 9, 6), torch.zeros(9, 6)).any()
