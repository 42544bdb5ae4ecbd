"""What a first alpha decides, and what of an alpha is a speck."""

import numpy as np
import torch

from penumbra_engine.solvers.alpha import _narrowed, _without_specks


def test_what_was_found_and_expected_to_be_the_object_is_unknown_no_more_but_for_its_edge() -> None:
    trimap = torch.full((20, 40), 0.5)
    trimap[:, :5], trimap[:, 35:] = 1, 0
    found, expected = torch.zeros(20, 40), torch.ones(20, 40)
    found[:, :20] = 0.9
    narrowed = _narrowed(trimap, found, expected)
    assert (narrowed[:, :19] == 1).all()
    assert torch.equal(narrowed[:, 19:], trimap[:, 19:])
    assert torch.equal(_narrowed(trimap, found, expected * 0.7), trimap), "nobody expected it"


def test_a_part_that_is_surely_the_object_nowhere_is_a_speck() -> None:
    alpha = np.zeros((30, 60), np.float32)
    alpha[5:25, 5:25], alpha[5:25, 25:30] = 1, 0.3  # an object and its hair
    alpha[10:15, 45:50] = 0.3
    trimap = np.where(alpha == 1, 1, np.where(alpha > 0, 0.5, 0)).astype(np.float32)
    found = _without_specks(alpha, trimap)
    assert (found[:, 40:] == 0).all() and np.array_equal(found[:, :40], alpha[:, :40])
    smoke = np.minimum(trimap, 0.5)
    assert np.array_equal(_without_specks(alpha, smoke), alpha)
