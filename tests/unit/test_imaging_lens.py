"""A lens with a known bend: there and back, and measured from what it shows."""

import cv2
import numpy as np
import pytest
import torch

from penumbra_engine.imaging.lens import Lens
from penumbra_engine.imaging.lens_from_motion import measure_bend
from penumbra_engine.imaging.registration import Frame
from penumbra_engine.imaging.warp import pixel_grid, sample, transform

WIDTH, HEIGHT = 320, 180


def test_the_corner_of_a_barrel_shows_what_lies_farther_out() -> None:
    lens = Lens(0.1, 401, 301)  # half a diagonal of 250.6 px; the corner is 250 from the middle
    corner, farther = torch.tensor([[0.0, 0.0]]), 1 + 0.1 * (200**2 + 150**2) * 4 / (401**2 + 301**2)
    assert torch.allclose(lens.flat(corner), torch.tensor([[200 - 200 * farther, 150 - 150 * farther]]))


@pytest.mark.parametrize("bend", [-0.12, -0.03, 0.0, 0.05, 0.12])
def test_there_and_back(bend: float) -> None:
    lens, grid = Lens(bend, WIDTH, HEIGHT), pixel_grid(HEIGHT, WIDTH)
    assert (lens.bent(lens.flat(grid)) - grid).abs().max() < 1e-3


def test_what_lies_far_outside_stays_outside() -> None:
    far = torch.tensor([[-2000.0, 90.0], [5000.0, 4000.0]])
    for bend in (-0.12, 0.12):
        bent = Lens(bend, WIDTH, HEIGHT).bent(far)
        assert (bent[0, 0] < -100) and (bent[1] > 300).all()


def views(bend: float) -> list[tuple[Frame, Frame]]:
    """A wall, panned over, through a lens."""
    random = np.random.default_rng(4)
    blurs = (cv2.GaussianBlur(random.random((300, 500)).astype(np.float32), (0, 0), s) * s for s in (1.5, 4, 9))
    wall = torch.from_numpy(cv2.normalize(sum(blurs), None, 0, 255, cv2.NORM_MINMAX))[None]
    flat = Lens(bend, WIDTH, HEIGHT).flat(pixel_grid(HEIGHT, WIDTH))
    taken = []
    for pan in (0.0, 24.0, 48.0):
        to_wall = torch.tensor([[1, 0.01, 50 + pan], [-0.01, 1, 55 + pan / 4], [1e-5 * pan, 0, 1]])
        seen = sample(wall, transform(flat, to_wall))[0][0].round().clamp(0, 255)
        taken.append(Frame(seen.numpy().astype(np.uint8)))
    return [(taken[0], taken[1]), (taken[1], taken[2]), (taken[0], taken[2])]


@pytest.mark.parametrize("bend", [-0.05, 0.08])
def test_a_bend_is_measured(bend: float) -> None:
    assert measure_bend(views(bend)) == pytest.approx(bend, abs=0.012)


def test_a_pinhole_has_none() -> None:
    assert measure_bend(views(0.0)) == 0


def test_frames_without_features_tell_no_bend() -> None:
    blank = Frame(np.full((HEIGHT, WIDTH), 90, np.uint8))
    assert measure_bend([(blank, blank)]) == 0
