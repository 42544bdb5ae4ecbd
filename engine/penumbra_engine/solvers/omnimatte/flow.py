"""Flow: what moves from frame to frame beyond the camera's own motion, and how far it can be trusted."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from penumbra_engine.cache import Stack, Store
from penumbra_engine.imaging.flow import dense_flow, round_trip_confidence
from penumbra_engine.imaging.warp import warp
from penumbra_engine.solvers.abreast import abreast
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version

_MAX_SIDE = 640  # the flow is an input and a measure, so it is computed no finer than this


@dataclass(frozen=True)
class Flow:
    """flow: T x 3 x h x w float32: dx, dy in full-size pixels from t to t + 1 with the camera's motion taken out, and
    its confidence in [0, 1]; the last frame's is that of the frame before, at most 640 px wide."""

    key: str
    flow: Stack

    def outside(self, index: int, objects: np.ndarray) -> np.ndarray:
        """Pixels by which what is outside the objects (H x W bool) moves on its own from a frame on, where known; N."""
        dx, dy, confidence = self.flow[index]
        if objects.shape != dx.shape:
            places = (
                np.linspace(0, n - 1, m).round().astype(int) for n, m in zip(objects.shape, dx.shape, strict=True)
            )
            objects = objects[np.ix_(*places)]
        return cv2.magnitude(dx, dy)[~objects & (confidence > 0.5)]


def estimate_flow(plates: Plates, registration: Registration, store: Store) -> Steps[Flow]:
    """Flow from each frame to the next, registered one."""
    with store.entry("flow", code=code_version(), registration=registration.key) as entry:
        if not entry.complete:
            count, _, height, width = plates.luminance.shape
            scale = min(1.0, _MAX_SIDE / max(height, width))
            small = (max(16, round(width * scale)), max(16, round(height * scale)))
            stack = entry.create_stack("flow", (count, 3, small[1], small[0]))

            def measure(index: int) -> None:
                a = plates.luminance[index][0]
                next_frame = torch.from_numpy(plates.luminance[index + 1].astype(np.float32))
                to_next = np.linalg.inv(registration.cameras[index + 1]) @ registration.cameras[index]
                moved, inside = warp(
                    next_frame, torch.from_numpy(to_next), height, width, "bilinear", registration.lens
                )
                b = np.where(inside.numpy(), moved[0].numpy().round().clip(0, 255).astype(np.uint8), a)
                if scale < 1:
                    a, b = (np.asarray(cv2.resize(x, small, interpolation=cv2.INTER_AREA)) for x in (a, b))
                forward, backward = dense_flow(a, b), dense_flow(b, a)
                confidence = round_trip_confidence(forward, backward)
                stack[index] = np.concatenate([forward / scale, confidence[None]])

            for index, _ in enumerate(abreast(measure, range(count - 1), height * width)):
                yield index, count
            if count > 1:
                stack[count - 1] = stack[count - 2]
            entry.finish()
        return Flow(entry.key, entry.stack("flow"))
