"""Motion: the flow between neighbouring frames, both ways, and how far each can be trusted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from penumbra_engine.cache import Stack, Store
from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.flow import dense_flow, fetched, round_trip_confidence
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version

_FADES = 0.8  # of the trust in what was carried, from a frame to the next
_BARELY = 1e-6  # trust that counts where there is no other
_TRUSTED = 0.5  # where motion is measured


@dataclass(frozen=True)
class Motion:
    """flow: T x 6 x H x W: dx, dy in pixels and the confidence in [0, 1] from a frame to the next, then the same to the
    one before. 0 where there is no such frame."""

    key: str
    flow: Stack

    def carry(self, picture: np.ndarray, source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
        """A picture (H x W float32) over a frame as the neighbouring frame `target` sees it, and how far the motion can
        be trusted there; H x W both."""
        dx, dy, trusted = self.flow[target][3:] if source < target else self.flow[target][:3]
        y, x = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]].astype(np.float32)
        return fetched(picture[None], x + dx, y + dy)[0], trusted

    def beside(
        self, index: int, surely: np.ndarray, here: np.ndarray, frames: int
    ) -> Iterator[tuple[int, np.ndarray]]:
        """The frames beside one, so many to either side, as far as motion can be followed, and where each pixel of an
        object is there: 2 x h x w, x and y, as `here` says it of the frame itself. surely: h x w bool, where the object
        surely is. Along its edge motion is measured badly, so it goes on there as it is inside."""
        for step in (1, -1):
            at = here
            for frame in range(index, index + frames * step, step):
                dx, dy, trusted = fetched(self.flow[frame][:3] if step == 1 else self.flow[frame][3:], *at)
                followed = surely & (trusted > _TRUSTED)
                if not followed.any():  # or there is no such frame
                    break
                at = at + fill_smoothly(torch.from_numpy(np.stack([dx, dy])), torch.from_numpy(followed)).numpy()
                yield frame + step, at

    def bring(self, keyed: Mapping[int, np.ndarray], into: Stack, first: int) -> Iterator[None]:
        """Fill the planes of a stack from `first` on with what motion brings to each frame from the keyed frames before
        and after: C planes, the mean of both sides by trust, and the trust. keyed: C x H x W float32 by index."""
        for step in (1, -1):
            for index, planes, trust in self._travel(keyed, step):
                stored = into[index]
                mine = stored[first : first + len(planes) + 1]
                trust = trust + _BARELY
                mine[:-1] = (mine[:-1] * mine[-1] + planes * trust) / (mine[-1] + trust)
                mine[-1] = np.maximum(mine[-1], trust)
                into[index] = stored
                yield

    def _travel(self, keyed: Mapping[int, np.ndarray], step: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Planes of the keyed frames along the motion, on every frame that lies ahead of one in the direction of
        `step`, 1 or -1: its index, the planes, and the trust in them, 1 at the start and less from frame to frame."""
        count, planes = len(self.flow), np.zeros(0)
        for index in range(count) if step == 1 else range(count - 1, -1, -1):
            if index in keyed:
                planes, trust = keyed[index], np.ones(keyed[index].shape[1:], np.float32)
            elif planes.size:
                moved = [self.carry(plane, index - step, index) for plane in (*planes, trust)]
                planes, trust = np.stack([plane for plane, _ in moved[:-1]]), _FADES * moved[-1][0] * moved[-1][1]
            else:
                continue
            yield index, planes, trust


def measure_motion(plates: Plates, store: Store) -> Steps[Motion]:
    """Dense flow on the encoded luminance (DIS)."""
    with store.entry("motion", code=code_version(), plates=plates.key) as entry:
        if not entry.complete:
            count, _, height, width = plates.luminance.shape
            stack = entry.create_stack("flow", (count, 6, height, width))
            for index in range(count - 1):
                a, b = plates.luminance[index][0], plates.luminance[index + 1][0]
                forward, backward = dense_flow(a, b), dense_flow(b, a)
                for at, first, flow, back in ((index, 0, forward, backward), (index + 1, 3, backward, forward)):
                    both = stack[at]
                    both[first : first + 3] = np.concatenate([flow, round_trip_confidence(flow, back)[None]])
                    stack[at] = both
                yield index, count
            entry.finish()
        return Motion(entry.key, entry.stack("flow"))
