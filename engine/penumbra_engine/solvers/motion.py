"""Motion: the flow between neighbouring frames, both ways, and how far each can be trusted."""

from dataclasses import dataclass

import cv2
import numpy as np

from penumbra_engine.cache import Stack, Store
from penumbra_engine.imaging.flow import dense_flow, round_trip_confidence
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version


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
        moved = cv2.remap(picture, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return moved, trusted


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
