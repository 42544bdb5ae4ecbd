"""Bound: how much of the background each pixel lets through outside the objects, in closed form."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Stack, Store
from penumbra_engine.imaging.disturbance import slope
from penumbra_engine.imaging.filters import denoise_ratio
from penumbra_engine.imaging.morphology import dilate, distance_outside
from penumbra_engine.media import Shot
from penumbra_engine.solvers.framewise import frame_by_frame
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.loose import objects_on
from penumbra_engine.solvers.omnimatte.state import LIKELY, disturbed
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version

_SEARCH = {"draft": 3, "standard": 4, "final": 6}  # px, how far alike pixels are looked for
_FAINT, _PLAIN = 0.008, 0.02  # alpha: what a background's own error makes of nothing, and what it cannot make
_DARKEST = 1e-3  # a background below this says nothing about transmission


@dataclass(frozen=True)
class Bound:
    """effect: T x 4 x H x W: the transmission of R, G and B (plate over background, denoised), and the least alpha an
    `over` with a colour no brighter than the plate's needs for it, 0 where there is no evidence of an effect. Inside
    the objects the values mean nothing. contents: of each frame, a key of all that it was measured by."""

    key: str
    effect: Stack
    contents: tuple[str, ...]

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """Transmission 3 x H x W and alpha H x W of a frame."""
        effect = torch.from_numpy(self.effect[index])
        return effect[:3], effect[3]


def bound_effects(shot: Shot, plates: Plates, masks: Masks, canvas: Canvas, quality: str, store: Store) -> Steps[Bound]:
    """Measure the effects of each frame, by what is known of that frame alone."""
    ceiling = _ceiling(plates)
    search, code = _SEARCH[quality], code_version()
    inputs = [f"{code} {canvas.content(t)} {masks.content(t)} {search}" for t in range(len(shot.frames))]

    def measured(index: int) -> dict[str, np.ndarray]:
        picture, background = torch.from_numpy(plates.plate[index]), canvas.background(index)
        union = objects_on(index, picture, background, masks, canvas)
        transmission, alpha = measure_effect(picture, background, union, canvas, index, ceiling, search)
        return {"effect": torch.cat([transmission, alpha[None]]).numpy()}

    shapes = {"effect": (4, shot.height, shot.width)}
    entry = yield from frame_by_frame(store, "bound", plates.key, inputs, shapes, measured)
    return Bound(entry.key, entry.stack("effect"), tuple(inputs))


def _ceiling(plates: Plates) -> float:
    """The brightest colour a layer is allowed to need: 1, or more in a plate that holds more."""
    probes = np.unique(np.linspace(0, len(plates.plate) - 1, 8).round().astype(int))
    return max(1.0, max(float(plates.plate[int(t)].max()) for t in probes))


def measure_effect(
    picture: Tensor, background: Tensor, objects: np.ndarray, canvas: Canvas, index: int, ceiling: float, search: int
) -> tuple[Tensor, Tensor]:
    """Transmission 3 x H x W and alpha H x W of what the objects do to a picture around them.

    picture, background: 3 x H x W scene-linear, frame `index` of the canvas. objects: H x W bool. A shadow I = s B is
    exactly an `over` with alpha 1 - min s; what adds light needs alpha (I - B) / (ceiling - B) at least.
    """
    height, width = objects.shape
    noise, tolerance, sure, doubt = canvas.noise, canvas.tolerance(index), canvas.sure(index), canvas.doubt(index)
    # A homography moves no part as a whole; depth and what sways may.
    whole = tolerance if canvas.still or sure is not None else torch.zeros_like(tolerance)
    found = disturbed(picture, background, objects, noise, whole, canvas.uneven, LIKELY, sure, doubt)
    region = found | dilate(objects, 2)
    transmission, alpha = torch.ones_like(picture), torch.zeros(height, width)
    held = np.argwhere(region)
    if not len(held):
        return transmission, alpha
    (top, left), (bottom, right) = np.maximum(held.min(0) - search - 3, 0), held.max(0) + search + 4
    window = (slice(top, bottom), slice(left, right))
    plate, clean = picture[:, *window][None], background[:, *window][None].clamp(min=_DARKEST)
    ratio = plate / clean
    misplaced = (tolerance[window] * slope(clean)).square()
    variance = (noise.variance(torch.maximum(plate, clean)) + misplaced) / clean.square()
    weight = 1 / variance
    guide = (ratio * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
    smooth = denoise_ratio(ratio, variance, guide, 1 / weight.sum(1, keepdim=True), search)[0]
    darkens = 1 - smooth.amin(0)
    adds = ((smooth - 1) * clean[0] / (ceiling - clean[0]).clamp(min=0.1 * ceiling)).amax(0)
    # The edge of the evidence is no edge of the effect.
    gate = torch.from_numpy(np.clip(1 - distance_outside(region[window]) / 3, 0, 1))
    least = (gate * torch.maximum(darkens, adds)).clamp(0, 1)
    felt = ((least - _FAINT) / (_PLAIN - _FAINT)).clamp(0, 1)
    transmission[:, *window] = 1 + felt * gate * (smooth - 1)
    alpha[window] = felt * least
    return transmission, alpha
