"""Decode: the plate in its working space, once, where every later stage finds it."""

from dataclasses import dataclass

import cv2
import numpy as np

from penumbra_engine.cache import Stack, Store
from penumbra_engine.errors import InputError
from penumbra_engine.media import Shot
from penumbra_engine.media.encoding import encode
from penumbra_engine.solvers.abreast import abreast
from penumbra_engine.solvers.steps import Steps, code_version

_SMALLEST = 16  # px on each side: flow and features find nothing on less
_PROBES = 8  # frames that the exposure is measured on


@dataclass(frozen=True)
class Plates:
    """key: of the cached stage. plate: T x 3 x H x W float32, scene-linear in the working space. luminance: T x 1 x H x
    W uint8, encoded, what features and flow see. exposure: the gain of that encoding. black: indices of frames on which
    every pixel is 0."""

    key: str
    plate: Stack
    luminance: Stack
    exposure: float
    black: tuple[int, ...] = ()

    def encoded(self, shot: Shot, index: int) -> np.ndarray:
        """A frame as networks see it: 3 x H x W float32, encoded linear Rec.709, cut to [0, 1]."""
        return self.encode(shot, self.plate[index])

    def encode(self, shot: Shot, picture: np.ndarray) -> np.ndarray:
        """The same of a picture 3 x H x W, scene-linear in the working space."""
        picture = encode(_rec709(shot, picture), self.exposure).clip(0, 1)
        return np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)


def decode(shot: Shot, store: Store) -> Steps[Plates]:
    """Read every frame of the plate once. Raises InputError when it is too small."""
    if min(shot.width, shot.height) < _SMALLEST:
        raise InputError(
            f"--plate {shot.plate_files} is {shot.width}x{shot.height}; give a plate of at least "
            f"{_SMALLEST}x{_SMALLEST} pixels",
            "--plate",
        )
    count = len(shot.frames)
    digests = []
    for done, frame in enumerate(shot.frames):
        digests.append(shot.digest_plate(frame))
        yield done, 2 * count
    with store.entry(
        "decode",
        code=code_version(),
        plates=digests,
        colour=[shot.space.config_id, shot.space.name, shot.space.working],
        window=list(shot.window),
    ) as entry:
        if not entry.complete:
            plate = entry.create_stack("plate", (count, 3, shot.height, shot.width))
            luminance = entry.create_stack("luminance", (count, 1, shot.height, shot.width), np.uint8)

            black: list[int] = []

            def read(index: int) -> None:
                picture = np.ascontiguousarray(shot.plate(shot.frames[index]).transpose(2, 0, 1))
                plate[index] = picture
                if not picture.any():
                    black.append(index)

            def look(index: int) -> None:
                luminance[index] = encoded_luminance(shot, plate[index], exposure)[None]

            for index, _ in enumerate(abreast(read, range(count), shot.height * shot.width)):
                yield count + index, 2 * count
            exposure = _exposure(shot, plate)
            for _ in abreast(look, range(count), shot.height * shot.width):
                yield 2 * count - 1, 2 * count
            entry.finish({"exposure": exposure, "black": sorted(black)})
        meta = entry.meta
        stacks = entry.stack("plate"), entry.stack("luminance")
        return Plates(entry.key, *stacks, meta["exposure"], tuple(meta["black"]))


def _rec709(shot: Shot, pixels: np.ndarray) -> np.ndarray:
    return shot.space.working_to_lin_rec709(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def _exposure(shot: Shot, plate: Stack) -> float:
    """The gain that puts the 90th percentile of the shot at 0.6, so that features see dark and bright plates alike."""
    probes = np.unique(np.linspace(0, len(plate) - 1, _PROBES).round().astype(int))
    bright = [float(np.quantile(_rec709(shot, plate[int(t)]).mean(-1), 0.9)) for t in probes]
    return 0.6 / max(float(np.median(bright)), 1e-6)


def encoded_luminance(shot: Shot, pixels: np.ndarray, exposure: float) -> np.ndarray:
    """What features and flow see of a picture 3 x H x W in the working space: H x W uint8."""
    encoded = encode(_rec709(shot, pixels), exposure).clip(0, 1).astype(np.float32)
    return np.round(cv2.cvtColor(encoded, cv2.COLOR_RGB2GRAY) * 255).astype(np.uint8)
