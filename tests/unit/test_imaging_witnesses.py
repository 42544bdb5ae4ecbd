"""A disc that moves and then stands still."""

import numpy as np
import pytest
import torch

from penumbra_engine.imaging.background import undisturbed
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.imaging.witnesses import witnesses

HEIGHT, WIDTH = 24, 120


def disc(left: int) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(x - left, y - HEIGHT / 2) < 8


def test_frames_on_which_an_object_stands_count_as_few() -> None:
    voices = witnesses([disc(10 * min(index, 4)) for index in range(4 + 16)])
    np.testing.assert_allclose(voices[:3], 1, atol=0.05)
    np.testing.assert_allclose(voices[4:], 0.25, atol=0.01)


def test_frames_without_objects_count_in_full() -> None:
    voices = witnesses([np.zeros((HEIGHT, WIDTH), bool)] * 3 + [disc(30)] * 4)
    assert voices.tolist() == pytest.approx([1, 1, 1, 0.5, 0.5, 0.5, 0.5])


def test_a_reflection_that_rests_with_its_object_is_no_background() -> None:
    random = np.random.default_rng(0)
    voices = torch.from_numpy(witnesses([disc(100 - 8 * min(index, 8)) for index in range(8 + 12)])).float()
    samples = np.full((20, 3, 8, 8), 0.3)
    samples[8:] += 0.2  # brighter, and on more frames than the floor
    noisy = torch.from_numpy(samples + 0.004 * random.standard_normal(samples.shape)).float()
    valid, noise = torch.ones(20, 8, 8, dtype=torch.bool), Noise(0.004**2, 0.0)
    near = torch.where(torch.arange(20) < 8, 1.0, 0.2)  # the object stands not far from it

    def floor(trust: torch.Tensor) -> float:
        return float(undisturbed(noisy, valid, noise, trust[:, None, None].expand(20, 8, 8)).mean())

    assert floor(near) == pytest.approx(0.5, abs=0.01)
    assert floor(near * voices) == pytest.approx(0.3, abs=0.01)
