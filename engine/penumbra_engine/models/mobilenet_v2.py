"""MobileNetV2 as an encoder (Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018).

Keys of the state: features.0..17 with `conv`, as the field exchanges such encoders. The last stage is dilated instead
of strided, so the deepest features have 1/16 of the resolution.
"""

from torch import Tensor, nn

CHANNELS = (16, 24, 32, 320)  # of the four features
#: Table 2: widening, channels, blocks, stride of the first block.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 1), (6, 320, 1, 1))
TAPS = (1, 3, 6, 17)  # the features behind these modules are handed out
DILATED = 15  # from this module on; the one before it would have had the stride


class MobileNetV2(nn.Module):
    """N x inputs x H x W to four features of CHANNELS channels, at 1/2, 1/4, 1/8 and 1/16 of the size, rounded up."""

    def __init__(self, inputs: int = 3) -> None:
        super().__init__()
        modules: list[nn.Module] = [nn.Sequential(*_convolution(inputs, 32, 3, stride=2))]
        channels = 32
        for widening, outputs, blocks, stride in STAGES:
            for block in range(blocks):
                dilation = 2 if len(modules) >= DILATED else 1
                first_stride = 1 if block else stride
                modules.append(InvertedResidual(channels, widening, outputs, first_stride, dilation))
                channels = outputs
        self.features = nn.Sequential(*modules)

    def forward(self, picture: Tensor) -> list[Tensor]:
        features, feature = [], picture
        for index, module in enumerate(self.features):
            feature = module(feature)
            if index in TAPS:
                features.append(feature)
        return features


class InvertedResidual(nn.Module):
    """Widen, filter each channel on its own, narrow without an activation (section 3.3)."""

    def __init__(self, inputs: int, widening: int, outputs: int, stride: int, dilation: int) -> None:
        super().__init__()
        inner = inputs * widening
        parts: list[nn.Module] = []
        if widening != 1:
            parts.append(nn.Sequential(*_convolution(inputs, inner, 1)))
        parts.append(nn.Sequential(*_convolution(inner, inner, 3, stride, dilation, groups=inner)))
        parts += [nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*parts)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, feature: Tensor) -> Tensor:
        return feature + self.conv(feature) if self.shortcut else self.conv(feature)


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> list[nn.Module]:
    padding = (kernel - 1) // 2 * dilation
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True)]
