"""A shot with truth out of footage: a keyed dancer over a photograph, seen by a camera that pans."""

import json
from pathlib import Path

import cv2
import numpy as np

from penumbra_engine.errors import UsageError
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.media import Picture, write_picture
from penumbra_engine.media.encoding import decode

PHOTOGRAPH = "crissyField"  # of its plates, the one that this bench takes
_LOWEST, _SPAN = 8, 239  # of the 8-bit alpha: what lies below and above is 0 and 1
_PAN = 3.0  # px a frame
_SWAY = 6.0  # px up and down
_GRAIN = 0.004  # scene-linear
_ROUGH = 4  # px: how much larger than the dancer the rough mask is


def compose_dancer(footage: Path, plate: str, out: Path) -> None:
    """Write a folder that `TrueShot.open` reads, for the bench of Matte alone: plates, true alpha and rough masks.

    footage: `rgba/####.png`, straight colour with alpha, 8 bits, and `plates/NAME.jpg`. The camera is the picture's:
    a crop that moves over the photograph by a fraction of a pixel at a time, with fresh grain on every frame. Raises
    UsageError when the folder is none such.
    """
    files = sorted((footage / "rgba").glob("*.png"))
    photograph = cv2.imread(str(footage / "plates" / f"{plate}.jpg"))
    if not files or photograph is None:
        raise UsageError(f"--dancer {footage}: expected rgba/*.png and plates/{plate}.jpg in it", "--dancer")
    out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    behind = _linear(photograph)
    for index, file in enumerate(files):
        straight = np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED))
        alpha = np.clip((straight[..., 3:].astype(np.float32) - _LOWEST) / _SPAN, 0, 1)
        clean = _panned(behind, alpha.shape[:2], index, len(files))
        picture = alpha * _linear(straight[..., :3]) + (1 - alpha) * clean
        picture += _GRAIN * random.standard_normal(picture.shape, np.float32)
        frame = int(file.stem)
        write_picture(out / f"plate.{frame}.exr", Picture(picture, tuple("RGB")))
        write_picture(out / f"alpha.{frame}.exr", Picture(alpha, ("A",)))
        rough = dilate(alpha[..., 0] > 0.5, _ROUGH)[..., None].astype(np.float32)
        write_picture(out / f"mask.{frame}.exr", Picture(rough, ("A",)))
    absent = "plate.####.exr"  # no layer, effect or clean picture is asked for by this bench
    meta = {
        "name": "dancer",
        "frames": [int(files[0].stem), int(files[-1].stem)],
        "colourspace": "lin_rec709_scene",
        "camera": "pan",
        "effect_kind": "none",
        "files": {"plate": "plate.####.exr", "clean": absent, "alpha": ["alpha.####.exr"], "mask": ["mask.####.exr"]}
        | {"layer": [absent], "effect": [absent]},
    }
    (out / "shot.json").write_text(json.dumps(meta), encoding="utf-8")


def _linear(picture: np.ndarray) -> np.ndarray:
    """8-bit BGR as OpenCV reads it, to linear RGB float32."""
    return decode(picture[..., ::-1].astype(np.float32) / 255).astype(np.float32)


def _panned(photograph: np.ndarray, size: tuple[int, int], index: int, count: int) -> np.ndarray:
    """What the camera sees of the photograph on a frame."""
    height, width = size
    scale = max((height + 2 * _SWAY) / photograph.shape[0], (width + _PAN * count) / photograph.shape[1])
    x = (photograph.shape[1] * scale - width - _PAN * count) / 2 + _PAN * index
    y = (photograph.shape[0] * scale - height) / 2 + _SWAY * np.sin(2 * np.pi * index / count)
    view = np.array([[1, 0, x], [0, 1, y]]) / scale
    smooth = cv2.GaussianBlur(photograph, (0, 0), max(0.5 / scale, 0.3))
    return cv2.warpAffine(smooth, view, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
