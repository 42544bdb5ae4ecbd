"""Whether a camera stands is told by blocks first, by features only where those leave it open."""

from typing import Any

import cv2
import numpy as np
import pytest

from penumbra_engine.imaging.registration import Frame
from penumbra_engine.solvers.omnimatte import register
from stages import finished

HEIGHT, WIDTH, COUNT, REFERENCE = 120, 160, 5, 2


def wall() -> np.ndarray:
    random = np.random.default_rng(0)
    blurs = (cv2.GaussianBlur(random.random((HEIGHT, WIDTH)).astype(np.float32), (0, 0), s) * s for s in (2, 5))
    return cv2.normalize(sum(blurs), None, 20, 235, cv2.NORM_MINMAX)


def frames(by: float, at_rest: slice = slice(0)) -> list[Frame]:
    """The wall, on every second frame some pixels to the right but for columns that rest."""
    moved = cv2.warpAffine(
        wall(), np.array([[1.0, 0, by], [0, 1, 0]]), (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE
    )
    moved[:, at_rest] = wall()[:, at_rest]
    return [Frame(np.round(moved if t % 2 else wall()).astype(np.uint8)) for t in range(COUNT)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked, in its order; features say that the camera stands."""
    order: list[str] = []
    blocks = register.at_rest

    def at_rest(*given: Any) -> float:
        order.append("blocks")
        return blocks(*given)

    def stands(*given: Any) -> bool:
        order.append("features")
        return True

    monkeypatch.setattr(register, "at_rest", at_rest)
    monkeypatch.setattr(register, "_stands", stands)
    return order


def pairs(of: list[Frame]) -> int:
    return len(finished(register._still_pairs(of, REFERENCE, 0)))


def test_where_nothing_moves_nobody_is_asked(asked: list[str]) -> None:
    assert pairs(frames(0)) == COUNT - 1 and asked == []


def test_where_a_part_of_the_picture_rests_features_are_not_asked(asked: list[str]) -> None:
    assert pairs(frames(0.6, slice(0, 40))) == COUNT - 1 and asked == ["blocks"]


def test_where_nothing_rests_features_are_asked_for_each_frame(asked: list[str]) -> None:
    assert pairs(frames(0.6)) == COUNT - 1 and asked == ["blocks", "features", "features"]


def test_where_everything_is_far_away_features_need_not_be_asked(asked: list[str]) -> None:
    assert pairs(frames(1.6)) == 2 and asked == ["blocks"]  # the two at the ends, which are where the reference is
