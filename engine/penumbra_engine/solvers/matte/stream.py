"""Stream: mattes of a published network that needs no guidance and remembers what it saw (Robust Video Matting)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from penumbra_engine.cache import Entry, Stack, Store
from penumbra_engine.errors import UsageError
from penumbra_engine.media import Shot
from penumbra_engine.models.checkpoints import Checkpoints, Loaded
from penumbra_engine.models.folding import folded
from penumbra_engine.models.rvm import RobustVideoMatting, State, automatic_ratio
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.matte.predict import Mattes
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version

_KINDS = ("rvm-mobilenetv3", "rvm-resnet50")
_CHECKPOINT = 10  # frames
# Bytes a pixel: of a plate, to be refined from a smaller picture; of what the encoder sees; of the plate beside that.
_REFINED, _CODED, _BESIDE = 150, 1050, 40


@dataclass(frozen=True)
class Passes:
    """How the network goes through the shot. ratio: of what its encoder sees to the plate. both: backward too."""

    ratio: float
    both: bool


def checkpoint(models: Path) -> Loaded:
    """The user's weights of the network, the smaller one where both were added. Raises UsageError when none was, or
    the licence is forbidden here."""
    kept = Checkpoints(models)
    added = {one.kind.name for one in kept.added()}
    names = [name for name in _KINDS if name in added]
    if not names:
        raise UsageError(
            f"--model rvm needs weights of your own: none of {' or '.join(_KINDS)} was added. Get them and run "
            "`penumbra models add FILE`, or give keyframes and --model small",
            "--model",
        )
    return kept.load(names[0])


def passes(shot: Shot, downsample: float, both: bool) -> Passes:
    """downsample: 0 takes the published ratio for the plate's size."""
    return Passes(downsample or automatic_ratio(shot.height, shot.width), both)


def stream_memory(shot: Shot, through: Passes) -> float:
    """Bytes that the matte of one frame takes at most while it is found."""
    return float(max(_REFINED, _CODED * through.ratio**2 + _BESIDE) * shot.width * shot.height)


def stream_mattes(
    shot: Shot, plates: Plates, weights: Loaded, through: Passes, store: Store, given: Keyframes | None = None
) -> Steps[Mattes]:
    """The matte of every frame, each with the memory of all before it; backward too, the mean of both passes is taken.
    A keyed frame has the matte that was given.

    Confidence is how far the two passes agree; after one pass, how near the matte is to 0 or 1.
    """
    with store.entry(
        "matte_stream",
        code=code_version(),
        plates=plates.key,
        weights=weights.sha256,
        threads=torch.get_num_threads(),
        keyframes=given.key if given else "",
        **vars(through),
    ) as entry:
        if not entry.complete:
            folded(weights.network)
            count = len(shot.frames)
            total = count * (2 if through.both else 1)
            shape = (count, 1, shot.height, shot.width)
            forward = yield from _pass(shot, plates, weights, through, entry, "forward", range(count), (0, total))
            backward = forward
            if through.both:
                order = range(count - 1, -1, -1)
                backward = yield from _pass(shot, plates, weights, through, entry, "backward", order, (count, total))
            mattes, confidence = entry.create_stack("mattes", shape), entry.create_stack("confidence", shape)
            doubt = np.zeros(count)
            for index in range(count):
                one, other = forward[index], backward[index]
                mattes[index] = mean = (one + other) / 2
                unsure = np.abs(one - other) if through.both else 1 - np.abs(2 * mean - 1)
                if given and index in given.frames(given.names[0]):
                    mattes[index], unsure = given.matte(given.names[0], index)[None], np.zeros_like(unsure)
                confidence[index], doubt[index] = 1 - unsure, unsure.mean()
            entry.save("doubt", doubt=doubt)
            entry.finish()
        return Mattes(entry.key, entry.stack("mattes"), entry.stack("confidence"), entry.load("doubt")["doubt"])


def _pass(
    shot: Shot,
    plates: Plates,
    weights: Loaded,
    through: Passes,
    entry: Entry,
    name: str,
    order: Sequence[int],
    span: tuple[int, int],
) -> Steps[Stack]:
    """One pass in some order of frames. Its memory is kept every few frames, so that a pass that was stopped goes on
    there. span: frames before it, and of all passes."""
    network = cast(RobustVideoMatting, weights.network)
    state: State | None = None
    first, memory = 0, f"{name}_memory"
    if entry.has(memory):
        saved = entry.load(memory)
        first = int(saved.pop("done").item())
        one, two, three, four = (torch.from_numpy(np.array(saved[key])) for key in sorted(saved))
        state = (one, two, three, four)
        stack = entry.stack(name)
    else:
        stack = entry.create_stack(name, (len(order), 1, shot.height, shot.width))
    for done in range(first, len(order)):
        seen = torch.from_numpy(plates.encoded(shot, order[done]))
        with torch.no_grad():
            _, alpha, state = network(seen[None, None], state, through.ratio)
        stack[order[done]] = alpha[0, 0].numpy()
        if (done + 1) % _CHECKPOINT == 0:
            entry.save(memory, done=np.array(done + 1), **{f"{k}": part.numpy() for k, part in enumerate(state)})
        yield span[0] + done + 1, span[1]
    return stack
