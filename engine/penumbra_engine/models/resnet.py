"""ResNet-50 and -101 as encoders (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016).

Keys of the state are those in which the field exchanges such encoders: conv1, bn1, layer1..4. The last stage is dilated
instead of strided, so the deepest features have 1/16 of the resolution.
"""

import torch.nn.functional as F
from torch import Tensor, nn

DEPTHS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
CHANNELS = (64, 256, 512, 2048)  # of the four features


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 round a shortcut: inputs to 4 width channels (section 4.1, fig. 5)."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int, project: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = None
        if project:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, feature: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(feature)), inplace=True)
        inner = F.relu(self.bn2(self.conv2(inner)), inplace=True)
        inner = self.bn3(self.conv3(inner))
        shortcut = feature if self.downsample is None else self.downsample(feature)
        return F.relu(inner + shortcut, inplace=True)


class ResNet(nn.Module):
    """N x inputs x H x W to four features of CHANNELS channels, at 1/2, 1/4, 1/8 and 1/16 of the size, rounded up.

    variant: resnet50 or resnet101. Pictures are taken as they come; who needs normalised ones normalises them.
    """

    def __init__(self, variant: str, inputs: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        one, two, three, four = DEPTHS[variant]
        self.layer1 = stage(64, 64, one, stride=1)
        self.layer2 = stage(256, 128, two, stride=2)
        self.layer3 = stage(512, 256, three, stride=2)
        self.layer4 = stage(1024, 512, four, stride=1, dilation=2)

    def forward(self, picture: Tensor) -> list[Tensor]:
        half = F.relu(self.bn1(self.conv1(picture)), inplace=True)
        quarter = self.layer1(F.max_pool2d(half, 3, 2, 1))
        eighth = self.layer2(quarter)
        return [half, quarter, eighth, self.layer4(self.layer3(eighth))]


def stage(inputs: int, width: int, depth: int, stride: int, dilation: int = 1) -> nn.Sequential:
    """One layer of the paper's table 1: `depth` blocks, inputs to 4 width channels."""
    # The first block still sees undilated features: only those behind it are spread.
    blocks = [Bottleneck(inputs, width, stride, 1, project=True)]
    blocks += [Bottleneck(4 * width, width, 1, dilation, project=False) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)
