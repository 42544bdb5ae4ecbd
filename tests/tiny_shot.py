"""The smallest shot that everything can be known of; the fixture `tiny_shot` writes it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TinyShot:
    """A shot whose every part is known: a disc drifts over a textured wall and its shadow takes half of the light."""

    folder: Path
    plate: str  # pattern, RGB half, scene-linear Rec.709, 48 x 32 pixels
    mask: str  # pattern, one 8-bit channel, a little larger than the disc
    frames: str
    clean: Any  # H x W x 3 float32
    alpha: Any  # T x H x W x 1 float32, the disc alone
    shade: Any  # T x H x W x 1 float32, what the shadow leaves of the light: 1 or 0.5
