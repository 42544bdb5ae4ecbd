"""Pictures moved by homographies and by flow."""

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.imaging.lens import Lens


def pixel_grid(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Pixel centres as H x W x 2 (x, y); the centre of the first pixel is (0, 0)."""
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    return torch.stack([x, y], -1).float()


def transform(points: Tensor, homography: Tensor) -> Tensor:
    """Points ... x 2 through a 3 x 3 homography; of the points' dtype."""
    x, y = points.unbind(-1)
    across, down, ahead = (a * x + b * y + c for a, b, c in homography.to(points))
    return torch.stack([across / ahead, down / ahead], -1)


def sample(picture: Tensor, points: Tensor, mode: str = "bicubic") -> tuple[Tensor, Tensor]:
    """Values of a picture C x H x W at points H' x W' x 2 (x, y in pixels), and where they lie inside it.

    Returns C x H' x W' and H' x W' bool. Outside, the edge is repeated.
    """
    height, width = picture.shape[-2:]
    grid = points * (2 / points.new_tensor([max(width - 1, 1), max(height - 1, 1)])) - 1
    values = F.grid_sample(picture[None], grid[None].to(picture), mode=mode, padding_mode="border", align_corners=True)[
        0
    ]
    x, y = points.unbind(-1)
    return values, (x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5)


def warp(
    picture: Tensor, to_source: Tensor, height: int, width: int, mode: str = "bicubic", lens: Lens | None = None
) -> tuple[Tensor, Tensor]:
    """A picture C x H x W seen through a homography (3 x 3, pixels of the result to pixels of the picture), both as the
    lens shows them where there is one.

    Returns C x height x width and where it lies inside the picture, height x width bool.
    """
    grid = pixel_grid(height, width, picture.device)
    points = transform(grid, to_source) if lens is None else lens.bent(transform(lens.flat(grid), to_source))
    return sample(picture, points, mode)
