"""The blur that a camera's own motion leaves in its frames: frames seen by others with the blur that those have."""

from collections.abc import Callable, Iterator

import numpy as np
from torch import Tensor

_SHUTTERS = (0.0, 0.25, 0.5, 0.75, 1.0)  # parts of a frame's time; 180 degrees is 0.5
_PAIRS = 6
_TELLS = 4.0  # px^2, of squares of ways: two frames whose ways differ by less do not tell the shutter

View = Callable[[np.ndarray], tuple[Tensor, Tensor]]
"""A source's picture through a homography from pixels of the target, C x H x W, and where it is seen, H x W bool."""


class CameraBlur:
    """How far the open shutter smears each frame, from homographies alone.

    A pan that starts and stops has sharp and smeared frames of one background. A sharper frame can be given the smear
    of another, by the mean over the way that the camera went meanwhile; a more smeared one can't be sharpened.
    """

    def __init__(self, cameras: np.ndarray, size: tuple[int, int], shutter: float = 0.0) -> None:
        """cameras: T x 3 x 3, pixels of the frames to those of a canvas. size: width, height of a frame. shutter: how
        long it is open, of a frame's time, where that was measured."""
        self._cameras = cameras / cameras[:, 2:, 2:]
        before = np.maximum(np.arange(len(cameras)) - 1, 0)
        after = np.minimum(np.arange(len(cameras)) + 1, len(cameras) - 1)
        steps = np.maximum(after - before, 1)[:, None, None]
        self._speeds = (self._cameras[after] - self._cameras[before]) / steps
        across = np.stack(np.meshgrid(np.linspace(0, size[0], 5), np.linspace(0, size[1], 5)), -1).reshape(-1, 2)
        self._squares = np.array([self._way(index, across) for index in range(len(cameras))])
        self.shutter = shutter

    def _way(self, index: int, points: np.ndarray) -> float:
        """Mean square of the way in pixels that the background goes in a frame's time."""
        back = np.linalg.inv(self._cameras[index])
        ends = [_project(back @ (self._cameras[index] + t * self._speeds[index]), points) for t in (-0.5, 0.5)]
        return float(np.mean(np.sum((ends[1] - ends[0]) ** 2, 1)))

    def measure(self, view: Callable[[int, int], tuple[Tensor, Tensor, View]], near: int) -> Iterator[None]:
        """Choose the shutter with which the sharp frames look most like the smeared ones near them.

        view: of target and source, the target's picture C x H x W, where it shows the background, H x W bool, and the
        View of the source. Yields once a pair. Without pairs that differ enough the shutter stays 0: nothing is
        smeared.
        """
        found = []
        for target in range(len(self._squares)):
            others = range(max(0, target - near), min(len(self._squares), target + near + 1))
            source = min(others, key=lambda s: self._squares[s])
            if self._squares[target] - self._squares[source] > _TELLS:
                found.append((self._squares[target] - self._squares[source], target, source))
        misses = np.zeros(len(_SHUTTERS))
        for _, target, source in sorted(found, reverse=True)[:_PAIRS]:
            picture, shown, seen_through = view(target, source)
            for index, shutter in enumerate(_SHUTTERS):
                self.shutter = shutter
                smeared, inside = self.seen(target, source, seen_through)
                misses[index] += float((smeared - picture).abs().mean(0)[shown & inside].mean())
            yield
        # A shutter so long that nothing is seen through it by all of a frame has no miss.
        self.shutter = _SHUTTERS[int(np.nan_to_num(misses, nan=np.inf).argmin())]

    def seen(self, target: int, source: int, view: View) -> tuple[Tensor, Tensor]:
        """The source as the target sees it, as smeared as the target is, and where it does."""
        extra = self.shutter * np.sqrt(max(self._squares[target] - self._squares[source], 0.0))  # px
        part = extra / max(np.sqrt(self._squares[target]), 1e-9)
        back = np.linalg.inv(self._cameras[source])
        taps = int(np.ceil(extra)) + 1
        if taps <= 1 or extra < 0.25:
            return view(back @ self._cameras[target])
        times = part * ((np.arange(taps) + 0.5) / taps - 0.5)
        first, inside = view(back @ (self._cameras[target] + times[0] * self._speeds[target]))
        total = first.clone()
        for time in times[1:]:
            picture, here = view(back @ (self._cameras[target] + time * self._speeds[target]))
            total += picture
            inside = inside & here
        return total / taps, inside

    def sharpness(self, target: int, source: int) -> float:
        """What a source counts for a target: less, the more it is smeared than that; at most 1."""
        return 1 / (1 + self.shutter**2 * max(self._squares[source] - self._squares[target], 0.0))


def _project(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    moved = points @ homography[:, :2].T + homography[:, 2]
    return moved[:, :2] / moved[:, 2:]
