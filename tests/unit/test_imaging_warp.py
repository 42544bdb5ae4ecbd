"""Pictures moved by homographies: exact where a hand can check it."""

import math

import pytest
import torch
from torch import Tensor

from penumbra_engine.imaging.warp import pixel_grid, sample, transform, warp

HEIGHT, WIDTH = 24, 32


def smooth(points: Tensor) -> Tensor:
    """A picture given by its formula, at points ... x 2; 2 x ... ."""
    x, y = points.unbind(-1)
    return torch.stack([torch.sin(x / 12) + torch.cos(y / 10), 0.1 * x - 0.05 * y])


def translation(dx: float, dy: float) -> Tensor:
    return torch.tensor([[1, 0, dx], [0, 1, dy], [0, 0, 1]], dtype=torch.float64)


def test_the_first_pixel_centre_is_the_origin() -> None:
    grid = pixel_grid(2, 3)
    assert grid.tolist() == [[[0, 0], [1, 0], [2, 0]], [[0, 1], [1, 1], [2, 1]]]


def test_points_through_a_homography() -> None:
    perspective = torch.tensor([[2.0, 0, 1], [0, 3, 0], [0, 1, 1]])
    assert transform(torch.tensor([[1.0, 1.0], [4.0, 0.0]]), perspective).tolist() == [[1.5, 1.5], [9.0, 0.0]]


def test_points_keep_their_precision() -> None:
    points = torch.rand(5, 2, dtype=torch.float64)
    assert transform(points, translation(1, 1).float()).dtype == torch.float64


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_identity_changes_nothing(mode: str) -> None:
    picture = torch.randn(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    moved, inside = warp(picture, torch.eye(3), HEIGHT, WIDTH, mode)
    torch.testing.assert_close(moved, picture, atol=2e-5, rtol=0)
    assert inside.all()


def test_whole_pixels_move_exactly_and_the_edge_is_repeated() -> None:
    picture = torch.randn(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    moved, inside = warp(picture, translation(5, -3), HEIGHT, WIDTH)
    torch.testing.assert_close(moved[:, 3:, :-5], picture[:, :-3, 5:], atol=2e-5, rtol=0)
    torch.testing.assert_close(moved[:, 3:, -4:], picture[:, :-3, -1:].expand(-1, -1, 4), atol=2e-5, rtol=0)
    assert inside.sum() == (HEIGHT - 3) * (WIDTH - 5) and inside[3:, :-5].all()


def test_half_a_pixel_outside_is_still_inside() -> None:
    points = torch.tensor([[[-0.5, 0.0], [-0.51, 0.0], [WIDTH - 0.5, 0.0], [WIDTH - 0.49, 0.0]]])
    _, inside = sample(torch.zeros(1, HEIGHT, WIDTH), points)
    assert inside.tolist() == [[True, False, True, False]]


def test_a_smooth_picture_is_what_its_formula_says_through_any_homography() -> None:
    picture = smooth(pixel_grid(HEIGHT, WIDTH))
    turn = math.radians(7)
    to_source = translation(4.3, -1.7) @ torch.tensor(
        [[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [2e-3, -1e-3, 1]],
        dtype=torch.float64,
    )
    moved, _ = warp(picture, to_source, 20, 28)
    at = transform(pixel_grid(20, 28), to_source)
    away = ((at > 1) & (at < torch.tensor([WIDTH - 2.0, HEIGHT - 2.0]))).all(-1)  # cubics need two neighbours
    assert away.float().mean() > 0.6
    assert (moved - smooth(at))[:, away].abs().max() < 0.01
