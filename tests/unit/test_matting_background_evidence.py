"""What a known background tells of alpha, on pixels composed by hand."""

import torch

from penumbra_engine.matting.background_evidence import background_evidence

FRONT = torch.tensor([0.6, 0.3, 0.1])


def row(alphas: list[float], back: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Unknown pixels of some alphas beside eight of pure foreground: picture, background, unknown, foreground."""
    alpha = torch.tensor([1.0] * 8 + alphas)
    background = back[:, None, None].expand(3, 1, len(alpha)).clone()
    picture = alpha * FRONT[:, None, None] + (1 - alpha) * background
    unknown = (torch.arange(len(alpha)) >= 8)[None]
    return picture, background, unknown, ~unknown


def test_composites_tell_their_alpha_and_how_surely() -> None:
    alphas = [0.0, 0.25, 0.5, 0.75, 1.0]
    picture, background, unknown, foreground = row(alphas, torch.tensor([0.1, 0.5, 0.9]))
    variance = torch.full_like(picture[0], 1e-5)
    found = background_evidence(picture, background, variance, unknown, foreground)
    assert found is not None and (found.mean - torch.tensor(alphas)).abs().max() < 0.06
    assert found.misfit.max() < 1
    # In noise as large as the difference of the two nothing can be told.
    noisy = background_evidence(picture, background, torch.full_like(picture[0], 0.3), unknown, foreground)
    assert noisy is not None and (noisy.variance > 10 * found.variance).all()


def test_a_foreground_in_another_light_is_still_the_foreground() -> None:
    picture, background, unknown, foreground = row([0.5], torch.tensor([0.1, 0.5, 0.9]))
    picture[:, 0, 8] += 0.5 * 0.25 * FRONT
    found = background_evidence(picture, background, torch.full_like(picture[0], 1e-5), unknown, foreground)
    assert found is not None and abs(float(found.mean) - 0.5) < 0.1 and float(found.misfit) < 3


def test_what_is_no_composite_says_so_and_without_foreground_there_is_no_evidence() -> None:
    picture, background, unknown, foreground = row([0.5], torch.tensor([0.1, 0.5, 0.9]))
    picture[:, 0, 8] = torch.tensor([0.0, 0.9, 0.0])
    variance = torch.full_like(picture[0], 1e-5)
    found = background_evidence(picture, background, variance, unknown, foreground)
    assert found is not None and float(found.misfit) > 100
    assert background_evidence(picture, background, variance, unknown, torch.zeros_like(foreground)) is None


def test_light_beyond_a_half_float_and_next_to_no_noise_leave_evidence_in_numbers() -> None:
    picture, background, unknown, foreground = row([0.0, 0.5, 1.0], torch.tensor([0.1, 0.5, 0.9]))
    for scale in (1e-3, 1.0, 7e4):
        found = background_evidence(
            picture * scale, background * scale, torch.full_like(picture[0], 1e-9), unknown, foreground
        )
        assert found is not None and (found.mean - torch.tensor([0.0, 0.5, 1.0])).abs().max() < 0.06
        assert all(told.isfinite().all() for told in found)


def test_a_background_in_shadow_is_no_foreground_where_shadows_are_reckoned_with() -> None:
    picture, background, unknown, foreground = row([0.0, 1.0], torch.tensor([0.5, 0.35, 0.2]))
    picture[:, 0, 8] *= 0.6  # as if half of it were of a dark foreground
    picture[:, 0, :8] = picture[:, 0, 9:] = 0.02
    variance = torch.full_like(picture[0], 1e-5)
    without = background_evidence(picture, background, variance, unknown, foreground)
    found = background_evidence(picture, background, variance, unknown, foreground, shadows=0.2)
    assert found is not None and without is not None
    assert float(without.mean[0]) > 0.2 and float(found.mean[0]) < 0.1
    assert float(found.mean[1]) > 0.9, "what is the foreground stays so"


def test_where_the_background_looks_like_the_foreground_a_rough_edge_that_fits_elsewhere_decides() -> None:
    alphas = [1.0] * 8 + [0.0] * 8
    picture, background, unknown, foreground = row(alphas, torch.tensor([0.1, 0.5, 0.9]))
    distance = torch.arange(-15.5, 8.5)[None]
    background[:, 0, 10] = background[:, 0, 21] = picture[:, 0, 21] = FRONT
    variance = torch.full_like(picture[0], 1e-5)
    without = background_evidence(picture, background, variance, unknown, foreground)
    found = background_evidence(picture, background, variance, unknown, foreground, distance=distance)
    assert found is not None and without is not None
    assert (without.mean[2] - without.mean[13]).abs() < 0.01, "colours don't tell these two apart"
    assert float(found.mean[2]) > 0.9 and float(found.mean[13]) < 0.1
    astray = background_evidence(picture, background, variance, unknown, foreground, distance=-distance)
    assert astray is not None and (astray.mean - torch.tensor(alphas))[[0, 4, 11, 15]].abs().max() < 0.1
