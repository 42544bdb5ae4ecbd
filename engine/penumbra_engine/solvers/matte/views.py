"""Views: what the network is shown while it learns, of keyed frames and of their subjects over other backgrounds."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from penumbra_engine.media import Shot
from penumbra_engine.solvers.matte.scene import Scene
from penumbra_engine.training.composites import Subject, heaped, put_over, random_view, resampled, streak
from penumbra_engine.training.procedural import shadow

_COMPOSED = 0.5  # of the views
_ANYWHERE = 0.4  # of the views of keyed frames; the rest look at an object
_EXPOSURE = 0.3  # stops
_BLURRED, _BLUR = 0.2, 0.7  # of the views; px
_SHIFT = 0.25  # of the frame, by which a subject is moved
_STREAKED, _STREAK = 0.3, 9  # of the subjects; px at most
_LIFTED, _AWAY = 0.3, 0.25  # of the subjects, whose shadow isn't where they stood; of a view, by which it is away
_ASTRAY, _BY = 0.5, 2.0  # of the composites before a background put together by depth; px at most
_CROSSED, _APART = 0.6, 0.3  # of the composites, where there are several objects; of a view, between them at most
_SHADED = 0.5  # of the composites whose subjects left their shadows behind


@dataclass(frozen=True)
class Batch:
    """inputs: N x 6 x S x S. mattes: N x objects x S x S. known: which of them are known, N x objects bool."""

    inputs: Tensor
    mattes: Tensor
    known: Tensor


def view_side(shot: Shot, side: int) -> int:
    """The side of a view in pixels: as asked for, or all that there is."""
    return min(side, shot.height, shot.width)


class Views:
    """Views of a scene at random. side: of each, in pixels. count: of a batch."""

    def __init__(self, scene: Scene, side: int, count: int) -> None:
        self.scene, self.shot, self.side, self.count = scene, scene.shot, view_side(scene.shot, side), count
        known = {index: np.nan_to_num(scene.frames[index].mattes).max(2) for index in scene.keyed}
        self._places = {index: _places_of(mattes) for index, mattes in known.items()}
        self._own = {key: _places_of(subject.alpha) for key, subject in scene.subjects.items()}

    def batch(self, random: np.random.Generator) -> Batch:
        """Some views."""
        views = [self._view(random) for _ in range(self.count)]
        inputs, mattes = (torch.stack(part) for part in zip(*views, strict=True))
        return Batch(inputs, torch.nan_to_num(mattes), ~mattes[..., 0, 0].isnan())

    def _view(self, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        composed = self.scene.subjects and random.random() < _COMPOSED
        picture, clean, mattes = self._composed(random) if composed else self._keyed(random)
        gain = np.float32(2 ** random.uniform(-_EXPOSURE, _EXPOSURE))
        if random.random() < _BLURRED:
            sigma = random.uniform(0.3, _BLUR)
            picture, clean = (cv2.GaussianBlur(part, (0, 0), sigma) for part in (picture, clean))
        seen = self.scene.seen(picture * gain, clean * gain)
        return seen, torch.from_numpy(np.ascontiguousarray(mattes.transpose(2, 0, 1)))

    def _keyed(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A view of a keyed frame: picture and background S x S x 3, mattes S x S x objects."""
        index = self.scene.keyed[random.integers(len(self.scene.keyed))]
        centre = (random.uniform(0, self.shot.width), random.uniform(0, self.shot.height))
        if random.random() >= _ANYWHERE:
            centre = _one_of(self._places[index], random)
        view, size = random_view(centre, self.side, random), (self.side, self.side)
        frame = self.scene.frames[index]
        mattes = [resampled(np.ascontiguousarray(matte), view, size) for matte in np.moveaxis(frame.mattes, 2, 0)]
        return resampled(frame.plate, view, size), resampled(frame.clean, view, size), np.stack(mattes, 2)

    def _composed(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of subjects of keyframes, put somewhere over the background of any frame, some across each other."""
        scene, size, several = self.scene, (self.side, self.side), len(self.scene.names) > 1
        k, subject, place = self._subject(random, None)
        subjects = [(k, subject)]
        if several and random.random() < _CROSSED:
            others = sorted({of for of, _ in scene.subjects} - {k})
            subjects += [self._subject(random, other)[:2] for other in others]
        shift = random.uniform(-_SHIFT, _SHIFT, 2) * (self.shot.width, self.shot.height)
        there = random_view((place[0] + shift[0], place[1] + shift[1]), self.side, random, turn=0, zoom=1)
        clean = resampled(scene.background_of(int(random.integers(len(self.shot.frames)))), there, size)
        subjects = [subjects[at] for at in random.permutation(len(subjects))]
        heap, seen = heaped([subject for _, subject in subjects])
        mattes = np.zeros((self.side, self.side, len(scene.names)), np.float32)
        for (k, _), alpha in zip(subjects, seen, strict=True):
            mattes[..., k] = alpha
        picture = put_over(heap, clean, scene.background.noise, random)
        if several and random.random() < _SHADED:
            picture = picture * shadow(self.side, random)[..., None]
        # If nothing but an object ever differed from its background, what lies astray would be taken for one.
        if scene.background.parallax and random.random() < _ASTRAY:
            by = random.uniform(-_BY, _BY, (2, 1))
            clean = resampled(clean, np.hstack([np.eye(2), by]), size)
        return picture, clean, mattes

    def _subject(self, random: np.random.Generator, of: int | None) -> tuple[int, Subject, tuple[float, float]]:
        """Which object, its subject of a keyframe as a view shows it, and the place on its frame that was looked at.
        of: the object; None takes any and puts that place in the middle of the view."""
        keys = [key for key in self.scene.subjects if of in (None, key[0])]
        k, index = keys[random.integers(len(keys))]
        x, y = _one_of(self._own[k, index], random)
        apart = (0.0, 0.0) if of is None else random.uniform(-_APART, _APART, 2) * self.side
        view = random_view((x + apart[0], y + apart[1]), self.side, random)
        away = (_AWAY if random.random() < _LIFTED else 0) * self.side * random.uniform(-1, 1, 2)
        moved = self.scene.subjects[k, index].moved(view, (self.side, self.side), (away[0], away[1]))
        if random.random() < _STREAKED:
            moved = moved.streaked(streak(int(random.integers(2, _STREAK + 1)), random.uniform(0, np.pi)))
        return k, moved, (x, y)


def _places_of(matte: np.ndarray) -> np.ndarray:
    """The pixels (x, y) where there is some of the object, N x 2."""
    return np.argwhere(matte > 0.02)[:, ::-1]


def _one_of(places: np.ndarray, random: np.random.Generator) -> tuple[float, float]:
    x, y = places[random.integers(len(places))]
    return float(x), float(y)
