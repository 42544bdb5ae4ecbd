"""Closed-form matting on pictures whose alpha can be worked out, and beside PyMatting."""

import numpy as np
import pytest
import torch
from torch import Tensor

from penumbra_engine.errors import InputError, UsageError
from penumbra_engine.matting import matting_laplacian
from penumbra_engine.matting.by_name import alpha_solver, foreground_estimator
from penumbra_engine.matting.closed_form import closed_form
from penumbra_engine.matting.trimap import dilated

SIDE = 32


def ramp(offset: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Two plain colours that blend into each other along x: picture, trimap, alpha, one frame."""
    alpha = ((torch.arange(SIDE) - 8 - offset) / 16).clamp(0, 1).expand(1, 1, SIDE, SIDE).contiguous()
    front, back = torch.tensor([0.9, 0.4, 0.1]), torch.tensor([0.1, 0.3, 0.6])
    picture = alpha * front[:, None, None] + (1 - alpha) * back[:, None, None]
    trimap = torch.full((1, 1, SIDE, SIDE), 0.5)
    trimap[..., :4], trimap[..., -4:] = 0, 1
    return picture, trimap, alpha


def textured() -> tuple[Tensor, Tensor]:
    """A noisy disc over noise, its rim unknown."""
    random = torch.Generator().manual_seed(4)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(40.0), indexing="ij")
    distance = torch.hypot(y - 24, x - 20)
    alpha = ((14 - distance) / 4).clamp(0, 1)
    front, back = (base + 0.1 * torch.rand(3, 48, 40, generator=random) for base in (0.6, 0.2))
    trimap = torch.where(distance < 8, 1.0, torch.where(distance > 17, 0.0, 0.5))
    return (alpha * front + (1 - alpha) * back)[None], trimap[None, None]


def test_a_blend_of_two_plain_colours_is_found_exactly() -> None:
    picture, trimap, alpha = ramp()
    solution = closed_form(picture, trimap, tolerance=1e-9)
    assert (solution.alpha - alpha).abs().max() < 1e-4
    assert solution.residual[0] <= 1e-9 and solution.iterations[0] > 0


def test_an_affine_change_of_colour_changes_nothing() -> None:
    picture, trimap, alpha = ramp()
    solution = closed_form(40 * picture - 3, trimap, tolerance=1e-9)  # brighter than white, darker than black
    assert (solution.alpha - alpha).abs().max() < 1e-4


def test_agreement_with_pymatting() -> None:
    pymatting = pytest.importorskip("pymatting")
    picture, trimap = textured()
    ours = closed_form(picture, trimap, tolerance=1e-8).alpha[0, 0].numpy()
    theirs = pymatting.estimate_alpha_cf(picture[0].permute(1, 2, 0).numpy().astype(np.float64), trimap[0, 0].numpy())
    assert np.abs(ours - theirs).mean() < 1e-4
    assert np.abs(ours - theirs).max() < 1e-2


def test_unknown_pixels_at_the_edges_of_the_picture() -> None:
    picture, trimap, alpha = ramp()
    assert (trimap[..., 0, :] == 0.5).any() and (trimap[..., -1, :] == 0.5).any()
    solution = closed_form(picture, trimap, tolerance=1e-9)
    assert (solution.alpha - alpha)[..., [0, -1], :].abs().max() < 1e-4


def test_frames_together_are_frames_one_by_one() -> None:
    frames = [ramp(offset) for offset in (0.0, 1.0, 3.0)]
    picture, trimap = torch.cat([f[0] for f in frames]), torch.cat([f[1] for f in frames])
    together = closed_form(picture, trimap, tolerance=1e-9)
    alone = torch.cat([closed_form(f[0], f[1], tolerance=1e-9).alpha for f in frames])
    assert (together.alpha - alone).abs().max() < 1e-4


def test_a_warm_start_reaches_the_same_answer_sooner() -> None:
    picture, trimap = textured()
    cold = closed_form(picture, trimap)
    count = torch.get_num_threads() + 1  # all but one of them are solved at a time and start afresh
    again = closed_form(picture.repeat(count, 1, 1, 1), trimap.repeat(count, 1, 1, 1))
    assert cold.iterations[0] > 3 and again.iterations == [cold.iterations[0]] * (count - 1) + [0]
    picture, trimap, _ = ramp()  # whose alpha nothing is clamped of
    cold = closed_form(picture, trimap)
    given = closed_form(picture, trimap, start=cold.alpha)
    assert cold.iterations[0] > 0 and given.iterations == [0]
    assert (given.alpha - cold.alpha).abs().max() < 1e-3


def test_a_wrong_start_costs_nothing() -> None:
    picture, trimap = textured()
    noise = torch.rand(trimap.shape, generator=torch.Generator().manual_seed(0))
    cold, astray = closed_form(picture, trimap), closed_form(picture, trimap, start=noise)
    assert astray.iterations[0] <= cold.iterations[0] + 1
    assert (astray.alpha - cold.alpha).abs().max() < 1e-3


def test_without_unknown_pixels_the_trimap_comes_back() -> None:
    picture, trimap, _ = ramp()
    trimap = (trimap > 0.5).float()
    solution = closed_form(picture, trimap)
    assert torch.equal(solution.alpha, trimap) and solution.iterations == [0]


def test_a_trimap_without_foreground_is_legal() -> None:
    picture, trimap, _ = ramp()
    solution = closed_form(picture, trimap.clamp(max=0.5))
    assert torch.equal(solution.alpha, torch.zeros_like(trimap))


def test_a_trimap_without_background_says_what_to_do() -> None:
    picture, trimap, _ = ramp()
    with pytest.raises(InputError, match=r"no background \(0\) in picture 1 of 2.*mark some pixels"):
        closed_form(picture.repeat(2, 1, 1, 1), torch.cat([trimap, trimap.clamp(min=0.5)]))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda p, t: (p, t[..., :-1]), "scale or crop it"),
        (lambda p, t: (p, t.expand(2, -1, -1, -1)), "2 trimaps for 1 pictures"),
        (lambda p, t: (p, t / 0), "no number"),
        (lambda p, t: (p[..., :2], t[..., :2]), "at least 3 x 3"),
    ],
)
def test_what_does_not_fit_is_refused(change, message) -> None:  # type: ignore[no-untyped-def]
    picture, trimap, _ = ramp()
    with pytest.raises(InputError, match=message):
        closed_form(*change(picture, trimap))


@pytest.mark.parametrize("value", [1e10, 1e30])
def test_a_pixel_beside_which_rounding_leaves_nothing_of_the_rest_is_refused(value: float) -> None:
    picture, trimap = textured()
    y, x = (int(places[0]) for places in (trimap[0, 0] == 0.5).nonzero(as_tuple=True))
    picture[:, :, y, x] = 6e4  # as half floats may
    assert closed_form(picture, trimap).residual[0] < 1e-6
    picture[:, :, y, x] = value
    with pytest.raises(InputError, match="so far above the rest that no alpha can be found"):
        closed_form(picture, trimap)


def test_an_unknown_name_lists_the_names() -> None:
    assert alpha_solver("closed-form") is closed_form
    with pytest.raises(UsageError, match="closed-form"):
        alpha_solver("magic")
    with pytest.raises(UsageError, match="multi-level"):
        foreground_estimator("magic")


def test_rows_in_strips_are_the_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, trimap = textured()
    unknown = trimap[0, 0] == 0.5
    unknown[20:30] = False  # rows with a hole between them
    whole = matting_laplacian.matting_laplacian(picture[0], unknown, trimap[0, 0], 1e-5)
    monkeypatch.setattr(matting_laplacian, "_STRIP", 30)
    strips = matting_laplacian.matting_laplacian(picture[0], unknown, trimap[0, 0], 1e-5)
    dense = whole.matrix @ torch.eye(len(whole.right), dtype=torch.float64)
    assert (strips.matrix @ torch.eye(len(whole.right), dtype=torch.float64) - dense).abs().max() < 1e-12
    assert (strips.right - whole.right).abs().max() < 1e-12
    assert (dense - dense.T).abs().max() < 1e-12
    assert (dense.diagonal() - whole.diagonal).abs().max() < 1e-12


def test_the_laplacian_is_that_of_its_definition() -> None:
    picture, trimap = textured()
    unknown, known = trimap[0, 0] == 0.5, (trimap[0, 0] == 1).double()
    unknown[0, :5] = unknown[-1, -3:] = unknown[:4, 0] = True  # at the picture's edges and in its corners
    height, width = unknown.shape
    whole = torch.zeros(height * width, height * width, dtype=torch.float64)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            pixels = [(y + dy) * width + x + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            colours = picture[0].double().flatten(1)[:, pixels].T
            colours = colours - colours.mean(0)
            inverse = torch.linalg.inv(colours.T @ colours + 1e-7 * torch.eye(3, dtype=torch.float64))
            tie = torch.eye(9, dtype=torch.float64) - 1 / 9 - colours @ inverse @ colours.T
            whole[torch.tensor(pixels)[:, None], torch.tensor(pixels)] += tie
    system = matting_laplacian.matting_laplacian(picture[0], unknown, known, 1e-7)
    inner = unknown.flatten()
    matrix = system.matrix @ torch.eye(int(inner.sum()), dtype=torch.float64)
    assert (matrix - whole[inner][:, inner]).abs().max() < 1e-8
    assert (system.right + whole[inner] @ torch.where(inner, 0, known.flatten())).abs().max() < 1e-8
    assert torch.equal(system.diagonal, matrix.diagonal())


@pytest.mark.parametrize("radius", [1, 2, 9])
def test_growing_by_squares_is_the_greatest_of_each_square(radius: int) -> None:
    chosen = torch.rand(37, 51, generator=torch.Generator().manual_seed(radius)) > 0.99
    for part in (chosen, chosen[3:20, 5:40], chosen.T):
        expected = torch.nn.functional.max_pool2d(part[None].float(), 2 * radius + 1, 1, radius)[0] > 0
        assert torch.equal(dilated(part, radius), expected)
