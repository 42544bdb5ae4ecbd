"""Distillation: a student that sees one frame at a time learns from a teacher that sees the film.

Features are T x C x H x W, T along time; student and teacher may differ in C. What is compared is how alike places are,
so no layer is needed to bring their channels together.
"""

import torch.nn.functional as F
from torch import Tensor


def pairwise(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean square difference of the likeness (cosine) of every place in a frame to every place in the next (Liu et al.
    2020, between frames). The number of likenesses grows with the square of H x W: give small feature maps.

    Raises ValueError when T, H or W differ, or T is below 2.
    """
    _check(student, teacher)
    return (_likeness(student[:-1], student[1:]) - _likeness(teacher[:-1], teacher[1:])).square().mean()


def multi_frame(student: Tensor, teacher: Tensor) -> Tensor:
    """The same for whole frames, of each to all others: the mean features of a frame stand for it (in the place of the
    recurrent embedding of Liu et al. 2020, which must be trained itself). Errors as pairwise."""
    _check(student, teacher)
    ours, theirs = (F.normalize(features.mean((2, 3)), dim=1) for features in (student, teacher))
    return (ours @ ours.T - theirs @ theirs.T).square().mean()


def _likeness(a: Tensor, b: Tensor) -> Tensor:
    """Cosines N x HW x HW between all places of a and all of b."""
    first, second = (F.normalize(features.flatten(2), dim=1) for features in (a, b))
    return first.transpose(1, 2) @ second


def _check(student: Tensor, teacher: Tensor) -> None:
    shapes = [(len(features), *features.shape[2:]) for features in (student, teacher)]
    if shapes[0] != shapes[1] or len(student) < 2:
        raise ValueError(f"features of {tuple(student.shape)} and {tuple(teacher.shape)}: give T >= 2 of one size")
