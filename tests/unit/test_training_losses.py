"""Losses by facts worked by hand."""

import pytest
import torch

from penumbra_engine.training import losses


def flat(value: float, *shape: int) -> torch.Tensor:
    return torch.full((1, 1, *(shape or (8, 8))), value)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_a_matte_that_is_the_truth_costs_nothing(name: str) -> None:
    truth = torch.rand(3, 1, 9, 7, generator=torch.Generator().manual_seed(1))
    assert float(losses.LOSSES[name](truth, truth)) == pytest.approx(0, abs=1e-7)


def test_alpha_is_the_mean_difference() -> None:
    assert float(losses.alpha_l1(flat(0.75), flat(0.5))) == pytest.approx(0.25)


def test_edge_looks_at_soft_pixels_and_three_around_them() -> None:
    truth = torch.zeros(1, 1, 1, 20)
    truth[..., 10] = 0.5
    matte = truth.clone()
    matte[..., 0] = 1  # far from the edge
    assert float(losses.edge_l1(matte, truth)) == 0
    matte[..., 13] = 0.7  # 3 px from it; 7 pixels count
    assert float(losses.edge_l1(matte, truth)) == pytest.approx(0.1)
    assert float(losses.edge_l1(flat(1.0), flat(0.0))) == 0, "no soft pixel, no edge"


def test_around_a_soft_pixel_is_a_square() -> None:
    truth = torch.zeros(1, 1, 9, 9)
    truth[..., 4, 4] = 0.5
    matte = truth.clone()
    matte[..., 1, 7] = 0.98  # a corner of the 49
    matte[..., 0, 0] = 1
    assert float(losses.edge_l1(matte, truth)) == pytest.approx(0.02)


def test_laplacian_does_not_see_a_constant_but_weighs_coarse_detail_more() -> None:
    assert float(losses.laplacian(flat(0.2, 32, 32), flat(0.9, 32, 32))) == pytest.approx(0, abs=1e-6)
    x = torch.arange(32.0)
    fine, coarse = (((x // size) % 2 - 0.5).expand(1, 1, 32, 32) * 0.1 for size in (1, 8))
    nothing = flat(0.0, 32, 32)
    assert float(losses.laplacian(coarse, nothing)) > 2 * float(losses.laplacian(fine, nothing))


def test_gradient_of_a_ramp_is_its_slope() -> None:
    ramp = (torch.arange(8.0) / 8).expand(1, 1, 8, 8)
    inside = losses.sobel(ramp)[..., 1:-1]
    torch.testing.assert_close(inside[:, 0], torch.full_like(inside[:, 0], 1 / 8))
    assert float(inside[:, 1].abs().max()) == 0


def test_divergence_knows_no_scale() -> None:
    truth = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(2)) * 0.5 + 0.2
    assert float(losses.divergence(truth * 2, truth)) == pytest.approx(0, abs=1e-5)
    assert float(losses.divergence(truth.flip(-1), truth)) > 0.01


def test_temporal_compares_changes_not_values() -> None:
    truth = torch.stack([flat(v)[0] for v in (0.0, 0.1, 0.2)])
    assert float(losses.temporal(truth + 0.5, truth)) == pytest.approx(0, abs=1e-7)
    assert float(losses.temporal(truth.flip(0), truth)) == pytest.approx(0.04)


def test_weighted_is_the_sum_by_name() -> None:
    loss = losses.weighted({"alpha": 2, "gradient": 5})
    assert float(loss(flat(0.75), flat(0.5))) == pytest.approx(0.5)
    with pytest.raises(KeyError):
        losses.weighted({"alfa": 1})


def test_composition_is_the_picture_that_the_matte_makes() -> None:
    white, black = torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    assert float(losses.composition(flat(0.25, 4, 4), white, black, white * 0.25)) == 0
    assert float(losses.composition(flat(0.5, 4, 4), white, black, white * 0.25)) == pytest.approx(0.25)


def test_motion_counts_only_where_it_is_trusted() -> None:
    trusted = torch.zeros(1, 1, 2, 2)
    assert float(losses.motion_consistency(flat(1.0, 2, 2), flat(0.0, 2, 2), trusted)) == 0
    trusted[..., 0] = 1
    other = flat(0.0, 2, 2)
    other[..., 1] = 9
    assert float(losses.motion_consistency(flat(1.0, 2, 2), other, trusted)) == pytest.approx(1)
