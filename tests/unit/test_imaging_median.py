"""The median, against torch's."""

import torch

from penumbra_engine.imaging.median import median


def test_it_is_the_middle_or_the_lower_of_two_and_leaves_the_values_alone() -> None:
    values = torch.tensor([[5.0, 1.0, 3.0], [2.0, 9.0, 4.0]])
    kept = values.clone()
    assert median(values).tolist() == [3.0, 4.0] and torch.equal(values, kept)
    assert float(median(torch.tensor([4.0, 1.0, 2.0, 3.0]))) == 2.0
    many = torch.rand(3, 1001, generator=torch.Generator().manual_seed(1))
    assert torch.equal(median(many), many.median(-1).values)
