"""Frame by frame: stages that make each frame of its own inputs, so that only frames whose inputs changed are made."""

from collections.abc import Callable, Mapping, Sequence
from operator import eq
from typing import Any

import numpy as np

from penumbra_engine.cache import Entry, Store
from penumbra_engine.solvers.abreast import abreast
from penumbra_engine.solvers.lineage import Lineage
from penumbra_engine.solvers.steps import Steps


def frame_by_frame(
    store: Store,
    stage: str,
    shot: str,
    inputs: Sequence[str],
    shapes: Mapping[str, tuple[int, int, int]],
    make: Callable[[int], Mapping[str, np.ndarray]],
    dtype: Any = np.float32,
) -> Steps[Entry]:
    """The complete entry of a stage: stacks T x C x H x W of one dtype by name.

    shot: a key that stays while hints change. inputs: of each of the T frames, a key of all that it is made from.
    shapes: C x H x W of each stack. make: the pictures of a frame by name, called by several threads. Frames whose
    inputs are those of the entry that was made last are copied from it.
    """
    lineage, count = Lineage(store, stage, shot), len(inputs)
    with store.entry(stage, inputs=list(inputs)) as entry:
        if not entry.complete:
            last = store.finished(stage, lineage.last)
            known = last.meta["inputs"] if last else []
            if last and len(known) == count and any(map(eq, inputs, known)):
                stacks = {name: entry.copy_stack(name, last) for name in shapes}
            else:
                stacks = {name: entry.create_stack(name, (count, *shape), dtype) for name, shape in shapes.items()}
                known = [""] * count

            def made(index: int) -> None:
                if inputs[index] != known[index]:
                    for name, picture in make(index).items():
                        stacks[name][index] = picture

            pixels = max(height * width for _, height, width in shapes.values())
            for done, _ in enumerate(abreast(made, range(count), pixels)):
                yield done + 1, count
            entry.finish({"inputs": list(inputs)})
        lineage.record(entry.key, "", entry.key)
        return entry
