"""MobileNetV3-Large as an encoder (Howard et al., "Searching for MobileNetV3", ICCV 2019, table 1).

Keys of the state: features.0, features.1..15 with `block`, features.16, as the field exchanges such encoders. The last
stage is dilated instead of strided, so the deepest features have 1/16 of the resolution.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = (16, 24, 40, 960)  # of the four features


class Row(NamedTuple):
    """One row of table 1. squeeze: with squeeze and excitation. hard: hard swish instead of ReLU."""

    kernel: int
    inner: int
    outputs: int
    squeeze: bool
    hard: bool
    stride: int = 1
    dilation: int = 1


ROWS = (
    Row(3, 16, 16, squeeze=False, hard=False),
    Row(3, 64, 24, squeeze=False, hard=False, stride=2),
    Row(3, 72, 24, squeeze=False, hard=False),
    Row(5, 72, 40, squeeze=True, hard=False, stride=2),
    Row(5, 120, 40, squeeze=True, hard=False),
    Row(5, 120, 40, squeeze=True, hard=False),
    Row(3, 240, 80, squeeze=False, hard=True, stride=2),
    Row(3, 200, 80, squeeze=False, hard=True),
    Row(3, 184, 80, squeeze=False, hard=True),
    Row(3, 184, 80, squeeze=False, hard=True),
    Row(3, 480, 112, squeeze=True, hard=True),
    Row(3, 672, 112, squeeze=True, hard=True),
    Row(5, 672, 160, squeeze=True, hard=True, dilation=2),
    Row(5, 960, 160, squeeze=True, hard=True, dilation=2),
    Row(5, 960, 160, squeeze=True, hard=True, dilation=2),
)
TAPS = (1, 3, 6, 16)  # the features behind these modules are handed out


class MobileNetV3(nn.Module):
    """N x 3 x H x W to four features of CHANNELS channels, at 1/2, 1/4, 1/8 and 1/16 of the size, rounded up."""

    def __init__(self) -> None:
        super().__init__()
        modules: list[nn.Module] = [_convolution(3, 16, 3, stride=2, activation=nn.Hardswish)]
        inputs = 16
        for row in ROWS:
            modules.append(InvertedResidual(inputs, row))
            inputs = row.outputs
        modules.append(_convolution(inputs, CHANNELS[-1], 1, activation=nn.Hardswish))
        self.features = nn.Sequential(*modules)

    def forward(self, picture: Tensor) -> list[Tensor]:
        features, feature = [], picture
        for index, module in enumerate(self.features):
            feature = module(feature)
            if index in TAPS:
                features.append(feature)
        return features


class InvertedResidual(nn.Module):
    """Widen, filter each channel on its own, weigh the channels, narrow (section 5, fig. 4)."""

    def __init__(self, inputs: int, row: Row) -> None:
        super().__init__()
        activation = nn.Hardswish if row.hard else nn.ReLU
        parts: list[nn.Module] = []
        if row.inner != inputs:
            parts.append(_convolution(inputs, row.inner, 1, activation=activation))
        parts.append(
            _convolution(
                row.inner, row.inner, row.kernel, row.stride, row.dilation, groups=row.inner, activation=activation
            )
        )
        if row.squeeze:
            parts.append(SqueezeExcitation(row.inner))
        parts.append(_convolution(row.inner, row.outputs, 1))
        self.block = nn.Sequential(*parts)
        self.shortcut = row.stride == 1 and inputs == row.outputs

    def forward(self, feature: Tensor) -> Tensor:
        return feature + self.block(feature) if self.shortcut else self.block(feature)


class SqueezeExcitation(nn.Module):
    """Weigh the channels by what the whole picture holds (section 5.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = _multiple_of_eight(channels // 4)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, feature: Tensor) -> Tensor:
        mean = F.adaptive_avg_pool2d(feature, 1)
        return feature * F.hardsigmoid(self.fc2(F.relu(self.fc1(mean))))


def _convolution(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = None,
) -> nn.Sequential:
    padding = (kernel - 1) // 2 * dilation
    parts: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
    ]
    return nn.Sequential(*parts, *([activation()] if activation else []))


def _multiple_of_eight(channels: int) -> int:
    """The nearest multiple of 8, but never less than nine tenths of `channels`."""
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
