"""The boundary of an object, and the effect that goes on under it."""

import numpy as np
import torch

from penumbra_engine.imaging.noise import Noise
from penumbra_engine.solvers.omnimatte.boundary import Boundary, membership, shows_background
from penumbra_engine.solvers.omnimatte.edge import light_under
from penumbra_engine.solvers.omnimatte.edges import edge_at
from penumbra_engine.solvers.omnimatte.refine import with_effect

HEIGHT, WIDTH, BAND = 60, 80, 8.0
NOISE = Noise(1e-6, 1e-5)


def test_a_reflection_that_touches_its_object_is_there_once() -> None:
    background = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    transmission = torch.ones(3, HEIGHT, WIDTH)
    transmission[:, 30:37, 25:55] = torch.tensor([1.3, 0.5, 0.6])[:, None, None]  # seven rows below the object
    effect = 1 - transmission.amin(0)
    disc = np.zeros((HEIGHT, WIDTH), bool)
    disc[10:30, 25:55] = True
    picture = torch.where(
        torch.from_numpy(disc), torch.tensor([0.9, 0.1, 0.1])[:, None, None], background * transmission
    )
    transmission = torch.where(torch.from_numpy(disc), picture / background, transmission)  # as it is measured
    light, variance = light_under(transmission, disc, BAND), NOISE.variance(picture).mean(0)
    at = Boundary(picture, light, background * light, variance, effect, disc)
    solid, found = with_effect(edge_at(at, BAND), at, BAND)
    # Colours can't tell the red of a reflection from a little of the red object; either way it is half there.
    covered = 1 - (1 - solid) * (1 - found)
    assert solid[14:26, 29:51].min() > 0.99
    assert (covered[31:36, 28:52] - 0.5).abs().mean() < 0.07
    assert covered[40:].max() == 0


def test_a_shadow_that_touches_its_object_keeps_what_was_measured() -> None:
    background = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    transmission = torch.ones(3, HEIGHT, WIDTH)
    transmission[:, 25:45, 25:70] = 0.5
    effect = 1 - transmission.amin(0)
    disc = np.zeros((HEIGHT, WIDTH), bool)
    disc[10:30, 25:55] = True
    inside = torch.from_numpy(disc)
    picture = torch.where(inside, torch.tensor([0.9, 0.1, 0.1])[:, None, None], background * transmission)
    light, variance = light_under(transmission, disc, BAND), NOISE.variance(picture).mean(0)
    at = Boundary(picture, light, background * light, variance, effect, disc)
    solid, found = with_effect(edge_at(at, BAND), at, BAND)
    assert solid[~inside].max() < 0.1 and solid[~inside].mean() < 0.001 and solid[12:28, 27:53].min() > 0.99
    assert (found[31:44, 27:68] - 0.5).abs().max() < 0.02


def test_a_part_of_a_mask_that_shows_the_background_is_told() -> None:
    generator = torch.Generator().manual_seed(1)
    background = torch.rand(3, HEIGHT, WIDTH, generator=generator) * 0.2 + 0.4
    variance = Noise(1e-4, 0).variance(background)
    picture = background + variance.sqrt() * torch.randn(3, HEIGHT, WIDTH, generator=generator)
    picture[:, 20:40, 20:50] *= 0.95  # an object that is hardly darker than the road
    seen = torch.ones(HEIGHT, WIDTH)
    seen[:, 70:] = 0.1  # a guess
    found = shows_background(picture, background, variance, seen)
    assert not found[21:39, 21:49].any()
    assert found[:, :15].mean() > 0.95 and found[:, 55:65].mean() > 0.95
    assert not found[:, 75:].any()


def test_an_object_whose_mask_fills_a_frame_has_what_lies_in_front_of_others() -> None:
    full, small = np.ones((HEIGHT, WIDTH), bool), np.zeros((HEIGHT, WIDTH), bool)
    small[20:40, 20:50] = True
    assert (membership(np.stack([full, small]))[0] > 0.7).all()
    behind = membership(np.stack([small, full]))[1]
    assert (behind[~torch.from_numpy(small)] > 0.7).all() and behind[30, 35] < 0.01
    assert (membership(np.stack([full & False, small]))[1] == 1).all(), "one that is not there has nothing"
