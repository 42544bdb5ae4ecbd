"""The clean plate's light and the shot's own detail, on a wall whose every part is known."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from penumbra.protocol import CleanPlateJob, Mask
from penumbra_engine.cache import Store
from penumbra_engine.imaging.disturbance import unlike_a_shadow
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.media import Picture, Shot, write_picture
from penumbra_engine.models.bgm_v1 import BackgroundMatting
from penumbra_engine.models.checkpoints import KINDS, Loaded
from penumbra_engine.solvers.clean_plate import network
from penumbra_engine.solvers.clean_plate.align import align
from penumbra_engine.solvers.clean_plate.fuse import fuse
from penumbra_engine.solvers.clean_plate.matte import solve_matte
from penumbra_engine.solvers.clean_plate.subject import _subject
from penumbra_engine.solvers.clean_plate.thin import thin_parts
from penumbra_engine.solvers.masks import read_masks
from penumbra_engine.solvers.omnimatte.bound import bound_effects
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.plates import decode
from stages import finished
from tiny_shot import TinyShot

HEIGHT, WIDTH = 80, 120


def wall() -> torch.Tensor:
    return 0.3 + 0.4 * torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


def test_a_static_shot_keeps_its_own_background_in_the_light_of_the_clean_plate(
    tiny_shot: TinyShot, tmp_path: Path
) -> None:
    noisy = 1.05 * tiny_shot.clean * (1 + 0.05 * np.random.default_rng(0).standard_normal(tiny_shot.clean.shape))
    write_picture(tmp_path / "clean.exr", Picture(noisy.astype(np.float32), tuple("RGB")))
    job = CleanPlateJob(tiny_shot.plate, tiny_shot.frames, "lin_rec709_scene", str(tmp_path / "out"))
    job.clean_plate = str(tmp_path / "clean.exr")
    shot, store = Shot.open(job), Store(tmp_path / "cache")
    plates = finished(decode(shot, store))
    alignment = finished(align(shot, plates, None, store))
    assert alignment.canvas.still and alignment.own > 0.7
    level = float(tiny_shot.clean.mean())
    assert np.abs(alignment.gain * 1.05 * level + alignment.offset - level).max() < 0.02 * level
    error = np.abs(alignment.canvas.background(0).numpy().transpose(1, 2, 0) - tiny_shot.clean)
    assert error.mean() < 0.5 * np.abs(noisy / 1.05 - tiny_shot.clean).mean()


def test_frames_beside_one_tell_of_its_edge_but_not_of_a_draft_s(tiny_shot: TinyShot, tmp_path: Path) -> None:
    write_picture(tmp_path / "clean.exr", Picture(tiny_shot.clean, tuple("RGB")))
    job = CleanPlateJob(tiny_shot.plate, tiny_shot.frames, "lin_rec709_scene", str(tmp_path / "out"))
    job.clean_plate, job.masks = str(tmp_path / "clean.exr"), [Mask("disc", tiny_shot.mask)]
    shot, store = Shot.open(job), Store(tmp_path / "cache")
    plates = finished(decode(shot, store))
    masks = finished(read_masks(shot, plates, store))
    canvas = finished(align(shot, plates, masks, store)).canvas
    bound = finished(bound_effects(shot, plates, masks, canvas, "draft", store))
    alphas = {
        quality: finished(solve_matte(shot, plates, masks, canvas, bound, None, quality, store)).alpha[:][:, 0]
        for quality in ("draft", "standard")
    }
    true = tiny_shot.alpha[..., 0]
    soft = (true > 0.02) & (true < 0.98)
    error = {quality: np.abs(alpha - true)[soft].mean() for quality, alpha in alphas.items()}
    assert error["standard"] < error["draft"]


def test_bgm_v1_sees_a_square_round_the_mask_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_SIDE", 64)
    model = BackgroundMatting().eval()
    last = model.model_al_out[-2]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)  # tanh of nothing is a half
    weights = Loaded(model, KINDS["bgm-v1"], "hash")
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[30:50, 60:80] = True
    picture = wall().numpy()
    alpha = network.Network(weights, "sampling").alpha(picture, picture, mask)
    assert (alpha[28:52, 58:82] == 0.5).all() and (alpha[:20] == 0).all() and (alpha[:, 90:] == 0).all()
    assert (network.Network(weights, "sampling").alpha(picture, picture, mask & False) == 0).all()


def test_light_comes_from_the_clean_plate_and_detail_from_the_shot() -> None:
    truth = wall()
    x = torch.arange(float(WIDTH))
    shadow = 1 - 0.4 * torch.sigmoid((x - 60) / 8)  # which never leaves the right half
    blurred = torch.nn.functional.avg_pool2d(truth[None], 3, 1, 1, count_include_pad=False)[0]  # out of focus
    inside = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    inside[:, :4] = False
    seen, tolerance = torch.ones(HEIGHT, WIDTH), torch.full((HEIGHT, WIDTH), 0.5)
    fused = fuse(truth * shadow, seen, blurred, inside, Noise(1e-5, 1e-4), tolerance)
    error = (fused.background - truth).abs()
    assert error.mean() < 0.02 < (truth * shadow - truth).abs().mean()
    assert error.mean() < 0.3 * (blurred - truth).abs().mean()
    assert fused.own.mean() > 0.98


def test_what_the_shot_never_showed_comes_from_the_clean_plate() -> None:
    truth = wall()
    found, seen = truth.clone(), torch.ones(HEIGHT, WIDTH)
    found[:, 20:40, 20:40] = torch.tensor([0.9, 0.1, 0.1])[:, None, None]  # something that never moved away
    found[:, 50:60, 80:100], seen[50:60, 80:100] = 0.1, 0  # a guess
    inside, tolerance = torch.ones(HEIGHT, WIDTH, dtype=torch.bool), torch.full((HEIGHT, WIDTH), 0.1)
    fused = fuse(found, seen, truth, inside, Noise(1e-5, 1e-4), tolerance)
    assert (fused.background - truth)[:, 22:38, 22:38].abs().mean() < 0.02
    assert (fused.background - truth)[:, 50:60, 80:100].abs().max() < 1e-5
    assert fused.own[30, 30] < 0.1 and fused.own[55, 90] == 0 and fused.own[70, 110] == 1


def test_up_to_where_the_clean_plate_ends_the_shot_is_believed() -> None:
    truth = wall()
    inside = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    inside[:3] = False
    matched = (truth + 0.01 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(2))) * inside
    fused = fuse(truth, torch.ones(HEIGHT, WIDTH), matched, inside, Noise(1e-4, 0.0), torch.full((HEIGHT, WIDTH), 0.1))
    assert fused.own.min() == 1
    assert (fused.background - truth)[:, :8].abs().max() < 0.02


def test_light_that_a_subject_throws_is_no_subject() -> None:
    clean = wall()
    plate = clean.clone()
    plate[:, 20:50, 40:80] = wall().flip(-1)[:, 20:50, 40:80]
    plate[0, 50:, 40:80] *= 1.3  # warm light on the floor, as far as the picture goes
    canvas = SimpleNamespace(
        noise=Noise(1e-3, 0.0), background=lambda index: clean, tolerance=lambda index: torch.zeros(HEIGHT, WIDTH)
    )
    unlike = unlike_a_shadow(plate, clean, canvas.noise, canvas.tolerance(0))
    assert 1.3 < unlike[60:70, 50:70].median() < 2.5  # likely enough, next to what is certain
    mask = _subject(plate, cast(Canvas, canvas), 0)
    assert mask[25:45, 45:75].all() and not mask[56:].any()


def test_a_shadow_with_a_sharp_edge_is_no_subject() -> None:
    clean = wall()
    plate = clean.clone()
    plate[:, 20:50, 20:50] = wall().flip(-1)[:, 20:50, 20:50]
    plate[:, 20:50, 60:90] *= torch.tensor([0.25, 0.28, 0.31])[:, None, None]  # what the sky leaves of the sun
    exact = torch.zeros(HEIGHT, WIDTH)
    canvas = SimpleNamespace(noise=Noise(1e-5, 1e-4), background=lambda _: clean, tolerance=lambda _: exact)
    edge = unlike_a_shadow(plate, clean, canvas.noise, exact)[25:45, 59:61]
    assert edge.median() > 2.5  # no one scale explains both of its sides
    mask = _subject(plate, cast(Canvas, canvas), 0)
    assert mask[25:45, 25:45].all() and not mask[:, 55:].any()


def test_a_pole_that_the_mask_leaves_out_is_found_and_shadows_and_reflections_are_not() -> None:
    """A grey pole up from the subject; its shadow as thin beside it, a broad reflection below, a speck apart."""
    background = torch.tensor([0.5, 0.25, 0.15])[:, None, None] * (0.8 + 0.4 * wall()[:1])
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[50:60, 40:80] = True
    pole, shadow, reflection, speck = (np.zeros_like(mask) for _ in range(4))
    pole[10:50, 58:61] = shadow[10:50, 70:73] = reflection[60:78, 42:78] = speck[20:24, 20:24] = True
    plate = background.clone()
    plate[:, torch.from_numpy(mask)] = torch.tensor([0.1, 0.2, 0.7])[:, None]
    plate[:, torch.from_numpy(pole | speck)] = 0.12
    plate[:, torch.from_numpy(shadow)] *= 0.3
    plate[:, torch.from_numpy(reflection)] = 0.7 * plate[:, torch.from_numpy(reflection)] + 0.1
    noise, exact = Noise(1e-6, 1e-5), torch.zeros(HEIGHT, WIDTH)
    canvas = cast(Canvas, SimpleNamespace(noise=noise, background=lambda _: background, tolerance=lambda _: exact))
    found = thin_parts(plate, canvas, 0, mask, 4.0)
    assert found[14:44, 59].mean() > 0.9
    assert not found[~dilate(pole, 1.5)].any()  # colours are judged over three pixels
