"""Where training pictures come from: out of nothing, or from a folder of layers and backgrounds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.errors import InputError
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.media import read_mask, read_picture
from penumbra_engine.media.encoding import encode
from penumbra_engine.training.composites import Subject, put_over, random_view, resampled
from penumbra_engine.training.procedural import composite

#: Makes a picture, its clean background (H x W x 3 scene-linear both) and the matte (H x W) of some size.
Source = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray, np.ndarray]]

PROCEDURAL = "procedural"
_NOISE = Noise(1e-5, 1e-4)


def source_of(data: str) -> Source:
    """The source that a word names: `procedural`, or a folder. Raises InputError for a folder that lacks something."""
    return composite if data == PROCEDURAL else Layers(Path(data))


def takes_of(data: str) -> Source:
    """Takes without mattes: out of nothing, or from a folder. Raises InputError for a folder that lacks something."""
    return composite if data == PROCEDURAL else Takes(Path(data))


class Takes:
    """Every `plate/*.exr` (RGB) with the `clean/*.exr` and the rough `mask/*.exr` of the same name, linear Rec.709 and
    of one size: what was shot, the same place without the subject, and, as its matte, about where that is."""

    def __init__(self, folder: Path) -> None:
        self.plates = _files(folder / "plate")
        self.others = [[folder / part / plate.name for part in ("clean", "mask")] for plate in self.plates]
        for path in (path for pair in self.others for path in pair if not path.is_file()):
            raise InputError(
                f"--data: {path} is missing; each plate needs its clean plate and its rough mask", "--data"
            )

    def __call__(self, side: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        index = int(random.integers(len(self.plates)))
        clean, mask = self.others[index]
        plate, behind = (
            np.ascontiguousarray(read_picture(path, "rgb").pixels[..., :3]) for path in (self.plates[index], clean)
        )
        where = np.ascontiguousarray(read_mask(mask).pixels[..., 0])
        if not plate.shape == behind.shape == (*where.shape, 3):
            raise InputError(
                f"--data: {self.plates[index]}, {clean} and {mask} differ in size; a take has one", "--data"
            )
        view = _view_of(where, plate.shape, side, random)
        size = (side, side)
        return resampled(plate, view, size), resampled(behind, view, size), resampled(where, view, size).clip(0, 1)


class Layers:
    """Every `foreground/*.exr` (premultiplied RGBA) over every `background/*.exr` (RGB), linear Rec.709 both, from the
    same or other shots, turned, scaled and exposed to each other's light, with the grain of a plate."""

    def __init__(self, folder: Path) -> None:
        self.foregrounds, self.backgrounds = (_files(folder / name) for name in ("foreground", "background"))
        _layer(self.foregrounds[0])

    def __call__(self, side: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        layer = _layer(self.foregrounds[random.integers(len(self.foregrounds))])
        behind = read_picture(self.backgrounds[random.integers(len(self.backgrounds))], "rgb").pixels
        clean = _view(np.ascontiguousarray(behind[..., :3]), None, side, random)
        moved = _view(layer, layer[..., 3], side, random)
        colour, alpha = np.ascontiguousarray(moved[..., :3]), moved[..., 3].clip(0, 1)
        gain = np.mean(clean) / max(float(colour.sum() / max(3 * alpha.sum(), 1e-3)), 1e-3)
        lit = colour * np.float32(np.clip(gain, 0.5, 2))  # in the light of its new place
        subject = Subject(lit, alpha, np.ones_like(lit))
        return put_over(subject, clean, _NOISE, random), clean, alpha


def batch(source: Source, count: int, side: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Inputs N x 6 x side x side for a network that sees picture and background, and mattes N x 1 x side x side."""
    inputs, mattes = [], []
    for _ in range(count):
        picture, clean, alpha = source(side, random)
        inputs.append(torch.from_numpy(beside(picture, clean)))
        mattes.append(torch.from_numpy(np.ascontiguousarray(alpha))[None])
    return torch.stack(inputs), torch.stack(mattes)


def beside(picture: np.ndarray, clean: np.ndarray, exposure: float = 1.0) -> np.ndarray:
    """A picture as networks see it, and by how much it differs from its background: H x W x 3 linear Rec.709 both to
    6 x H x W float32."""
    a, b = (encode(part, exposure).clip(0, 1) for part in (picture, clean))
    return np.concatenate([a, a - b], 2).transpose(2, 0, 1).astype(np.float32)


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.exr"))
    if not files:
        raise InputError(
            f"--data: {folder} holds no .exr files; give a folder with foreground/ and background/", "--data"
        )
    return files


def _layer(path: Path) -> np.ndarray:
    picture = read_picture(path)
    if not set("RGBA") <= set(picture.channels):
        raise InputError(
            f"--data: {path} has the channels {', '.join(picture.channels)}; a foreground needs RGBA", "--data"
        )
    return np.ascontiguousarray(picture.pixels[..., [picture.channels.index(name) for name in "RGBA"]])


def _view(picture: np.ndarray, matte: np.ndarray | None, side: int, random: np.random.Generator) -> np.ndarray:
    """A square of a picture, around some of the matte where there is one."""
    border = {} if matte is None else {"border": 0, "value": 0}
    return resampled(picture, _view_of(matte, picture.shape, side, random), (side, side), **border)


def _view_of(matte: np.ndarray | None, shape: tuple[int, ...], side: int, random: np.random.Generator) -> np.ndarray:
    """The map of a square to a picture of a shape (H, W, ...), around some of the matte where there is one."""
    centre = (random.uniform(0, shape[1]), random.uniform(0, shape[0]))
    if matte is not None and len(places := np.argwhere(matte > 0.02)):
        y, x = places[random.integers(len(places))]
        centre = (float(x), float(y))
    return random_view(centre, side, random)
