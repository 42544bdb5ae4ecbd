"""The report: what was done, how well it went, and what a compositor should look at."""

import numpy as np

from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.media import Shot
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.geometry import Geometry
from penumbra_engine.solvers.omnimatte.odd_masks import odd_masks
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.report import named

_LOOSE = 0.75  # px of registration residual
_MISFIT = 2.5  # standard deviations
_UNSEEN = 0.01  # of an object's pixels
_DRIFT = 0.02


def warnings(shot: Shot, masks: Masks, registration: Registration, geometry: Geometry, canvas: Canvas) -> list[str]:
    """What may be wrong with the layers, each with its frames."""
    said = []
    frames = np.array(shot.frames)
    odd = odd_masks(masks)
    for k, name in enumerate(shot.names):
        slips = [index for owner, index in odd if owner == k]
        if slips:
            said.append(
                f"frames {named(frames[slips])}: the mask of {name} is empty, elsewhere or of another shape while "
                "those before and after agree; what it leaves out is taken for an effect or for the background"
            )
    if registration.plain:
        said.append(
            f"frames {named(frames)}: the plate has next to no detail but on what moves; the camera was measured by "
            "the shading of the rest, so the background may slide where it does have some"
        )
    loose = (registration.residual > _LOOSE) & (geometry.cameras is None)
    if loose.any():
        said.append(
            f"frames {named(frames[loose])}: registration is up to {registration.residual.max():.1f} px off; the "
            "background may ghost. A camera that travels past near and far things shows them from different sides, "
            "which one flat background can't hold"
        )
    misfit = canvas.misfit > _MISFIT
    if misfit.any():
        said.append(
            f"frames {named(frames[misfit])}: the plate differs from its background by {canvas.misfit.max():.1f} "
            "times its noise where no object is; parallax, or a background that moves on its own, may be in the layers"
        )
    unseen = [_unseen(masks, canvas, index) for index in range(len(frames))]
    hidden = np.array(unseen) > _UNSEEN
    if hidden.any():
        said.append(
            f"frames {named(frames[hidden])}: up to {100 * max(unseen):.0f} % of what the objects hide is seen on no "
            "frame; the background there is a guess (the alpha of canvas/ is 0)"
        )
    drift = np.abs(canvas.gains - 1).max(1)
    if (drift > _DRIFT).any():
        said.append(
            f"frames {named(frames[drift > _DRIFT])}: the exposure {_how(canvas.gains)} by up to "
            f"{100 * drift.max():.0f} %; it is followed"
        )
    return said


def _how(gains: np.ndarray) -> str:
    """What the exposure does, by its largest step from a frame to the next."""
    return "flickers" if np.abs(np.diff(gains, axis=0)).max() > _DRIFT else "drifts"


def _unseen(masks: Masks, canvas: Canvas, index: int) -> float:
    """The part of a frame's objects behind which the background was never seen."""
    union = masks.union(index)
    return float((canvas.seen(index).numpy()[dilate(union, 1)] == 0).mean()) if union.any() else 0.0
