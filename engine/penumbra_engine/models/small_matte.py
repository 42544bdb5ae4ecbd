"""A small U-Net that learns the mattes of one shot from a few of its frames."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = 6  # encoded RGB, and by how much it differs from the encoded background
_PRIOR = -2.0  # logit: most of a picture is not the object


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Decoder(nn.Module):
    """One step up. A convolution over coarse features, enlarged, beside fine ones is the sum of one over each; that
    over the coarse ones is taken before they are enlarged, where it costs a quarter."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(coarse, fine, 3, padding=1, bias=False)
        self.fine = nn.Conv2d(fine, fine, 3, padding=1, bias=False)
        self.rest = nn.Sequential(
            nn.BatchNorm2d(fine),
            nn.ReLU(inplace=True),
            nn.Conv2d(fine, fine, 3, padding=1, bias=False),
            nn.BatchNorm2d(fine),
            nn.ReLU(inplace=True),
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        enlarged = F.interpolate(self.coarse(coarse), fine.shape[-2:], mode="bilinear", align_corners=False)
        return cast(Tensor, self.rest(enlarged + self.fine(fine)))


class SmallMatte(nn.Module):
    """N x channels x H x W to one matte for each object, N x objects x H x W in [0, 1] (a U-Net, Ronneberger et al.
    2015).

    The first six channels are the picture, encoded, in [0, 1], and the picture less the background, encoded both; zeros
    where no background is known. Any size.
    """

    def __init__(
        self, objects: int = 1, widths: tuple[int, ...] = (16, 24, 40, 64, 96), channels: int = CHANNELS
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(_block(a, b) for a, b in zip((channels, *widths[:-1]), widths, strict=True))
        self.decoders = nn.ModuleList(
            _Decoder(a, b) for a, b in zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True)
        )
        self.head = nn.Conv2d(widths[0], objects, 1)

    def forward(self, seen: Tensor) -> Tensor:
        feature = torch.cat([seen[:, :3] * 2 - 1, seen[:, 3:] * 4], 1)
        skips = []
        for encoder in self.encoders:
            skips.append(encoder(feature))
            feature = F.avg_pool2d(skips[-1], 2, ceil_mode=True)
        feature = skips.pop()
        for decoder in self.decoders:
            feature = decoder(feature, skips.pop())
        return torch.sigmoid(self.head(feature) + _PRIOR)
