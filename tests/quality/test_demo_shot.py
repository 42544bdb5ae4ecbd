"""How good the layers of the bundled shot are, by its truth: a floor that no change may fall through."""

from pathlib import Path

import numpy as np
import pytest

from penumbra.protocol import Mask, OmnimatteJob
from penumbra_engine.media import read_picture
from penumbra_engine.media.windows import place
from penumbra_engine.solvers.jobs import run

SHOT = Path(__file__).parents[1] / "data" / "sun_wall_small"
FRAMES = range(1001, 1025)


def pixels(path: Path) -> np.ndarray:
    """Over the display window."""
    picture = read_picture(path)
    return place(picture.pixels, picture.window, picture.display)


@pytest.mark.slow
def test_the_cart_comes_with_its_shadow_and_leaves_a_clean_wall(tmp_path: Path) -> None:
    job = OmnimatteJob(
        plate=str(SHOT / "plate.####.exr"),
        frames=f"{FRAMES[0]}-{FRAMES[-1]}",
        colorspace="lin_rec709_scene",
        out=str(tmp_path / "out"),
        masks=[Mask("cart", str(SHOT / "mask1.####.png"))],
    )
    for _ in run(job, tmp_path / "cache"):
        pass
    clean = pixels(SHOT / "clean.exr")[..., :3]
    missed, effect, leak, soft = [], [], [], []
    for frame in FRAMES:
        cart = pixels(SHOT / f"obj1_alpha.{frame}.exr")[..., 0]
        ratio = pixels(SHOT / f"effect1.{frame}.exr")[..., :3]
        dark = 1 - ratio.clip(0, 1).min(-1)
        truth = 1 - (1 - cart) * (1 - dark)
        ours = pixels(tmp_path / "out" / "cart" / f"cart.{frame}.exr")[..., 3]
        background = pixels(tmp_path / "out" / "background" / f"background.{frame}.exr")[..., :3]
        touched = np.abs(ratio - 1).max(-1)
        hit = (touched > 0.05) | (cart > 0.02)
        missed.append(np.square((background - clean).clip(-1, 1)[hit]))
        error = np.abs(ours - truth)
        effect.append(error[(dark > 0.05) & (cart < 0.01)])
        soft.append(error[(cart > 0.02) & (cart < 0.98)])
        leak.append(np.maximum(ours - truth, 0)[(touched < 0.012) & (cart < 0.001)])
    assert -10 * np.log10(np.concatenate(missed).mean()) > 46  # dB behind the cart and its shadow
    assert np.concatenate(effect).mean() < 0.02  # alpha of the shadow
    assert np.concatenate(soft).mean() < 0.13  # alpha of the soft edge
    assert np.concatenate(leak).mean() < 0.0005  # alpha where nothing is
