"""What a pixel looks like at rest."""

import pytest
import torch
from torch import Tensor

from penumbra_engine.imaging.background import (
    gather,
    least_doubt,
    masked_median,
    mean_of_clean,
    undisturbed,
    undisturbed_near,
    unrest,
)
from penumbra_engine.imaging.noise import Noise

NOISE = Noise(read=1e-5, shot=1e-4)
HEIGHT, WIDTH = 16, 20
EQUAL = torch.ones(1, HEIGHT, WIDTH)


@pytest.fixture
def clean() -> Tensor:
    return 0.2 + 0.4 * torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def samples(clean: Tensor) -> Tensor:
    """Twenty noisy takes."""
    return noisy(clean.expand(20, -1, -1, -1))


@pytest.fixture
def valid(samples: Tensor) -> Tensor:
    return torch.ones(len(samples), HEIGHT, WIDTH, dtype=torch.bool)


def noisy(picture: Tensor, seed: int = 0) -> Tensor:
    grain = torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed))
    return picture + NOISE.variance(picture).sqrt() * grain


def test_median_of_the_valid_ones() -> None:
    samples = torch.tensor([1.0, 5.0, 100.0, 3.0])[:, None, None, None].expand(4, 2, 1, 2)
    valid = torch.tensor([[True, False], [True, False], [False, False], [True, False]])[:, None]
    assert masked_median(samples, valid).tolist() == [[[3.0, 0.0]], [[3.0, 0.0]]]


def test_without_a_disturbance_the_rest_is_the_median(clean: Tensor, samples: Tensor, valid: Tensor) -> None:
    found = undisturbed(samples, valid, NOISE, EQUAL)
    assert (found == masked_median(samples, valid)).float().mean() > 0.95
    assert (found - clean).abs().mean() < 0.005


@pytest.mark.parametrize("light", [0.5, 0.8])
def test_the_lit_colour_is_found_where_most_samples_lie_in_shadow(
    clean: Tensor, samples: Tensor, valid: Tensor, light: float
) -> None:
    shaded = clean.expand(20, -1, -1, -1).clone()
    shaded[:12, :, 4:12, 5:15] *= light  # 60 % of the time
    found = undisturbed(noisy(shaded), valid, NOISE, EQUAL)
    assert (found - clean)[:, 4:12, 5:15].abs().max() < 0.02
    assert (masked_median(noisy(shaded), valid) - clean)[:, 4:12, 5:15].abs().mean() > 0.05  # what a median makes of it


def test_what_is_not_wanted_stays_at_the_median(clean: Tensor, samples: Tensor, valid: Tensor) -> None:
    shaded = clean.expand(20, -1, -1, -1).clone()
    shaded[:12, :, 4:12, 5:15] *= 0.5
    wanted = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    wanted[4:12, 5:10] = True
    given = (noisy(shaded), valid, NOISE, EQUAL)
    some, every = undisturbed(*given, wanted), undisturbed(*given)
    assert torch.equal(some[:, ~wanted], masked_median(*given[:2])[:, ~wanted])
    assert (some - every)[:, 4:12, 5:8].abs().max() < 0.01 and (every - some)[:, 4:12, 10:15].mean() > 0.05


def test_a_passing_bright_object_is_not_the_rest(clean: Tensor, samples: Tensor, valid: Tensor) -> None:
    samples[6:8, :, 4:12, 5:15] = 3.0
    assert (undisturbed(samples, valid, NOISE, EQUAL) - clean)[:, 4:12, 5:15].abs().max() < 0.03


def test_a_reflection_is_not_the_rest_though_it_is_bright_and_often_there(valid: Tensor) -> None:
    floor = torch.tensor([0.30, 0.32, 0.35])[:, None, None].expand(20, 3, HEIGHT, WIDTH).clone()
    floor[:11] += torch.tensor([0.2, 0.15, -0.1])[:, None, None]
    found = undisturbed(noisy(floor), valid, NOISE, torch.cat([EQUAL.repeat(11, 1, 1), 2 * EQUAL.repeat(9, 1, 1)]))
    assert (found - floor[-1]).abs().mean() < 0.005


def test_the_deepest_shadow_of_the_sun_has_the_colour_of_the_sky(valid: Tensor) -> None:
    wall = torch.tensor([0.83, 0.72, 0.59])[:, None, None].expand(20, 3, HEIGHT, WIDTH).clone()
    wall[:12] = torch.tensor([0.054, 0.049, 0.053])[:, None, None]
    found = undisturbed(noisy(wall), valid, NOISE, EQUAL.expand(20, -1, -1))
    assert (found - wall[-1]).abs().mean() < 0.01


def test_what_was_seen_far_from_objects_is_believed(clean: Tensor, valid: Tensor) -> None:
    """A reflection that lies there for a third of the time, in a plate with much noise."""
    dark, noise = 0.1 * clean, Noise(0.01**2, 0.0)
    lit = dark.expand(20, -1, -1, -1).clone()
    lit[:7, :, 4:12, 5:15] += 0.02
    grain = 0.01 * torch.randn(lit.shape, generator=torch.Generator().manual_seed(1))
    trust = torch.where(torch.arange(20) < 7, 0.1, 1.0)[:, None, None].expand(-1, HEIGHT, WIDTH)

    def too_bright(trust: Tensor) -> Tensor:
        return (undisturbed(lit + grain, valid, noise, trust) - dark)[:, 4:12, 5:15].mean()

    assert too_bright(EQUAL) > 0.01
    assert too_bright(trust) < 0.003


def test_invalid_samples_count_for_nothing(clean: Tensor, samples: Tensor, valid: Tensor) -> None:
    samples[:14] = 2.0  # most of them, and they agree
    valid[:14] = False
    assert (undisturbed(samples, valid, NOISE, EQUAL) - clean).abs().max() < 0.03


def test_never_valid_is_black(samples: Tensor, valid: Tensor) -> None:
    valid[:, 2:5, 3:6] = False
    found = undisturbed(samples, valid, NOISE, EQUAL)
    assert not found[:, 2:5, 3:6].any() and found[:, 8:, :].all()


def test_mean_of_clean_samples_needs_four() -> None:
    samples = torch.tensor([1.0, 2.0, 3.0, 6.0, 99.0])[:, None, None, None].expand(5, 3, 1, 2)
    clean = torch.tensor([[True, True], [True, True], [True, True], [True, False], [False, False]])[:, None]
    mean = mean_of_clean(samples, clean, torch.full((3, 1, 2), 0.5))
    assert mean.tolist() == [[[3.0, 0.5]]] * 3


def test_neighbours_agree_which_light_is_the_full_one(clean: Tensor) -> None:
    """Half of the frames lie in a shadow, few in each lighter stage of it: each pixel alone goes by its own noise."""
    light = torch.tensor([0.8] * 8 + [0.9] * 3 + [0.95] * 3 + [1.0] * 2)
    samples = noisy(clean * light[:, None, None, None])
    found = undisturbed(samples, torch.ones(len(light), HEIGHT, WIDTH, dtype=torch.bool), NOISE, EQUAL)
    assert (found / clean).mean(0).std() < 0.012  # 0.019 where each chooses for itself, 0.007 is the noise


def test_weights_weigh() -> None:
    samples = torch.tensor([1.0, 2.0, 50.0])[:, None, None, None].expand(3, 2, 1, 2)
    weight = torch.tensor([[3.0, 0.0], [1.0, 0.0], [0.0, 0.0]])[:, None]
    gathered = gather(samples, weight)
    assert gathered.mean.tolist() == [[[1.25, 0.0]]] * 2
    assert gathered.times.tolist() == [[2, 0]]


def test_where_near_samples_differ_is_told(clean: Tensor, samples: Tensor) -> None:
    samples[5:9, :, 4:12, 5:15] *= 0.6  # a shadow for a fifth of the time
    weight = torch.rand(20, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1)) + 0.5
    found, differ = undisturbed_near(samples, weight, gather(samples, weight).mean, NOISE, 0.1)
    assert differ[5:11, 6:14].all() and not differ[:, 18:].any()
    assert (found - clean).abs().max() < 0.03


def test_doubt_is_what_samples_differ_by_beyond_the_noise(clean: Tensor, samples: Tensor) -> None:
    weight = torch.ones(20, HEIGHT, WIDTH)
    samples[::2, :, 4:12] += 0.2  # fetched from the wrong place on every other frame
    weight[1:, :, 15:] = 0
    found = gather(samples, weight).doubt(NOISE)
    assert found[:, 4:12, :15].mean().item() == pytest.approx(0.1**2 * 20 / 19 * 21 / 20, rel=0.05)
    assert found[:, 12:, :15].mean() < 0.3 * NOISE.variance(clean).mean()
    assert not found[:, :, 15:].any()


def test_where_few_samples_tell_an_edge_is_in_doubt(clean: Tensor) -> None:
    edge = torch.zeros(3, HEIGHT, WIDTH)
    edge[..., 10:] = 1.0
    times = torch.full((HEIGHT, WIDTH), 2.0)
    times[8:] = 3
    found = least_doubt(torch.zeros_like(edge), times, edge, 0.2)
    assert found[:, :8, 9:11].min() > 0.004 and not found[:, :8, :6].any()
    assert not found[:, 8:].any()


def test_what_never_rests_is_told_from_what_a_shadow_passes(clean: Tensor) -> None:
    still = torch.stack([noisy(clean, seed) for seed in range(24)]).flatten(2)
    swaying = still + 0.1 * torch.randn(still.shape, generator=torch.Generator().manual_seed(1))
    shaded = still.clone()
    shaded[:8] *= 0.5
    seen = torch.ones(24, still.shape[2], dtype=torch.bool)
    found = [unrest(of, seen, clean.flatten(1), NOISE).mean() for of in (still, shaded, swaying)]
    assert found[0] < 3e-4 and found[1] < 1e-3 and 0.007 < found[2] < 0.013
    assert not unrest(swaying, ~seen, clean.flatten(1), NOISE).any(), "nothing tells of itself"
