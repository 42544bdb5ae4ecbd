"""The noise model: recovered from pictures whose noise is known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from penumbra_engine.imaging.noise import Noise, estimate_noise, quantisation_noise


def noisy_pair(noise: Noise, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Two takes of a ramp from 0.02 to 1."""
    random = torch.Generator().manual_seed(seed)
    scene = torch.linspace(0.02, 1, 200).expand(3, 150, 200)
    a, b = (scene + noise.variance(scene).sqrt() * torch.randn(scene.shape, generator=random) for _ in range(2))
    return a, b, torch.ones(150, 200, dtype=torch.bool)


def test_variance_grows_with_light_and_not_with_negatives() -> None:
    variance = Noise(read=0.5, shot=2.0).variance(torch.tensor([-3.0, 0.0, 1.0, 4.0]))
    assert variance.tolist() == [0.5, 0.5, 2.5, 8.5]


@pytest.mark.parametrize("read, shot", [(4e-5, 4e-4), (1e-4, 1e-3), (1e-3, 2e-4)])
def test_both_parts_are_recovered(read: float, shot: float) -> None:
    found = estimate_noise([noisy_pair(Noise(read, shot), seed) for seed in range(2)])
    assert found.read == pytest.approx(read, rel=0.15)
    assert found.shot == pytest.approx(shot, rel=0.15)


def test_pure_shot_noise_and_pure_read_noise_predict_the_right_variance() -> None:
    for truth in (Noise(1e-8, 5e-4), Noise(3e-4, 0.0)):
        found = estimate_noise([noisy_pair(truth)])
        for signal in torch.tensor([0.2, 0.5, 0.9]):
            assert float(found.variance(signal)) == pytest.approx(float(truth.variance(signal)), rel=0.15)


def test_what_moved_between_the_two_is_no_noise() -> None:
    truth = Noise(4e-5, 4e-4)
    a, b, valid = noisy_pair(truth)
    b[:, 20:40, 50:80] += 0.4
    found = estimate_noise([(a, b, valid)])
    assert float(found.variance(torch.tensor(0.5))) == pytest.approx(float(truth.variance(torch.tensor(0.5))), rel=0.15)


def test_invalid_pixels_count_for_nothing() -> None:
    a, b, valid = noisy_pair(Noise(4e-5, 4e-4))
    valid[:, :90] = False
    spoilt = b.clone()
    spoilt[:, ~valid] = 1e3
    assert estimate_noise([(a, spoilt, valid)]) == estimate_noise([(a, b, valid)])


def test_a_noise_free_picture_still_has_a_variance_to_divide_by() -> None:
    a, _, valid = noisy_pair(Noise(0.0, 0.0))
    found = estimate_noise([(a, a, valid)])
    assert 0 < found.variance(torch.tensor(0.0)) < 1e-7


def test_too_little_to_measure_gives_a_guess() -> None:
    a, b, valid = noisy_pair(Noise(4e-5, 4e-4))
    valid[:] = False
    assert estimate_noise([(a, b, valid)]) == estimate_noise([])
    assert estimate_noise([]).variance(torch.tensor(0.5)) > 0


def test_rounding_an_encoded_ramp_errs_as_its_model_says() -> None:
    levels = np.linspace(0, 1, 256) ** 2.2
    found = quantisation_noise(levels)
    scene = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    rounded = torch.from_numpy(levels)[(scene ** (1 / 2.2) * 255).round().long()]
    for low, high in ((0.05, 0.15), (0.4, 0.6), (0.8, 1.0)):
        there = (scene > low) & (scene < high)
        error = (rounded - scene)[there].square().mean()
        assert float(found.variance(scene[there]).mean()) == pytest.approx(float(error), rel=0.25)


def test_floats_are_not_rounded() -> None:
    assert quantisation_noise(np.zeros(0)).variance(torch.tensor(1.0)) < 1e-7


def test_parts_that_a_codec_repeats_tell_nothing_of_its_noise() -> None:
    truth = Noise(4e-5, 4e-4)
    a, b, valid = noisy_pair(truth)
    b[:, :120] = a[:, :120]
    found = estimate_noise([(a, b, valid)])
    assert float(found.variance(torch.tensor(0.5))) == pytest.approx(float(truth.variance(torch.tensor(0.5))), rel=0.15)


def test_a_plate_that_repeats_itself_whole_has_the_noise_of_its_rounding() -> None:
    a, _, valid = noisy_pair(Noise(4e-5, 4e-4))
    floor = quantisation_noise(np.linspace(0, 1, 256) ** 2.2)
    assert estimate_noise([(a, a, valid)], floor) == floor
