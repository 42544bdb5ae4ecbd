"""Mattes against the truth: the protocol of single pictures (Xu et al. 2017) and that of video (Lin et al. 2022).

Both take Grad and Conn from Rhemann et al. (2009). Sums are divided by 1000, so they grow with the picture's size:
compare only figures of one protocol and one size.
"""

import cv2
import numpy as np
from scipy import ndimage

_SIGMA = 1.4  # px, of Grad's derivative of a Gaussian
_REACH = 4  # px: where that Gaussian falls below 0.01
_LEVELS = 10  # of Conn
_THETA = 0.15


def image_scores(alpha: np.ndarray, truth: np.ndarray, unknown: np.ndarray) -> dict[str, float]:
    """SAD, MSE, Grad and Conn over the unknown region of one picture, H x W all; unknown is bool.

    SAD, Grad and Conn are sums over 1000, MSE is a mean (0 where nothing is unknown).
    """
    error = alpha.astype(np.float64) - truth
    return {
        "sad": float(np.abs(error[unknown]).sum() / 1000),
        "mse": float(np.square(error[unknown]).mean()) if unknown.any() else 0.0,
        "grad": float(gradient_error(alpha, truth)[unknown].sum() / 1000),
        "conn": float(connectivity_error(alpha, truth)[unknown].sum() / 1000),
    }


def video_scores(alpha: np.ndarray, truth: np.ndarray, normalise: bool = False) -> dict[str, float]:
    """MAD, MSE, Grad, Conn and dtSSD of whole frames, mean over frames. T x 1 x H x W in [0, 1].

    MAD and MSE are means times 1000, Grad and Conn sums over 1000, dtSSD is 100 times the root of the mean square
    error of d alpha / dt, 0 on the first frame. normalise: stretch each matte to [0, 1] before Grad, as that paper's
    low-resolution tables do and its high-resolution ones do not.
    """
    error = alpha.astype(np.float64) - truth
    seen = [_stretched(frame) if normalise else frame for frame in alpha[:, 0]]
    meant = [_stretched(frame) if normalise else frame for frame in truth[:, 0]]
    grad = [gradient_error(a, b).sum() for a, b in zip(seen, meant, strict=True)]
    conn = [connectivity_error(a, b).sum() for a, b in zip(alpha[:, 0], truth[:, 0], strict=True)]
    return {
        "mad_e3": float(1e3 * np.abs(error).mean()),
        "mse_e3": float(1e3 * np.square(error).mean()),
        "grad": float(np.mean(grad) / 1000),
        "conn": float(np.mean(conn) / 1000),
        "dtssd": float(dtssd_by_step(alpha, truth).sum() / len(alpha)),
    }


def matte_scores(alpha: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Mean absolute error on whole frames (times 1000), inside the object and along its soft edge (true alpha above .98
    and between .02 and .98), and dtSSD. T x 1 x H x W in [0, 1] both; NaN where there is no such pixel or step."""
    error = np.abs(alpha.astype(np.float64) - truth)
    regions = {"core_mad": truth > 0.98, "soft_mad": (truth > 0.02) & (truth < 0.98)}
    inside = {name: float(error[at].mean()) if at.any() else float("nan") for name, at in regions.items()}
    return {"mad_e3": float(1e3 * error.mean()), **inside, "dtssd": dtssd(alpha, truth)}


def dtssd(alpha: np.ndarray, truth: np.ndarray) -> float:
    """The mean of dtssd_by_step over the steps between frames (the video protocol divides by frames). T x ... both; NaN
    for one frame."""
    steps = dtssd_by_step(alpha, truth)
    return float(steps.mean()) if len(steps) else float("nan")


def dtssd_by_step(alpha: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """100 times the root of the mean square error of the change from each frame to the next: T - 1 values."""
    change = np.diff(alpha.astype(np.float64), axis=0) - np.diff(truth.astype(np.float64), axis=0)
    return 100 * np.sqrt(np.square(change).reshape(len(change), -1).mean(1)) if len(change) else np.zeros(0)


def gradient_error(alpha: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Squared difference of the gradient magnitudes, H x W all. The derivative filter has unit energy, as Rhemann's."""
    return np.square(_gradient(alpha) - _gradient(truth))


def _gradient(alpha: np.ndarray) -> np.ndarray:
    x = np.arange(-_REACH, _REACH + 1)
    smooth = np.exp(-(x**2) / (2 * _SIGMA**2))
    slope = x * smooth  # its sign falls out of the magnitude
    smooth, slope = smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)
    along_x, along_y = (
        ndimage.correlate1d(ndimage.correlate1d(alpha.astype(np.float64), a, 1, mode="nearest"), b, 0, mode="nearest")
        for a, b in ((slope, smooth), (smooth, slope))
    )
    return np.hypot(along_x, along_y)


def connectivity_error(alpha: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How differently two mattes hang together with the largest part that both are sure of, H x W all."""
    level = np.zeros(alpha.shape)
    connected = np.ones(alpha.shape, bool)
    for step in range(1, _LEVELS + 1):
        threshold = step / _LEVELS
        connected &= _largest_part((alpha >= threshold) & (truth >= threshold))
        level[connected] = threshold
    return np.abs(_adrift(alpha, level) - _adrift(truth, level))


def _largest_part(shape: np.ndarray) -> np.ndarray:
    count, labels, figures, _ = cv2.connectedComponentsWithStats(shape.astype(np.uint8), connectivity=4)
    if count == 1:
        return np.zeros_like(shape)
    return labels == 1 + np.argmax(figures[1:, cv2.CC_STAT_AREA])


def _adrift(alpha: np.ndarray, level: np.ndarray) -> np.ndarray:
    above = alpha - level
    return np.where(above >= _THETA, above, 0.0)


def _stretched(alpha: np.ndarray) -> np.ndarray:
    low, high = float(alpha.min()), float(alpha.max())
    return (alpha - low) / (high - low) if high > low else np.zeros_like(alpha)
