"""A shot as Omnimatte (Lu et al. 2021) sees it: small, encoded, each layer beside noise that is fixed to the ground."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.imaging.warp import pixel_grid, transform
from penumbra_engine.media import Shot, srgb_encode
from penumbra_engine.models.omnimatte import NOISE
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.flow import Flow
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.plates import Plates

HEIGHT, WIDTH = 256, 448
_NOISE_SIZE = (16, 28)
_UNSURE = 20  # px around a mask whose alpha the mask says nothing about


@dataclass(frozen=True)
class PaperScene:
    """All at 256 x 448. pictures: T x 3 x H x W in [-1, 1]. masks, trimaps: T x K x H x W; trimaps are 1 inside, -1
    outside, 0 around the edge. flow: T x 2 x H x W in pixels, the camera's motion taken out; confidence: T x 1 x H x W.
    inputs: T x K x 16 x H x W of the objects, and background: 16 x H x W. grids: T x H x W x 2, where each frame's
    pixels lie on the canvas, in [-1, 1]."""

    pictures: Tensor
    masks: Tensor
    trimaps: Tensor
    flow: Tensor
    confidence: Tensor
    inputs: Tensor
    background: Tensor
    grids: Tensor


def build_scene(
    shot: Shot, plates: Plates, masks: Masks, registration: Registration, flow: Flow, seed: int
) -> PaperScene:
    """Our registration and flow take the place of the paper's."""
    count = len(shot.frames)
    pictures = torch.stack([_picture(shot, plates.plate[index]) for index in range(count)])
    small = torch.stack([_resized(torch.from_numpy(masks.objects(index)).float()) for index in range(count)])
    small = (small > 0.5).float()
    scale = torch.tensor([WIDTH / shot.width, HEIGHT / shot.height])[:, None, None]
    flows = torch.stack([_resized(torch.from_numpy(flow.flow[index])) for index in range(count)])
    motion, confidence = flows[:, :2] * scale, flows[:, 2:] * small.amax(1, keepdim=True)
    grids = _grids(shot, registration)
    noise = torch.randn(1, NOISE, *_NOISE_SIZE, generator=torch.Generator().manual_seed(seed))
    number = torch.arange(1, small.shape[1] + 1)[None, :, None, None, None]
    seen = torch.cat([F.grid_sample(noise, grid[None], align_corners=False) for grid in grids])
    own = small[:, :, None]
    fixed = seen[:, None].expand(-1, small.shape[1], -1, -1, -1)
    inputs = torch.cat([number * own, motion[:, None] * own, fixed], 2)
    ground = F.interpolate(noise, (HEIGHT, WIDTH), mode="bilinear", align_corners=False)[0]
    background = torch.cat([torch.zeros(3, HEIGHT, WIDTH), ground])
    return PaperScene(pictures, small, _trimaps(small), motion, confidence, inputs, background, grids)


def _resized(picture: Tensor) -> Tensor:
    """C x H x W at the paper's size."""
    return F.interpolate(picture[None], (HEIGHT, WIDTH), mode="bilinear", align_corners=False, antialias=True)[0]


def _picture(shot: Shot, plate: np.ndarray) -> Tensor:
    linear = shot.space.working_to_lin_rec709(np.ascontiguousarray(plate.transpose(1, 2, 0)))
    return _resized(torch.from_numpy(srgb_encode(linear).astype(np.float32)).permute(2, 0, 1)) * 2 - 1


def _trimaps(masks: Tensor) -> Tensor:
    """The mask is sure, what is far from it too."""
    near = np.stack([[dilate(mask.numpy() > 0, _UNSURE) for mask in frame] for frame in masks])
    return torch.where(masks > 0, 1.0, torch.where(torch.from_numpy(near), 0.0, -1.0))


def _grids(shot: Shot, registration: Registration) -> Tensor:
    """Every frame's pixels on a canvas that holds all frames."""
    grid = pixel_grid(HEIGHT, WIDTH).double() + 0.5
    frame = grid * torch.tensor([shot.width / WIDTH, shot.height / HEIGHT]) - 0.5
    placed = torch.stack([transform(frame, torch.from_numpy(camera)) for camera in registration.cameras])
    low, high = placed.amin((0, 1, 2)), placed.amax((0, 1, 2))
    return ((placed - low) / (high - low) * 2 - 1).float()
