"""What several unit tests ask for."""

import json
from pathlib import Path

import pytest

from tiny_shot import TinyShot


@pytest.fixture
def true_tiny(tiny_shot: TinyShot, tmp_path: Path) -> Path:
    """The tiny shot with its truth as files: the folder of one shot, in a folder of shots."""
    import numpy as np

    from penumbra_engine.media import Picture, write_picture

    folder = tmp_path / "shots" / "tiny"
    folder.mkdir(parents=True)
    write_picture(folder / "clean.exr", Picture(tiny_shot.clean, tuple("RGB")))
    for index, frame in enumerate(range(1001, 1013)):
        alpha, shade = tiny_shot.alpha[index], tiny_shot.shade[index]
        colour = alpha * np.float32([0.8, 0.3, 0.1])
        write_picture(folder / f"alpha.{frame}.exr", Picture(alpha, ("A",)))
        write_picture(folder / f"layer.{frame}.exr", Picture(np.concatenate([colour, alpha], -1), tuple("RGBA")))
        write_picture(folder / f"effect.{frame}.exr", Picture(np.repeat(shade, 3, -1), tuple("RGB")))
    files = {
        "plate": tiny_shot.plate,
        "clean": "clean.exr",
        "alpha": ["alpha.####.exr"],
        "layer": ["layer.####.exr"],
        "effect": ["effect.####.exr"],
        "mask": [tiny_shot.mask],
    }
    meta = {
        "name": "tiny",
        "frames": [1001, 1012],
        "colourspace": "lin_rec709_scene",
        "camera": "static",
        "effect_kind": "ratio",
        "files": files,
        "fullest_frame": 1005,
    }
    (folder / "shot.json").write_text(json.dumps(meta))
    return folder
