"""A small U-Net that says what one object does to the picture around it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = 5  # the object's mask, two blurs of it, and the position on the canvas


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.GroupNorm(4, outputs),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.GroupNorm(4, outputs),
        nn.LeakyReLU(0.1, inplace=True),
    )


class OwnershipNet(nn.Module):
    """N x 5 x H x W to N x 1 x H x W: the alpha of the object's effects, in [0, 1].

    It sees one object at a time and nothing of the plate, so all it can learn is what follows that object's own mask.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 24, 40, 64)) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(_block(a, b) for a, b in zip((CHANNELS, *widths[:-1]), widths, strict=True))
        self.decoders = nn.ModuleList(
            _block(a + b, b) for a, b in zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True)
        )
        self.head = nn.Conv2d(widths[0], 1, 1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, -4.0)  # effects are rare: begin with next to none

    def forward(self, picture: Tensor) -> Tensor:
        skips = []
        for encoder in self.encoders:
            skips.append(encoder(picture))
            picture = F.avg_pool2d(skips[-1], 2, ceil_mode=True)
        feature = skips.pop()
        for decoder in self.decoders:
            skip = skips.pop()
            feature = F.interpolate(feature, skip.shape[-2:], mode="bilinear", align_corners=False)
            feature = decoder(torch.cat([feature, skip], 1))
        return torch.sigmoid(self.head(feature))
