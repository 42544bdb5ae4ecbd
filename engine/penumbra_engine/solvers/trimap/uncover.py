"""Uncover: the background once more, where motion alone could not say where the objects are."""

import numpy as np

from penumbra_engine.cache import Store
from penumbra_engine.media import Shot
from penumbra_engine.solvers.background import Background, background_behind
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version, within
from penumbra_engine.solvers.trimap.likeness import learn_likeness
from penumbra_engine.solvers.trimap.propagate import Trimaps, propagate

# Of the frames: so many before an object's first keyframe or after its last are told by one side alone; before a camera
# that stands, so many that motion has lost the object on most.
_ALONE, _MOST_ALONE = 0.25, 0.6


def one_sided(keyframes: Keyframes, count: int, still: bool = False) -> bool:
    """Whether keyframes lie on one side only for so many of `count` frames that the background is to be looked for once
    more. There motion loses an object before long, and where the camera moves, so that every frame has a background of
    its own, it stays in that. Before one that stands (still) most frames show what an object hides, as long as motion
    brings it to some of those on which it hides that: from a keyframe at one end it doesn't. From one in the middle a
    second look would only keep for an object whatever the first left in the background by mistake."""
    keyed = [keyframes.frames(name) for name in keyframes.names]
    alone = max(max(frames[0], count - 1 - frames[-1]) for frames in keyed)
    return alone > (_MOST_ALONE if still else _ALONE) * count


def uncover(
    shot: Shot, plates: Plates, keyframes: Keyframes, motion: Motion, background: Background, seed: int, store: Store
) -> Steps[Background]:
    """The background behind what a network finds that has only begun to learn before the first background."""
    learn = learn_likeness(shot, plates, keyframes, motion, background, "sketch", seed, store)
    sketch = yield from within((0.0, 0.2), learn)
    rough = yield from within((0.2, 0.25), propagate(shot, plates, keyframes, motion, sketch, store))
    masks = yield from within((0.25, 0.3), _masks(shot, rough, store))
    return (yield from within((0.3, 1.0), background_behind(shot, plates, masks, store, background)))


def _masks(shot: Shot, rough: Trimaps, store: Store) -> Steps[Masks]:
    """Masks of all that isn't surely background."""
    with store.entry("uncovered_masks", code=code_version(), trimaps=rough.key) as entry:
        if not entry.complete:
            stack = entry.create_stack("masks", rough.trimaps.shape, np.uint8)
            for index in range(len(shot.frames)):
                stack[index] = np.where(rough.trimaps[index] > 0, 255, 0).astype(np.uint8)
                yield index, len(shot.frames)
            entry.finish()
        return Masks(entry.key, entry.stack("masks"))
