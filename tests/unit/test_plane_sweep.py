"""Depth by plane sweep against a scene whose depth is known: a far textured plane, a near one in front of it."""

import pytest
import torch

from penumbra_engine.imaging.carried_depth import agreement, carry, keep_in_front
from penumbra_engine.imaging.pinhole import Cameras
from penumbra_engine.imaging.plane_sweep import Match, best_depth, breaks, smooth, sweep, tighten

HEIGHT, WIDTH, FOCAL, COUNT = 48, 80, 50.0, 9
FAR, NEAR = 0.1, 0.2  # inverse depths
BASELINE = 0.2  # a frame: the far plane moves by 50 * 0.2 * 0.1 = 1 px a frame, the near one by 2


def cameras() -> Cameras:
    pose = torch.eye(3, 4, dtype=torch.float64).repeat(COUNT, 1, 1)
    pose[:, 0, 3] = -BASELINE * torch.arange(COUNT)
    return Cameras(pose, FOCAL, ((WIDTH - 1) / 2, (HEIGHT - 1) / 2), 0.0)


def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures T x 3 x H x W and true inverse depths T x H x W; both planes move by whole pixels."""
    torch.manual_seed(0)
    far, near = torch.rand(3, HEIGHT, WIDTH + COUNT), torch.rand(3, HEIGHT, 20)
    pictures, depths = [], []
    for t in range(COUNT):
        picture, depth = far[:, :, t : t + WIDTH].clone(), torch.full((HEIGHT, WIDTH), FAR)
        left = 40 - 2 * t
        picture[:, :, left : left + 20], depth[:, left : left + 20] = near, NEAR
        pictures.append(picture)
        depths.append(depth)
    return torch.stack(pictures), torch.stack(depths)


def test_a_point_moves_by_focal_times_baseline_times_inverse_depth() -> None:
    view = cameras()
    pixels, depth = view.seen_from(0, [1], view.rays(HEIGHT, WIDTH)).at(torch.full((HEIGHT, WIDTH), NEAR))
    assert pixels[0, 10, 30].tolist() == pytest.approx([28, 10], abs=1e-4)
    assert depth[0, 10, 30].item() == pytest.approx(NEAR)


def test_a_sweep_finds_both_planes() -> None:
    pictures, truth = scene()
    view, planes = cameras(), torch.linspace(0.05, 0.25, 21)
    hidden = torch.zeros(COUNT, HEIGHT, WIDTH, dtype=torch.bool)
    match = Match(pictures, hidden, view, view.rays(HEIGHT, WIDTH), 4, [3, 5, 2, 6])
    found = best_depth(smooth(sweep(match, planes), pictures[4]), planes)
    assert ((found - truth[4]).abs() < 0.006).float().mean() > 0.95


def test_what_lies_in_front_is_no_wider_in_depth_than_in_the_picture() -> None:
    pictures, truth = scene()
    view, hidden = cameras(), torch.zeros(COUNT, HEIGHT, WIDTH, dtype=torch.bool)
    match = Match(pictures, hidden, view, view.rays(HEIGHT, WIDTH), 4, [3, 5, 2, 6])
    widened = torch.nn.functional.max_pool2d(truth[4:5], 7, 1, 3)[0]
    inside = slice(8, -8)  # beyond the picture nothing matches

    def wrong(depth: torch.Tensor) -> float:
        return ((depth - truth[4]).abs() > 0.01)[inside, inside].float().mean().item()

    assert wrong(tighten(match, truth[4], 0.01)) < 0.01
    assert wrong(tighten(match, widened, 0.01)) < 0.3 * wrong(widened)


def test_depth_behind_an_object_is_carried_in_with_the_occluder_in_front() -> None:
    _, truth = scene()
    view = cameras()
    rays = view.rays(HEIGHT, WIDTH)
    hidden = torch.zeros(COUNT, HEIGHT, WIDTH, dtype=torch.bool)
    hidden[4, 10:30, 25:45] = True  # over the edge of the near plane at x = 32
    wrong = torch.where(hidden, 0.15, truth)
    others = [t for t in range(COUNT) if t != 4]
    carried = carry(wrong, ~hidden, view, rays, 4, others, 0.01)
    assert carried[20, 28].item() == pytest.approx(FAR, abs=1e-3)
    assert carried[20, 40].item() == pytest.approx(NEAR, abs=1e-3)
    assert agreement(wrong, hidden, view, rays, 4, others, 0.01)[20, 28] == 0  # a wrong depth is confirmed by none


def test_what_stood_clearly_in_front_is_not_taken_away_and_an_outline_is() -> None:
    """A pole and the outline of a shadow, both before a wall once the effects beside them are left out."""
    before, after = torch.full((4, 6), FAR), torch.full((4, 6), FAR)
    before[:, 1], before[:, 4] = 2 * FAR, 1.3 * FAR
    assert torch.equal(keep_in_front(before, after), torch.where(before == 2 * FAR, before, after))


def test_depth_breaks_beside_a_step_and_not_on_a_slope() -> None:
    ground = (0.1 + 0.01 * torch.arange(12.0)).expand(8, 12).clone()
    assert not breaks(ground, 0.005)[:, 1:-1].any()
    ground[:, 6:] += 0.1
    assert breaks(ground, 0.005)[:, 1:-1].any(0).nonzero().flatten().tolist() == [4, 5]
