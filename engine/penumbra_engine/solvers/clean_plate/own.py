"""Own: the background that the shot itself shows, by the cached stages of Omnimatte Layers."""

import numpy as np

from penumbra_engine.cache import Store
from penumbra_engine.errors import UnsolvableError
from penumbra_engine.media import Shot
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.canvas import Canvas, build_canvas
from penumbra_engine.solvers.omnimatte.flow import estimate_flow
from penumbra_engine.solvers.omnimatte.footage import Footage
from penumbra_engine.solvers.omnimatte.geometry import solve_geometry
from penumbra_engine.solvers.omnimatte.register import register
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version

_LEAST_FRAMES = 8  # of a static camera: with fewer the clean plate knows more of the background than the shot


def own_canvas(shot: Shot, plates: Plates, masks: Masks, store: Store) -> Steps[Canvas]:
    """The background that Omnimatte Layers finds in the same shot. Raises UnsolvableError when it can't."""
    if len(shot.frames) == 1:
        raise UnsolvableError(
            "--clean-plate auto: one frame shows no background behind its subject. Give the frames around it, and "
            "--write for the one that is wanted, or a clean plate",
            "--clean-plate",
        )
    registration = yield from register(shot, plates, store)
    flow = yield from estimate_flow(plates, registration, store)
    footage = Footage(shot, plates, masks, registration, flow)
    geometry = yield from solve_geometry(footage, store)
    return (yield from build_canvas(footage, store, geometry))


def still_canvas(shot: Shot, plates: Plates, masks: Masks | None, store: Store) -> Steps[Canvas | None]:
    """The same to stand beside a clean plate, where the camera is static; None where it isn't or the shot is short.
    Without masks a pixel's background is the colour at which it rests."""
    if len(shot.frames) < _LEAST_FRAMES:
        return None
    try:
        registration = yield from register(shot, plates, store)
    except UnsolvableError:
        return None
    if registration.model != "static":
        return None
    flow = yield from estimate_flow(plates, registration, store)
    footage = Footage(shot, plates, masks or _nothing(shot, store), registration, flow)
    return (yield from build_canvas(footage, store))


def _nothing(shot: Shot, store: Store) -> Masks:
    """Masks of nothing, for a shot whose subject is yet to be found."""
    with store.entry("no_masks", code=code_version(), size=[len(shot.frames), shot.height, shot.width]) as entry:
        if not entry.complete:
            entry.create_stack("masks", (len(shot.frames), 1, shot.height, shot.width), np.uint8)
            entry.finish()
        return Masks(entry.key, entry.stack("masks"))
