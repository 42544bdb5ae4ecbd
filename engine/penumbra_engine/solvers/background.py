"""Background: what the shot looks like without its objects, as far as the shot itself tells."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from penumbra_engine.cache import Store
from penumbra_engine.errors import UnsolvableError
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.media import Shot
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.canvas import Canvas, build_canvas
from penumbra_engine.solvers.omnimatte.flow import estimate_flow
from penumbra_engine.solvers.omnimatte.register import register
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version, within

_STILL = Noise(1e-5, 1e-4)


@dataclass(frozen=True)
class Background:
    """key: of the stage it comes from. why_not: what stood in the way, "" where there is a background."""

    key: str
    noise: Noise
    why_not: str
    _canvas: Canvas | None

    @property
    def still(self) -> bool:
        """Whether there is one background for all frames: the camera is static."""
        return self._canvas is not None and self._canvas.still

    def read(self, index: int) -> Tensor | None:
        """3 x H x W, scene-linear in the exposure of the frame; None where no background was found."""
        return self._canvas.background(index) if self._canvas else None

    def seen(self, index: int) -> Tensor | None:
        """H x W in [0, 1], 0 where the background is a guess; None where no background was found."""
        return self._canvas.seen(index) if self._canvas else None


def find_background(shot: Shot, plates: Plates, keyframes: Keyframes, store: Store) -> Steps[Background]:
    """The background of every frame. Only keyed frames say where the objects are; elsewhere the colour at which a pixel
    rests decides."""
    masks = yield from within((0.0, 0.02), _keyed_masks(shot, keyframes, store))
    return (yield from within((0.02, 1.0), background_behind(shot, plates, masks, store)))


def background_behind(shot: Shot, plates: Plates, masks: Masks, store: Store) -> Steps[Background]:
    """The background of every frame behind objects that are known roughly, by the stages of Omnimatte Layers. A shot of
    one frame, or one that can't be registered, has none."""
    if len(shot.frames) == 1:
        return Background("", _STILL, "one frame shows no background behind an object", None)
    try:
        registration = yield from within((0.0, 0.4), register(shot, plates, store))
        flow = yield from within((0.4, 0.5), estimate_flow(plates, registration, store))
        canvas = yield from within((0.5, 1.0), build_canvas(shot, plates, masks, registration, flow, store))
    except UnsolvableError as error:
        return Background("", _STILL, str(error), None)
    return Background(canvas.key, canvas.noise, "", canvas)


def _keyed_masks(shot: Shot, keyframes: Keyframes, store: Store) -> Steps[Masks]:
    """The objects where they are known; nothing on all other frames."""
    with store.entry("keyed_masks", code=code_version(), keyframes=keyframes.key, frames=list(shot.frames)) as entry:
        if not entry.complete:
            names = keyframes.names
            stack = entry.create_stack("masks", (len(shot.frames), len(names), shot.height, shot.width), np.uint8)
            for done, (name, index) in enumerate(keyframes.of):
                masks = stack[index]
                masks[names.index(name)] = np.where(keyframes.matte(name, index) > 0, 255, 0)
                stack[index] = masks
                yield done, len(keyframes.of)
            entry.finish()
        return Masks(entry.key, entry.stack("masks"))
