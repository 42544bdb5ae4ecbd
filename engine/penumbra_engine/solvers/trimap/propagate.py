"""Propagate: from the keyframes to a trimap of every frame, by motion, by likeness, or by both."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from penumbra_engine.cache import Stack, Store
from penumbra_engine.imaging.morphology import components_over, dilate, erode
from penumbra_engine.media import Shot
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version
from penumbra_engine.solvers.trimap.colours import KeyedColours
from penumbra_engine.solvers.trimap.likeness import Likeness
from penumbra_engine.solvers.trimap.meeting import brought_to_agree
from penumbra_engine.solvers.trimap.regions import depth, regions
from penumbra_engine.solvers.trimap.tracking import track

_SURE, _PART = 0.7, 0.8  # probability of the foreground; of its surest pixel
_PERHAPS = 0.5  # probability that a pixel is not surely something else
_TRUSTED = 0.02  # less trust than that says nothing
_THERE = 0.6  # probability that a pixel is of an object and no background explains it
_EDGE = 0.5  # of the depth of a band: there its edge is
_UNLIKE, _UNSEEN, _OUTSIDE = 0.02, 0.1, 1e-3  # least likelihood of an object, of the background, of what keyframes deny
_PARTLY = 0.3  # of a pixel: from there on it may be the object's
_SPECK = 0.0004  # of the picture: a part that touches no foreground and is smaller is none of the unknown region


@dataclass(frozen=True)
class Trimaps:
    """trimaps: T x names x H x W of 0, 0.5 and 1. confidence: T x names x H x W in [0, 1]: how sure each pixel's region
    is. doubt: T, the mean of 1 - confidence."""

    key: str
    trimaps: Stack
    confidence: Stack
    doubt: np.ndarray


def propagate(
    shot: Shot,
    plates: Plates,
    keyframes: Keyframes,
    motion: Motion | None,
    likeness: Likeness | None,
    store: Store,
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
            carried = entry.create_stack("carried", (count, 3 * names, *size), scratch=True)
            tracked = entry.create_stack("tracked", (count, names + 1, *size), scratch=True)
            if motion:
                yield from _carry_all(keyframes, motion, carried)
            if likeness:
                colours = KeyedColours(shot, plates, keyframes)
                likely = partial(_likely, likeness, keyframes, colours)
                for done, _ in enumerate(track(likely, motion, tracked)):
                    yield count + done // 2, 3 * count
            depths = [depth(keyframes.matte(name, at) for at in keyframes.frames(name)) for name in keyframes.names]
            doubt = np.zeros(count)
            for index in range(count):
                brought = carried[index].reshape(names, 3, *size)
                found = _fused(brought, likeness.evidence[index] if likeness else None, tracked[index], depths)
                keyed = [(name, index) in keyframes.of for name in keyframes.names]
                for k, name in enumerate(keyframes.names):
                    if keyed[k]:
                        found[k] = regions(keyframes.matte(name, index)), np.ones(size, np.float32)
                trimaps[index] = np.stack(brought_to_agree([trimap for trimap, _ in found], keyed, depths))
                confidence[index] = np.stack([sure for _, sure in found])
                doubt[index] = (1 - confidence[index]).mean()
                yield 2 * count + index, 3 * count
            entry.save("doubt", doubt=doubt)
            entry.finish()
        return Trimaps(entry.key, entry.stack("trimaps"), entry.stack("confidence"), entry.load("doubt")["doubt"])


def _carry_all(keyframes: Keyframes, motion: Motion, carried: Stack) -> Steps[None]:
    """What motion brings to each frame from the keyframes on both sides: three planes a name: foreground, all but the
    background, and the trust in them."""
    count, done = len(carried), 0
    for k, name in enumerate(keyframes.names):
        found = {index: regions(keyframes.matte(name, index)) for index in keyframes.frames(name)}
        keyed = {index: np.stack([of == 1, of > 0]).astype(np.float32) for index, of in found.items()}
        for _ in motion.bring(keyed, carried, 3 * k):
            done += 1
            yield done // (2 * len(keyframes.names)), 3 * count


def _likely(likeness: Likeness, keyframes: Keyframes, colours: KeyedColours, index: int) -> np.ndarray:
    """How well each object, and last the background, explains each pixel of a frame: names + 1 x H x W. Keyframes deny
    what they don't show."""
    odds = colours.odds(index)
    near, far, alpha, foreign = _seen(likeness.evidence[index], odds.shape[1:])
    some = np.maximum(far.max(0), foreign)
    looks = np.maximum((near + far + alpha) / 3, _UNLIKE) * odds
    objects = np.maximum(some * looks / looks.sum(0), _UNLIKE)
    said = np.concatenate([objects, np.maximum(1 - some, _UNSEEN)[None]])
    for k, name in enumerate(keyframes.names):
        if (name, index) in keyframes.of:
            keyed = regions(keyframes.matte(name, index))
            said[k] *= np.where(keyed == 0, _OUTSIDE, 1)
            others = np.arange(len(said)) != k
            said[others] *= np.where(keyed == 1, _OUTSIDE, 1)
    return said


def _seen(evidence: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The evidence of a frame at its full size (height, width): surely each object, not surely something else, and
    alpha, names x H x W each; and how surely no background explains a pixel, H x W."""
    full = np.stack([cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR) for plane in evidence])
    return full[:-1:3], full[1:-1:3], full[2:-1:3], full[-1]


def _fused(
    brought: np.ndarray, evidence: np.ndarray | None, tracked: np.ndarray, depths: Sequence[float]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each object the trimap of one frame and how sure it is, H x W both.

    brought: names x 3 x H x W, what motion brings: foreground, all but the background, trust. evidence: what the
    likeness says, 3 names + 1 x h x w. tracked: names + 1 x H x W, what each pixel is by all frames. depths: how far
    inside its edge each object is sure. Motion counts by its trust, likeness by how far from undecided it is. Where
    nothing speaks, the region is unknown.
    """
    inner, outer, trust = brought[:, 0], brought[:, 1], brought[:, 2]
    if evidence is not None:
        near, far = _of_each(evidence, tracked, depths, inner, outer)
        decided = np.abs(near + far - 1)  # 1 where it is surely the one or the other
        weight = 0.1 + decided
        total = weight + trust**2
        inner, outer = (near * weight + inner * trust**2) / total, (far * weight + outer * trust**2) / total
        trust = np.ones_like(trust)
    inner, outer = np.where(trust > _TRUSTED, inner, 0), np.where(trust > _TRUSTED, outer, 1)
    found = [_trimap(*planes) for planes in zip(inner, outer, strict=True)]
    if len(found) == 1:
        return found
    likelier = [np.delete(outer, k, 0).max(0) - outer[k] for k in range(len(outer))]
    return [(_whole(trimap, other), sure) for (trimap, sure), other in zip(found, likelier, strict=True)]


def _whole(trimap: np.ndarray, other: np.ndarray) -> np.ndarray:
    """An object's trimap without what hangs on no foreground of it and is rather another's: the other's edge, which
    looks as little like the background. other: H x W, how much likelier another one is. Without foreground all stays.
    """
    labels, parts = cv2.connectedComponents((trimap > 0).astype(np.uint8), connectivity=8)
    of_other = np.bincount(parts.ravel(), other.ravel(), labels) > 0
    of_other[np.unique(parts[trimap == 1])] = False
    return np.where(of_other[parts], 0, trimap).astype(np.float32) if (trimap == 1).any() else trimap


def _of_each(
    evidence: np.ndarray, tracked: np.ndarray, depths: Sequence[float], inner: np.ndarray, outer: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What is surely each object, and what is not surely something else, names x H x W both; arguments as `_fused`'s.

    Where motion or tracking brings an object and no background is, an object is, whether it looks like a keyframe or
    not. What is tracked ends at the object's edge, which lies in the middle of a band: as far inside as the keyframes'
    bands are from there, it is sure. Whose a pixel is, tracking says: crossing objects share colours, and behind each
    other none is brought along whole.
    """
    near, far, _, foreign = _seen(evidence, inner.shape[1:])
    there = tracked[:-1].sum(0)
    share = tracked[:-1] / np.maximum(there, 1e-6)
    solid = foreign * there > _THERE
    within = there * np.stack([erode(solid, _EDGE * inside) for inside in depths])
    some_near = np.maximum(near.max(0), foreign * inner.max(0))
    some_far = np.maximum(far.max(0), foreign * np.minimum(1, 2 * outer.max(0)))
    return np.maximum(some_near, within) * share, some_far * np.minimum(1, share / _PARTLY)


def _trimap(inner: np.ndarray, outer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """0, 0.5 and 1, and how sure each pixel's region is, H x W both, from how likely a pixel is surely the object, and
    not surely something else."""
    foreground = components_over(inner > _SURE, inner > _PART) if inner.max() > _PART else inner > _SURE
    touched = outer > _PERHAPS
    # A speck of doubt far from the object is grain, unless it is all there is.
    labels, parts, areas, _ = cv2.connectedComponentsWithStats(touched.astype(np.uint8), connectivity=8)
    small = areas[:, cv2.CC_STAT_AREA] < _SPECK * touched.size
    holds = np.zeros(labels, bool)
    holds[np.unique(parts[foreground])] = True
    touched &= ~(small & ~holds)[parts]
    # Nor is a speck of background that touches no other: where an object ends, alpha says better.
    _, parts, areas, _ = cv2.connectedComponentsWithStats((~touched).astype(np.uint8), connectivity=4)
    touched |= (areas[:, cv2.CC_STAT_AREA] < _SPECK * touched.size)[parts]
    edge = dilate(~touched, 1) if not touched.all() else np.zeros_like(touched)
    trimap = np.where(foreground & ~edge, 1, np.where(touched, 0.5, 0)).astype(np.float32)
    sure = np.where(trimap == 1, inner, np.where(trimap == 0, 1 - outer, 1 - np.abs(inner + outer - 1)))
    return trimap, sure.clip(0, 1).astype(np.float32)
