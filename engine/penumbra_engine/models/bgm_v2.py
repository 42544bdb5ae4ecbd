"""Background Matting V2 (Lin, Ryabtsev, Sengupta, Curless, Seitz, Kemelmacher-Shlizerman: "Real-Time High-Resolution
Background Matting", CVPR 2021).

A base network mattes a small picture beside its clean plate and says where it expects to be wrong; a refiner works at
full resolution on 4 x 4 patches there, and only there.

Keys of the state are the official ones (MIT; the user supplies the weights).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra_engine.models import mobilenet_v2, resnet

BACKBONES = ("mobilenetv2", "resnet50", "resnet101")
REFINE_MODES = ("full", "sampling", "thresholding")
HIDDEN = 32  # channels that the base hands to the refiner
_PATCH = 4  # side of a patch at full resolution


class Matted(NamedTuple):
    """alpha, foreground: N x 1 and N x 3 x H x W in [0, 1], foreground encoded like the picture, not premultiplied.
    error: N x 1 x h x w, what the base expects alpha to be wrong by, at its resolution. refined: N x 1 x H/4 x W/4 of
    the padded size, 1 where a patch was refined."""

    alpha: Tensor
    foreground: Tensor
    error: Tensor
    refined: Tensor


class BackgroundMattingV2(nn.Module):
    """Picture and clean plate N x 3 x H x W, encoded, in [0, 1], to Matted.

    backbone: one of BACKBONES. scale: size of what the base sees, at most 1/2; published are 1/4 for HD and 1/8 for 4K.
    mode: `full`; `sampling`, the `pixels` of a picture with the largest expected error (80 000 for HD, 320 000 for 4K);
    or `thresholding`, all whose expected error is above `threshold`. Any size: pictures are padded to multiples of 4 by
    repeating their edge, and the result is cut.
    """

    def __init__(
        self,
        backbone: str = "mobilenetv2",
        scale: float = 0.25,
        mode: str = "sampling",
        pixels: int = 80_000,
        threshold: float = 0.1,
    ) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"backbone {backbone!r} is none of {', '.join(BACKBONES)}")
        if mode not in REFINE_MODES:
            raise ValueError(f"mode {mode!r} is none of {', '.join(REFINE_MODES)}")
        if not 0 < scale <= 0.5:
            raise ValueError(f"scale {scale} is not above 0 and at most 0.5")
        self.scale, self.mode, self.pixels, self.threshold = scale, mode, pixels, threshold
        self.backbone: nn.Module
        if backbone == "mobilenetv2":
            self.backbone, channels = mobilenet_v2.MobileNetV2(6), mobilenet_v2.CHANNELS
        else:
            self.backbone, channels = resnet.ResNet(backbone, 6), resnet.CHANNELS
        self.aspp = ASPP(channels[3])
        self.decoder = Decoder(channels)
        self.refiner = Refiner()

    def forward(self, picture: Tensor, plate: Tensor) -> Matted:
        height, width = picture.shape[-2:]
        both = torch.cat([picture, plate], 1)
        both = F.pad(both, (0, -width % _PATCH, 0, -height % _PATCH), mode="replicate")
        coarse, error, hidden = self.base(both)
        selected = self.select(F.interpolate(error, _quarter(both), mode="bilinear", align_corners=False))
        if self.mode == "full":
            fine = self.refiner.everywhere(both, coarse, hidden)
        else:
            fine = self.refiner.patches(both, coarse, hidden, selected)
        fine = fine[..., :height, :width]
        return Matted(fine[:, :1].clamp(0, 1), (picture + fine[:, 1:]).clamp(0, 1), error, selected)

    def base(self, both: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Picture and plate N x 6 x H x W to a coarse alpha and foreground less picture, N x 4, the expected error and
        what the refiner is told, at `scale` of the size."""
        height, width = both.shape[-2:]
        size = max(1, int(height * self.scale)), max(1, int(width * self.scale))
        small = F.interpolate(both, size, mode="bilinear", align_corners=False)
        features = self.backbone(small)
        alpha, residual, error, hidden = self.decoder(small, [*features[:3], self.aspp(features[3])]).split(
            (1, 3, 1, HIDDEN), 1
        )
        return torch.cat([alpha.clamp(0, 1), residual], 1), error.clamp(0, 1), hidden.relu()

    def select(self, error: Tensor) -> Tensor:
        """The patches to refine, 1 or 0, from the expected error of each, N x 1 x H/4 x W/4."""
        if self.mode == "full":
            return torch.ones_like(error)
        if self.mode == "thresholding":
            return (error > self.threshold).to(error.dtype)
        flat = error.flatten(1)
        best = flat.topk(min(self.pixels // _PATCH**2, flat.shape[1]), dim=1, sorted=False).indices
        return (torch.zeros_like(flat).scatter(1, best, 1.0) * (flat > 0)).view_as(error)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling with rates 3, 6 and 9 (Chen et al., DeepLabV3, 2017): N x inputs to N x 256."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        branches = [nn.Sequential(*_normed(inputs, 256, 1))]
        branches += [nn.Sequential(*_normed(inputs, 256, 3, rate, rate)) for rate in (3, 6, 9)]
        branches.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), *_normed(inputs, 256, 1)))
        self.convs = nn.ModuleList(branches)
        self.project = nn.Sequential(*_normed(5 * 256, 256, 1), nn.Dropout(0.5))

    def forward(self, feature: Tensor) -> Tensor:
        seen = [branch(feature) for branch in self.convs]
        seen[-1] = seen[-1].expand_as(seen[0])
        return self.project(torch.cat(seen, 1))


class Decoder(nn.Module):
    """Upwards beside the encoder's features and the picture itself, to N x 37 at the base's resolution."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(256 + channels[2], 128, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(128)
        self.conv2 = nn.Conv2d(128 + channels[1], 64, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.conv3 = nn.Conv2d(64 + channels[0], 48, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(48)
        self.conv4 = nn.Conv2d(48 + 6, 1 + 3 + 1 + HIDDEN, 3, padding=1)

    def forward(self, picture: Tensor, features: list[Tensor]) -> Tensor:
        half, quarter, eighth, deepest = features
        feature = F.relu(self.bn1(self.conv1(_joined(deepest, eighth))))
        feature = F.relu(self.bn2(self.conv2(_joined(feature, quarter))))
        feature = F.relu(self.bn3(self.conv3(_joined(feature, half))))
        return self.conv4(_joined(feature, picture))


class Refiner(nn.Module):
    """Two convolutions at half the resolution and two at the full one, without padding: 8 x 8 pixels at half the
    resolution become 4 x 4 at the full one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(HIDDEN + 4 + 6, 24, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.conv2 = nn.Conv2d(24, 16, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.conv3 = nn.Conv2d(16 + 6, 12, 3, bias=False)
        self.bn3 = nn.BatchNorm2d(12)
        self.conv4 = nn.Conv2d(12, 4, 3)

    def everywhere(self, both: Tensor, coarse: Tensor, hidden: Tensor) -> Tensor:
        """Alpha and foreground less picture, N x 4 x H x W, with no patch left out."""
        return self._refined(F.pad(self._halved(both, coarse, hidden), (3,) * 4), F.pad(both, (2,) * 4))

    def patches(self, both: Tensor, coarse: Tensor, hidden: Tensor, selected: Tensor) -> Tensor:
        """The same, with the coarse result enlarged wherever no patch was selected."""
        enlarged = F.interpolate(coarse, both.shape[-2:], mode="bilinear", align_corners=False)
        where = selected[:, 0].nonzero(as_tuple=True)
        if not len(where[0]):
            return enlarged
        half = _cut(self._halved(both, coarse, hidden), where, _PATCH // 2, 3)
        refined = self._refined(half, _cut(both, where, _PATCH, 2))
        count, channels, height, width = enlarged.shape
        grid = enlarged.view(count, channels, height // _PATCH, _PATCH, width // _PATCH, _PATCH)
        grid = grid.permute(0, 2, 4, 1, 3, 5).index_put(where, refined)
        return grid.permute(0, 3, 1, 4, 2, 5).reshape(count, channels, height, width)

    def _halved(self, both: Tensor, coarse: Tensor, hidden: Tensor) -> Tensor:
        size = both.shape[-2] // 2, both.shape[-1] // 2
        known = F.interpolate(torch.cat([hidden, coarse], 1), size, mode="bilinear", align_corners=False)
        return torch.cat([known, F.interpolate(both, size, mode="bilinear", align_corners=False)], 1)

    def _refined(self, half: Tensor, full: Tensor) -> Tensor:
        feature = F.relu(self.bn1(self.conv1(half)))
        feature = F.relu(self.bn2(self.conv2(feature)))
        feature = F.interpolate(feature, full.shape[-2:], mode="nearest")
        feature = F.relu(self.bn3(self.conv3(torch.cat([feature, full], 1))))
        return self.conv4(feature)


def _cut(picture: Tensor, where: tuple[Tensor, ...], side: int, margin: int) -> Tensor:
    """Patches of `side` pixels with a margin round each, zeros beyond the edge: P x C x h x w."""
    whole = side + 2 * margin
    windows = F.pad(picture, (margin,) * 4).permute(0, 2, 3, 1).unfold(1, whole, side).unfold(2, whole, side)
    return windows[where]


def _joined(feature: Tensor, skip: Tensor) -> Tensor:
    enlarged = F.interpolate(feature, skip.shape[-2:], mode="bilinear", align_corners=False)
    return torch.cat([enlarged, skip], 1)


def _quarter(picture: Tensor) -> tuple[int, int]:
    return picture.shape[-2] // _PATCH, picture.shape[-1] // _PATCH


def _normed(inputs: int, outputs: int, kernel: int, padding: int = 0, dilation: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
