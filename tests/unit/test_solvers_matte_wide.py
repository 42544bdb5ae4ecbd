"""A plate of 8K: what memory can't hold is refused before a frame is read, and a strip of one is streamed whole."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from penumbra.protocol import Keyframe, MatteJob
from penumbra_engine.errors import EngineError
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.media import read_picture
from penumbra_engine.solvers import memory
from penumbra_engine.solvers.background import Background
from penumbra_engine.solvers.jobs import run
from penumbra_engine.solvers.matte import solve
from rvm_weights import rvm_home
from stages import finished

WIDE = 7680


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rvm_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One frame of 7680 x 4320, all black."""
    path = tmp_path_factory.mktemp("plate") / "plate.png"
    cv2.imwrite(str(path), np.zeros((4320, WIDE, 3), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return path


def job(plate: Path, out: Path, **changes: Any) -> MatteJob:
    return MatteJob(**{"plate": str(plate), "frames": "1001", "colorspace": "srgb_tx", "out": str(out), **changes})


@pytest.mark.parametrize(
    ("changes", "least"),
    [
        ({"model": "rvm"}, 4.7),  # measured; as much of the plate's size as the encoder sees by the published choice
        ({"model": "rvm", "downsample": 1.0}, 23.0),  # measured on smaller plates, by the pixel
        ({"model": "rvm", "keyed": 1}, 10.0),
        ({"keyed": 1}, 7.0),
        ({"keyed": 3}, 14.0),
    ],
)
def test_what_memory_cannot_hold_is_refused_before_a_frame_is_read(
    plate: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], least: float
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 2e9)
    keyed = changes.pop("keyed", 0)
    changes |= {"keyframes": [Keyframe(f"box{k}", 1001, str(plate)) for k in range(keyed)]}
    with pytest.raises(
        EngineError, match=r"7680 x 4320 pixels takes about \d+\.\d GB of memory and 2\.0 GB"
    ) as refused:
        next(run(job(plate, tmp_path / "out", **changes), home / "cache"))
    assert least <= float(str(refused.value).split(" takes about ")[1].split()[0]) < 2 * least
    assert not (tmp_path / "out").exists()


def test_a_strip_of_8k_is_streamed_whole(home: Path, tmp_path: Path) -> None:
    strip = np.random.default_rng(0).integers(0, 255, (48, WIDE, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "strip.png"), strip)
    steps = run(job(tmp_path / "strip.png", tmp_path / "out", model="rvm", full_window=True), home / "cache")
    finished(steps)
    alpha = read_picture(tmp_path / "out" / "matte" / "matte.1001.exr").pixels[..., 3]
    assert alpha.shape == (48, WIDE) and 0 <= alpha.min() < alpha.max() <= 1
    assert (np.ptp(alpha.reshape(48, 10, -1), axis=(0, 2)) > 0).all()  # something was found all along it


@pytest.mark.parametrize("why_not", ["", "the camera could not be followed"])
def test_edges_take_memory_only_where_a_background_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why_not: str
) -> None:
    matte = np.zeros((24, 32), np.uint8)
    matte[8:16, 8:20] = 255
    cv2.imwrite(str(tmp_path / "box.png"), matte)
    cv2.imwrite(str(tmp_path / "plate.png"), np.dstack([matte] * 3))
    monkeypatch.setattr(solve, "join_memory", lambda *given: 1e18)
    monkeypatch.setattr(solve, "find_background", lambda *given: background(why_not))
    keyframes = [Keyframe("box", 1001, str(tmp_path / "box.png"))]
    steps = run(job(tmp_path / "plate.png", tmp_path / "out", keyframes=keyframes), tmp_path / "cache")
    stages = (progress.stage for progress in steps)
    if why_not:
        assert "sketch" in stages
    else:
        with pytest.raises(EngineError, match="to matte the edges of 32 x 24 pixels takes about"):
            next(stage for stage in stages if stage == "sketch")
    steps.close()


def background(why_not: str) -> Generator[tuple[int, int], None, Background]:
    yield 0, 1
    return Background("wall", Noise(1e-5, 1e-4), why_not, None)
