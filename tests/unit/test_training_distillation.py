"""Distillation, worked by hand on features of one or two places."""

import pytest
import torch

from penumbra_engine.training.distillation import multi_frame, pairwise


def features(*frames: list[list[float]]) -> torch.Tensor:
    """Frames of places of channels, as T x C x 1 x places."""
    return torch.tensor(frames).permute(0, 2, 1)[:, :, None]


def test_places_that_are_as_alike_cost_nothing_whatever_their_channels() -> None:
    student = features([[1.0, 0.0]], [[0.0, 2.0]])
    teacher = features([[0.0, 0.0, 5.0]], [[0.0, 1.0, 0.0]])
    assert float(pairwise(student, teacher)) == 0 and float(multi_frame(student, teacher)) == 0


def test_one_likeness_that_is_off() -> None:
    student = features([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])  # likenesses 1 0 0 1
    teacher = features([[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]])  # likenesses 0 0 1 1
    assert float(pairwise(student, teacher)) == pytest.approx((1 + 0 + 1 + 0) / 4)


def test_frames_are_compared_with_all_others() -> None:
    student = features([[1.0, 0.0]], [[1.0, 0.0]], [[1.0, 0.0]])
    teacher = features([[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]])
    # Of nine cosines, those of the last frame with the two others are 0 for the teacher and 1 for the student.
    assert float(multi_frame(student, teacher)) == pytest.approx(4 / 9)


def test_the_student_gets_a_gradient() -> None:
    student = torch.rand(3, 4, 2, 2, requires_grad=True)
    (pairwise(student, torch.rand(3, 2, 2, 2)) + multi_frame(student, torch.rand(3, 2, 2, 2))).backward()
    assert student.grad is not None and float(student.grad.abs().sum()) > 0


@pytest.mark.parametrize("shape", [(3, 4, 2, 3), (2, 4, 2, 2)])
def test_other_sizes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one size"):
        pairwise(torch.rand(3, 4, 2, 2), torch.rand(shape))
