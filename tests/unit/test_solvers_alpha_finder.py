"""The light of a frame beside that of its background."""

import torch

from penumbra_engine.solvers.alpha_finder import _light


def test_light_goes_on_under_what_hides_it_and_is_as_it_was_where_nothing_shows_it() -> None:
    background = torch.rand(3, 24, 40, generator=torch.Generator().manual_seed(0)) + 0.2
    dimmed, bare = background * 0.7, torch.ones(24, 40, dtype=torch.bool)
    bare[:, 10:20] = False
    dimmed[:, ~bare] = 0.9
    assert torch.allclose(_light(dimmed, background, bare), torch.tensor(0.7), atol=1e-4)
    assert (_light(dimmed, background, torch.zeros_like(bare)) == 1).all()
