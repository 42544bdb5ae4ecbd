"""Matte: alpha of the subject against the aligned plate, and of the effects that lie behind it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from penumbra_engine.cache import Entry, Stack, Store
from penumbra_engine.imaging.composite import share_out
from penumbra_engine.imaging.disturbance import slope
from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.media import Shot
from penumbra_engine.solvers.clean_plate.network import Network
from penumbra_engine.solvers.clean_plate.thin import thin_parts
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.motion import Motion, measure_motion
from penumbra_engine.solvers.omnimatte.bound import Bound
from penumbra_engine.solvers.omnimatte.boundary import BAND, Boundary, band_of, told_beside
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.edge import light_under, solve_edge
from penumbra_engine.solvers.omnimatte.refine import effect_behind
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version, within

_FOUND = 0.03  # as BAND, of a mask that was found: it takes in all hair that can be seen
_MOTION = 0.2  # of the time
_SILENT = 1 / 512  # alpha below this is noise: the background gets the plate there


@dataclass(frozen=True)
class Matte:
    """alpha: T x 2 x H x W, of the subject and of its effects behind it, each rounded to what a half float holds.
    confidence: T x 1 x H x W in [0, 1]."""

    key: str
    alpha: Stack
    confidence: Stack

    def read(self, index: int, plates: Plates, canvas: Canvas, merge: bool) -> tuple[Tensor, Tensor]:
        """Layers 2 x 4 x H x W, the subject before its effects, or 1 x 4 x H x W when they are merged, and the
        background 3 x H x W, that give the plate back exactly. Premultiplied."""
        plate, alpha = torch.from_numpy(plates.plate[index]), torch.from_numpy(self.alpha[index])
        solid = torch.stack([alpha[0], torch.zeros_like(alpha[0])])
        if merge:
            alpha = _rounded(1 - (1 - alpha[:1]) * (1 - alpha[1:]))
            solid = solid[:1]
        return share_out(plate, canvas.background(index), alpha, solid)


def solve_matte(
    shot: Shot,
    plates: Plates,
    masks: Masks,
    canvas: Canvas,
    bound: Bound,
    network: Network | None,
    quality: str,
    store: Store,
) -> Steps[Matte]:
    """The subject's alpha, in closed form against the aligned plate with the subject's own shadow on it, or by a
    network that sees plate and clean plate; its effects behind it. In closed form the frames beside one tell of its
    edge as in Omnimatte Layers; not of a draft, nor where the background was put together by depth."""
    facts, known = network.facts if network else "closed-form", {"bound": bound.key, "masks": masks.key}
    with store.entry("clean_plate_matte", code=code_version(), model=facts, quality=quality, **known) as entry:
        if not entry.complete:
            motion, done = None, 0.0
            if not (network or quality == "draft" or canvas.by_depth):
                motion, done = (yield from within((0.0, _MOTION), measure_motion(plates, store))), _MOTION

            def solved(index: int) -> tuple[Tensor, Tensor]:
                if network:
                    return _by_network(shot, plates, masks, canvas, bound, network, index)
                return _in_closed_form(plates, masks, canvas, bound, motion, bool(shot.names), index)

            yield from within((done, 1.0), _fill(entry, shot, canvas, solved))
            entry.finish()
        return Matte(entry.key, entry.stack("alpha"), entry.stack("confidence"))


def _fill(entry: Entry, shot: Shot, canvas: Canvas, solved: Callable[[int], tuple[Tensor, Tensor]]) -> Steps[None]:
    """Put the alphas of subject and effects of every frame into an entry."""
    count = len(shot.frames)
    alphas = entry.create_stack("alpha", (count, 2, shot.height, shot.width))
    confidence = entry.create_stack("confidence", (count, 1, shot.height, shot.width))
    for index in range(count):
        solid, effect = solved(index)
        # Behind what is solid nothing of the effect is seen: the layer has a hole there.
        effect = torch.where(solid >= 1 - _SILENT, 0.0, effect)
        alphas[index] = _rounded(torch.stack([solid, effect])).numpy()
        confidence[index] = _confidence(canvas, index, solid).numpy()[None]
        yield index, count


def _in_closed_form(
    plates: Plates, masks: Masks, canvas: Canvas, bound: Bound, motion: Motion | None, drawn: bool, index: int
) -> tuple[Tensor, Tensor]:
    """Alpha of the subject and of its effects, H x W both."""
    picture, background = torch.from_numpy(plates.plate[index]), canvas.background(index)
    transmission, effect = bound.read(index)
    band = band_of(picture.shape[2], BAND if drawn else _FOUND)
    mask = masks.union(index)
    misplaced = canvas.tolerance(index) * slope(background[None])[0]
    variance = canvas.noise.variance(torch.maximum(picture, background)) + misplaced.square()
    thin = thin_parts(picture, canvas, index, mask, band) if drawn else None
    if thin is not None:
        mask = mask | thin
    light = light_under(transmission, mask, band)
    at = Boundary(picture, light, background * light, variance.mean(0), effect, mask)
    told = told_beside(index, at, plates, canvas, motion, band) if motion else None
    solid = solve_edge(at.picture, at.behind, at.variance, mask, band, drawn, thin, told=told)
    _, effect = effect_behind(solid, effect, mask, band)
    return solid, effect


def _by_network(
    shot: Shot, plates: Plates, masks: Masks, canvas: Canvas, bound: Bound, network: Network, index: int
) -> tuple[Tensor, Tensor]:
    """The same, the subject by a network; effects are measured beside its mask and go on under it."""
    clean, mask = plates.encode(shot, canvas.background(index).numpy()), masks.union(index)
    _, effect = bound.read(index)
    beside = torch.from_numpy(~dilate(mask, band_of(shot.width)))
    effect = torch.where(beside, effect, fill_smoothly(effect[None], beside.float())[0])
    return network.alpha(plates.encoded(shot, index), clean, mask), effect


def _rounded(alpha: Tensor) -> Tensor:
    """Alpha as a file holds it, so that colours are made for the alpha that is written."""
    alpha = alpha.clamp(0, 1).half().float()
    return torch.where(alpha < _SILENT, 0.0, alpha)


def _confidence(canvas: Canvas, index: int, solid: Tensor) -> Tensor:
    """How far the result can be trusted: 1 where the plate is kept, less where the clean plate does not reach or fits
    badly."""
    fit = min(1.0, 2 / max(float(canvas.misfit[index]), 1e-6))
    return 1 - solid * (1 - canvas.seen(index) * fit)
