"""Pictures on disk that are written without the engine's own code."""

from pathlib import Path

import numpy as np
import OpenImageIO as oiio


def write(path: Path, pixels: np.ndarray, kind: str = "half", spec: oiio.ImageSpec | None = None) -> str:
    """Write H x W x C, floats as what they mean in a file of that kind (`half`, `float`, `uint8`), and return the path.
    spec: all that the file says, where size and kind are not enough."""
    pixels = np.ascontiguousarray(pixels, None if pixels.dtype == np.uint8 else np.float32)
    spec = spec or oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = oiio.ImageOutput.create(str(path))
    assert image.open(str(path), spec) and image.write_image(pixels) and image.close(), image.geterror()
    return str(path)
