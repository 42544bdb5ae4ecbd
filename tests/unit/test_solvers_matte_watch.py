"""When a training ends and what is kept of it, with losses that are known."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from penumbra_engine.cache import Entry, Store
from penumbra_engine.solvers.matte.watch import Watch


class NoViews:
    @staticmethod
    def batch(random: Any) -> float:
        return 0.0


def watched(entry: Entry, losses: list[float]) -> Watch:
    """A watch that has seen one look after the other; the only weight of the network is its loss."""
    views: Any = NoViews()
    network = nn.Linear(1, 1, bias=False)
    watch = Watch(views, lambda net, batch: net.weight.sum(), entry)  # type: ignore[union-attr,operator]
    for index, loss in enumerate(losses):
        with torch.no_grad():
            network.weight.fill_(loss)
        watch.look(network, 40 + 50 * index)
    return watch


@pytest.mark.parametrize(
    ("losses", "settled"),
    [
        ([0.5, 0.4, 0.3], False),  # too few to say
        ([0.5, 0.4, 0.3, 0.2, 0.1], False),
        ([0.5, 0.4, 0.3999, 0.41, 0.3998], True),
        ([0.5, 0.4, 0.42, 0.41, 0.3], False),  # the last one gained
    ],
)
def test_it_ends_when_three_looks_bring_nothing(tmp_path: Path, losses: list[float], settled: bool) -> None:
    with Store(tmp_path).entry("fit") as entry:
        assert watched(entry, losses).settled is settled


def test_the_best_is_kept_and_looks_are_remembered(tmp_path: Path) -> None:
    with Store(tmp_path).entry("fit") as entry:
        watched(entry, [0.5, 0.2, 0.3])
        assert entry.load("best")["weight"].item() == pytest.approx(0.2)
        again = watched(entry, [])
        assert list(again.losses) == [40, 90, 140] and again.losses[90] == pytest.approx(0.2)


def test_it_never_looks_where_the_training_keeps_its_state() -> None:
    views: Any = NoViews()
    entry: Any = type("Empty", (), {"has": staticmethod(lambda name: False)})()
    watch = Watch(views, lambda net, batch: torch.zeros(()), entry)
    due = [step for step in range(1, 301) if watch.due(step)]
    assert due and not [step for step in due if step % 25 == 0]
