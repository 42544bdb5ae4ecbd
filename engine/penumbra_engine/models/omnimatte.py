"""The U-Net of Omnimatte (Lu et al. 2021): one for all layers, from mask, flow and noise to colour, alpha, flow."""

import torch
from torch import Tensor, nn

NOISE = 13
CHANNELS = 3 + NOISE  # the object's mask, its flow, and noise fixed to the background


def _down(inputs: int, outputs: int, normed: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, 4, 2, 1),
        nn.BatchNorm2d(outputs) if normed else nn.Identity(),
    ]
    return nn.Sequential(*layers, nn.LeakyReLU(0.2))


def _dilated() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(256, 256, 4, 1, 3, dilation=2), nn.BatchNorm2d(256), nn.LeakyReLU(0.2))


def _up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU())


class OmnimatteNet(nn.Module):
    """N x 16 x H x W to RGBA N x 4 x H x W and flow N x 2 x H x W; sides divisible by 32. RGBA in [-1, 1], straight."""

    def __init__(self) -> None:
        super().__init__()
        widths = (64, 128, 256, 256, 256)
        self.encoders = nn.ModuleList(
            _down(a, b, normed=a != CHANNELS) for a, b in zip((CHANNELS, *widths[:-1]), widths, strict=True)
        )
        self.middle = nn.Sequential(_dilated(), _dilated())
        outputs = (256, 256, 128, 64, 64)
        skips = tuple(reversed(widths))
        self.decoders = nn.ModuleList(
            _up(a + b, c) for a, b, c in zip((256, *outputs[:-1]), skips, outputs, strict=True)
        )
        self.colour = nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(64, 4, 4), nn.Tanh())
        self.flow = nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(64, 2, 4))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        skips, feature = [], inputs
        for encoder in self.encoders:
            feature = encoder(feature)
            skips.append(feature)
        feature = self.middle(feature)
        for decoder in self.decoders:
            feature = decoder(torch.cat([feature, skips.pop()], 1))
        return self.colour(feature), self.flow(feature)
