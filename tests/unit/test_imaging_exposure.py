"""Gain and black level between two pictures, found beside a subject that covers part of one."""

import pytest
import torch

from penumbra_engine.imaging.exposure import fit_exposure


def test_gain_and_offset_are_found_although_a_third_of_the_picture_is_something_else() -> None:
    random = torch.Generator().manual_seed(1)
    source = torch.rand(3, 6000, generator=random)
    gain, offset = torch.tensor([1.05, 0.9, 2.0]), torch.tensor([0.01, -0.02, 0.0])
    target = gain[:, None] * source + offset[:, None] + 0.003 * torch.randn(3, 6000, generator=random)
    target[:, :2000] *= 0.4
    found = fit_exposure(source, target)
    assert found[0].tolist() == pytest.approx(gain.tolist(), rel=0.01)
    assert found[1].tolist() == pytest.approx(offset.tolist(), abs=0.005)


def test_a_flat_picture_has_a_gain_and_no_offset() -> None:
    gain, offset = fit_exposure(torch.full((3, 100), 0.5), torch.full((3, 100), 0.75))
    assert gain.tolist() == pytest.approx([1.5] * 3)
    assert offset.tolist() == [0, 0, 0]
