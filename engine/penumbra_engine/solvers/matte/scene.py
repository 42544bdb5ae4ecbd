"""The scene that the network learns from: views of the keyed frames, and of their subjects over other backgrounds."""

import cv2
import numpy as np
import torch
from torch import Tensor

from penumbra_engine.media import Shot
from penumbra_engine.solvers.background import Background
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.training.composites import Subject, lift, put_over, random_view, resampled
from penumbra_engine.training.sources import beside

_SIDE = 192  # px of a view
_BATCH = 4
_COMPOSED = 0.5  # of the views
_ANYWHERE = 0.4  # of the views of keyed frames; the rest look at an object
_EXPOSURE = 0.3  # stops
_BLURRED, _BLUR = 0.2, 0.7  # of the views; px
_SHIFT = 0.25  # of the frame, by which a subject is moved


class Scene:
    """The shot as the network sees it."""

    def __init__(self, shot: Shot, plates: Plates, keyframes: Keyframes, background: Background) -> None:
        self.shot, self.plates, self.keyframes, self.background = shot, plates, keyframes, background
        self.names = keyframes.names
        self.keyed = sorted({index for _, index in keyframes.of})
        self.side = min(_SIDE, shot.height, shot.width)
        self._pictures = {index: self._frame(index) for index in self.keyed}
        self._subjects = self._lifted() if background.read(0) is not None else {}

    def _frame(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Plate and background H x W x 3 and mattes H x W x objects (NaN where an object isn't keyed) of a frame."""
        plate = np.ascontiguousarray(self.plates.plate[index].transpose(1, 2, 0))
        behind = self.background.read(index)
        clean = plate if behind is None else np.ascontiguousarray(behind.permute(1, 2, 0).numpy())
        mattes = np.full((*plate.shape[:2], len(self.names)), np.nan, np.float32)
        for of, (name, at) in enumerate(self.keyframes.of):
            if at == index:
                mattes[..., self.names.index(name)] = self.keyframes.mattes[of][0]
        return plate, clean, mattes

    def _lifted(self) -> dict[tuple[int, int], Subject]:
        """The subject of each keyframe by (object, frame). With several objects their shadows can't be told apart here,
        so none is taken along."""
        subjects = {}
        for index, (plate, clean, mattes) in self._pictures.items():
            for k in range(len(self.names)):
                if not np.isnan(mattes[0, 0, k]):
                    subjects[k, index] = lift(plate, clean, mattes[..., k], effects=len(self.names) == 1)
        return subjects

    def seen(self, picture: np.ndarray, clean: np.ndarray) -> Tensor:
        """The network's input 6 x H x W of a picture and its background, H x W x 3 both."""
        a, b = (self.shot.space.working_to_lin_rec709(np.ascontiguousarray(part)) for part in (picture, clean))
        return torch.from_numpy(beside(a, b, self.plates.exposure))

    def whole(self, index: int) -> Tensor:
        """The network's input of a whole frame, 6 x H x W."""
        plate, clean, _ = self._frame(index)
        return self.seen(plate, clean)

    def batch(self, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs N x 6 x S x S, mattes N x objects x S x S, and which of them are known, N x objects bool."""
        views = [self._view(random) for _ in range(_BATCH)]
        inputs, mattes = torch.stack([view[0] for view in views]), torch.stack([view[1] for view in views])
        known = ~mattes[..., 0, 0].isnan()
        return inputs, torch.nan_to_num(mattes), known

    def _view(self, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        if self._subjects and random.random() < _COMPOSED:
            picture, clean, mattes = self._composed(random)
        else:
            picture, clean, mattes = self._keyed(random)
        gain = np.float32(2 ** random.uniform(-_EXPOSURE, _EXPOSURE))
        if random.random() < _BLURRED:
            sigma = random.uniform(0.3, _BLUR)
            picture, clean = (cv2.GaussianBlur(part, (0, 0), sigma) for part in (picture, clean))
        return self.seen(picture * gain, clean * gain), torch.from_numpy(
            np.ascontiguousarray(mattes.transpose(2, 0, 1))
        )

    def _keyed(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A view of a keyed frame."""
        plate, clean, mattes = self._pictures[self.keyed[random.integers(len(self.keyed))]]
        height, width = plate.shape[:2]
        centre = (random.uniform(0, width), random.uniform(0, height))
        if random.random() >= _ANYWHERE:
            centre = _place_on(np.nan_to_num(mattes).max(2), random)
        view, size = random_view(centre, self.side, random), (self.side, self.side)
        moved = [resampled(mattes[..., k], view, size) for k in range(len(self.names))]
        return resampled(plate, view, size), resampled(clean, view, size), np.stack(moved, 2)

    def _composed(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A view of the subject of one keyframe, put somewhere over the background of any frame."""
        k, index = list(self._subjects)[random.integers(len(self._subjects))]
        subject, size = self._subjects[k, index], (self.side, self.side)
        x, y = _place_on(subject.alpha, random)
        shift = (
            random.uniform(-_SHIFT, _SHIFT) * self.shot.width,
            random.uniform(-_SHIFT, _SHIFT) * self.shot.height,
        )
        behind = self.background.read(int(random.integers(len(self.shot.frames))))
        assert behind is not None
        there = random_view((x + shift[0], y + shift[1]), self.side, random, turn=0, zoom=1)
        clean = resampled(np.ascontiguousarray(behind.permute(1, 2, 0).numpy()), there, size)
        moved = subject.moved(random_view((x, y), self.side, random), size)
        mattes = np.zeros((self.side, self.side, len(self.names)), np.float32)
        mattes[..., k] = moved.alpha
        return put_over(moved, clean, self.background.noise, random), clean, mattes


def _place_on(matte: np.ndarray, random: np.random.Generator) -> tuple[float, float]:
    """A pixel (x, y) where there is some of the object."""
    rows, columns = np.nonzero(matte > 0.02)
    chosen = random.integers(len(rows))
    return float(columns[chosen]), float(rows[chosen])
