"""The bench's figures are those of definitions written down a second time, on the bundled shot.

Here pixels are H x W x C, read by OpenImageIO itself, and every figure is one expression.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from penumbra_engine.bench.true_shot import TrueShot, find_shots, read_result
from penumbra_engine.errors import InputError, UsageError
from penumbra_engine.imaging.metrics.layers import layer_scores

SHOT = Path(__file__).parents[1] / "data" / "sun_wall_small"
FRAMES = (1009, 1010, 1011)


def pixels(path: Path) -> np.ndarray:
    buffer = oiio.ImageBuf(str(path))
    return np.atleast_3d(buffer.get_pixels(oiio.FLOAT, buffer.roi_full))


def write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, channels = picture.shape
    buffer = oiio.ImageBuf(oiio.ImageSpec(width, height, channels, "half"))
    buffer.set_pixels(buffer.roi, np.ascontiguousarray(picture, np.float32))
    assert buffer.write(str(path)), buffer.geterror()


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layers and backgrounds that are wrong everywhere in known ways, as files."""
    out = tmp_path_factory.mktemp("poor")
    random = np.random.default_rng(5)
    for frame in FRAMES:
        layer = pixels(SHOT / f"obj1_layer.{frame}.exr")
        layer = layer + random.normal(0, 0.02, layer.shape)
        layer[..., 3] = layer[..., 3].clip(0, 1)
        write(out / "object1" / f"object1.{frame}.exr", layer)
        clean = pixels(SHOT / "clean.exr")[..., :3]
        write(out / "background" / f"background.{frame}.exr", clean + random.normal(0, 0.01, clean.shape))
    return out


def stack(folder: Path, stem: str) -> np.ndarray:
    return np.stack([pixels(folder / f"{stem}.{frame}.exr") for frame in FRAMES]).astype(np.float64)


def expected(out: Path) -> Iterator[tuple[str, float]]:
    plate, clean = stack(SHOT, "plate"), pixels(SHOT / "clean.exr")[..., :3].astype(np.float64)
    alpha, layer, effect = (stack(SHOT, stem) for stem in ("obj1_alpha", "obj1_layer", "effect1"))
    alpha, effect = alpha[..., :1], effect[..., :3].clip(0, None)
    background, ours = stack(out / "background", "background"), stack(out / "object1", "object1")
    dark = 1 - effect.clip(0, 1).min(-1, keepdims=True)
    touched = np.abs(effect - 1).max(-1, keepdims=True)
    truth = 1 - (1 - alpha) * (1 - dark)
    error = np.abs(ours[..., 3:] - truth)

    def db(a: np.ndarray, b: np.ndarray) -> float:
        return float(-10 * np.log10(((a.clip(0, 1) - b.clip(0, 1)) ** 2).mean()))

    hit = ((touched > 0.05) | (alpha > 0.02))[..., 0]
    yield "bg_psnr", db(background, np.broadcast_to(clean, background.shape))
    yield "bg_psnr_touched", db(background[hit], np.broadcast_to(clean, background.shape)[hit])
    yield "recomp_max", float(np.abs(ours[..., :3] + (1 - ours[..., 3:]) * background - plate).max())
    yield "alpha_mad_e3", float(1000 * error.mean())
    yield "effect_mad", float(error[(dark > 0.05) & (alpha < 0.01)].mean())
    yield "core_mad", float(error[alpha > 0.98].mean())
    yield "soft_mad", float(error[(alpha > 0.02) & (alpha < 0.98)].mean())
    extra = (ours[..., 3:] - truth).clip(0, None)
    yield "leak", float(extra[(touched < 0.012) & (alpha < 0.001)].mean())
    change = (ours[1:, ..., 3:] - ours[:-1, ..., 3:]) - (truth[1:] - truth[:-1])
    yield "dtssd", float(np.mean([100 * np.sqrt((step**2).mean()) for step in change]))
    lit = layer[..., :3] + (1 - alpha) * clean * effect
    grain = np.where(truth > 0.004, plate - lit, 0)
    for name, gain in (("replate_dark", 0.4), ("replate_bright", 1.8)):
        want = layer[..., :3] + (1 - alpha) * (gain * clean) * effect + grain
        yield name, db(ours[..., :3] + (1 - ours[..., 3:]) * gain * clean, want)


def test_figures_agree(poor: Path) -> None:
    shot = TrueShot.open(SHOT)
    shot = TrueShot(**{**vars(shot), "frames": FRAMES})
    scores = layer_scores(shot.truth(), *read_result(poor, shot.names, FRAMES))
    for name, value in expected(poor):
        assert scores[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name


def test_reflections_are_pictures_where_they_differ(tmp_path: Path) -> None:
    clean = np.full((4, 6, 3), 0.5)
    write(tmp_path / "clean.exr", clean)
    lit = np.concatenate([clean * 1.5, np.zeros((4, 6, 1))], -1)
    lit[0, 0, 3] = 1
    layer = np.zeros((4, 6, 4))
    for frame in (1, 2):
        write(tmp_path / f"effect1_raw.{frame:04d}.exr", lit)
        write(tmp_path / f"layer.{frame:04d}.exr", layer)
        write(tmp_path / f"alpha.{frame:04d}.exr", layer[..., 3:])
        write(tmp_path / f"plate.{frame:04d}.exr", clean)
    files = {"plate": "plate.####.exr", "clean": "clean.exr", "alpha": ["alpha.####.exr"], "layer": ["layer.####.exr"],
             "effect": ["effect1_raw.####.exr"], "mask": ["alpha.####.exr"]}  # fmt: skip
    meta = {"name": "wet", "frames": [1, 2], "colourspace": "lin_rec709_scene", "camera": "static",
            "effect_kind": "raw", "files": files}  # fmt: skip
    (tmp_path / "shot.json").write_text(json.dumps(meta))
    (shot,) = find_shots(tmp_path)
    assert shot.truth().effect[0, 0].flatten().tolist() == pytest.approx([1.5] + [1.0] * 23)


def test_what_is_no_shot_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no shot .*there: none"):
        find_shots(tmp_path)
    with pytest.raises(UsageError, match=r"no shot moon .*there: sun_wall_small"):
        find_shots(SHOT.parent, "moon")
    (tmp_path / "shot.json").write_text('{"name": "x"}')
    with pytest.raises(InputError, match=r"shot\.json .*frames"):
        find_shots(tmp_path)
