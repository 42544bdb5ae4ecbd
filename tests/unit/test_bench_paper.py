"""The paper's configuration: its network, its losses by hand, and a step of training on the tiny shot."""

from pathlib import Path

import pytest
import torch

from penumbra.protocol import Mask, OmnimatteJob
from penumbra_engine.bench import paper, paper_scene
from penumbra_engine.bench.paper import MaskSchedule, mask_loss, paper_omnimatte
from penumbra_engine.bench.true_shot import read_result
from penumbra_engine.models.omnimatte import OmnimatteNet
from tiny_shot import TinyShot


def test_the_network_has_the_published_size() -> None:
    network = OmnimatteNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(10.5e6, rel=0.01)
    colour, flow = network(torch.zeros(1, 16, 64, 96))
    assert colour.shape == (1, 4, 64, 96) and flow.shape == (1, 2, 64, 96)
    assert colour.abs().max() <= 1


def test_the_mask_term_weighs_inside_and_outside_alike() -> None:
    trimap = torch.tensor([[1.0, 0.0, -1.0, -1.0]])
    assert mask_loss(torch.tensor([[1.0, 0.3, 0.0, 0.0]]), trimap) == 0
    # Inside |0 - 1| of 1 pixel: 1 / (1 + 1). Outside |1 + 1| on one of 2 pixels: 2 / (1 + 2).
    assert mask_loss(torch.tensor([[0.5, 0.3, 1.0, 0.0]]), trimap) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_the_mask_term_is_let_go_once_it_is_learned() -> None:
    schedule = MaskSchedule()
    assert [schedule.weight(epoch, 0.5) for epoch in (0, 7)] == [50, 50]
    assert [schedule.weight(epoch, 0.01) for epoch in (8, 15, 16, 99)] == [5, 5, 0, 0]


def test_a_step_changes_the_network_and_files_are_written(
    tiny_shot: TinyShot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (paper, paper_scene):
        monkeypatch.setattr(module, "HEIGHT", 32)
        monkeypatch.setattr(module, "WIDTH", 32)
    masks = [Mask("disc", tiny_shot.mask)]
    job = OmnimatteJob(tiny_shot.plate, "1001-1004", "lin_rec709_scene", str(tmp_path / "out"), masks=masks)
    steps = paper_omnimatte(job, tmp_path / "cache", seconds=0)
    stages = []
    while True:
        try:
            stages.append(next(steps).stage)
        except StopIteration as end:
            assert end.value.warnings == ["1 of 12000 steps of 1 pairs"]
            break
    assert stages[-1] == "write"
    background, layers = read_result(tmp_path / "out", ["disc"], tuple(range(1001, 1005)))
    assert background.shape == (4, 3, 32, 48) and layers[0].shape == (4, 4, 32, 48)
    assert layers[0][:, 3].min() > 0 and layers[0][:, 3].max() < 1  # undecided after one step
