"""Composites: the objects of the keyframes where no keyframe shows them, over other backgrounds, across each other."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from penumbra_engine.media import Shot
from penumbra_engine.solvers.alpha_finder import alpha_finder
from penumbra_engine.solvers.background import Background
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.trimap.regions import regions
from penumbra_engine.training.composites import Subject, heaped, lift, put_over, random_view, resampled, streak
from penumbra_engine.training.procedural import shadow

NUMBER = 24
_TOLERANCE = 1e-4  # of the residual of an object's alpha
_SHADOWS = 0.003  # how likely beforehand a pixel of a keyframe is in a shadow that isn't seen beside the object
_PRESENT = 0.8  # how often an object is there beside the first
_CLOSE, _REACH = 0.6, 0.8  # how often it is put close to the first; within that many of its own sizes
_RISE = 0.25  # of the frame's height: how far above or below its place an object is put
_TURN = 15  # degrees
_STREAKED, _STREAK = 0.3, 0.02  # of the objects; of the frame's wider side, how far they move while the shutter is open
_SHADED = 0.5  # of the composites of several objects, which leave their shadows behind


class Composite(NamedTuple):
    """picture: 3 x H x W, scene-linear. frame: index of the one whose background it has. targets: H x W x 3 names in
    [0, 1]: where each object surely is, where it may be, and its alpha."""

    picture: Tensor
    frame: int
    targets: np.ndarray


class _Placed(NamedTuple):
    """An object in its place: the subject, and where it surely is and may be, H x W both."""

    of: int
    subject: Subject
    surely: np.ndarray
    perhaps: np.ndarray


#: The alpha of keyframes, H x W, by the object's name and the index of the frame.
Keyed = Mapping[tuple[str, int], np.ndarray]


def keyed_alphas(shot: Shot, plates: Plates, keyframes: Keyframes, motion: Motion, background: Background) -> Keyed:
    """What the solver finds within the keyframes themselves.

    Here nobody expects anything yet: if what is dark might as well be a shadow, a tyre would be one, and the network
    would learn to expect that everywhere. If nothing might be, the shadow under a foot would be fur.
    """
    alphas = {}
    for name, index in keyframes.of:
        there = [of for of, at in keyframes.of if at == index]
        trimaps = np.stack([regions(keyframes.matte(of, index)) for of in there])
        solver = alpha_finder(shot, plates, motion, trimaps, background, "closed-form", index, _SHADOWS)
        trimap = torch.from_numpy(trimaps[there.index(name)])[None, None]
        alphas[name, index] = solver.solve(trimap=trimap, tolerance=_TOLERANCE).alpha[0, 0].numpy()
    return alphas


def composites(
    shot: Shot, plates: Plates, keyframes: Keyframes, alphas: Keyed, background: Background, seed: int
) -> Iterator[Composite]:
    """NUMBER of them, or none where no background is known. alphas: by keyed_alphas.

    From few keyframes a network learns where the objects are as well as what they are, and nothing of how they look
    before what no keyframe has behind them.
    """
    if background.read(0) is None:
        return
    made, random = _Composer(shot, plates, keyframes, alphas, background), np.random.default_rng((seed, NUMBER))
    for _ in range(NUMBER):
        yield made.composite(random)


class _Composer:
    def __init__(self, shot: Shot, plates: Plates, keyframes: Keyframes, alphas: Keyed, background: Background) -> None:
        self.plates, self.keyframes, self.alphas, self.background = plates, keyframes, alphas, background
        self.size, self.count = (shot.width, shot.height), len(shot.frames)

    def composite(self, random: np.random.Generator) -> Composite:
        """One at random."""
        names, (width, height) = self.keyframes.names, self.size
        order = [int(k) for k in random.permutation(len(names))]
        order = order[:1] + [k for k in order[1:] if random.random() < _PRESENT]
        placed: list[_Placed] = []
        first = np.zeros(2)
        for k in order:
            index = int(random.choice(self.keyframes.frames(names[k])))
            perhaps = regions(self.keyframes.matte(names[k], index)) > 0
            y, x = np.nonzero(perhaps)
            middle = np.array([x.mean(), y.mean()])
            there = np.array([random.uniform(0, width), middle[1] + random.uniform(-_RISE, _RISE) * height])
            if placed and random.random() < _CLOSE:
                there = first + random.uniform(-_REACH, _REACH, 2) * max(np.ptp(x), np.ptp(y))
            first = first if placed else there
            placed.append(self._placed(k, index, middle, there, random))
        placed = [placed[at] for at in random.permutation(len(placed))]
        index = int(random.integers(self.count))
        heap, alphas = heaped([of.subject for of in placed])
        picture = put_over(heap, _rows(self._behind(index)), self.background.noise, random)
        if len(names) > 1 and random.random() < _SHADED:
            picture = picture * cv2.resize(shadow(min(self.size), random), self.size)[..., None]
        return Composite(
            torch.from_numpy(picture.transpose(2, 0, 1)).contiguous(), index, self._targets(placed, alphas)
        )

    def _placed(
        self, k: int, index: int, middle: np.ndarray, there: np.ndarray, random: np.random.Generator
    ) -> _Placed:
        """An object of a keyframe with its middle elsewhere, (x, y) both. With several objects their shadows can't be
        told apart, so none is taken along."""
        name = self.keyframes.names[k]
        keyed = regions(self.keyframes.matte(name, index))
        picture, clean = _rows(torch.from_numpy(self.plates.plate[index])), _rows(self._behind(index))
        subject = lift(picture, clean, self.alphas[name, index], effects=len(self.keyframes.names) == 1)
        view = random_view((middle[0], middle[1]), 1, random, turn=_TURN)
        view[:, 2] -= view[:, :2] @ there
        subject = subject.moved(view, self.size)
        surely, perhaps = (
            resampled(part.astype(np.float32), view, self.size, cv2.BORDER_CONSTANT) for part in (keyed == 1, keyed > 0)
        )
        longest = int(_STREAK * max(self.size))
        if longest > 1 and random.random() < _STREAKED:
            kernel = streak(int(random.integers(2, longest + 1)), random.uniform(0, np.pi))
            reach = (kernel > 0).astype(np.uint8)
            subject = subject.streaked(kernel)
            surely, perhaps = 1 - cv2.dilate(1 - surely, reach), cv2.dilate(perhaps, reach)
        return _Placed(k, subject, np.clip(surely, 0, 1), np.clip(perhaps, 0, 1))

    def _targets(self, placed: list[_Placed], alphas: list[np.ndarray]) -> np.ndarray:
        """Of objects in front of each other, front to back, and what is seen of their alphas: none may be where another
        one surely is in front of it, and none surely is where another one may be."""
        targets = np.zeros((*self.size[::-1], 3 * len(self.keyframes.names)), np.float32)
        hidden, touched = np.zeros(self.size[::-1], np.float32), np.zeros(self.size[::-1], np.float32)
        for of, alpha in zip(placed, alphas, strict=True):
            planes = (of.surely * (1 - touched), of.perhaps * (1 - hidden), alpha)
            targets[..., 3 * of.of : 3 * of.of + 3] = np.stack(planes, 2)
            hidden, touched = np.maximum(hidden, of.surely), np.maximum(touched, of.perhaps)
        return targets

    def _behind(self, index: int) -> Tensor:
        behind = self.background.read(index)
        assert behind is not None
        return behind


def _rows(picture: Tensor) -> np.ndarray:
    """3 x H x W as H x W x 3."""
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
