"""Likeness: a network that learns from the keyframes what is the object, what is not, and where that is unclear."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Stack, Store
from penumbra_engine.media import Shot
from penumbra_engine.media.encoding import encode
from penumbra_engine.models.small_matte import CHANNELS, SmallMatte
from penumbra_engine.solvers.background import Background
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version
from penumbra_engine.solvers.trimap.composites import NUMBER, Composite, Keyed, composites, keyed_alphas
from penumbra_engine.solvers.trimap.regions import regions
from penumbra_engine.training.composites import random_view, resampled
from penumbra_engine.training.loop import Schedule, train
from penumbra_engine.training.muon import Muon

_STEPS = {"sketch": 60, "draft": 120, "standard": 240, "final": 700}
_LEARNING_RATE = 5e-3
_SIDE, _BATCH = 112, 4  # px and number of the views
_COMPOSED = 0.5  # of the views, where there are composites
_ON_OBJECT = 0.7  # of the views; the rest look anywhere
_EXPOSURE = 0.25  # stops
_GRAIN = 0.01  # of a view, encoded
_SURELY = 6.0  # standard deviations from the background: no shadow, whatever else
_SMALLEST, _LARGEST = 240, 640  # px of the wider side at which it works; half of the plate between them
# Bytes while it learns: of the views; a pixel of the plate, for composites, and of each object in one beside the first.
_OF_VIEWS, _OF_PIXEL, _OF_OBJECT = 1e8, 900, 60


def learning_memory(shot: Shot, names: int) -> float:
    """Bytes that learning how so many objects of a shot look takes at most."""
    return _OF_VIEWS + (_OF_PIXEL + _OF_OBJECT * (names - 1)) * shot.width * shot.height


@dataclass(frozen=True)
class Likeness:
    """evidence: T x 3 names + 1 x h x w in [0, 1] at the size it works at: for each object how likely a pixel is surely
    the object, how likely it is not surely something else, and its alpha; at last how surely no background explains it.
    loss: at the end."""

    key: str
    evidence: Stack
    loss: float

    def alphas(self, index: int) -> np.ndarray:
        """The alpha of each object that is likely on a frame, names x h x w."""
        return self.evidence[index][2:-1:3]


def learn_likeness(
    shot: Shot,
    plates: Plates,
    keyframes: Keyframes,
    motion: Motion,
    background: Background,
    quality: str,
    seed: int,
    store: Store,
) -> Steps[Likeness]:
    """Train on the keyframes and look at every frame. quality: of the job, or "sketch", enough to say roughly where the
    objects are.

    The features are learned on this shot from the keyframes, composites of their objects and the augmentations of both.
    Two nested regions a name, the foreground and all but the background; what lies between them is the unknown region.
    There alpha is learned as the solver finds it on the keyframes: what it finds by chance the network can't repeat.
    """
    with store.entry(
        "likeness",
        code=code_version(),
        plates=plates.key,
        keyframes=keyframes.key,
        motion=motion.key,
        background=background.key,
        quality=quality,
        seed=seed,
        threads=torch.get_num_threads(),
    ) as entry:
        if not entry.complete:
            alphas = keyed_alphas(shot, plates, keyframes, motion, background)
            views = _Views(shot, plates, keyframes, alphas, background)
            steps = _STEPS[quality]
            total = NUMBER + steps + len(shot.frames)
            for done, composite in enumerate(composites(shot, plates, keyframes, alphas, background, seed)):
                views.add(composite)
                yield done, total
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                network = SmallMatte(3 * len(keyframes.names), (16, 24, 40, 64), CHANNELS + 1)
            schedule = Schedule(steps, _LEARNING_RATE, seed, Muon)
            training = train(network, lambda r: views.loss(network, r), schedule, entry)
            loss = yield from _counted(training, NUMBER, total)
            views.settle(network)
            stack = entry.create_stack("evidence", (len(shot.frames), 3 * len(keyframes.names) + 1, *views.size))
            for index in range(len(shot.frames)):
                seen = views.seen(index)
                with torch.no_grad():
                    found = network(_stacked([seen]))[0].numpy()
                stack[index] = np.concatenate([found, (seen[..., -1] * views.known(index))[None]])
                yield NUMBER + steps + index, total
            entry.finish({"loss": loss})
        return Likeness(entry.key, entry.stack("evidence"), entry.meta["loss"])


def _counted(steps: Steps[float], first: int, total: int) -> Steps[float]:
    """The same steps as a part of more, from `first` on."""
    try:
        while True:
            try:
                done, _ = next(steps)
            except StopIteration as end:
                return end.value
            yield first + done, total
    finally:
        steps.close()


def _stacked(pictures: Sequence[np.ndarray]) -> Tensor:
    """H x W x C each as N x C x H x W, channels last in memory: convolutions take a fifth less time over it."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


class _Example(NamedTuple):
    """planes: the network's input and the targets, h x w x 7 + 3 names, NaN where a name isn't keyed, four at a time,
    as OpenCV moves them. objects: N x 2, row and column of what may be of an object."""

    planes: tuple[np.ndarray, ...]
    objects: np.ndarray

    @classmethod
    def of(cls, seen: np.ndarray, targets: np.ndarray) -> "_Example":
        """From h x w x 7 and h x w x 3 names."""
        both = np.concatenate([seen, targets], 2)
        planes = tuple(np.ascontiguousarray(both[..., first : first + 4]) for first in range(0, both.shape[2], 4))
        return cls(planes, np.argwhere(np.nan_to_num(targets).max(2) > 0))


class _Views:
    """The shot as the network sees it, smaller than the plate: regions are coarser than edges."""

    def __init__(self, shot: Shot, plates: Plates, keyframes: Keyframes, alphas: Keyed, background: Background) -> None:
        self.shot, self.plates, self.background = shot, plates, background
        wide = max(shot.width, shot.height)
        scale = min(1.0, min(max(wide / 2, _SMALLEST), _LARGEST) / wide)
        self.size = (max(16, round(shot.height * scale)), max(16, round(shot.width * scale)))
        self.side = min(_SIDE, *self.size)
        keyed = sorted({index for _, index in keyframes.of})
        self.keyed = [_Example.of(self.seen(index), self._targets(keyframes, alphas, index)) for index in keyed]
        self.composed: list[_Example] = []

    def add(self, composite: Composite) -> None:
        """Show a composite as well."""
        seen = self._beside(composite.picture, composite.frame)
        targets = np.stack([self._small(part) for part in np.moveaxis(composite.targets, 2, 0)], 2)
        self.composed.append(_Example.of(seen, targets))

    def seen(self, index: int) -> np.ndarray:
        """The network's input of a frame, h x w x 7: the picture, the picture less its background, and how surely that
        is no shadow. From few keyframes colours are learned by heart; what no background explains is an object in any
        colour."""
        return self._beside(torch.from_numpy(self.plates.plate[index]), index)

    def known(self, index: int) -> np.ndarray:
        """How much of each pixel has a background that is no guess, h x w. The network has learned what to make of
        guesses; for what else is told of a frame, what differs from one is nothing yet."""
        seen = self.background.seen(index)
        return np.zeros(self.size, np.float32) if seen is None else self._small((seen > 0).float().numpy())

    def _beside(self, picture: Tensor, index: int) -> np.ndarray:
        """The same of a picture before the background of a frame."""
        behind, unlike = self.background.read(index), self.background.unlike(index, picture)
        clean = picture if behind is None else behind
        a, b = (self._encoded(part.permute(1, 2, 0).numpy()) for part in (picture, clean))
        foreign = np.zeros(self.size, np.float32)
        if unlike is not None:
            foreign = self._small((unlike / _SURELY).clamp(max=1).numpy())
        return np.concatenate([a, a - b, foreign[..., None]], 2).astype(np.float32)

    def _encoded(self, picture: np.ndarray) -> np.ndarray:
        small = self._small(picture)
        return encode(self.shot.space.working_to_lin_rec709(small), self.plates.exposure).clip(0, 1)

    def _small(self, picture: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.resize(np.ascontiguousarray(picture), self.size[::-1], interpolation=cv2.INTER_AREA))

    def _targets(self, keyframes: Keyframes, alphas: Keyed, index: int) -> np.ndarray:
        """Foreground, all but the background, and alpha of each name; h x w x 3 names, NaN where a name isn't keyed."""
        targets = np.full((*self.size, 3 * len(keyframes.names)), np.nan, np.float32)
        for k, name in enumerate(keyframes.names):
            if (name, index) in keyframes.of:
                found = regions(keyframes.matte(name, index))
                for offset, plane in enumerate((found == 1, found > 0, alphas[name, index])):
                    targets[..., 3 * k + offset] = self._small(plane.astype(np.float32))
        return targets

    def loss(self, network: SmallMatte, random: np.random.Generator) -> Tensor:
        """Cross entropy on a batch of views of the keyframes and composites."""
        views = [self._view(random) for _ in range(_BATCH)]
        inputs, targets = (_stacked(part) for part in zip(*views, strict=True))
        known = ~targets.isnan()
        found = network(inputs)[known].clamp(1e-5, 1 - 1e-5)
        # What was moved, streaked and made smaller may lie a rounding beyond [0, 1].
        return torch.nn.functional.binary_cross_entropy(found, targets[known].clamp(0, 1))

    def _view(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        among = self.composed if self.composed and random.random() < _COMPOSED else self.keyed
        example = among[random.integers(len(among))]
        height, width = self.size
        centre = (random.uniform(0, width), random.uniform(0, height))
        if len(example.objects) and random.random() < _ON_OBJECT:
            (row, column), reach = example.objects[random.integers(len(example.objects))], self.side / 4
            centre = (column + random.uniform(-reach, reach), row + random.uniform(-reach, reach))
        view, size = random_view(centre, self.side, random), (self.side, self.side)
        moved = np.dstack([resampled(planes, view, size) for planes in example.planes])
        seen, targets = moved[..., :7], moved[..., 7:]
        seen[..., :6] *= np.float32(2 ** random.uniform(-_EXPOSURE, _EXPOSURE))
        seen += _GRAIN * random.standard_normal(seen.shape, np.float32)
        return (seen[:, ::-1], targets[:, ::-1]) if random.random() < 0.5 else (seen, targets)

    @torch.no_grad()
    def settle(self, network: SmallMatte) -> None:
        """Take the statistics of the normalisation from whole frames, as they will be seen, and leave training."""
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.reset_running_stats()
                layer.momentum = None  # the plain mean over what follows
        network.train()
        for example in self.keyed:
            network(_stacked([np.dstack(example.planes)[..., : CHANNELS + 1]]))
        network.eval()
