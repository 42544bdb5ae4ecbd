"""IndexNet Matting (Lu, Dai, Shen, Xu: "Indices Matter: Learning to Index for Deep Image Matting", ICCV 2019).

Where the encoder halves the resolution, a small network says how much of each 2 x 2 pixels goes on, and the decoder
doubles it by the same indices. This is the published model: many-to-one indices with context, MobileNetV2 and ASPP.

Keys of the state are the official ones (academic use only; the user supplies the weights).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: MobileNetV2's table 2 as layers 1 to 7: widening, channels, blocks. Pooling takes the place of strides.
LAYERS = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
INDEXED = (0, 2, 3, 4, 6)  # behind these layers the resolution is halved
DECODED = (32, 32, 16, 24, 32, 64, 96)  # outputs of decoder layers 0 to 6
_STRIDE = 32


class IndexNet(nn.Module):
    """N x 4 x H x W, normalised RGB and trimap in [0, 1], to alpha N x 1 x H x W, not bounded by the network.

    RGB, encoded in [0, 1], is normalised by ImageNet's mean and deviation. Any size: pictures are padded to multiples
    of 32. The caller keeps alpha where the trimap is sure.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layer0 = nn.Sequential(*_convolution(4, 32, 3))
        channels = [32]
        for number, (widening, outputs, blocks) in enumerate(LAYERS, start=1):
            inputs = [channels[-1]] + [outputs] * (blocks - 1)
            self.add_module(f"layer{number}", nn.Sequential(*(Residual(i, widening, outputs) for i in inputs)))
            channels.append(outputs)
        for number in INDEXED:
            self.add_module(f"index{number}", IndexBlock(channels[number]))
        self.dconv_pp = ASPP(channels[7], channels[6])
        for number, outputs in enumerate(DECODED):
            self.add_module(f"decoder_layer{number}", Decoding(2 * channels[number], outputs))
        self.pred = nn.Sequential(
            nn.Sequential(*_convolution(DECODED[0], 1, 5)), nn.Conv2d(1, 1, 5, padding=2, bias=False)
        )

    def forward(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[-2:]
        feature = F.pad(picture, (0, -width % _STRIDE, 0, -height % _STRIDE), mode="replicate")
        skips: list[Tensor] = []
        indices: dict[int, Tensor] = {}
        for number in range(7):
            feature = self.get_submodule(f"layer{number}")(feature)
            if number in INDEXED:
                down, indices[number] = self.get_submodule(f"index{number}")(feature)
                feature = down * feature
                skips.append(feature)
                feature = 4 * F.avg_pool2d(feature, 2)  # the sum of the four, weighed
            else:
                skips.append(feature)
        feature = self.dconv_pp(self.get_submodule("layer7")(feature))
        for number in reversed(range(7)):
            if number in indices:
                feature = indices[number] * F.interpolate(feature, scale_factor=2, mode="nearest")
            feature = self.get_submodule(f"decoder_layer{number}")(torch.cat([feature, skips[number]], 1))
        return self.pred(feature)[..., :height, :width]


class IndexBlock(nn.Module):
    """How much of each 2 x 2 pixels is kept: N x C x H x W for the way down, where the four sum to 1, and for the way
    up (the paper's many-to-one indices, non-linear, with context)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for number in range(1, 5):
            network = nn.Sequential(
                nn.Conv2d(channels, channels, 4, 2, 1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU6(inplace=True),
                nn.Conv2d(channels, channels, 1, bias=False),
            )
            self.add_module(f"indexnet{number}", network)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        four = torch.stack([network(feature) for network in self.children()], 2)  # N x C x 4 x H/2 x W/2
        up = torch.sigmoid(four)
        down = torch.softmax(up, 2)
        return F.pixel_shuffle(down.flatten(1, 2), 2), F.pixel_shuffle(up.flatten(1, 2), 2)


class Residual(nn.Module):
    """MobileNetV2's block. The published network pads before it widens, so that the margin is widened too."""

    def __init__(self, inputs: int, widening: int, outputs: int) -> None:
        super().__init__()
        inner = inputs * widening
        widen = _convolution(inputs, inner, 1) if widening != 1 else []
        depthwise = [
            nn.Conv2d(inner, inner, 3, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(inplace=True),
        ]
        self.conv = nn.Sequential(*widen, *depthwise, nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = inputs == outputs

    def forward(self, feature: Tensor) -> Tensor:
        result = self.conv(F.pad(feature, (1, 1, 1, 1)))
        return feature + result if self.shortcut else result


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling with rates 2, 4 and 8, its 3 x 3 convolutions each channel on its own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.aspp1, self.aspp2 = Branch(inputs, 1), Branch(inputs, 2)
        self.aspp3, self.aspp4 = Branch(inputs, 4), Branch(inputs, 8)
        self.global_avg_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_convolution(inputs, 256, 1))
        self.bottleneck_conv = nn.Sequential(*_convolution(5 * 256, outputs, 1))
        self.dropout = nn.Dropout(0.5)

    def forward(self, feature: Tensor) -> Tensor:
        seen = [branch(feature) for branch in (self.aspp1, self.aspp2, self.aspp3, self.aspp4)]
        seen.append(self.global_avg_pool(feature).expand_as(seen[0]))
        return self.dropout(self.bottleneck_conv(torch.cat(seen, 1)))


class Branch(nn.Module):
    """One rate of the pyramid; rate 1 is a plain 1 x 1 convolution."""

    def __init__(self, inputs: int, rate: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        if rate > 1:
            parts.append(nn.Conv2d(inputs, inputs, 3, padding=rate, dilation=rate, groups=inputs, bias=False))
            parts += [nn.BatchNorm2d(inputs), nn.ReLU6(inplace=True)]
        self.atrous_conv = nn.Sequential(*parts, *_convolution(inputs, 256, 1))

    def forward(self, feature: Tensor) -> Tensor:
        return self.atrous_conv(feature)


class Decoding(nn.Module):
    """A 5 x 5 convolution of what came up and its skip."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dconv = nn.Sequential(*_convolution(inputs, outputs, 5))

    def forward(self, joined: Tensor) -> Tensor:
        return self.dconv(joined)


def _convolution(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True)]
