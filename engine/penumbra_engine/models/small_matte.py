"""A small U-Net that learns the matte of one shot: the picture and a rough guess in, the matte out.

It is recurrent through its own output: what it found on one frame, carried along the motion, is the guess for the next.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = 4  # encoded RGB and the guess


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class SmallMatte(nn.Module):
    """picture N x 3 x H x W encoded in [0, 1] and guess N x 1 x H x W in [0, 1] to the matte N x 1 x H x W in [0, 1].

    Any size. The last step adds to the guess's logit, so that before it has learned anything the guess comes through.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 24, 40, 64, 96)) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(_block(a, b) for a, b in zip((CHANNELS, *widths[:-1]), widths, strict=True))
        self.decoders = nn.ModuleList(
            _block(a + b, b) for a, b in zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True)
        )
        self.head = nn.Conv2d(widths[0], 1, 1)
        nn.init.zeros_(self.head.weight)

    def forward(self, picture: Tensor, guess: Tensor) -> Tensor:
        feature = torch.cat([picture, guess], 1) * 2 - 1
        skips = []
        for encoder in self.encoders:
            skips.append(encoder(feature))
            feature = F.avg_pool2d(skips[-1], 2, ceil_mode=True)
        feature = skips.pop()
        for decoder in self.decoders:
            skip = skips.pop()
            feature = F.interpolate(feature, skip.shape[-2:], mode="bilinear", align_corners=False)
            feature = decoder(torch.cat([feature, skip], 1))
        return torch.sigmoid(self.head(feature) + 4 * guess - 2)
