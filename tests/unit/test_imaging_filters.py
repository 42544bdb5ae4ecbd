"""Box means, local ranges and the denoising of a ratio."""

import pytest
import torch
from torch import Tensor

from penumbra_engine.imaging.filters import box, box_scatter, denoise_ratio, local_range

SIGMA = 0.02


def row(*values: float) -> Tensor:
    """A picture of three equal rows."""
    return torch.tensor(values).expand(1, 1, 3, len(values)).contiguous()


def test_box_means_repeat_the_edge() -> None:
    torch.testing.assert_close(box(row(0, 0, 3, 0, 6), 1), row(0, 1, 1, 3, 4))


def test_box_of_one_pixel_is_the_pixel() -> None:
    picture = row(1, 2, 3)
    assert torch.equal(box(picture, 0), picture)


def test_box_is_larger_than_the_picture() -> None:
    picture = torch.tensor([[1.0, 3.0]])[None, None]
    torch.testing.assert_close(box(picture, 3), torch.tensor([[13 / 7, 15 / 7]])[None, None])


@pytest.mark.parametrize(("height", "width", "radius"), [(7, 12, 2), (3, 4, 2), (1, 6, 1), (2, 1, 3), (5, 5, 0)])
def test_means_over_repeated_pixels_scatter_more(height: int, width: int, radius: int) -> None:
    single = torch.eye(height * width).reshape(-1, 1, height, width)  # each pixel's part in all means
    torch.testing.assert_close(box_scatter(height, width, radius), box(single, radius).square().sum((0, 1)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_any_kind_of_number_is_taken(dtype: torch.dtype) -> None:
    picture = torch.tensor([[4, 9, 2], [3, 5, 7], [8, 1, 6]], dtype=dtype)[None, None]
    mean, spread = box(picture, 1), local_range(picture, 1)
    assert (mean.dtype, mean[0, 0, 1, 1].item()) == (dtype, 5)
    assert (spread.dtype, spread[0, 0, 1, 1].item()) == (dtype, 8)


def test_means_over_nothing_are_nothing() -> None:
    """Sums that run along a row would leave the rounding of what they passed."""
    picture = torch.zeros(1, 1, 9, 40)
    picture[..., :10] = torch.tensor(0.1).pow(torch.arange(10))
    assert box(picture, 2)[..., 12:].eq(0).all()


def test_local_range_is_largest_less_smallest() -> None:
    assert local_range(row(0, 0, -2, 5, 5, 5), 1).tolist() == row(0, 2, 7, 7, 0, 0).tolist()


def denoised(ratio: Tensor, radius: int = 4) -> Tensor:
    variance = torch.full_like(ratio, SIGMA**2)
    return denoise_ratio(ratio, variance, ratio.mean(1, keepdim=True), variance[:, :1] / ratio.shape[1], radius)


@pytest.mark.parametrize("value", [0.0, 0.37, 1.0, 12.5])
def test_a_constant_stays(value: float) -> None:
    torch.testing.assert_close(denoised(torch.full((1, 3, 9, 11), value)), torch.full((1, 3, 9, 11), value))


def test_a_hard_step_stays_while_noise_goes() -> None:
    random = torch.Generator().manual_seed(1)
    clean = torch.ones(1, 3, 40, 40)
    clean[..., 20:] = 0.5
    result = denoised(clean + SIGMA * torch.randn(clean.shape, generator=random))
    error = result - clean
    assert error[..., 4:15].std() < SIGMA / 3
    assert error[..., 25:36].std() < SIGMA / 3
    beside = error[..., 18:22].mean((0, 1, 2))
    assert beside.abs().max() < 0.01, "a step of 0.5 must not bleed to its other side"


def test_sure_pixels_weigh_more_than_unsure_ones() -> None:
    ratio = torch.tensor([1.0, 2.0]).repeat(4)[None, None, None].expand(1, 1, 8, 8)
    variance = torch.where(ratio == 1, 0.1, 0.3)
    blind = torch.zeros_like(ratio)  # a guide that tells nothing apart
    result = denoise_ratio(ratio, variance, blind, blind + 1, 1)
    # Of 3 x 3 pixels, weighing 10 and 10 / 3, a column of three is a pixel's own and six are of the other kind.
    beside_sure = (3 * 10 * 1 + 6 * 10 / 3 * 2) / (3 * 10 + 6 * 10 / 3)
    beside_unsure = (3 * 10 / 3 * 2 + 6 * 10 * 1) / (3 * 10 / 3 + 6 * 10)
    expected = torch.tensor([beside_unsure, beside_sure]).repeat(3).expand(1, 1, 8, 6)
    torch.testing.assert_close(result[..., 1:-1], expected)
