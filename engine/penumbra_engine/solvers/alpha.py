"""Alpha: the matte inside each unknown region, steady in time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Stack, Store
from penumbra_engine.errors import InputError, UnsolvableError
from penumbra_engine.imaging.morphology import dilate, erode, sure_parts
from penumbra_engine.media import Shot
from penumbra_engine.solvers.alpha_finder import AlphaFinder, alpha_finder, leans_on_background
from penumbra_engine.solvers.background import Background
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.palettes import Palettes
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steadied import steadied
from penumbra_engine.solvers.steps import Steps, code_version, within

_TOLERANCE = 1e-4  # of the residual: far below what can be seen
_WHOLE, _EXPECTED = 0.8, 0.85  # alpha that was found and that was expected, from where on a pixel is all of the object
_RIM = 1.0  # px inside the edge of such pixels
_BESIDE = 2.0  # px beside the parts of an alpha that are kept
# Bytes that the alpha of an object takes: a pixel of the frame, and one that is unknown.
_OF_PIXEL, _OF_UNKNOWN = 300, 2000


def alpha_memory(shot: Shot, unknown: int) -> float:
    """Bytes that finding alpha takes where so many pixels of a frame are unknown."""
    return float(_OF_PIXEL * shot.width * shot.height + _OF_UNKNOWN * unknown)


class Known(NamedTuple):
    """What is known of the objects. key: of the stage it comes from. of: T x names x H x W of 0, 0.5 and 1."""

    key: str
    of: Stack


class Expected(NamedTuple):
    """What alpha somebody expects. key: of the stage that does. of: of a frame by index, names x h x w in [0, 1]."""

    key: str
    of: Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Alphas:
    """alpha: T x names x H x W in [0, 1]. residual: T, the largest of the solver. flicker: root mean square, in the
    unknown regions, of the change of alpha along the motion, before and after the frames were `steadied`."""

    key: str
    alpha: Stack
    residual: np.ndarray
    flicker: tuple[float, float]


def solve_alphas(
    shot: Shot,
    plates: Plates,
    trimaps: Known,
    motion: Motion,
    background: Background | None,
    expected: Expected | None,
    solver: str,
    store: Store,
) -> Steps[Alphas]:
    """The alpha of all frames. Each starts from the one before. Where the solver can use a background and there is one,
    it does (`leans_on_background`), and hears what is expected; then once more with the colours that the objects turned
    out to have, and what turned out to be all of them no longer unknown. At last each edge is `steadied` by those of
    the frames beside.

    Raises UnsolvableError, with the frame, for a trimap that the solver can't take.
    """
    count, names = len(shot.frames), trimaps.of.shape[1]
    inputs = {"trimaps": trimaps.key, "motion": motion.key, "solver": solver, "threads": torch.get_num_threads()}
    leans = leans_on_background(solver, background)
    inputs["background"] = background.key if background and leans else ""
    inputs["expected"] = expected.key if expected and leans else ""
    with store.entry("alphas", code=code_version(), **inputs) as entry:
        if not entry.complete:
            shape = (count, names, shot.height, shot.width)
            each, alpha = entry.create_stack("each", shape, scratch=True), entry.create_stack("alpha", shape)
            frames = _Frames(shot, plates, trimaps, motion, background, expected if leans else None, solver)
            palettes = Palettes() if leans else None
            residual = yield from within((0.0, 0.4), frames.solve(each, learned=palettes))
            if palettes:
                residual = yield from within((0.4, 0.8), frames.solve(each, known=palettes))
            yield from within((0.8, 0.9), frames.steady(each, alpha))
            before = yield from within((0.9, 0.95), _flicker(trimaps, motion, each))
            after = yield from within((0.95, 1.0), _flicker(trimaps, motion, alpha))
            entry.save("quality", residual=residual)
            entry.finish({"flicker": (before, after)})
        quality = entry.load("quality")
        return Alphas(entry.key, entry.stack("alpha"), quality["residual"], tuple(entry.meta["flicker"]))


@dataclass(frozen=True)
class _Frames:
    """All that alpha is found by."""

    shot: Shot
    plates: Plates
    trimaps: Known
    motion: Motion
    background: Background | None
    expected: Expected | None
    solver: str

    def solve(self, each: Stack, learned: Palettes | None = None, known: Palettes | None = None) -> Steps[np.ndarray]:
        """Fill T x names x H x W with the alpha of each frame by itself; the largest residual of each. learned: takes
        up the objects' colours. known: has them; then `each` is what was found before, where the solver starts from."""
        count, names = each.shape[:2]
        residual = np.zeros(count)
        for index in range(count):
            trimaps = self.trimaps.of[index]
            by, planes = self._finder(index), []
            for k in range(names):
                trimap, more = torch.from_numpy(trimaps[k]), self._expected(index, k)
                if known:
                    before = torch.from_numpy(each[index][k])
                    more |= {"start": before[None, None], "palette": known.around(index, k, trimap)}
                    if self.expected:
                        trimap = _narrowed(trimap, before, more["expected"][0, 0])
                elif index:
                    more |= {"start": torch.from_numpy(each[index - 1][k])[None, None]}
                try:
                    found = by.solve(trimap=trimap[None, None], tolerance=_TOLERANCE, **more)
                except InputError as error:
                    # Whatever else is wrong with a frame, no keyframe mends.
                    bare = bool((trimaps[k] == 0).any())
                    said, argument = ("", "--plate") if bare else (". Give a keyframe there", "--keyframe")
                    raise UnsolvableError(f"frame {self.shot.frames[index]}: {error}{said}", argument) from error
                if learned and by.behind is not None:
                    picture = torch.from_numpy(self.plates.plate[index])
                    learned.add(index, k, picture, by.behind, found.alpha[0, 0], trimap)
                planes.append(_without_specks(found.alpha[0, 0].numpy(), trimaps[k]))
                residual[index] = max(residual[index], *found.residual)
            each[index] = np.stack(planes)
            yield index, count
        return residual

    def steady(self, each: Stack, alpha: Stack) -> Steps[None]:
        """Fill T x names x H x W with the alphas of single frames, steadied where they are unknown."""
        for index in range(len(each)):
            by, unknown = self._finder(index), self.trimaps.of[index] == 0.5
            steady = []
            for k in range(each.shape[1]):
                alone = partial(_of, each, k)
                steady.append(steadied(index, alone, self.plates, by.background, self.motion, by.light).numpy())
            alpha[index] = _at_most_whole(np.where(unknown, np.stack(steady), each[index]), unknown)
            yield index, len(each)

    def _finder(self, index: int) -> AlphaFinder:
        trimaps = self.trimaps.of[index]
        return alpha_finder(self.shot, self.plates, self.motion, trimaps, self.background, self.solver, index)

    def _expected(self, index: int, k: int) -> dict[str, Any]:
        """The alpha of an object that is expected on a frame, if somebody does."""
        if not self.expected:
            return {}
        guess = self.expected.of(index)[k]
        expected = cv2.resize(guess, (self.shot.width, self.shot.height), interpolation=cv2.INTER_LINEAR)
        return {"expected": torch.from_numpy(expected)[None, None]}


def _of(alphas: Stack, k: int, index: int) -> np.ndarray:
    return alphas[index][k]


def _narrowed(trimap: Tensor, found: Tensor, expected: Tensor) -> Tensor:
    """A trimap, H x W, sure of unknown pixels which a first alpha found to be the object's, as was expected; but not at
    their edge. In what is as dark as a shadow, as a tyre, the second would find no more than the first."""
    whole = erode(((found > _WHOLE) & (expected > _EXPECTED)).numpy(), _RIM)
    return torch.where((trimap == 0.5) & torch.from_numpy(whole), 1.0, trimap)


def _without_specks(alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """An alpha, H x W, without parts that are surely the object nowhere. Smoke and glass, whose trimaps have no
    foreground, stay as they are."""
    if not (trimap == 1).any():
        return alpha
    kept = dilate(sure_parts(alpha), _BESIDE)
    return np.where(kept, alpha, 0).astype(np.float32)


def _at_most_whole(alpha: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Alphas (names x H x W) that hide no more than all of what is behind: unknown ones share what known ones leave."""
    soft = np.where(unknown, alpha, 0)
    room = (1 - np.where(unknown, 0, alpha).sum(0)).clip(0)
    return np.where(unknown, soft * np.minimum(1, room / np.maximum(soft.sum(0), 1e-6)), alpha).astype(np.float32)


def _flicker(trimaps: Known, motion: Motion, alpha: Stack) -> Steps[float]:
    """By how much alpha changes along the motion where it is unknown: the root of the mean square."""
    change, number = 0.0, 0
    for index in range(1, len(alpha)):
        for k in range(alpha.shape[1]):
            moved, trusted = motion.carry(alpha[index - 1][k], index - 1, index)
            at = (trimaps.of[index][k] == 0.5) & (trusted > 0.5)
            change += float(((alpha[index][k] - moved)[at] ** 2).sum())
            number += int(at.sum())
        yield index, len(alpha)
    return round(float(np.sqrt(change / max(number, 1))), 5)
