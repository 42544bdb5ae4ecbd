"""Networks that see a clean plate: what they learn from composites, and from takes against a critic."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from penumbra_engine.cache import Store
from penumbra_engine.errors import InputError, UsageError
from penumbra_engine.models.bgm_v1 import BackgroundMatting
from penumbra_engine.models.bgm_v2 import BackgroundMattingV2
from penumbra_engine.models.checkpoints import recognise
from penumbra_engine.training import recipes
from penumbra_engine.training.adversarial import Duel, duel_loss
from penumbra_engine.training.clean_plates import composites_loss, rough
from penumbra_engine.training.recipes import train_model
from penumbra_engine.training.sources import takes_of
from pictures import write

SIDE = 32


class Found(NamedTuple):
    alpha: Tensor
    foreground: Tensor


class Halves(nn.Module):
    """Half of everything everywhere: cuts out ghosts."""

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.5))

    def forward(self, picture: Tensor, clean: Tensor) -> Found:
        return Found(self.share * torch.ones_like(picture[:, :1]), picture)


def stripes(side: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A take of a white square before stripes, which run across or down."""
    grid = np.indices((side, side))[int(random.integers(2))] // 4 % 2
    clean = np.repeat(grid[..., None].astype(np.float32), 3, 2)
    mask = np.zeros((side, side), np.float32)
    mask[side // 4 : -side // 4, side // 4 : -side // 4] = 1
    return np.where(mask[..., None] > 0, np.float32(0.8), clean), clean, mask


def test_each_player_hears_only_its_own_loss() -> None:
    torch.manual_seed(0)
    duel = Duel(Halves()).train()
    duel_loss(duel, stripes, 2, SIDE, np.random.default_rng(0)).backward()
    together = [parameter.grad.clone() for parameter in duel.critic.parameters()]
    assert duel.student.share.grad is not None and duel.teacher.share.grad is None
    duel.zero_grad()
    duel.student.requires_grad_(False)
    duel_loss(duel, stripes, 2, SIDE, np.random.default_rng(0)).backward()
    assert all(torch.equal(a, p.grad) for a, p in zip(together, duel.critic.parameters(), strict=True))


def test_the_critic_learns_to_tell_ghosts_from_pictures() -> None:
    torch.manual_seed(0)
    duel = Duel(Halves()).train()
    optimiser = torch.optim.Adam(duel.critic.parameters(), 1e-3)
    for step in range(15):
        optimiser.zero_grad()
        duel_loss(duel, stripes, 2, SIDE, np.random.default_rng(step)).backward()
        optimiser.step()
    picture, clean, _ = (torch.from_numpy(part) for part in stripes(SIDE, np.random.default_rng(0)))
    picture, clean = (side.permute(2, 0, 1)[None] for side in (picture, clean))
    ghost = 0.5 * picture + 0.5 * clean.transpose(2, 3)
    assert duel.critic(picture).mean() > duel.critic(ghost).mean() + 0.1


def test_the_teacher_stays_as_it_is() -> None:
    duel = Duel(nn.Sequential(nn.BatchNorm2d(3))).train()
    assert duel.student.training and not duel.teacher.training


def test_a_rough_mask_covers_about_the_subject() -> None:
    mattes = torch.zeros(1, 1, 64, 64)
    mattes[..., 20:44, 20:44] = 1
    masks = [rough(mattes, np.random.default_rng(seed)) for seed in range(8)]
    assert all(float(mask.min()) >= 0 and float(mask.max()) <= 1 and mask[0, 0, 32, 32] == 1 for mask in masks)
    sizes = [float(mask.sum()) for mask in masks]
    assert min(sizes) < mattes.sum() < max(sizes)


def test_the_second_version_learns_its_base_and_its_doubt_too() -> None:
    torch.manual_seed(0)
    network = BackgroundMattingV2(mode="full").train()
    composites_loss(network, stripes, 2, 64, np.random.default_rng(0)).backward()
    assert network.decoder.conv4.weight.grad is not None
    assert (network.decoder.conv4.weight.grad[4] != 0).any()  # the expected error


def test_the_first_version_sees_its_mask() -> None:
    torch.manual_seed(0)
    duel = Duel(BackgroundMatting()).train()
    duel_loss(duel, stripes, 2, 16, np.random.default_rng(0)).backward()
    assert (duel.student.model_enc_seg[1].weight.grad != 0).any()


def test_a_student_goes_on_from_what_composites_taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "_SIDE", SIDE)
    store, first, second = Store(tmp_path / "cache"), tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    model = "bgm-v2-mobilenetv2"
    list(train_model(model, "procedural", 1, 0, first, store))
    list(train_model(model, "procedural", 2, 0, second, store, first, adversarial=True))
    before, after = (safetensors.torch.load_file(path) for path in (first, second))
    assert recognise(after, second).name == model
    assert not torch.equal(before["decoder.conv4.weight"], after["decoder.conv4.weight"])


def test_what_the_stage_needs_is_asked_for(tmp_path: Path) -> None:
    store, out = Store(tmp_path / "cache"), tmp_path / "out.safetensors"
    with pytest.raises(UsageError, match="--start"):
        next(train_model("bgm-v1", "procedural", 1, 0, out, store, adversarial=True))
    other = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, other)
    with pytest.raises(UsageError, match="bgm-v1"):
        next(train_model("small", "procedural", 1, 0, out, store, other, adversarial=True))
    with pytest.raises(InputError, match="another network"):
        next(train_model("small", "procedural", 1, 0, out, store, other))


def test_takes_are_read_together(tmp_path: Path) -> None:
    picture, clean, mask = stripes(SIDE, np.random.default_rng(0))
    for part, pixels in (("plate", picture), ("clean", clean)):
        write(tmp_path / part / "a.exr", pixels, "float")
    with pytest.raises(InputError, match=r"mask.a\.exr is missing"):
        takes_of(str(tmp_path))
    write(tmp_path / "mask" / "a.exr", mask[..., None], "float")
    seen, behind, where = takes_of(str(tmp_path))(16, np.random.default_rng(0))
    assert seen.shape == behind.shape == (16, 16, 3) and where.shape == (16, 16)
    assert np.abs(seen - behind)[where == 0].max() < 1e-3  # one view of all three
