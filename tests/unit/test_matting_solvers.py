"""What all alpha solvers have in common, and what each of them is for."""

import numpy as np
import pytest
import torch
from torch import Tensor

from penumbra_engine.errors import InputError
from penumbra_engine.matting.by_name import ALPHA
from penumbra_engine.matting.closed_form import closed_form
from penumbra_engine.matting.closed_form_over_background import closed_form_over_background
from penumbra_engine.matting.knn import knn
from penumbra_engine.matting.linear_system import Solved
from penumbra_engine.matting.random_walk import random_walk
from penumbra_engine.matting.solution import solve_frames

SIDE = 48


def disc(offset: float = 0.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A red disc with a soft rim over a mottled blue wall: picture, trimap, alpha, background, one frame each."""
    random = torch.Generator().manual_seed(4)
    y, x = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
    distance = torch.hypot(y - 24, x - 24 - offset)
    alpha = ((15 - distance) / 4).clamp(0, 1)[None, None]
    front = torch.tensor([0.7, 0.2, 0.1])[:, None, None] + 0.02 * torch.rand(3, SIDE, SIDE, generator=random)
    back = torch.tensor([0.1, 0.3, 0.7])[:, None, None] * (0.5 + torch.rand(1, SIDE, SIDE, generator=random))
    trimap = torch.where(distance < 9, 1.0, torch.where(distance > 17, 0.0, 0.5))[None, None]
    return alpha * front + (1 - alpha) * back, trimap, alpha, back[None]


@pytest.mark.parametrize("name", ALPHA)
def test_a_soft_rim_comes_out_better_than_its_trimap(name: str) -> None:
    picture, trimap, alpha, _ = disc()
    solution = ALPHA[name](picture, trimap)
    unknown = trimap == 0.5
    assert (solution.alpha - alpha)[unknown].abs().mean() < 0.4 * (trimap - alpha)[unknown].abs().mean()
    assert solution.alpha.min() >= 0 and solution.alpha.max() <= 1
    assert torch.equal(solution.alpha[~unknown], trimap[~unknown])
    assert solution.residual[0] <= 1e-6 and solution.iterations[0] > 0


@pytest.mark.parametrize("name", ALPHA)
def test_frames_together_are_frames_one_by_one(name: str) -> None:
    frames = [disc(offset) for offset in (0.0, 2.0)]
    picture, trimap = (torch.cat([frame[part] for frame in frames]) for part in (0, 1))
    together = ALPHA[name](picture, trimap, tolerance=1e-10).alpha
    alone = torch.cat([ALPHA[name](frame[0], frame[1], tolerance=1e-10).alpha for frame in frames])
    assert (together - alone).abs().max() < 1e-4


@pytest.mark.parametrize("name", ALPHA)
def test_legal_and_illegal_trimaps(name: str) -> None:
    picture, trimap, _, _ = disc()
    decided = (trimap > 0.5).float()
    assert torch.equal(ALPHA[name](picture, decided).alpha, decided)
    nothing_sure = ALPHA[name](picture, trimap.clamp(max=0.5)).alpha  # no foreground: smoke, glass
    assert nothing_sure.isfinite().all() and nothing_sure[trimap == 0].max() == 0
    with pytest.raises(InputError, match="no background"):
        ALPHA[name](picture, trimap.clamp(min=0.5))


def test_a_random_walk_over_one_colour_is_a_ramp() -> None:
    trimap = torch.full((1, 1, 3, 11), 0.5)
    trimap[..., 0], trimap[..., -1] = 0, 1
    alpha = random_walk(torch.full((1, 3, 3, 11), 0.5), trimap, tolerance=1e-10).alpha
    assert alpha[0, 0, 1].tolist() == pytest.approx(np.linspace(0, 1, 11), abs=1e-5)


def test_knn_reaches_across_a_gap_that_closed_form_does_not() -> None:
    picture = torch.full((1, 3, 32, 32), 0.1)
    picture[..., 4:8, :] = picture[..., 24:28, :] = 0.9  # two bars; only one is marked
    picture = picture + 0.3 * torch.rand(picture.shape, generator=torch.Generator().manual_seed(1))
    trimap = torch.full((1, 1, 32, 32), 0.5)
    trimap[..., 5:7, :], trimap[..., 14:18, :] = 1, 0
    far_bar = (slice(None), slice(None), slice(25, 27))
    assert knn(picture, trimap).alpha[far_bar].min() > 0.95
    assert closed_form(picture, trimap).alpha[far_bar].max() < 0.5


def test_a_known_background_settles_what_colours_leave_open() -> None:
    picture, trimap, alpha, plain = disc()
    # Blots in all colours: within a window no line joins them to the disc's.
    random = torch.rand(plain.shape, generator=torch.Generator().manual_seed(2))
    background = (3 * (torch.nn.functional.avg_pool2d(random, 3, 1, 1) - 0.5) + 0.5).clamp(0, 1)
    picture = picture + (1 - alpha) * (background - plain)
    unknown, variance = trimap == 0.5, torch.full_like(trimap, 1e-5)
    with_it = closed_form_over_background(picture, trimap, background=background, variance=variance)
    without = closed_form(picture, trimap)
    error = [(solution.alpha - alpha)[unknown].abs().mean() for solution in (with_it, without)]
    assert error[0] < 0.06 and error[0] < 0.6 * error[1]


def test_a_pixel_that_shows_the_background_is_held_at_nothing() -> None:
    picture, trimap, alpha, background = disc()
    hole = torch.zeros_like(trimap, dtype=torch.bool)
    hole[..., 12:14, 23:25] = True  # a hole in the rim, with the background in it
    picture = torch.where(hole, background, picture)
    variance = torch.full_like(trimap, 1e-5)
    solution = closed_form_over_background(picture, trimap, background=background, variance=variance)
    assert (trimap[hole] == 0.5).all() and alpha[hole].min() > 0.7
    assert solution.alpha[hole].max() < 0.05


def test_a_background_of_another_size_is_refused() -> None:
    picture, trimap, _, background = disc()
    with pytest.raises(InputError, match="at the picture's size"):
        closed_form_over_background(picture, trimap, background=background[..., 1:], variance=trimap)


def test_frames_side_by_side_are_frames_one_after_another() -> None:
    frames = [disc(offset) for offset in (0.0, 1.0, 2.0, 3.0, 4.0)]
    picture, trimap = (torch.cat([frame[part] for frame in frames]) for part in (0, 1))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = closed_form(picture, trimap, tolerance=1e-10)
        torch.set_num_threads(2)
        two, again = (closed_form(picture, trimap, tolerance=1e-10) for _ in range(2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert (one.alpha - two.alpha).abs().max() < 1e-4
    assert max(two.residual) <= 1e-10 and min(two.iterations) > 0
    assert torch.equal(two.alpha, again.alpha)


def test_what_fails_on_one_of_many_frames_is_told() -> None:
    def solve(picture: Tensor, unknown: Tensor, known: Tensor, guess: Tensor) -> Solved:
        raise ArithmeticError("no answer")

    picture, trimap, _, _ = disc()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(ArithmeticError, match="no answer"):
            solve_frames(picture.expand(3, -1, -1, -1), trimap.expand(3, -1, -1, -1), None, solve)
    finally:
        torch.set_num_threads(threads)
