"""How networks that see a clean plate learn from composites, as Background Matting does (Sengupta et al. 2020, section
3.1; Lin et al. 2021, section 3.4).

Pictures are N x 3 x H x W, encoded, in [0, 1]; mattes and masks N x 1 x H x W.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra_engine.models.bgm_v1 import BackgroundMatting
from penumbra_engine.models.bgm_v2 import BackgroundMattingV2
from penumbra_engine.training.losses import composition, weighted
from penumbra_engine.training.sources import Source, batch

_OPAQUE = 0.99  # alpha from where on the picture shows the foreground's own colour
_ROUGH = 1 / 16  # of the side: by how much a mask is too wide or too narrow, at most
_EDGE = weighted({"alpha": 1.0, "gradient": 1.0})
_COLOUR = 2.0


def seen(source: Source, count: int, side: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, their clean plates and mattes."""
    inputs, mattes = batch(source, count, side, random)
    return inputs[:, :3], inputs[:, :3] - inputs[:, 3:], mattes


def matted(network: nn.Module, picture: Tensor, clean: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Alpha and foreground, N x 1 and N x 3 x H x W, by either network. mask: roughly the subject, in [0, 1]; the
    second version needs none. The four grey frames of the first are dead in the published weights."""
    if isinstance(network, BackgroundMatting):
        motion = picture.new_zeros(len(picture), 4, *picture.shape[2:])
        alpha, foreground = network(*(2 * side - 1 for side in (picture, clean, mask)), motion)
        return alpha, (foreground + 1) / 2
    found = network(picture, clean)
    return found.alpha, found.foreground


def rough(mattes: Tensor, random: np.random.Generator) -> Tensor:
    """A soft mask such as a segmentation or a quick roto gives: too wide or too narrow by some pixels, blurred."""
    reach = int(random.integers(1, max(2, round(_ROUGH * mattes.shape[-1]))))
    sign = 1.0 if random.random() < 0.5 else -1.0
    hard = sign * (mattes > 0.5).float()
    moved = sign * F.max_pool2d(hard, 2 * reach + 1, 1, reach)
    return F.avg_pool2d(moved, 2 * reach + 1, 1, reach, count_include_pad=False)


def composites_loss(network: nn.Module, source: Source, count: int, side: int, random: np.random.Generator) -> Tensor:
    """Alpha and its gradient, the foreground's colour where nothing else shows, and the picture that both compose; for
    the second version those of its base as well, and the error that it expects of it."""
    picture, clean, mattes = seen(source, count, side, random)
    alpha, foreground = matted(network, picture, clean, rough(mattes, random))
    opaque = (mattes > _OPAQUE).float()
    colour = ((foreground - picture).abs() * opaque).mean() / opaque.mean().clamp(min=1e-3)
    loss = _EDGE(alpha, mattes) + _COLOUR * colour + composition(alpha, foreground, clean, picture)
    return loss + _base_loss(network, picture, clean, mattes) if isinstance(network, BackgroundMattingV2) else loss


def _base_loss(network: BackgroundMattingV2, picture: Tensor, clean: Tensor, mattes: Tensor) -> Tensor:
    coarse, error, _ = network.base(torch.cat([picture, clean], 1))
    small = F.interpolate(mattes, coarse.shape[-2:], mode="area")
    wrong = (coarse[:, :1] - small).abs()
    return _EDGE(coarse[:, :1], small) + F.mse_loss(error, wrong.detach())
