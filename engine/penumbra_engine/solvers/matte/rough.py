"""Rough: where the objects are on every frame, by a network that has only begun to learn, and what that uncovers."""

import numpy as np

from penumbra_engine.cache import Store
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.media import Shot
from penumbra_engine.solvers.background import Background, background_behind
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.matte.predict import predict
from penumbra_engine.solvers.matte.scene import Scene
from penumbra_engine.solvers.matte.train import Learned
from penumbra_engine.solvers.steps import Steps, code_version, within

_THERE = 0.1  # alpha
_MARGIN = 0.008  # of the longer side: a background is spoilt more by what is missed than by what is too much


def uncover(shot: Shot, scene: Scene, sketch: Learned, store: Store) -> Steps[Background]:
    """The background once more, now that the objects are roughly known on every frame: what lingers or crosses on
    frames that aren't keyed is no longer taken for background."""
    masks = yield from within((0.0, 0.4), rough_masks(shot, scene, sketch, store))
    return (yield from within((0.4, 1.0), background_behind(shot, scene.plates, masks, store)))


def rough_masks(shot: Shot, scene: Scene, sketch: Learned, store: Store) -> Steps[Masks]:
    """Masks of every object on every frame that rather hold too much; on a keyed frame those of the keyframe."""
    with store.entry("rough_masks", code=code_version(), fit=sketch.key, frames=list(shot.frames)) as entry:
        if not entry.complete:
            stack = entry.create_stack("masks", (len(shot.frames), len(scene.names), shot.height, shot.width), np.uint8)
            for index in range(len(shot.frames)):
                found = predict(sketch.network, scene.whole(index))
                for k, name in enumerate(scene.names):
                    if index in scene.keyframes.frames(name):
                        found[k] = scene.keyframes.matte(name, index)
                grown = [dilate(matte > _THERE, _MARGIN * max(shot.height, shot.width)) for matte in found]
                stack[index] = np.where(np.stack(grown), 255, 0).astype(np.uint8)
                yield index, len(shot.frames)
            entry.finish()
        return Masks(entry.key, entry.stack("masks"))
