"""Stills with a trimap and a true alpha, as the training pictures of alphamatting.com come."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from penumbra_engine.errors import InputError, UsageError


@dataclass(frozen=True)
class Still:
    """picture: 1 x 3 x H x W, encoded, in [0, 1]. trimap, truth: 1 x 1 x H x W."""

    name: str
    picture: Tensor
    trimap: Tensor
    truth: Tensor

    @property
    def unknown(self) -> np.ndarray:
        """H x W bool."""
        return ((self.trimap > 0.1) & (self.trimap < 0.9))[0, 0].numpy()


def find_stills(folder: Path, only: str = "") -> list[Still]:
    """The pictures `input/NAME.png` with `trimap1/NAME.png` and `gt/NAME.png`. Raises UsageError when there is none,
    InputError for a file that is missing or damaged."""
    names = [path.stem for path in sorted((folder / "input").glob("*.png")) if only in ("", path.stem)]
    if not names:
        raise UsageError(
            f"--pictures {folder}: no {only or 'picture'} in its folder input; give alphamatting.com's training set"
        )
    return [
        Still(name, *(_read(folder / part / f"{name}.png", part == "input") for part in ("input", "trimap1", "gt")))
        for name in names
    ]


def _read(path: Path, colour: bool) -> Tensor:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB if colour else cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise InputError(f"{path} can't be read as a picture; each still needs input, trimap1 and gt", "--pictures")
    planes = torch.from_numpy(pixels).float().reshape(*pixels.shape[:2], -1).permute(2, 0, 1)[None] / 255
    return planes.contiguous()
