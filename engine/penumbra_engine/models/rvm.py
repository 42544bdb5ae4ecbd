"""Robust Video Matting (Lin, Yang, Saleemi, Sengupta: "Robust High-Resolution Video Matting with Temporal Guidance",
WACV 2022).

An encoder sees every frame on its own at a low resolution, four convolutional GRUs remember what earlier frames
showed, and a guided filter brings the result to the full resolution. No trimap, no clean plate.

Keys of the state are the official ones, so that rvm_mobilenetv3.pth and rvm_resnet50.pth load unchanged (GPL-3.0; the
user supplies them).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra_engine.models import mobilenet_v3, resnet

VARIANTS = ("mobilenetv3", "resnet50")
REFINERS = ("deep", "fast")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LONG_SIDE = 512  # the published resolution of the encoder

#: What the four GRUs remember, the finest first: B x C x h x w each.
State = tuple[Tensor, Tensor, Tensor, Tensor]


class Matted(NamedTuple):
    """foreground: B x T x 3 x H x W, encoded like the input, not premultiplied. alpha: B x T x 1 x H x W. Both lie in
    [0, 1]. state: hand it in with the next frames."""

    foreground: Tensor
    alpha: Tensor
    state: State


def automatic_ratio(height: int, width: int) -> float:
    """The published choice of `ratio`: the longer side becomes 512 pixels, and small pictures stay as they are."""
    return min(LONG_SIDE / max(height, width), 1.0)


class RobustVideoMatting(nn.Module):
    """Frames B x T x 3 x H x W, encoded, in [0, 1], to foreground and alpha; see Matted.

    variant: mobilenetv3 or resnet50. refiner: `deep` (learned; the published weights hold it) or `fast` (a guided
    filter without weights).
    """

    def __init__(self, variant: str = "mobilenetv3", refiner: str = "deep") -> None:
        super().__init__()
        self.backbone: nn.Module
        if variant == "mobilenetv3":
            self.backbone = NormalisedMobileNet()
            channels, pooled, widths = mobilenet_v3.CHANNELS, 128, (80, 40, 32, 16)
        elif variant == "resnet50":
            self.backbone = resnet.ResNet("resnet50")
            channels, pooled, widths = resnet.CHANNELS, 256, (128, 64, 32, 16)
        else:
            raise ValueError(f"variant {variant!r} is none of {', '.join(VARIANTS)}")
        if refiner not in REFINERS:
            raise ValueError(f"refiner {refiner!r} is none of {', '.join(REFINERS)}")
        self.aspp = LiteRASPP(channels[3], pooled)
        self.decoder = RecurrentDecoder((*channels[:3], pooled), widths)
        self.project_mat = Projection(widths[3], 4)
        self.project_seg = Projection(widths[3], 1)
        self.refiner = DeepGuidedFilter(widths[3]) if refiner == "deep" else FastGuidedFilter()

    def forward(self, frames: Tensor, state: State | None = None, ratio: float = 1.0) -> Matted:
        """Matte frames that follow those that `state` has seen; None: nothing yet.

        ratio: size of what the encoder sees to the size of the frames; at 1 there is nothing to refine.
        """
        clips = frames.shape[:2]
        fine = frames.flatten(0, 1)
        coarse = _scaled(fine, ratio)
        hidden, state = self._hidden(coarse, clips, state)
        residual, alpha = self.project_mat(hidden).split((3, 1), 1)
        if ratio != 1:
            residual, alpha = self.refiner(fine, coarse, torch.cat([residual, alpha], 1), hidden).split((3, 1), 1)
        foreground = (fine + residual).clamp(0, 1)
        return Matted(foreground.unflatten(0, clips), alpha.clamp(0, 1).unflatten(0, clips), state)

    def segment(self, frames: Tensor, state: State | None = None, ratio: float = 1.0) -> tuple[Tensor, State]:
        """Logits of a segmentation, B x T x 1 x h x w at the encoder's resolution, by the auxiliary head that the
        paper trains in turns with the matte (section 4.2)."""
        clips = frames.shape[:2]
        hidden, state = self._hidden(_scaled(frames.flatten(0, 1), ratio), clips, state)
        return self.project_seg(hidden).unflatten(0, clips), state

    def _hidden(self, coarse: Tensor, clips: torch.Size, state: State | None) -> tuple[Tensor, State]:
        half, quarter, eighth, deepest = self.backbone(coarse)
        return self.decoder(coarse, (half, quarter, eighth, self.aspp(deepest)), clips, state)


class NormalisedMobileNet(mobilenet_v3.MobileNetV3):
    """The encoder that normalises what it sees by ImageNet's mean and deviation; the other variant doesn't."""

    def forward(self, picture: Tensor) -> list[Tensor]:
        mean = picture.new_tensor(IMAGENET_MEAN).view(3, 1, 1)
        std = picture.new_tensor(IMAGENET_STD).view(3, 1, 1)
        return super().forward((picture - mean) / std)


class LiteRASPP(nn.Module):
    """The deepest features, weighed by the whole picture's mean (MobileNetV3, section 6.4)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.aspp1 = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
        self.aspp2 = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1, bias=False), nn.Sigmoid())

    def forward(self, feature: Tensor) -> Tensor:
        return self.aspp1(feature) * self.aspp2(feature)


class RecurrentDecoder(nn.Module):
    """From the coarsest features to the encoder's resolution, with memory at 1/16, 1/8, 1/4 and 1/2 (section 3.2)."""

    def __init__(self, features: tuple[int, int, int, int], widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.decode4 = Bottleneck(features[3])
        self.decode3 = Upsampling(features[3] + features[2] + 3, widths[0])
        self.decode2 = Upsampling(widths[0] + features[1] + 3, widths[1])
        self.decode1 = Upsampling(widths[1] + features[0] + 3, widths[2])
        self.decode0 = Output(widths[2] + 3, widths[3])

    def forward(
        self, picture: Tensor, features: tuple[Tensor, ...], clips: torch.Size, state: State | None
    ) -> tuple[Tensor, State]:
        pictures = [picture]
        for _ in range(3):
            pictures.append(F.avg_pool2d(pictures[-1], 2, 2, ceil_mode=True, count_include_pad=False))
        one, two, three, four = state or (None, None, None, None)
        hidden, four = self.decode4(features[3], clips, four)
        hidden, three = self.decode3(hidden, features[2], pictures[3], clips, three)
        hidden, two = self.decode2(hidden, features[1], pictures[2], clips, two)
        hidden, one = self.decode1(hidden, features[0], pictures[1], clips, one)
        return self.decode0(hidden, picture), (one, two, three, four)


class Bottleneck(nn.Module):
    """Half of the channels pass as they are, the other half go through the memory."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = ConvGRU(channels // 2)

    def forward(self, feature: Tensor, clips: torch.Size, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.gru.through(feature, clips, memory)


class Upsampling(nn.Module):
    """Twice the size, joined with the encoder's features and the picture of that size, and half through the memory."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(*_convolution(inputs, outputs))
        self.gru = ConvGRU(outputs // 2)

    def forward(
        self, hidden: Tensor, feature: Tensor, picture: Tensor, clips: torch.Size, memory: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        joined = torch.cat([_doubled(hidden, picture), feature, picture], 1)
        return self.gru.through(self.conv(joined), clips, memory)


class Output(nn.Module):
    """The encoder's resolution, without memory."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(*_convolution(inputs, outputs), *_convolution(outputs, outputs))

    def forward(self, hidden: Tensor, picture: Tensor) -> Tensor:
        return self.conv(torch.cat([_doubled(hidden, picture), picture], 1))


class ConvGRU(nn.Module):
    """A gated recurrent unit of convolutions (section 3.2, eq. 1): r, z = sigmoid(ih[x, h]); c = tanh(hh[x, r h]);
    h' = (1 - z) h + z c."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.ih = nn.Sequential(nn.Conv2d(2 * channels, 2 * channels, 3, padding=1), nn.Sigmoid())
        self.hh = nn.Sequential(nn.Conv2d(2 * channels, channels, 3, padding=1), nn.Tanh())

    def through(self, feature: Tensor, clips: torch.Size, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """Frames (B T) x 2C x h x w: the first half of the channels as it is, the second remembered; and the memory
        behind the last frame."""
        passed, remembered = feature.split(self.channels, 1)
        remembered, memory = self(remembered.unflatten(0, clips), memory)
        return torch.cat([passed, remembered.flatten(0, 1)], 1), memory

    def forward(self, frames: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        outputs = []
        for frame in frames.unbind(1):
            if memory is None:
                memory = torch.zeros_like(frame)
            reset, update = self.ih(torch.cat([frame, memory], 1)).split(self.channels, 1)
            candidate = self.hh(torch.cat([frame, reset * memory], 1))
            memory = (1 - update) * memory + update * candidate
            outputs.append(memory)
        assert memory is not None, "a clip has at least one frame"
        return torch.stack(outputs, 1), memory


class Projection(nn.Module):
    """A head: one weighted sum of the channels for each output."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.conv(hidden)


class DeepGuidedFilter(nn.Module):
    """A guided filter whose slope is learned (Wu et al., "Fast End-to-End Trainable Guided Filter", CVPR 2018)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.box_filter = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        nn.init.constant_(self.box_filter.weight, 1 / 9)
        self.conv = nn.Sequential(
            *_convolution(8 + hidden, hidden, kernel=1),
            *_convolution(hidden, hidden, kernel=1),
            nn.Conv2d(hidden, 4, 1),
        )

    def forward(self, fine: Tensor, coarse: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
        return _guided(
            fine, coarse, target, self.box_filter, lambda cov, var: self.conv(torch.cat([cov, var, hidden], 1))
        )


class FastGuidedFilter(nn.Module):
    """The guided filter of He and Sun ("Fast Guided Filter", 2015), radius 1, each channel guided by its own."""

    def forward(self, fine: Tensor, coarse: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
        def box(picture: Tensor) -> Tensor:
            return F.avg_pool2d(picture, 3, 1, 1)  # zeros beyond the edge count, as in the published filter

        return _guided(fine, coarse, target, box, lambda cov, var: cov / (var + 1e-5))


def _guided(
    fine: Tensor,
    coarse: Tensor,
    target: Tensor,
    box: Callable[[Tensor], Tensor],
    slope: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Find a, b with target = a guide + b in small windows of the coarse picture, and apply them to the fine one. The
    guide is RGB for the foreground and its mean for alpha; `slope` says a from covariance and variance."""
    guide = torch.cat([coarse, coarse.mean(1, keepdim=True)], 1)
    mean_guide, mean_target = box(guide), box(target)
    covariance = box(guide * target) - mean_guide * mean_target
    variance = box(guide * guide) - mean_guide * mean_guide
    a = slope(covariance, variance)
    b = mean_target - a * mean_guide
    size = fine.shape[-2:]
    a = F.interpolate(a, size, mode="bilinear", align_corners=False)
    b = F.interpolate(b, size, mode="bilinear", align_corners=False)
    return a * torch.cat([fine, fine.mean(1, keepdim=True)], 1) + b


def _convolution(inputs: int, outputs: int, kernel: int = 3) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _doubled(hidden: Tensor, picture: Tensor) -> Tensor:
    """Twice the size, cut to that of the picture: a side of odd length was rounded up on the way down."""
    height, width = picture.shape[-2:]
    return F.interpolate(hidden, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]


def _scaled(picture: Tensor, ratio: float) -> Tensor:
    if ratio == 1:
        return picture
    return F.interpolate(
        picture, scale_factor=ratio, mode="bilinear", align_corners=False, recompute_scale_factor=False
    )
