"""Optical flow and how far it can be trusted."""

import cv2
import numpy as np


def dense_flow(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Flow 2 x H x W (dx, dy in pixels) from a to b, both H x W uint8 encoded luminance (DIS, Kroeger et al. 2016)."""
    solver = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = solver.calc(a, b, np.zeros((*a.shape, 2), np.float32))
    return np.ascontiguousarray(np.asarray(flow, np.float32).transpose(2, 0, 1))


def round_trip_confidence(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """1 - the distance in pixels by which a pixel misses itself after forward and backward, at least 0 (Omnimatte's
    confidence, Lu et al. 2021). Flows 2 x H x W, result H x W float32."""
    height, width = forward.shape[1:]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    back = fetched(backward, x + forward[0], y + forward[1])
    return np.clip(1 - np.linalg.norm(forward + back, axis=0), 0, 1).astype(np.float32)


def fetched(planes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Planes C x H x W as found at x and y, h x w in pixels both: between pixels by the nearest four, beyond the edge
    as on it. C x h x w. All float32."""
    edge = cv2.BORDER_REPLICATE
    return np.stack([cv2.remap(np.ascontiguousarray(of), x, y, cv2.INTER_LINEAR, borderMode=edge) for of in planes])
