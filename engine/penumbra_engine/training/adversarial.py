"""The self-supervised stage of Background Matting (Sengupta et al. 2020, section 3.2): takes whose mattes nobody knows.

A network that learned from composites is the teacher. Its student starts as a copy, keeps to what the teacher says
loosely, and is judged by what it cuts out: put over another background, it shall look like a picture that was taken.
"""

import copy
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra_engine.training.clean_plates import matted, seen
from penumbra_engine.training.losses import composition, weighted
from penumbra_engine.training.sources import Source

_LOOSELY = 0.05  # how much the teacher counts beside the critic
_LIKE_TEACHER = weighted({"alpha": 2.0, "gradient": 4.0})


class Critic(nn.Module):
    """Whether patches of a picture N x 3 x H x W were taken or composed: N x 1 x h x w, near 1 or near 0 (PatchGAN,
    Isola et al. 2017). Sides are 16 or more."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for level in range(3):
            layers.append(nn.Conv2d(channels, width << level, 4, 2, 1))
            layers += [nn.InstanceNorm2d(width << level)] if level else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            channels = width << level
        self.judge = nn.Sequential(*layers, nn.Conv2d(channels, 1, 3, 1, 1))

    def forward(self, picture: Tensor) -> Tensor:
        return self.judge(picture)


class Duel(nn.Module):
    """A student and its critic, which learn at the same time, and the student's teacher, which doesn't."""

    def __init__(self, trained: nn.Module) -> None:
        super().__init__()
        self.student, self.critic = trained, Critic()
        self.teacher = copy.deepcopy(trained).requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.teacher.eval()
        return self


def duel_loss(duel: Duel, takes: Source, count: int, side: int, random: np.random.Generator) -> Tensor:
    """The losses of both players in one, each without a gradient to the other: least squares (Mao et al. 2017).

    takes: pictures, clean plates and rough masks in the place of mattes. count: 2 or more; each subject is put over the
    mirrored clean plate of the take before it.
    """
    picture, clean, masks = seen(takes, count, side, random)
    with torch.no_grad():
        taught, colour = matted(duel.teacher, picture, clean, masks)
    alpha, foreground = matted(duel.student, picture, clean, masks)
    composed = alpha * foreground + (1 - alpha) * clean.roll(1, 0).flip(-1)
    fixed = {name: value.detach() for name, value in duel.critic.named_parameters()}
    fooled = torch.func.functional_call(duel.critic, fixed, (composed,))
    kept = _LIKE_TEACHER(alpha, taught) + F.l1_loss(foreground, colour)
    kept = kept + composition(alpha, foreground, clean, picture)
    student = (fooled - 1).square().mean() + _LOOSELY * kept
    critic = (duel.critic(picture) - 1).square().mean() + duel.critic(composed.detach()).square().mean()
    return student + 0.5 * critic
