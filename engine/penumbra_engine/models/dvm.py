"""Deep Video Matting with spatio-temporal alignment and aggregation (Sun, Wang, Gao, Tang, Tai: "Deep Video Matting via
Spatio-Temporal Alignment and Aggregation", CVPR 2021).

Frames with their trimaps go through one encoder; the features of earlier frames are warped onto those of the frame by
deformable convolutions, weighed, fused and decoded to alpha.

Keys of the state are the official ones (published without a licence; the user supplies the weights).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra_engine.models.resnet import ResNet, stage

CHANNELS = (64, 256, 512, 1024, 2048)  # of the features at 1/2 to 1/32
_STRIDE = 32


class Matted(NamedTuple):
    """coarse, alpha: T x 1 x H x W in [0, 1], before and after the refinement. Where the trimap is sure it is right:
    the caller keeps it there."""

    coarse: Tensor
    alpha: Tensor


class DeepVideoMatting(nn.Module):
    """(shift + T) x 4 x H x W, consecutive frames of normalised RGB and trimap in [0, 1], to the mattes of the last T.

    shift: how many frames before it each one looks at; the published default is 1. RGB, encoded in [0, 1], is
    normalised by ImageNet's mean and deviation. Any size: frames are padded to multiples of 32.
    """

    def __init__(self, shift: int = 1) -> None:
        super().__init__()
        self.shift = shift
        self.encoder = Encoder()
        self.fusion = Fusion(CHANNELS, shift)
        self.decoder = Decoder(CHANNELS)
        self.pred_head = nn.Conv2d(CHANNELS[0], 1, 3, padding=1)
        self.refine = nn.Sequential()
        for index, inputs in enumerate((4, 64, 64), start=1):
            self.refine.add_module(f"conv{index}", Convolution(inputs, 64, 3))
        self.refine_head = nn.Conv2d(64, 1, 3, padding=1)

    def forward(self, frames: Tensor) -> Matted:
        height, width = frames.shape[-2:]
        frames = F.pad(frames, (0, -width % _STRIDE, 0, -height % _STRIDE), mode="replicate")
        features = self.fusion(self.encoder(frames))
        these = frames[self.shift :]
        logits = self.pred_head(self.decoder(these, features))
        coarse = torch.sigmoid(logits)
        correction = self.refine_head(self.refine(torch.cat([these[:, :3], coarse], 1)))
        alpha = torch.sigmoid(logits + correction)
        return Matted(coarse[..., :height, :width], alpha[..., :height, :width])


class Encoder(ResNet):
    """ResNet-50 of four channels, its last stage strided: five features of CHANNELS channels, at 1/2 to 1/32."""

    def __init__(self) -> None:
        super().__init__("resnet50", 4)
        self.layer4 = stage(1024, 512, 3, stride=2)

    def forward(self, picture: Tensor) -> list[Tensor]:
        features = [F.relu(self.bn1(self.conv1(picture)), inplace=True)]
        feature = F.max_pool2d(features[0], 3, 2, 1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            feature = layer(feature)
            features.append(feature)
        return features


class Fusion(nn.Module):
    """Temporal feature alignment and fusion: (shift + T) features of each level to T. The
    deepest are not aligned."""

    def __init__(self, channels: tuple[int, ...], shift: int) -> None:
        super().__init__()
        self.shift, self.levels = shift, len(channels)
        seen = shift + 1
        for level, width in enumerate(channels):
            if level < self.levels - 1:
                self.add_module(f"flow{level}", Alignment(width))
            self.add_module(f"attn{level}", Attention(seen * width, seen))
            self.add_module(f"fuse{level}", Convolution(seen * width, width, 1))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        fused = []
        for level, feature in enumerate(features):
            count = len(feature) - self.shift
            neighbours = [feature[start : start + count] for start in range(self.shift + 1)]
            if level < self.levels - 1:
                align = self.get_submodule(f"flow{level}")
                neighbours = [align(neighbour, feature[self.shift :]) for neighbour in neighbours]
            weighed = self.get_submodule(f"attn{level}")(torch.cat(neighbours, 1))
            fused.append(self.get_submodule(f"fuse{level}")(weighed))
        return fused


class Alignment(nn.Module):
    """The features of a neighbour, sampled where those of the frame suggest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.off_conv1 = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.off_conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.dcnpack = DeformableConvolution(channels)

    def forward(self, neighbour: Tensor, frame: Tensor) -> Tensor:
        guide = F.leaky_relu(self.off_conv1(torch.cat([neighbour, frame], 1)), 0.1)
        return self.dcnpack(neighbour, F.leaky_relu(self.off_conv2(guide), 0.1))


class DeformableConvolution(nn.Module):
    """A 3 x 3 convolution whose nine samples are moved and weighed at every pixel, for each of eight groups of channels
    (Zhu et al., "Deformable ConvNets v2", CVPR 2019, eq. 1). Zeros lie beyond the edge."""

    TAPS = 9

    def __init__(self, channels: int, groups: int = 8) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels))
        nn.init.uniform_(self.weight, -((channels * self.TAPS) ** -0.5), (channels * self.TAPS) ** -0.5)
        self.conv_offset_mask = nn.Conv2d(channels, 3 * groups * self.TAPS, 3, padding=1)
        nn.init.zeros_(self.conv_offset_mask.weight)  # begin as an ordinary convolution of half the strength
        assert self.conv_offset_mask.bias is not None
        nn.init.zeros_(self.conv_offset_mask.bias)

    def forward(self, feature: Tensor, guide: Tensor) -> Tensor:
        count, channels, height, width = feature.shape
        moved = self.conv_offset_mask(guide)
        offsets, strength = moved.split((2 * self.groups * self.TAPS, self.groups * self.TAPS), 1)
        # Channels of the offsets: group, tap, then y before x.
        offsets = offsets.reshape(count * self.groups, self.TAPS, 2, height, width)
        strength = torch.sigmoid(strength).reshape(count * self.groups, 1, self.TAPS, height, width)
        grouped = feature.reshape(count * self.groups, channels // self.groups, height, width)
        samples = F.grid_sample(grouped, self._grid(offsets), "bilinear", "zeros", align_corners=False)
        columns = samples.view(*grouped.shape[:2], self.TAPS, height, width) * strength
        columns = columns.reshape(count, channels * self.TAPS, height * width)
        result = self.weight.flatten(1) @ columns + self.bias[:, None]
        return result.view(count, -1, height, width)

    def _grid(self, offsets: Tensor) -> Tensor:
        """Where to sample, as grid_sample wants it: N x (9 H) x W x 2, x before y, -1 to 1 from edge to edge."""
        height, width = offsets.shape[-2:]
        steps = torch.arange(-1, 2, device=offsets.device, dtype=offsets.dtype)
        rows = torch.arange(height, device=offsets.device, dtype=offsets.dtype)[:, None]
        columns = torch.arange(width, device=offsets.device, dtype=offsets.dtype)
        y = offsets[:, :, 0] + rows + steps.repeat_interleave(3)[:, None, None]
        x = offsets[:, :, 1] + columns + steps.repeat(3)[:, None, None]
        grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
        return grid.flatten(1, 2)


class Attention(nn.Module):
    """Weigh the channels, then the pixels (Woo et al., "CBAM", ECCV 2018)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        weigh = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels // reduction, channels, bias=False),
            nn.Sigmoid(),
        )
        self.ca = nn.ModuleDict({"fc": weigh})
        self.sa = nn.ModuleDict({"conv": nn.Conv2d(2, 1, 7, padding=3, bias=False)})

    def forward(self, feature: Tensor) -> Tensor:
        feature = feature * self.ca["fc"](feature.mean((2, 3)))[..., None, None]
        overview = torch.cat([feature.mean(1, keepdim=True), feature.amax(1, keepdim=True)], 1)
        return feature * torch.sigmoid(self.sa["conv"](overview))


class Decoder(nn.Module):
    """Upwards from the deepest features beside those of each level, and at last the frame itself."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        for level, width in enumerate(channels):
            self.add_module(f"skip{level}", GlobalConvolution(width))
            outputs, skip = (channels[level - 1],) * 2 if level else (width, 4)
            self.add_module(f"deconv{level}", Upsampling(width, outputs, skip))

    def forward(self, frames: Tensor, features: list[Tensor]) -> Tensor:
        skips = [self.get_submodule(f"skip{level}")(feature) for level, feature in enumerate(features)]
        feature = skips[-1]
        for level in reversed(range(len(features))):
            feature = self.get_submodule(f"deconv{level}")(feature, skips[level - 1] if level else frames)
        return feature


class GlobalConvolution(nn.Module):
    """A 7 x 7 window as two pairs of strips (Peng et al., "Large Kernel Matters", CVPR 2017). In the second pair the
    published network pads across each strip instead of along it, and its weights are trained for that."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_l1 = nn.Conv2d(channels, channels, (7, 1), padding=(3, 0))
        self.conv_l2 = nn.Conv2d(channels, channels, (1, 7), padding=(0, 3))
        self.conv_r1 = nn.Conv2d(channels, channels, (1, 7), padding=(3, 0))
        self.conv_r2 = nn.Conv2d(channels, channels, (7, 1), padding=(0, 3))

    def forward(self, feature: Tensor) -> Tensor:
        narrow = -min(0, feature.shape[-1] - 7)  # a strip can't be wider than the picture: zeros beside it
        right = self.conv_r1(F.pad(feature, (0, narrow)))
        return self.conv_l2(self.conv_l1(feature)) + self.conv_r2(right)[..., : feature.shape[-1]]


class Upsampling(nn.Module):
    """Four times the channels, shuffled to twice the size, and joined with a skip."""

    def __init__(self, inputs: int, outputs: int, skip: int) -> None:
        super().__init__()
        self.rs = Convolution(inputs, 4 * outputs, 1)
        self.deconv = Convolution(outputs + skip, outputs, 3)

    def forward(self, feature: Tensor, skip: Tensor) -> Tensor:
        return self.deconv(torch.cat([F.pixel_shuffle(self.rs(feature), 2), skip], 1))


class Convolution(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, feature: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(feature)), inplace=True)
