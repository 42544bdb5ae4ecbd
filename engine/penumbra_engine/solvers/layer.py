"""The premultiplied layer of a matte: its alpha with the colour of the foreground alone."""

import torch
from torch import Tensor

from penumbra_engine.matting.multilevel import multilevel


def foreground_layer(plate: Tensor, alpha: Tensor) -> Tensor:
    """4 x H x W of a plate 3 x H x W, scene-linear, and a matte H x W: the plate itself where it is solid, the
    foreground alone where it isn't."""
    if not alpha.any():
        return torch.zeros(4, *alpha.shape)
    foreground = multilevel(plate[None], alpha[None, None]).foreground
    colour = torch.where(alpha == 1, plate, foreground[0] * alpha)
    return torch.cat([colour, alpha[None]])
