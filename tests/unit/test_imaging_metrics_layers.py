"""The measures of layers on a shot of four pixels, each worked by hand.

Pixel 0 shows the object, 1 its soft edge, 2 its shadow, 3 nothing.
"""

import math

import numpy as np
import pytest

from penumbra_engine.imaging.metrics.layers import (
    Truth,
    alpha_scores,
    background_scores,
    composite,
    layer_scores,
    ownership,
    recomposition,
    replate_scores,
    union,
)


def row(*values: float, channels: int = 1, frames: int = 2) -> np.ndarray:
    """T x C x 1 x 4: the same in all channels and frames."""
    return np.broadcast_to(np.float32(values)[None, None, None], (frames, channels, 1, len(values))).copy()


@pytest.fixture
def truth() -> Truth:
    clean = row(0.5, 0.5, 0.5, 0.5, channels=3)
    alpha = row(1, 0.5, 0, 0)
    colour = row(0.8, 0.4, 0, 0, channels=3)
    effect = row(1, 1, 0.6, 1, channels=3)
    plate = colour + (1 - alpha) * clean * effect
    return Truth(plate, clean, [alpha], [np.concatenate([colour, alpha], 1)], [effect])


def perfect(truth: Truth) -> np.ndarray:
    """The layer with its shadow as an `over`."""
    return np.concatenate([truth.layers[0][:, :3], truth.alpha], 1).astype(np.float32)


def test_a_shadow_is_alpha(truth: Truth) -> None:
    assert truth.alpha[0].flatten().tolist() == pytest.approx([1, 0.5, 0.4, 0])
    assert [region[0].flatten().tolist() for region in (truth.core, truth.soft, truth.shadow_only, truth.nothing)] == [
        [True, False, False, False],
        [False, True, False, False],
        [False, False, True, False],
        [False, False, False, True],
    ]
    assert truth.hit[0].flatten().tolist() == [True, True, True, False]


def test_perfect_layers(truth: Truth) -> None:
    with pytest.raises(ValueError, match="11 x 11"):  # too small for SSIM; all else is below
        layer_scores(truth, truth.clean, [perfect(truth)])
    assert recomposition(truth, truth.clean, [perfect(truth)])["recomp_max"] < 1e-6
    assert alpha_scores(truth, truth.alpha) == {
        "alpha_mad_e3": 0, "effect_mad": 0, "core_mad": 0, "soft_mad": 0, "leak": 0, "dtssd": 0,
    }  # fmt: skip
    assert all(score == pytest.approx(120) for score in replate_scores(truth, [perfect(truth)]).values())


def test_each_error_is_told_where_it_is(truth: Truth) -> None:
    alpha = truth.alpha + row(-0.1, 0.2, -0.3, 0.04)
    scores = alpha_scores(truth, alpha)
    assert scores["core_mad"] == pytest.approx(0.1)
    assert scores["soft_mad"] == pytest.approx(0.2)
    assert scores["effect_mad"] == pytest.approx(0.3)
    assert scores["leak"] == pytest.approx(0.04)
    assert scores["alpha_mad_e3"] == pytest.approx(1e3 * 0.64 / 4)
    assert scores["dtssd"] == pytest.approx(0, abs=1e-5)


def test_missing_alpha_where_nothing_is_does_not_leak(truth: Truth) -> None:
    assert alpha_scores(truth, truth.alpha - row(0, 0, 0, 0.04))["leak"] == 0


def test_alpha_that_comes_and_goes_flickers(truth: Truth) -> None:
    alpha = truth.alpha.copy()
    alpha[1] += 0.25
    assert alpha_scores(truth, alpha)["dtssd"] == pytest.approx(25)


def test_a_shot_without_shadows_has_no_effect_error(truth: Truth) -> None:
    bare = Truth(truth.plate, truth.clean, truth.alphas, truth.layers, [row(1, 1, 1, 1, channels=3)])
    assert math.isnan(alpha_scores(bare, bare.alpha)["effect_mad"])


def test_the_background_behind_what_hides_it(truth: Truth) -> None:
    wide = Truth(*(np.tile(part, (1, 1, 11, 4)) for part in (truth.plate, truth.clean)),
        *([np.tile(part[0], (1, 1, 11, 4))] for part in (truth.alphas, truth.layers, truth.effects)))  # fmt: skip
    scores = background_scores(wide, wide.clean + 0.1 * wide.hit)
    assert scores["bg_psnr_touched"] == pytest.approx(20, abs=1e-4)
    assert scores["bg_psnr"] == pytest.approx(20 - 10 * math.log10(3 / 4), abs=1e-4)
    assert scores["bg_dtssd"] == pytest.approx(0, abs=1e-5) and scores["bg_ssim"] < 1


def test_a_layer_that_took_the_background_along_fails_on_another(truth: Truth) -> None:
    # Alpha 1 with the plate's colour is exact over its own background, and wrong on any other: where the shadow
    # (0.6 x 0.5 = 0.3) should be 0.12 on the dark plate, and the soft edge 0.4 + 0.5 x 0.2 = 0.5, not 0.65.
    opaque = np.concatenate([truth.plate, np.ones_like(truth.alpha)], 1)
    assert recomposition(truth, truth.clean, [opaque])["recomp_max"] == 0
    wrong = np.array([0, 0.15, 0.18, 0.3])  # the last: 0.5 where 0.2 should be
    assert replate_scores(truth, [opaque])["replate_dark"] == pytest.approx(-10 * np.log10((wrong**2).mean()), abs=1e-4)


def test_grain_stays_with_the_layer(truth: Truth) -> None:
    grain = row(0.03, 0.02, 0.01, 0, channels=3)
    noisy = Truth(truth.plate + grain, truth.clean, truth.alphas, truth.layers, truth.effects)
    layer = perfect(truth)
    layer[:, :3] += grain
    assert min(replate_scores(noisy, [layer]).values()) > 100
    assert max(replate_scores(noisy, [perfect(truth)]).values()) < 40


def test_the_first_layer_is_in_front() -> None:
    front, back = row(0.5, channels=3), row(1, channels=3)
    assert composite([front, back], [row(0.5), row(1)], row(9, channels=3))[0, 0, 0, 0] == 1.0
    assert union([row(0.5), row(0.5)])[0, 0, 0, 0] == 0.75


def test_a_shadow_has_one_owner(truth: Truth) -> None:
    # Object 2 casts its shadow on pixel 3. Three quarters of the alpha there and all of pixel 2 are well placed.
    effects = [truth.effects[0], row(1, 1, 1, 0.6, channels=3)]
    two = Truth(truth.plate, truth.clean, truth.alphas * 2, truth.layers * 2, effects)
    assert ownership(two, [row(1, 0.5, 0.4, 0.1), row(0, 0, 0, 0.3)]) == pytest.approx(0.7 / 0.8)
