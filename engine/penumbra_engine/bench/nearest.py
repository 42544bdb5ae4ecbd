"""The baseline of Matte that learns nothing: the nearest keyframe, carried along the motion."""

from collections.abc import Generator
from pathlib import Path

import numpy as np
import torch

from penumbra.protocol import MatteJob, Progress, Result, format_frames
from penumbra_engine.cache import Store
from penumbra_engine.media import Shot
from penumbra_engine.solvers.clock import Clock
from penumbra_engine.solvers.delivery import Delivery, Destination
from penumbra_engine.solvers.keyframes import Keyframes, read_keyframes
from penumbra_engine.solvers.layer import foreground_layer
from penumbra_engine.solvers.motion import Motion, measure_motion
from penumbra_engine.solvers.plates import Plates, decode
from penumbra_engine.solvers.steps import Steps

_PARTS = {"decode": 0.1, "keyframes": 0.1, "motion": 0.4, "write": 0.4}


def nearest_keyframe(job: MatteJob, cache: Path) -> Generator[Progress, None, Result]:
    """The mattes of a job, written as the solver writes them: each frame has that of the nearest keyframe, carried from
    frame to frame by dense flow."""
    clock, store = Clock(_PARTS), Store(cache)
    shot = Shot.open(job)
    plates = yield from clock.run("decode", decode(shot, store))
    keyframes = yield from clock.run("keyframes", read_keyframes(shot, lambda matte: "", store))
    motion = yield from clock.run("motion", measure_motion(plates, store))
    yield from clock.run("write", _write(shot, plates, keyframes, motion, Path(job.out)))
    layers = {name: str(Path(job.out) / name) for name in keyframes.names}
    return Result(job.out, "", "", layers, format_frames(shot.frames), shot.space.working, clock.spent()["all"])


def _write(shot: Shot, plates: Plates, keyframes: Keyframes, motion: Motion, out: Path) -> Steps[None]:
    to = Destination(out, shot.frames, {}, full_window=True, float32=False)
    mattes = {name: carried(keyframes, name, motion, len(shot.frames)) for name in keyframes.names}
    for index, frame in enumerate(shot.frames):
        delivery = Delivery(shot, to, frame)
        plate = torch.from_numpy(plates.plate[index])
        for name, matte in mattes.items():
            delivery.write(name, "RGBA", foreground_layer(plate, torch.from_numpy(matte[index])))
        yield index, len(shot.frames)


def carried(keyframes: Keyframes, name: str, motion: Motion, count: int) -> np.ndarray:
    """The mattes of an object on `count` frames, T x H x W. Of two keyframes equally near, the earlier."""
    keyed = keyframes.frames(name)
    nearest = [keyed[int(np.argmin(np.abs(np.subtract(keyed, index))))] for index in range(count)]
    mattes = {key: keyframes.matte(name, key) for key in keyed}
    for key in keyed:
        for step in (1, -1):
            index = key + step
            while 0 <= index < count and nearest[index] == key:
                mattes[index], _ = motion.carry(mattes[index - step], index - step, index)
                index += step
    return np.stack([mattes[index] for index in range(count)])
