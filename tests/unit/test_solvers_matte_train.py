"""What a training leaves alone when it starts from an earlier network of the shot."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from penumbra_engine.cache import Store
from penumbra_engine.solvers.matte import train as module
from penumbra_engine.solvers.matte.student import small
from penumbra_engine.solvers.matte.train import Plan, learn_matte, plan_training, sketch_matte
from penumbra_engine.solvers.matte.views import Batch
from stages import finished


class BrightViews:
    """Views that are much brighter than a network begins with."""

    @staticmethod
    def batch(random: np.random.Generator) -> Batch:
        inputs = torch.from_numpy(random.uniform(2, 3, (2, 6, 16, 16)).astype(np.float32))
        return Batch(inputs, (inputs[:, :1] > 2.5).float(), torch.ones(2, 1, dtype=torch.bool))


def sketched(store: Store, parent: str) -> nn.Module:
    """The network after one step, from a parent if there is one."""
    scene: Any = SimpleNamespace(names=("box",))
    steps = sketch_matte(scene, Plan(small(), 1, 1, 1, 0, parent, "inputs", False), lambda *shown: None, store)
    return finished(steps).network


def statistics(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in network.state_dict().items() if "running" in name}


def test_an_earlier_network_keeps_the_statistics_that_whole_frames_were_seen_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Views", lambda scene, side, count: BrightViews)
    store, fresh = Store(tmp_path), small().network(1, 0)
    with store.entry("matte_fit") as entry:
        entry.save("network", **{name: value.numpy() for name, value in fresh.state_dict().items()})
        entry.finish({})
    warm, cold = sketched(store, entry.key), sketched(store, "")
    before = statistics(fresh)
    assert before and all(torch.equal(statistics(warm)[name], before[name]) for name in before)
    assert not any(torch.equal(statistics(cold)[name], before[name]) for name in before)
    assert not torch.equal(next(warm.parameters()), next(fresh.parameters()))  # it learns all the same


def distance(one: nn.Module, other: nn.Module) -> float:
    """Between the weights of two networks, root mean square."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return float(torch.cat([(a - b).detach().flatten() for a, b in pairs]).square().mean().sqrt())


def fit_of(store: Store, name: str, network: nn.Module) -> str:
    """The key of a fit of a network that was finished."""
    with store.entry("matte_fit", name=name) as entry:
        entry.save("network", **{name: value.numpy() for name, value in network.state_dict().items()})
        entry.finish({})
    return entry.key


def test_a_training_with_a_parent_goes_on_from_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Views", lambda scene, side, count: BrightViews)
    store, parent, fresh = Store(tmp_path), small().network(1, 7), small().network(1, 0)
    warm = sketched(store, fit_of(store, "parent", parent))
    assert 0 < distance(warm, parent) < 0.1 * distance(parent, fresh)
    assert distance(sketched(store, ""), fresh) < 0.1 * distance(parent, fresh)


def test_a_changed_request_starts_from_the_last_network_in_half_of_the_steps(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def scene(keyframes: str) -> Any:
        keys = {"plates": "plates", "keyframes": keyframes, "background": "background"}
        return SimpleNamespace(names=("box",), **{part: SimpleNamespace(key=key) for part, key in keys.items()})

    def planned(keyframes: str, steps: int = 0, cold: bool = False) -> Plan:
        return plan_training(scene(keyframes), small(), steps, 0, cold, store)

    def total(plan: Plan) -> int:
        return plan.sketch + plan.main + plan.settle

    first = planned("two")
    assert first.parent == "" and total(first) == small().steps
    last = fit_of(store, "two", small().network(1, 7))
    module._lineage(scene("two"), small(), store).record(first.inputs, "", last)
    assert planned("two").parent == ""  # the same request finds its own again
    assert planned("three").parent == last and total(planned("three")) == small().steps / 2
    assert planned("three", steps=40).parent == last and total(planned("three", steps=40)) == 40
    assert planned("three", cold=True).parent == "" and total(planned("three", cold=True)) == small().steps
    store.entry("matte_fit", name="two").path.rename(tmp_path / "cleared")
    assert planned("three").parent == ""


def test_a_network_is_doubted_by_what_it_was_while_it_settled_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Views", lambda scene, side, count: BrightViews)
    store, shown = Store(tmp_path), []
    scene: Any = SimpleNamespace(
        names=("box",), plates=SimpleNamespace(key="plates"), background=SimpleNamespace(key="background")
    )
    plan = Plan(small(), 1, 2, 4, 0, "", store.entry("matte_fit").key, False)
    sketch = finished(sketch_matte(scene, plan, lambda *seen: None, store))

    def show(network: nn.Module, step: int) -> None:
        shown.append({name: value.clone() for name, value in network.state_dict().items()})

    learned = finished(learn_matte(scene, plan, sketch, show, store))
    earlier = learned.earlier.state_dict()
    same = [all(torch.equal(weights[name], earlier[name]) for name in earlier) for weights in shown]
    assert same == [False] * 2 + [True] + [False] * 3  # two steps, then four that settle


def test_the_network_to_agree_with_is_kept_late_rather_than_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed once the state of that step was kept, but not yet the network."""
    monkeypatch.setattr(module, "Views", lambda scene, side, count: BrightViews)
    monkeypatch.setattr("penumbra_engine.training.loop._CHECKPOINT", 1)
    store = Store(tmp_path)
    scene: Any = SimpleNamespace(
        names=("box",), plates=SimpleNamespace(key="plates"), background=SimpleNamespace(key="background")
    )
    plan = Plan(small(), 1, 2, 4, 0, "", store.entry("matte_fit").key, False)
    sketch = finished(sketch_matte(scene, plan, lambda *seen: None, store))

    class Killed(Exception):
        pass

    def save(network: nn.Module, entry: Any, name: str) -> None:
        if name == "earlier":
            raise Killed
        kept(network, entry, name)

    kept = module._save
    monkeypatch.setattr(module, "_save", save)
    with pytest.raises(Killed):
        finished(learn_matte(scene, plan, sketch, lambda *seen: None, store))
    monkeypatch.setattr(module, "_save", kept)
    learned = finished(learn_matte(scene, plan, sketch, lambda *seen: None, store))
    weights, earlier = learned.network.state_dict(), learned.earlier.state_dict()
    assert not all(torch.equal(weights[name], earlier[name]) for name in weights)
