"""An expected alpha beside colours that say 0.3, or 0 or 1, or nothing."""

import torch
from torch import Tensor

from penumbra_engine.matting.expected_alpha import by_expected_alpha

LEVELS = torch.linspace(0, 1, 17)
BEFORE = torch.full((17,), 1 / 17)


def heard(likely: Tensor, expected: float) -> float:
    share = torch.softmax(by_expected_alpha(likely[None], LEVELS, BEFORE, torch.tensor([expected])), 1)
    return float((share @ LEVELS)[0])


def colours_say(alpha: float, deviation: float) -> Tensor:
    return BEFORE.log() - 0.5 * ((LEVELS - alpha) / deviation).square()


def test_it_decides_where_colours_say_nothing() -> None:
    for expected in (0.2, 0.5, 0.8):
        assert abs(heard(BEFORE.log(), expected) - expected) < 0.03


def test_it_decides_between_all_and_nothing() -> None:
    either = torch.logaddexp(colours_say(0, 0.05), colours_say(1, 0.05))
    assert heard(either, 0.2) < 0.05 and heard(either, 0.8) > 0.95


def test_it_is_hardly_heard_where_colours_are_sure() -> None:
    assert abs(heard(colours_say(0.3, 0.05), 0.9) - 0.3) < 0.02
    assert abs(heard(colours_say(0.3, 0.1), 0.9) - 0.3) < 0.1
