"""How near one picture is to another: PSNR and SSIM of values cut to [0, 1]."""

import numpy as np
from scipy import ndimage

_SILENCE = 1e-12  # the mean square error of pictures that are the same: 120 dB
_SIGMA, _REACH = 1.5, 5  # px, of SSIM's 11 x 11 window
_STABLE = (0.01**2, 0.03**2)


def psnr(picture: np.ndarray, truth: np.ndarray, where: np.ndarray | None = None) -> float:
    """Peak signal to noise in dB, over all pixels and channels at once, at most 120.

    picture, truth: T x C x H x W. where: T x 1 x H x W bool, the pixels that count; NaN when there are none.
    """
    error = np.square(np.clip(picture, 0, 1) - np.clip(truth, 0, 1), dtype=np.float64)
    if where is not None:
        error = error[np.broadcast_to(where, error.shape)]
    return float(-10 * np.log10(max(error.mean(), _SILENCE))) if error.size else float("nan")


def ssim(picture: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004): a Gaussian window of 11 x 11 and sigma 1.5, k 0.01 and 0.03, mean over
    the windows that lie inside the picture, channels and frames. T x C x H x W, at least 11 x 11 pixels."""
    if min(picture.shape[-2:]) < 2 * _REACH + 1:
        raise ValueError(f"SSIM needs 11 x 11 pixels or more, not {picture.shape[-1]} x {picture.shape[-2]}")
    return float(np.mean([_ssim(a, b) for a, b in zip(_planes(picture), _planes(truth), strict=True)]))


def _planes(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture, 0, 1).reshape(-1, *picture.shape[-2:]).astype(np.float64)


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    mean_a, mean_b = _window(a), _window(b)
    variance_a, variance_b = _window(a * a) - mean_a**2, _window(b * b) - mean_b**2
    covariance = _window(a * b) - mean_a * mean_b
    light, contrast = _STABLE
    alike = (2 * mean_a * mean_b + light) * (2 * covariance + contrast)
    return float((alike / ((mean_a**2 + mean_b**2 + light) * (variance_a + variance_b + contrast))).mean())


def _window(plane: np.ndarray) -> np.ndarray:
    blurred = ndimage.gaussian_filter(plane, _SIGMA, radius=_REACH)
    return blurred[_REACH:-_REACH, _REACH:-_REACH]
