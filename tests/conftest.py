"""What every test may ask for. Heavy libraries are imported inside the fixtures; the host side's tests need none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tiny_shot import TinyShot

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the engine for this test alone, and no OCIO config from outside: no test touches the user's own."""
    home = tmp_path / "penumbra-home"
    monkeypatch.setenv("PENUMBRA_HOME", str(home))
    monkeypatch.delenv("OCIO", raising=False)
    return home


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """What tests write need not outlive a power failure. Those that look at when it is called bring their own."""
    with mock.patch("os.fsync"):
        yield


@pytest.fixture(scope="session")
def tiny_shot(tmp_path_factory: pytest.TempPathFactory) -> TinyShot:
    """Twelve frames of 48 x 32 on disk, written without the engine's own code. Read it; write elsewhere."""
    import numpy as np
    import OpenImageIO as oiio

    folder = tmp_path_factory.mktemp("tiny shot")
    width, height, frames = 48, 32, range(1001, 1013)
    random = np.random.default_rng(7)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    clean = np.float32(0.2) + np.float32(0.15) * random.random((height, width, 3), dtype=np.float32)

    def disc(centre_x: float, centre_y: float, radius: float) -> Any:
        return np.clip(radius + 0.5 - np.hypot(x - centre_x, y - centre_y), 0, 1)[..., None].astype(np.float32)

    def write(path: Path, pixels: Any, kind: str) -> None:
        spec = oiio.ImageSpec(width, height, pixels.shape[2], kind)
        if path.suffix == ".exr":
            spec["compression"] = "zips"
        picture = oiio.ImageBuf(spec)
        picture.set_pixels(picture.roi, np.ascontiguousarray(pixels))
        assert picture.write(str(path)), picture.geterror()

    alphas, shades = [], []
    for index, frame in enumerate(frames):
        centre = 6 + 3 * index
        alpha, shade = disc(centre, 12, 5), 1 - 0.5 * disc(centre + 4, 24, 4)
        write(folder / f"plate.{frame}.exr", alpha * np.float32([0.8, 0.3, 0.1]) + (1 - alpha) * clean * shade, "half")
        write(folder / f"mask.{frame}.png", (disc(centre, 12, 6.5) > 0.5).astype(np.float32), "uint8")
        alphas.append(alpha)
        shades.append(shade)
    return TinyShot(
        folder=folder,
        plate=str(folder / "plate.####.exr"),
        mask=str(folder / "mask.####.png"),
        frames=f"{frames[0]}-{frames[-1]}",
        clean=clean,
        alpha=np.stack(alphas),
        shade=np.stack(shades),
    )
