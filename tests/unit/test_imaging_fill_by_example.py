"""Holes filled with other parts of the picture."""

import pytest
import torch
from torch import Tensor

from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.fill_by_example import fill_by_example


def tiles(height: int, width: int, bright: float = 0.8) -> Tensor:
    """Grey lines every 12 and 16 pixels on a coloured wall, 3 x H x W."""
    line = (torch.arange(height)[:, None] % 12 < 2) | (torch.arange(width) % 16 < 2)
    wall = torch.tensor([bright, bright / 2, bright / 4])[:, None, None].expand(3, height, width)
    return torch.where(line, bright / 20, wall).contiguous()


def with_hole(height: int, width: int) -> Tensor:
    hole = torch.zeros(height, width, dtype=torch.bool)
    hole[height // 2 - 15 : height // 2 + 15, width // 2 - 20 : width // 2 + 20] = True
    return hole


def error(found: Tensor, truth: Tensor, hole: Tensor) -> float:
    return float((found - truth)[:, hole].abs().mean())


@pytest.mark.parametrize("bright", [0.05, 0.8, 60.0])
def test_a_pattern_goes_on_through_a_hole_however_bright_it_is(bright: float) -> None:
    truth, hole = tiles(96, 128, bright), with_hole(96, 128)
    found = fill_by_example(torch.where(hole, 0.0, truth), hole)
    assert torch.equal(found[:, ~hole], truth[:, ~hole])
    assert error(found, truth, hole) < 0.01 * error(fill_smoothly(truth, (~hole).float()), truth, hole)


def test_what_is_filled_has_the_light_of_its_surroundings() -> None:
    light = torch.linspace(0.2, 1, 128)
    truth, hole = tiles(96, 128) * light, with_hole(96, 128)
    found = fill_by_example(truth, hole)
    ratio = found[:, hole].mean() / truth[:, hole].mean()
    assert 0.93 < ratio < 1.07  # a shift to the nearest lines alone changes it by a fifth


def test_a_large_picture_takes_its_examples_at_full_size() -> None:
    truth, hole = tiles(90, 1000), with_hole(90, 1000)
    found = fill_by_example(torch.where(hole, 0.0, truth), hole)
    assert set(found[0, hole].tolist()) <= set(truth[0].flatten().tolist())
    assert error(found, truth, hole) < 0.5 * error(fill_smoothly(truth, (~hole).float()), truth, hole)


def test_the_same_picture_is_filled_the_same() -> None:
    truth, hole = torch.rand(3, 80, 80, generator=torch.Generator().manual_seed(0)), with_hole(80, 80)
    assert torch.equal(fill_by_example(truth, hole), fill_by_example(truth, hole))


@pytest.mark.parametrize("height, width, wide", [(40, 200, 60), (96, 128, 100)])
def test_where_there_are_no_examples_it_goes_on_smoothly(height: int, width: int, wide: int) -> None:
    truth, hole = tiles(height, width), torch.zeros(height, width, dtype=torch.bool)
    hole[:, :wide] = True
    torch.testing.assert_close(fill_by_example(truth, hole), fill_smoothly(truth, (~hole).float()))


def test_a_hole_on_the_border_is_filled() -> None:
    truth, hole = tiles(96, 128), torch.zeros(96, 128, dtype=torch.bool)
    hole[60:, 90:] = True
    found = fill_by_example(torch.where(hole, 0.0, truth), hole)
    assert error(found, truth, hole) < 0.5 * error(fill_smoothly(truth, (~hole).float()), truth, hole)


def test_where_holes_leave_no_patch_whole_it_goes_on_smoothly() -> None:
    truth, hole = tiles(1040, 1040), torch.zeros(1040, 1040, dtype=torch.bool)
    for top in range(7):
        for left in range(7):
            hole[top::13, left::13] = True
    found = fill_by_example(truth, hole)
    torch.testing.assert_close(found, fill_smoothly(truth, (~hole).float()))


def test_what_is_below_black_is_filled_with_numbers() -> None:
    hole = with_hole(96, 128)
    found = fill_by_example(torch.where(tiles(96, 128) < 0.1, -0.01, tiles(96, 128)), hole)
    assert found.isfinite().all() and (found[:, hole] < 0).any()
