"""The baseline that needs no solver: the rough mask as a matte, over the masked temporal median."""

from collections.abc import Generator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from penumbra.protocol import OmnimatteJob, Progress, Result, format_frames
from penumbra_engine.cache import Store
from penumbra_engine.imaging.background import masked_median
from penumbra_engine.imaging.composite import share_out
from penumbra_engine.imaging.warp import warp
from penumbra_engine.media import Shot
from penumbra_engine.solvers.clock import Clock
from penumbra_engine.solvers.delivery import Delivery, Destination
from penumbra_engine.solvers.masks import Masks, read_masks
from penumbra_engine.solvers.omnimatte.register import Registration, register
from penumbra_engine.solvers.plates import Plates, decode
from penumbra_engine.solvers.steps import Steps

_SAMPLES = 12  # frames that each frame of a moving camera takes its median from
_PARTS = {"decode": 0.2, "masks": 0.1, "register": 0.2, "median": 0.5}


def mask_over_median(job: OmnimatteJob, cache: Path) -> Generator[Progress, None, Result]:
    """Layers and background of a job, written as a solver writes them; a camera that moves is registered as ours."""
    clock, store = Clock(_PARTS), Store(cache)
    shot = Shot.open(job)
    plates = yield from clock.run("decode", decode(shot, store))
    masks = yield from clock.run("masks", read_masks(shot, plates, store))
    registration = yield from clock.run("register", register(shot, plates, store))
    yield from clock.run("median", _write(shot, plates, masks, registration, Path(job.out)))
    layers = {name: str(Path(job.out) / name) for name in shot.names}
    said = format_frames(shot.frames), shot.space.working, clock.spent()["all"]
    return Result(job.out, "", "", layers, *said)


def _write(shot: Shot, plates: Plates, masks: Masks, registration: Registration, out: Path) -> Steps[None]:
    to = Destination(out, shot.frames, {}, full_window=True, float32=False)
    static = registration.model == "static"
    background = torch.zeros(0)
    for index, frame in enumerate(shot.frames):
        if index == 0 or not static:
            background = _median(shot, plates, masks, registration, index)
        alpha = torch.from_numpy(masks.objects(index)).float()
        front = torch.cat([torch.zeros_like(alpha[:1]), alpha[:-1]]).cumsum(0) > 0
        alpha[front] = 0  # no mask of two objects at one place: the front one has it
        layers, behind = share_out(torch.from_numpy(plates.plate[index]), background, alpha, alpha)
        delivery = Delivery(shot, to, frame)
        for name, layer in zip(shot.names, layers, strict=True):
            delivery.write(name, "RGBA", layer)
        delivery.write("background", "RGB", behind)
        yield index, len(shot.frames)


def _median(shot: Shot, plates: Plates, masks: Masks, registration: Registration, index: int) -> Tensor:
    """The background as one frame sees it, 3 x H x W."""
    count = len(shot.frames)
    if registration.model == "static":
        unmasked = torch.from_numpy(np.stack([~masks.union(other) for other in range(count)]))
        return masked_median(torch.from_numpy(plates.plate[:]), unmasked)
    samples, valid = [], []
    for other in np.unique(np.linspace(0, count - 1, _SAMPLES).round().astype(int)).tolist():
        to_other = np.linalg.inv(registration.cameras[other]) @ registration.cameras[index]
        masked = torch.from_numpy(masks.union(other))[None].float()
        picture = torch.cat([torch.from_numpy(plates.plate[other]), masked])
        moved, inside = warp(picture, torch.from_numpy(to_other), shot.height, shot.width, "bilinear")
        samples.append(moved[:3])
        valid.append(inside & (moved[3] < 0.01))
    return masked_median(torch.stack(samples), torch.stack(valid))
