"""Propagate: from the keyframes to a trimap of every frame, by motion, by likeness, or by both."""

from dataclasses import dataclass

import cv2
import numpy as np

from penumbra_engine.cache import Stack, Store
from penumbra_engine.imaging.morphology import components_over, dilate
from penumbra_engine.media import Shot
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.steps import Steps, code_version
from penumbra_engine.solvers.trimap.likeness import Likeness
from penumbra_engine.solvers.trimap.regions import regions

_FADES = 0.8  # of the trust in what motion carried, from a frame to the next
_SURE, _PART = 0.5, 0.8  # probability of a region; of its surest pixel
_SPECK = 0.0004  # of the picture: a part of the unknown region that touches no foreground and is smaller is none


@dataclass(frozen=True)
class Trimaps:
    """trimaps: T x names x H x W of 0, 0.5 and 1. confidence: T x names x H x W in [0, 1]: how sure each pixel's region
    is. doubt: T, the mean of 1 - confidence."""

    key: str
    trimaps: Stack
    confidence: Stack
    doubt: np.ndarray


def propagate(
    shot: Shot, keyframes: Keyframes, motion: Motion | None, likeness: Likeness | None, store: Store
) -> Steps[Trimaps]:
    """Trimaps of all frames. motion, likeness: what carries them; a None is left out. Keyframes keep their own."""
    count, names = len(shot.frames), len(keyframes.names)
    with store.entry(
        "trimaps",
        code=code_version(),
        keyframes=keyframes.key,
        frames=list(shot.frames),
        motion=motion.key if motion else "",
        likeness=likeness.key if likeness else "",
    ) as entry:
        if not entry.complete:
            size = (shot.height, shot.width)
            trimaps = entry.create_stack("trimaps", (count, names, *size))
            confidence = entry.create_stack("confidence", (count, names, *size))
            carried = entry.create_stack("carried", (count, 3 * names, *size))
            if motion:
                yield from _carry_all(keyframes, motion, carried)
            doubt = np.zeros(count)
            for index in range(count):
                for k, name in enumerate(keyframes.names):
                    by_motion = carried[index][3 * k : 3 * k + 3]
                    seen = likeness.evidence[index][2 * k : 2 * k + 2] if likeness else None
                    trimap, sure = _fused(by_motion, seen, size)
                    if (name, index) in keyframes.of:
                        trimap, sure = regions(keyframes.matte(name, index)), np.ones(size, np.float32)
                    for stack, value in ((trimaps, trimap), (confidence, sure)):
                        planes = stack[index]
                        planes[k] = value
                        stack[index] = planes
                    doubt[index] += (1 - sure).mean() / names
                yield count + index, 2 * count
            entry.save("doubt", doubt=doubt)
            entry.finish()
        return Trimaps(entry.key, entry.stack("trimaps"), entry.stack("confidence"), entry.load("doubt")["doubt"])


def _carry_all(keyframes: Keyframes, motion: Motion, carried: Stack) -> Steps[None]:
    """What motion brings to each frame from the keyframes on both sides: three planes a name: foreground, all but the
    background, and the trust in them; from two sides, their mean by trust."""
    count = len(carried)
    for k, name in enumerate(keyframes.names):
        keyed = keyframes.frames(name)
        for step in (1, -1):
            planes = None
            for index in range(count) if step == 1 else range(count - 1, -1, -1):
                if index in keyed:
                    found = regions(keyframes.matte(name, index))
                    planes = np.stack([found == 1, found > 0, np.ones_like(found)]).astype(np.float32)
                elif planes is not None:
                    moved = [motion.carry(plane, index - step, index) for plane in planes]
                    trusted = moved[0][1]
                    planes = np.stack([moved[0][0], moved[1][0], _FADES * moved[2][0] * trusted])
                if planes is not None and index not in keyed:
                    both = carried[index]
                    both[3 * k : 3 * k + 3] = _mean_by_trust(both[3 * k : 3 * k + 3], planes)
                    carried[index] = both
                yield (index if step == 1 else count - 1 - index) // 2 + (0 if step == 1 else count // 2), 2 * count


def _mean_by_trust(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    total = a[2] + b[2]
    shared = (a[:2] * a[2] + b[:2] * b[2]) / np.maximum(total, 1e-6)
    return np.concatenate([shared, np.maximum(a[2], b[2])[None]])


def _fused(by_motion: np.ndarray, seen: np.ndarray | None, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The trimap of one frame and how sure it is, H x W both.

    Motion counts by its trust, likeness by how far from undecided it is. Where nothing speaks, the region is unknown.
    """
    inner, outer, trust = by_motion
    if seen is not None:
        near, far = (cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR) for plane in seen)
        decided = np.abs(near + far - 1)  # 1 where it is surely the one or the other
        weight = 0.1 + decided
        total = weight + trust**2
        inner, outer = (near * weight + inner * trust**2) / total, (far * weight + outer * trust**2) / total
        trust = np.maximum(trust**2, 1)
    outer = np.where(trust > 0.02, outer, 1)
    foreground = components_over(inner > _SURE, inner > _PART) if inner.max() > _PART else inner > _SURE
    touched = outer > 1 - _SURE
    # A speck of doubt far from the object is grain, unless it is all there is.
    labels, parts, areas, _ = cv2.connectedComponentsWithStats(touched.astype(np.uint8), connectivity=8)
    small = areas[:, cv2.CC_STAT_AREA] < _SPECK * touched.size
    holds = np.zeros(labels, bool)
    holds[np.unique(parts[foreground])] = True
    touched &= ~(small & ~holds)[parts]
    edge = dilate(~touched, 1) if not touched.all() else np.zeros_like(touched)
    trimap = np.where(foreground & ~edge, 1, np.where(touched, 0.5, 0)).astype(np.float32)
    sure = np.where(trimap == 1, inner, np.where(trimap == 0, 1 - outer, 1 - np.abs(inner + outer - 1)))
    return trimap, sure.clip(0, 1).astype(np.float32)
