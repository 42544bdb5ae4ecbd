"""The baseline that Penumbra comes from: Omnimatte as its paper configures it, in the time that is given.

Network, inputs, losses, their weights and schedule are those of Lu et al. (2021); registration and flow are ours, and
the paper's random scaling and cropping is left out. The paper trains 12,000 steps of 16 pairs of frames, which takes
hours on a GPU; on a CPU a step is one pair, and the time that our own solve took is over after a few.
"""

import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.protocol import OmnimatteJob, Progress, Result, format_frames
from penumbra_engine.bench.paper_scene import HEIGHT, WIDTH, PaperScene, build_scene
from penumbra_engine.cache import Store
from penumbra_engine.imaging.warp import pixel_grid, sample
from penumbra_engine.media import Shot
from penumbra_engine.models.omnimatte import OmnimatteNet
from penumbra_engine.solvers.clock import Clock
from penumbra_engine.solvers.delivery import Delivery, Destination
from penumbra_engine.solvers.masks import read_masks
from penumbra_engine.solvers.omnimatte.flow import estimate_flow
from penumbra_engine.solvers.omnimatte.register import register
from penumbra_engine.solvers.plates import decode
from penumbra_engine.solvers.steps import Steps

STEPS = 12_000
_PAIRS = {"cuda": 16, "cpu": 1}
_LEARNING_RATE = 1e-3
_L1, _L0, _WARP, _CAMERA = 0.01, 0.005, 0.005, 0.001
_L1_EPOCHS = 200
_MASK, _MASK_LATER, _MASK_LEARNED = 50.0, 5.0, 0.02
_COARSE = (4, 7)  # of the offsets and the brightness that the background learns over time
_PARTS = {"decode": 0.02, "masks": 0.01, "register": 0.05, "flow": 0.02, "train": 0.6, "write": 0.3}


@dataclass(frozen=True)
class Rendered:
    """What the network makes of N frames. layers: N x K x 4 x H x W, straight, colour in [-1, 1], alpha in [0, 1].
    flow: N x K x 2 x H x W. background, and picture, all over each other: N x 3 x H x W. alpha: N x 1 x H x W."""

    layers: Tensor
    flow: Tensor
    background: Tensor
    picture: Tensor
    alpha: Tensor


class PaperModel(nn.Module):
    """The network, and how the background moves and brightens over time."""

    def __init__(self, scene: PaperScene) -> None:
        super().__init__()
        self.scene = scene
        self.network = OmnimatteNet()
        self.offsets = nn.Parameter(torch.zeros(1, 2, 20, *_COARSE))
        self.brightness = nn.Parameter(torch.ones(1, 1, 20, *_COARSE))

    def forward(self, frames: Tensor) -> Rendered:
        scene = self.scene
        count, objects = len(frames), scene.masks.shape[1]
        own = scene.inputs[frames].flatten(0, 1)
        colour, flow = self.network(torch.cat([own, scene.background[None]]))
        layers = colour[:-1].reshape(count, objects, 4, HEIGHT, WIDTH)
        layers = torch.cat([layers[:, :, :3], layers[:, :, 3:] / 2 + 0.5], 2)
        grids = scene.grids[frames] + self._at(self.offsets, frames).permute(0, 2, 3, 1)
        canvas = colour[-1:, :3].expand(count, -1, -1, -1)
        background = F.grid_sample(canvas, grids, padding_mode="border", align_corners=False)
        background = ((background + 1) * self._at(self.brightness, frames) - 1).clamp(-1, 1)
        picture, through = background, torch.ones_like(background[:, :1])
        for layer in reversed(layers.unbind(1)):
            alpha = layer[:, 3:]
            picture, through = alpha * layer[:, :3] + (1 - alpha) * picture, through * (1 - alpha)
        flow = flow[:-1].reshape(count, objects, 2, HEIGHT, WIDTH)
        return Rendered(layers, flow, background, picture, 1 - through)

    def _at(self, coarse: Tensor, frames: Tensor) -> Tensor:
        size = (len(self.scene.pictures), HEIGHT, WIDTH)
        return F.interpolate(coarse, size, mode="trilinear", align_corners=True)[0, :, frames].transpose(0, 1)


@dataclass
class MaskSchedule:
    """The mask term weighs 50 until it is learned, 5 for as many epochs again, then nothing."""

    learned: int = 0  # the epoch in which it was

    def weight(self, epoch: int, loss: float) -> float:
        if not self.learned and loss < _MASK_LEARNED:
            self.learned = max(epoch, 1)
        if not self.learned:
            return _MASK
        return _MASK_LATER if epoch < 2 * self.learned else 0.0


def paper_omnimatte(job: OmnimatteJob, cache: Path, seconds: float) -> Generator[Progress, None, Result]:
    """Train for so many seconds or 12,000 steps, and write the layers and the background as a solver writes them."""
    clock, store = Clock(_PARTS), Store(cache)
    shot = Shot.open(job)
    plates = yield from clock.run("decode", decode(shot, store))
    masks = yield from clock.run("masks", read_masks(shot, plates, store))
    registration = yield from clock.run("register", register(shot, plates, store))
    flow = yield from clock.run("flow", estimate_flow(plates, registration, store))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    scene = build_scene(shot, plates, masks, registration, flow, job.seed)
    scene = PaperScene(**{name: value.to(device) for name, value in vars(scene).items()})
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        model = PaperModel(scene).to(device)
    steps = yield from clock.run("train", train(model, _PAIRS[device], seconds, job.seed))
    yield from clock.run("write", _write(shot, model, Path(job.out)))
    layers = {name: str(Path(job.out) / name) for name in shot.names}
    said = [f"{steps} of {STEPS} steps of {_PAIRS[device]} pairs"]
    spent = clock.spent()["all"]
    return Result(job.out, "", "", layers, format_frames(shot.frames), shot.space.working, spent, said)


def train(model: PaperModel, pairs: int, seconds: float, seed: int, steps: int = STEPS) -> Steps[int]:
    """At least one step; the number of steps that there was time for."""
    count, began = len(model.scene.pictures), time.monotonic()
    optimiser = torch.optim.Adam(model.parameters(), _LEARNING_RATE)
    schedule = MaskSchedule()
    generator = torch.Generator().manual_seed(seed)
    epoch_length = max(1, -(-(count - 1) // pairs))
    for step in range(steps):
        first = torch.randint(count - 1, (min(pairs, count - 1),), generator=generator)
        loss = pair_loss(model, first, schedule, step // epoch_length)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield step + 1, steps
        if time.monotonic() - began > seconds:
            return step + 1
    return steps


def pair_loss(model: PaperModel, first: Tensor, schedule: MaskSchedule, epoch: int) -> Tensor:
    """All terms of the paper on frames `first` and those that follow them."""
    scene, count = model.scene, len(first)
    frames = torch.cat([first, first + 1])
    made = model(frames)
    mask = mask_loss(made.layers[:, :, 3], scene.trimaps[frames])
    loss = (made.picture - scene.pictures[frames]).abs().mean() + schedule.weight(epoch, float(mask.detach())) * mask
    loss = loss + (_L1 * made.alpha.mean() if epoch < _L1_EPOCHS else 0)
    loss = loss + _L0 * (2 * torch.sigmoid(5 * made.alpha) - 1).mean()
    moved = torch.zeros_like(made.flow[:, 0])
    for layer, flow in zip(reversed(made.layers.unbind(1)), reversed(made.flow.unbind(1)), strict=True):
        moved = layer[:, 3:] * flow + (1 - layer[:, 3:]) * moved
    loss = loss + (scene.confidence[frames] * (moved - scene.flow[frames])).abs().mean()
    loss = loss + _WARP * _alpha_warp(made, count)
    drift = (model.brightness - 1).abs().mean() + model.offsets.abs().mean()
    return loss + _CAMERA * drift


def mask_loss(alpha: Tensor, trimap: Tensor) -> Tensor:
    """How far alpha in [0, 1] is from what the trimap (1, 0, -1) is sure of; inside and outside weigh the same."""
    error = (alpha * 2 - 1 - trimap).abs()
    parts = [(where * error).sum() / (1 + where.sum()) for where in ((trimap > 0).float(), (trimap < 0).float())]
    return (parts[0] + parts[1]) / 2


def _alpha_warp(made: Rendered, count: int) -> Tensor:
    """How far each layer's alpha is from that of the next frame, followed along the flow it predicts."""
    grid = pixel_grid(HEIGHT, WIDTH, made.flow.device)
    total = torch.zeros((), device=made.flow.device)
    for n in range(count):
        for now, then, flow in zip(made.layers[n], made.layers[count + n], made.flow[n], strict=True):
            warped, _ = sample(then[3:], grid + flow.permute(1, 2, 0), "bilinear")
            total = total + (warped - now[3:]).abs().mean()
    return total / (count * made.layers.shape[1])


@torch.no_grad()
def _write(shot: Shot, model: PaperModel, out: Path) -> Steps[None]:
    """With the paper's transfer of detail: what the layers miss of a picture goes to them, as far as each is seen."""
    model.eval()
    to = Destination(out, shot.frames, {}, full_window=True, float32=False)
    for index, frame in enumerate(shot.frames):
        made = model(torch.tensor([index]))
        missed, through = model.scene.pictures[index] - made.picture[0], torch.ones_like(made.alpha[0])
        delivery = Delivery(shot, to, frame)
        for name, layer in zip(shot.names, made.layers[0], strict=True):
            colour, alpha = layer[:3] + through * missed, layer[3:]
            through = through * (1 - alpha)
            alpha = _full_size(shot, alpha).clamp(0, 1)
            delivery.write(name, "RGBA", torch.cat([_linear(_full_size(shot, colour)) * alpha, alpha]))
        delivery.write("background", "RGB", _linear(_full_size(shot, made.background[0])))
        yield index, len(shot.frames)


def _full_size(shot: Shot, picture: Tensor) -> Tensor:
    size = (shot.height, shot.width)
    return F.interpolate(picture[None].cpu(), size, mode="bicubic", align_corners=False)[0]


def _linear(encoded: Tensor) -> Tensor:
    """From [-1, 1], sRGB, to linear Rec.709: the bench's shots work in that."""
    value = ((encoded + 1) / 2).clamp(0, 1).numpy()
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return torch.from_numpy(linear.astype(np.float32))
