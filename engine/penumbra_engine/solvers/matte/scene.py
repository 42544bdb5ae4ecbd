"""The scene that the network learns: the shot as it sees it, its keyed frames, and their subjects."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.media import Shot
from penumbra_engine.solvers.background import Background
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.training.composites import Subject, lift
from penumbra_engine.training.sources import beside

# Bytes a pixel of a keyed frame, and of each object on it; how many scenes there are while one takes another's place.
_OF_FRAME, _OF_OBJECT, _SCENES = 24, 32, 2


def scene_memory(shot: Shot) -> float:
    """Bytes that the scene of a shot takes at most."""
    keyed = len({frame for _, frame, _ in shot.keyframes})
    a_pixel = _OF_FRAME * keyed + _OF_OBJECT * len(shot.keyframes)
    return float(_SCENES * a_pixel * shot.width * shot.height)


@dataclass(frozen=True)
class Frame:
    """plate, clean: H x W x 3, scene-linear; clean is the plate where no background is known. mattes: H x W x objects,
    NaN where an object isn't keyed."""

    plate: np.ndarray
    clean: np.ndarray
    mattes: np.ndarray


class Scene:
    """The shot as the network sees it. keyed: indices of the frames with a keyframe. frames: those. subjects: of
    each keyframe by (object, frame); none where no background is known."""

    def __init__(self, shot: Shot, plates: Plates, keyframes: Keyframes, background: Background) -> None:
        self.shot, self.plates, self.keyframes, self.background = shot, plates, keyframes, background
        self.names = keyframes.names
        self.keyed = sorted({index for _, index in keyframes.of})
        self.frames = {index: self._read(index) for index in self.keyed}
        self.subjects = self._lifted() if background.read(0) is not None else {}

    def background_of(self, index: int) -> np.ndarray:
        """The background of a frame, H x W x 3; the plate where none is known."""
        behind = self.background.read(index)
        picture = self.plates.plate[index] if behind is None else behind.numpy()
        return np.ascontiguousarray(picture.transpose(1, 2, 0))

    def _read(self, index: int) -> Frame:
        plate = np.ascontiguousarray(self.plates.plate[index].transpose(1, 2, 0))
        mattes = np.full((*plate.shape[:2], len(self.names)), np.nan, np.float32)
        for of, (name, at) in enumerate(self.keyframes.of):
            if at == index:
                mattes[..., self.names.index(name)] = self.keyframes.mattes[of][0]
        return Frame(plate, self.background_of(index), mattes)

    def _lifted(self) -> dict[tuple[int, int], Subject]:
        """With several objects their shadows can't be told apart here, so none is taken along."""
        subjects = {}
        for index in self.keyed:
            frame = self.frames[index]
            for k in range(len(self.names)):
                if not np.isnan(frame.mattes[0, 0, k]):
                    alpha = frame.mattes[..., k]
                    subjects[k, index] = lift(frame.plate, frame.clean, alpha, effects=len(self.names) == 1)
        return subjects

    def seen(self, picture: np.ndarray, clean: np.ndarray) -> Tensor:
        """The network's input 6 x H x W of a picture and its background, H x W x 3 both."""
        a, b = (self.shot.space.working_to_lin_rec709(np.ascontiguousarray(part)) for part in (picture, clean))
        return torch.from_numpy(beside(a, b, self.plates.exposure))

    def whole(self, index: int) -> Tensor:
        """The network's input of a whole frame, 6 x H x W."""
        plate = np.ascontiguousarray(self.plates.plate[index].transpose(1, 2, 0))
        return self.seen(plate, self.background_of(index))
