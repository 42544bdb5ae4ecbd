"""PSNR and SSIM by hand."""

import math

import numpy as np
import pytest

from penumbra_engine.imaging.metrics.pictures import psnr, ssim


def flat(value: float, size: int = 12) -> np.ndarray:
    return np.full((1, 3, size, size), value, np.float32)


def test_a_tenth_off_everywhere_is_20_db() -> None:
    assert psnr(flat(0.5), flat(0.4)) == pytest.approx(20, abs=1e-5)


def test_a_tenth_off_on_one_pixel_of_a_hundred_is_40_db() -> None:
    picture = flat(0.4, 10)
    picture[:, :, 3, 7] = 0.5
    assert psnr(picture, flat(0.4, 10)) == pytest.approx(40, abs=1e-5)
    there = (picture != 0.4)[:, :1] & (picture[:, :1] > 0.45)
    assert psnr(picture, flat(0.4, 10), there) == pytest.approx(20, abs=1e-5)


def test_highlights_count_as_white() -> None:
    assert psnr(flat(7.0), flat(1.0)) == 120


def test_no_pixels_have_no_psnr() -> None:
    assert math.isnan(psnr(flat(0.5), flat(0.4), np.zeros((1, 1, 12, 12), bool)))


def test_ssim_of_flat_pictures_is_that_of_their_brightness() -> None:
    # Without any texture only (2 ab + c) / (a^2 + b^2 + c) is left, c = 0.01^2.
    assert ssim(flat(0.4), flat(0.2)) == pytest.approx((0.16 + 1e-4) / (0.2 + 1e-4), rel=1e-6)


def test_ssim_sees_texture_turned_over() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 24, dtype=np.float32), (1, 1, 24, 24))
    assert ssim(ramp, ramp) == pytest.approx(1)
    assert ssim(ramp, ramp[..., ::-1]) < 0.5


def test_ssim_refuses_what_its_window_does_not_fit() -> None:
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(flat(0.1, 10), flat(0.1, 10))
