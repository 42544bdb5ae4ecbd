"""Deep Image Matting (Xu, Price, Cohen, Huang: "Deep Image Matting", CVPR 2017), the encoder-decoder of stage one.

VGG-16 with batch normalisation sees the picture and its trimap; the decoder puts each value back where the pooling took
it from. No weights of the authors are known: the keys are those of the public re-implementation that came with
IndexNet (academic use only; the user supplies the weights).
"""

import torch.nn.functional as F
from torch import Tensor, nn

ENCODER = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
DECODER = (512, 256, 128, 64, 64)  # outputs from the deepest level to the finest
_STRIDE = 32


class DeepImageMatting(nn.Module):
    """N x 4 x H x W, normalised RGB and trimap in [0, 1], to alpha N x 1 x H x W, not bounded by the network.

    RGB, encoded in [0, 1], is normalised by ImageNet's mean and deviation. Any size: pictures are padded to multiples
    of 32. The caller keeps alpha where the trimap is sure.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = 4
        for level, widths in enumerate(ENCODER, start=1):
            for index, width in enumerate(widths, start=1):
                self.add_module(f"conv{level}{index}", nn.Conv2d(channels, width, 3, padding=1))
                self.add_module(f"bn{level}{index}", nn.BatchNorm2d(width))
                channels = width
        self.conv6 = nn.Conv2d(channels, 4096, 7, padding=3)
        self.dconv6 = nn.Conv2d(4096, channels, 1)
        for level, width in zip(range(len(ENCODER), 0, -1), DECODER, strict=True):
            self.add_module(f"dconv{level}", nn.Conv2d(channels, width, 5, padding=2))
            channels = width
        self.alpha_pred = nn.Conv2d(channels, 1, 5, padding=2)

    def forward(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[-2:]
        feature = F.pad(picture, (0, -width % _STRIDE, 0, -height % _STRIDE), mode="replicate")
        taken_from = []
        for level, widths in enumerate(ENCODER, start=1):
            for index in range(1, len(widths) + 1):
                convolved = self.get_submodule(f"conv{level}{index}")(feature)
                feature = F.relu(self.get_submodule(f"bn{level}{index}")(convolved))
            feature, indices = F.max_pool2d(feature, 2, return_indices=True)
            taken_from.append(indices)
        feature = F.relu(self.dconv6(F.relu(self.conv6(feature))))
        for level in range(len(ENCODER), 0, -1):
            feature = F.max_unpool2d(feature, taken_from.pop(), [2, 2])
            feature = F.relu(self.get_submodule(f"dconv{level}")(feature))
        return self.alpha_pred(feature)[..., :height, :width]
