"""Background: what the shot looks like without its objects, as far as the shot itself tells."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.cache import Store
from penumbra_engine.errors import UnsolvableError
from penumbra_engine.imaging.disturbance import unlike_a_shadow
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.media import Shot
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.motion import Motion, measure_motion
from penumbra_engine.solvers.omnimatte.canvas import Canvas, build_canvas
from penumbra_engine.solvers.omnimatte.flow import estimate_flow
from penumbra_engine.solvers.omnimatte.footage import Footage
from penumbra_engine.solvers.omnimatte.geometry import Geometry, solve_geometry
from penumbra_engine.solvers.omnimatte.register import register
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version, within

_STILL = Noise(1e-5, 1e-4)
_THERE = 0.45  # of a pixel that motion brings to a frame
_TRUSTED = 0.02  # less trust than that says nothing where no other side speaks


@dataclass(frozen=True)
class Background:
    """key: of the stage it comes from. why_not: what stood in the way, "" where there is a background."""

    key: str
    noise: Noise
    why_not: str
    _canvas: Canvas | None
    _geometry: Geometry | None = None

    @property
    def parallax(self) -> bool:
        """Whether it was put together by depth, so that its edges may lie some pixels astray."""
        return self._geometry is not None and self._geometry.cameras is not None

    @property
    def still(self) -> bool:
        """Whether all frames share one: the camera is static."""
        return self._canvas is not None and self._canvas.still

    def read(self, index: int) -> Tensor | None:
        """3 x H x W, scene-linear in the exposure of the frame; None where no background was found."""
        return self._canvas.background(index) if self._canvas else None

    def seen(self, index: int) -> Tensor | None:
        """H x W in [0, 1], 0 where the background is a guess; None where no background was found."""
        return self._canvas.seen(index) if self._canvas else None

    def unlike(self, index: int, picture: Tensor) -> Tensor | None:
        """H x W, by how many standard deviations the frame (3 x H x W) differs from its background under any shadow;
        None where no background was found. The background counts as out of place by the median of its frame: what
        sways near an object is mostly the object."""
        if self._canvas is None:
            return None
        tolerance = self._canvas.tolerance(index)
        typical = torch.full_like(tolerance, float(tolerance.median()))
        return unlike_a_shadow(picture, self._canvas.background(index), self.noise, typical)


def find_background(
    shot: Shot, plates: Plates, keyframes: Keyframes, store: Store, rough: bool = False
) -> Steps[Background]:
    """The background of every frame. Keyframes say where the objects are; to the frames between, motion carries where
    they may be. rough: it will be looked for once more if the camera moves, as of build_canvas."""
    motion = yield from within((0.0, 0.05), measure_motion(plates, store))
    masks = yield from within((0.05, 0.1), _carried_masks(shot, keyframes, motion, store))
    return (yield from within((0.1, 1.0), background_behind(shot, plates, masks, store, rough=rough)))


def background_behind(
    shot: Shot, plates: Plates, masks: Masks, store: Store, earlier: Background | None = None, rough: bool = False
) -> Steps[Background]:
    """The background of every frame behind objects that are known roughly, by the stages of Omnimatte Layers. A shot of
    one frame, or one that can't be registered, has none. earlier: one of the shot, behind what was known of them then:
    its geometry is kept. rough: as for build_canvas."""
    if len(shot.frames) == 1:
        return Background("", _STILL, "one frame shows no background behind an object", None)
    try:
        registration = yield from within((0.0, 0.2), register(shot, plates, store))
        flow = yield from within((0.2, 0.25), estimate_flow(plates, registration, store))
        footage = Footage(shot, plates, masks, registration, flow)
        known = earlier._geometry if earlier else None
        geometry = yield from within((0.25, 0.5), solve_geometry(footage, store, known))
        # By depth, what half as many frames show does for a matte: the far ones are the less exact.
        rough = rough or geometry.cameras is not None
        build = build_canvas(footage, store, geometry, rough=rough)
        canvas = yield from within((0.5, 1.0), build)
    except UnsolvableError as error:
        return Background("", _STILL, str(error), None)
    return Background(canvas.key, canvas.noise, "", canvas, geometry)


def _carried_masks(shot: Shot, keyframes: Keyframes, motion: Motion, store: Store) -> Steps[Masks]:
    """Masks of every object on every frame: on a keyed frame what isn't surely background, elsewhere what motion brings
    of that from the keyframes before and after."""
    with store.entry("carried_masks", code=code_version(), keyframes=keyframes.key, motion=motion.key) as entry:
        if not entry.complete:
            names, count = keyframes.names, len(shot.frames)
            shape = (count, 2 * len(names), shot.height, shot.width)
            carried = entry.create_stack("carried", shape, scratch=True)
            stack = entry.create_stack("masks", (count, len(names), shot.height, shot.width), np.uint8)
            for k, name in enumerate(names):
                found = {index: keyframes.matte(name, index) > 0 for index in keyframes.frames(name)}
                keyed = {index: there[None].astype(np.float32) for index, there in found.items()}
                for _ in motion.bring(keyed, carried, 2 * k):
                    yield k, len(names)
            for index in range(count):
                planes, masks = carried[index], np.zeros(stack.shape[1:], bool)
                for k, name in enumerate(names):
                    between = keyframes.frames(name)[0] <= index <= keyframes.frames(name)[-1]
                    masks[k] = _there(planes[2 * k], planes[2 * k + 1], between)
                stack[index] = np.where(masks, 255, 0).astype(np.uint8)
            entry.finish()
        return Masks(entry.key, entry.stack("masks"))


def _there(brought: np.ndarray, trust: np.ndarray, between: bool) -> np.ndarray:
    """Where an object may be on a frame, H x W bool, by what motion brings of it and the trust in that.

    between: whether keyframes lie on both sides. Then one side refutes what the other left behind. From one side alone
    an object leaves a trail down to its keyframe, and the background there would be seen on no frame: there trust is
    asked for, and an object that motion has lost is left to the background, which keeps what most frames show.
    """
    there = brought > _THERE
    return there if between else there & (trust > _TRUSTED)
