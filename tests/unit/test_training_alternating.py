"""Matting and segmentation in turns: clips that move as they should, and heads that learn by turns."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from penumbra_engine.cache import Store
from penumbra_engine.models.rvm import RobustVideoMatting
from penumbra_engine.training import recipes
from penumbra_engine.training.alternating import alternating_loss, clip
from penumbra_engine.training.recipes import train_model


def halves(side: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """White on black: the left half is the object."""
    alpha = np.zeros((side, side), np.float32)
    alpha[:, : side // 2] = 1
    return alpha[..., None].repeat(3, 2), np.zeros((side, side, 3), np.float32), alpha


def test_picture_and_matte_of_a_clip_move_together() -> None:
    pictures, mattes = clip(halves, 32, np.random.default_rng(3))
    assert pictures.shape == (3, 3, 32, 32) and mattes.shape == (3, 1, 32, 32)
    places = (mattes > 0.5).float().mean((1, 2, 3))
    assert abs(float(places[0] - places[2])) > 0.01
    # An edge that was resampled is as soft in linear light; encoding only lifts it.
    assert ((pictures > 0.5) == (mattes > 0.25)).float().mean() > 0.97


def test_each_head_learns_in_its_turn() -> None:
    torch.manual_seed(0)
    network = RobustVideoMatting().train()
    learned = set()
    for seed in range(6):
        network.zero_grad(set_to_none=True)
        alternating_loss(network, halves, 32, np.random.default_rng(seed)).backward()
        heads = {
            name
            for name, head in (("matte", network.project_mat), ("segmentation", network.project_seg))
            if head.conv.weight.grad is not None
        }
        assert len(heads) == 1  # never both at once
        learned |= heads
    assert learned == {"matte", "segmentation"}


def test_the_recipe_writes_weights_under_the_published_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "_SIDE", 32)
    steps = train_model("rvm-mobilenetv3", "procedural", 1, 0, tmp_path / "rvm.safetensors", Store(tmp_path / "cache"))
    assert list(steps) == [(1, 1)]
    assert len(safetensors.torch.load_file(tmp_path / "rvm.safetensors")) == 380
