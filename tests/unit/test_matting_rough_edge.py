"""How far a rough edge is believed, on likelihoods written by hand."""

import torch

from penumbra_engine.matting.rough_edge import by_rough_edge

LEVELS, BEFORE = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.3, 1.0, 0.3])
DISTANCE = torch.arange(-10.0, 10.5, 0.5)


def heard(alphas: list[float]) -> torch.Tensor:
    """The mean alpha of each pixel along a line across the edge, when colours tell the alphas that are given and
    nothing of those that are None."""
    told = torch.log(BEFORE / BEFORE.sum()).repeat(len(alphas), 1)
    for pixel, alpha in enumerate(alphas):
        if alpha is not None:
            told[pixel] -= 20 * (LEVELS - alpha).abs()
    return torch.softmax(by_rough_edge(told, LEVELS, BEFORE, DISTANCE), 1) @ LEVELS


def test_an_edge_that_colours_bear_out_decides_where_they_say_nothing() -> None:
    alphas = [1.0 if d < 0 else 0.0 for d in DISTANCE]
    silent = [None if abs(d) in (1, 3, 6) else alpha for d, alpha in zip(DISTANCE.tolist(), alphas, strict=True)]
    found = heard(silent)
    assert (found - torch.tensor(alphas))[DISTANCE.abs() >= 1].abs().max() < 0.1


def test_an_edge_that_colours_contradict_says_little() -> None:
    # Bare inside, covered outside, and half of each: no mask of this subject.
    alphas = [(0.0, 0.5, 1.0)[pixel % 3] for pixel in range(len(DISTANCE))]
    silent = [None if abs(d) == 3 else alpha for d, alpha in zip(DISTANCE.tolist(), alphas, strict=True)]
    found = heard(silent)
    assert (found[DISTANCE.abs() == 3] - 0.5).abs().max() < 0.3
    told = torch.tensor([alpha is not None for alpha in silent])
    assert (found - torch.tensor(alphas))[told].abs().max() < 0.1


def test_soft_pixels_are_as_common_as_the_frame_shows_them() -> None:
    at = DISTANCE.abs() == 0.5
    soft = heard([None if s else 0.5 for s in at])
    hard = heard([None if s else float(d < 0) for s, d in zip(at, DISTANCE, strict=True)])
    assert ((soft - 0.5).abs() < (hard - 0.5).abs())[at].all()
