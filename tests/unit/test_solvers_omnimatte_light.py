"""The light of frames over their backgrounds."""

import numpy as np
import pytest
import torch

from penumbra_engine.solvers.omnimatte.light import gain_over

HEIGHT, WIDTH = 20, 30
CLEAN = np.ones((HEIGHT, WIDTH), bool)


@pytest.mark.parametrize("black", [0.3, 0.7])
def test_a_plate_that_is_mostly_black_tells_no_exposure(black: float) -> None:
    background = torch.full((3, HEIGHT, WIDTH), 0.4)
    background[:, : round(black * HEIGHT)] = 0
    gain = 1.2 if black < 0.5 else 1
    assert gain_over(background, 1.2 * background, CLEAN) == pytest.approx(gain)


def test_channels_are_told_apart() -> None:
    background = torch.tensor([0.4, 0.2, 0.0])[:, None, None].expand(3, HEIGHT, WIDTH)
    plate = background * torch.tensor([1.1, 0.9, 1.0])[:, None, None]
    assert gain_over(background, plate, CLEAN) == pytest.approx([1.1, 0.9, 1])


def test_where_next_to_nothing_is_clean_the_exposure_stays() -> None:
    background = torch.full((3, HEIGHT, WIDTH), 0.4)
    assert gain_over(background, 2 * background, ~CLEAN).tolist() == [1, 1, 1]
