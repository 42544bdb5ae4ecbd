"""Where a fit of who owns which effect starts from."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple, cast
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor

from penumbra_engine.cache import Store
from penumbra_engine.media import Shot
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte import fit
from penumbra_engine.solvers.omnimatte.bound import Bound
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps

COUNT, HEIGHT, WIDTH = 6, 32, 48
TOPS = (4, 20)  # of two squares that move to the right, their shadows beside them


def objects(index: int) -> np.ndarray:
    found = np.zeros((2, HEIGHT, WIDTH), bool)
    for k, top in enumerate(TOPS):
        found[k, top : top + 8, 4 + 4 * index : 12 + 4 * index] = True
    return found


def shadows(darkness: float, beside: int) -> dict[int, Tensor]:
    """The effects of each frame: of the given depth, so many pixels beside the objects."""
    found = {}
    for index in range(COUNT):
        alpha = torch.zeros(HEIGHT, WIDTH)
        for top in TOPS:
            left = 4 + 4 * index + beside
            alpha[top : top + 8, left : left + 6] = darkness
        found[index] = alpha
    return found


class Fit(NamedTuple):
    owners: fit.Ownership
    progress: list[tuple[int, int]]


def solved(key: str, effects: dict[int, Tensor], store: Store) -> Fit:
    steps, progress = fitted(key, effects, store), []
    try:
        while True:
            progress.append(next(steps))
    except StopIteration as end:
        return Fit(end.value, progress)


def owners(key: str, effects: dict[int, Tensor], store: Store) -> fit.Ownership:
    return solved(key, effects, store).owners


def fitted(key: str, effects: dict[int, Tensor], store: Store) -> Steps[fit.Ownership]:
    shot = SimpleNamespace(frames=range(COUNT), masks=("a", "b"), height=HEIGHT, width=WIDTH)
    masks = SimpleNamespace(objects=objects, union=lambda index: objects(index).any(0), content=str)
    contents = tuple(f"{index} {effects[index].sum():.3f}" for index in range(COUNT))
    bound = SimpleNamespace(key=key, read=lambda index: (None, effects[index]), contents=contents)
    registration = SimpleNamespace(cameras=np.stack([np.eye(3)] * COUNT))
    return fit.fit_ownership(
        cast(Shot, shot),
        cast(Plates, SimpleNamespace(key="plate")),
        cast(Masks, masks),
        cast(Registration, registration),
        cast(Bound, bound),
        "standard",
        0,
        False,
        store,
    )


@pytest.fixture(autouse=True, scope="module")
def short() -> Iterator[None]:
    """A short training, on one thread: so small a network is slower on two, most of all beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with mock.patch.object(fit, "_STEPS", {"standard": 24}):
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fit]:
    """A folder that holds the first fit of the shot, and that fit."""
    folder = tmp_path_factory.mktemp("first")
    return folder, solved("first", shadows(0.3, 8), Store(folder))


@pytest.fixture
def store(shot: tuple[Path, Fit], tmp_path: Path) -> Store:
    """A copy of it."""
    return Store(shutil.copytree(shot[0], tmp_path / "store"))


def test_a_warm_start_is_for_the_same_effects(shot: tuple[Path, Fit], store: Store) -> None:
    first = shot[1]
    again = solved("again", shadows(0.29, 8), store)
    other = solved("other", shadows(0.9, -6), store)
    assert [fit.owners.parent for fit in (first, again, other)] == ["", first.owners.key, ""]
    for begun in (first, other):  # from nothing; after a warm start that led nowhere
        shares = [done / total for done, total in begun.progress]
        assert len(shares) > 24 and shares == sorted(shares) and shares[-1] == 1


def test_a_network_is_kept_while_few_frames_change(shot: tuple[Path, Fit], store: Store) -> None:
    first, effects = shot[1].owners, shadows(0.3, 8)
    one, two = ({**effects, **{t: 0.9 * effects[t] for t in range(2, 2 + count)}} for count in (1, 2))
    again, then = owners("one", one, store), owners("two", two, store)
    assert again.parent == first.key and again.contents == first.contents and again.loss == first.loss
    assert then.parent == again.key and then.contents != first.contents  # a third of the frames since it was trained
    for index in range(COUNT):
        assert torch.equal(again.shares(index, HEIGHT, WIDTH), first.shares(index, HEIGHT, WIDTH))


def test_an_interrupted_fit_goes_on_to_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "_STEPS", {"standard": 12})
    monkeypatch.setattr(fit, "_CHECKPOINT", 5)
    effects = shadows(0.3, 8)
    whole, progress = solved("shot", effects, Store(tmp_path / "whole"))
    interrupted = fitted("shot", effects, Store(tmp_path / "interrupted"))
    for _ in range(8):
        next(interrupted)
    interrupted.close()
    after, rest = solved("shot", effects, Store(tmp_path / "interrupted"))
    assert rest == progress[5:]
    # Not to the last bit: two whole fits are not the same to it either, products depend on where matrices lie.
    assert torch.allclose(after.shares(0, HEIGHT, WIDTH), whole.shares(0, HEIGHT, WIDTH), atol=1e-5)
