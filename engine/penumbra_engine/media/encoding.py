"""The picture that networks, features and flow see: linear Rec.709, exposed, as sRGB with a shoulder above 1."""

import numpy as np

_SLOPE = 1.055 / 2.4  # of the sRGB curve at 1, so that the shoulder leaves it without a kink
_REACH = 0.25  # the shoulder's scale: 10 is encoded as 1.7, 1e4 as 3.4


def encode(lin_rec709: np.ndarray, exposure: float = 1.0) -> np.ndarray:
    """Encode linear Rec.709 (any shape, float32): times `exposure`, piecewise sRGB to 1, logarithmic above.

    Strictly rising over all finite values, the same for negative values with the sign turned, and undone by `decode`.
    """
    exposed = lin_rec709 * np.float32(exposure)
    value = np.abs(exposed)
    encoded = _srgb(np.minimum(value, 1))
    shoulder = 1 + _REACH * np.log1p(np.maximum(value - 1, 0) * (_SLOPE / _REACH))
    return np.copysign(np.where(value <= 1, encoded, shoulder), exposed)


def decode(encoded: np.ndarray, exposure: float = 1.0) -> np.ndarray:
    """Linear Rec.709 of what `encode` gave with the same exposure (any shape, float32)."""
    value = np.abs(encoded)
    below = np.minimum(value, 1)
    curve = np.where(below <= 0.04045, below / 12.92, ((below + 0.055) / 1.055) ** 2.4)
    shoulder = 1 + np.expm1(np.maximum(value - 1, 0) / _REACH) / (_SLOPE / _REACH)
    return np.copysign(np.where(value <= 1, curve, shoulder), encoded) / np.float32(exposure)


def srgb_encode(lin_rec709: np.ndarray) -> np.ndarray:
    """Linear Rec.709 (any shape, float32) for a preview on a screen: cut to [0, 1], then the sRGB curve."""
    return _srgb(np.clip(lin_rec709, 0, 1))


def _srgb(value: np.ndarray) -> np.ndarray:
    """The piecewise sRGB curve of values in [0, 1]."""
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055)
