"""Footage: the frames of a shot with what was measured on them before anything is solved."""

from dataclasses import dataclass

from penumbra_engine.media import Shot
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.flow import Flow
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.plates import Plates


@dataclass(frozen=True)
class Footage:
    """Roughly where the objects are, how the camera moves, and what moves beyond that."""

    shot: Shot
    plates: Plates
    masks: Masks
    registration: Registration
    flow: Flow
