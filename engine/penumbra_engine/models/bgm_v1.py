"""Background Matting (Sengupta, Jayaram, Curless, Seitz, Kemelmacher-Shlizerman: "Background Matting: The World is Your
Green Screen", CVPR 2020).

A picture, the background without the subject, a soft mask and four grey frames of motion each have an encoder; each
prior is combined with the picture before a decoder of residual blocks splits into alpha and foreground.

Keys of the state are the official ones less the `module.` before each. CC BY-NC-SA; the user supplies the weights.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

WIDTH = 64  # channels of the first features, and of each combined prior


class Matted(NamedTuple):
    """alpha: N x 1 x H x W in [0, 1]. foreground: N x 3 x H x W in [-1, 1], not bounded by the network."""

    alpha: Tensor
    foreground: Tensor


class BackgroundMatting(nn.Module):
    """Encoded picture and background N x 3 x H x W in [-1, 1], soft mask N x 1 x H x W in [-1, 1], and grey frames at
    -20, -40, +20 and +40 round this one N x 4 x H x W in [-1, 1]. Sides are multiples of 4; trained on 512 x 512 round
    the mask."""

    def __init__(self) -> None:
        super().__init__()
        self.model_enc1 = nn.Sequential(*_wide(3), *_narrowed(WIDTH))
        self.model_enc2 = nn.Sequential(*_narrowed(2 * WIDTH))
        self.model_enc_back = _encoder(3)
        self.model_enc_seg = _encoder(1)
        self.model_enc_multi = _encoder(4)
        self.comb_back = _pointwise(8 * WIDTH, WIDTH)
        self.comb_seg = _pointwise(8 * WIDTH, WIDTH)
        self.comb_multi = _pointwise(8 * WIDTH, WIDTH)
        self.model_res_dec = nn.Sequential(*_pointwise(7 * WIDTH, 4 * WIDTH), *_residuals(7))
        self.model_res_dec_al = nn.Sequential(*_residuals(3))
        self.model_res_dec_fg = nn.Sequential(*_residuals(3))
        self.model_al_out = nn.Sequential(
            *_doubled(4 * WIDTH, 2 * WIDTH), *_doubled(2 * WIDTH, WIDTH), *_head(1), nn.Tanh()
        )
        self.model_dec_fg1 = nn.Sequential(*_doubled(4 * WIDTH, 2 * WIDTH))
        self.model_fg_out = nn.Sequential(*_doubled(4 * WIDTH, WIDTH), *_head(3))

    def forward(self, picture: Tensor, background: Tensor, mask: Tensor, motion: Tensor) -> Matted:
        half = self.model_enc1(picture)
        quarter = self.model_enc2(half)
        behind = torch.cat([quarter, self.model_enc_back(background)], 1)
        segmented = torch.cat([quarter, self.model_enc_seg(mask)], 1)
        # The released weights were trained with the background in the place of the motion: `motion` changes nothing.
        priors = [self.comb_back(behind), self.comb_seg(segmented), self.comb_multi(behind)]
        shared = self.model_res_dec(torch.cat([quarter, *priors], 1))
        alpha = self.model_al_out(self.model_res_dec_al(shared))
        colour = self.model_dec_fg1(self.model_res_dec_fg(shared))
        return Matted((alpha + 1) / 2, self.model_fg_out(torch.cat([colour, half], 1)))


class Residual(nn.Module):
    """Two 3 x 3 convolutions round a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), *_normed(channels, channels), nn.ReflectionPad2d(1), *_normed(channels, channels)[:2]
        )

    def forward(self, feature: Tensor) -> Tensor:
        return feature + self.conv_block(feature)


def _normed(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _wide(inputs: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), *_normed(inputs, WIDTH, kernel=7)]


def _narrowed(inputs: int) -> list[nn.Module]:
    return _normed(inputs, 2 * inputs, stride=2, padding=1)


def _encoder(inputs: int) -> nn.Sequential:
    return nn.Sequential(*_wide(inputs), *_narrowed(WIDTH), *_narrowed(2 * WIDTH))


def _pointwise(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _residuals(count: int) -> list[nn.Module]:
    return [Residual(4 * WIDTH) for _ in range(count)]


def _doubled(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), *_normed(inputs, outputs, padding=1)]


def _head(outputs: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), nn.Conv2d(WIDTH, outputs, 7)]
