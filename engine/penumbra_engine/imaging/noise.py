"""The noise of a plate as a function of its signal."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_FLOOR = 1e-8  # variance of a noise-free picture, so that nothing is divided by zero
_BINS = 24
_MIN_SAMPLES = 400
_ENOUGH = 200_000  # samples of a pair


@dataclass(frozen=True)
class Noise:
    """Variance = read + shot * signal, in squared scene-linear units (Healey & Kondepudy 1994, eq. 4)."""

    read: float
    shot: float

    def variance(self, signal: Tensor) -> Tensor:
        """The variance at each value of `signal` (any shape)."""
        return self.read + self.shot * signal.clamp(min=0)

    def at_least(self, floor: "Noise") -> "Noise":
        """A model that nowhere gives less than this one and the floor do."""
        return Noise(max(self.read, floor.read), max(self.shot, floor.shot))


def quantisation_noise(levels: np.ndarray) -> Noise:
    """What rounding to code values does: a twelfth of the square of each step between them (Bennett 1948).

    levels: N, the scene-linear values of successive codes; none for floats, which do not round. In an encoded file
    steps grow with the signal much as the deviation of shot noise does, so the model holds both.
    """
    if not len(levels):
        return Noise(_FLOOR, 0.0)
    middle, steps = (levels[1:] + levels[:-1]) / 2, np.diff(levels)
    return _line(middle, np.maximum(np.square(steps) / 12, _FLOOR))


def estimate_noise(pairs: Iterable[tuple[Tensor, Tensor, Tensor]], floor: Noise = Noise(_FLOOR, 0.0)) -> Noise:
    """Fit the noise model to pairs of pictures of the same scene.

    pairs: (a, b, valid) with a, b C x H x W scene-linear and valid H x W bool. What moved between the two is clipped
    away (4 sigma, iterated), so the estimate holds the noise, the quantisation and what resampling leaves of an edge.
    A codec repeats still parts bit for bit: they say nothing of how far what it drew anew is off, and are left out.
    floor: what the noise is at least, such as that of rounding to 8 bits.
    """
    signals, errors, repeated = [], [], 0
    for a, b, valid in pairs:
        told = valid & (F.max_pool2d((a != b).any(0)[None].float(), 3, 1, 1)[0] > 0)
        repeated += int(valid.sum() - told.sum())
        mean, difference = ((a + b) / 2)[:, told].flatten(), (a - b)[:, told].abs().flatten()
        stride = max(1, -(-mean.numel() // _ENOUGH))
        signals.append(mean[::stride].cpu())
        errors.append(difference[::stride].cpu())
    if not signals or sum(s.numel() for s in signals) < _MIN_SAMPLES:
        return floor if repeated else Noise(1e-5, 1e-4).at_least(floor)
    signal, error = torch.cat(signals).numpy(), torch.cat(errors).numpy()
    edges = np.unique(np.quantile(signal, np.linspace(0, 1, _BINS + 1)))
    means, variances = [], []
    for low, high in itertools.pairwise(edges):
        held = (signal >= low) & (signal <= high)
        if held.sum() < _MIN_SAMPLES:
            continue
        square = np.square(error[held], dtype=np.float64)
        spread = square.mean()
        for _ in range(6):
            inside = square[square <= 16 * spread]
            spread = inside.mean() if inside.size else 0.0
        means.append(signal[held].mean())
        variances.append(spread / 2)
    if not means:
        return Noise(1e-5, 1e-4).at_least(floor)
    return _line(np.array(means), np.array(variances)).at_least(floor)


def _line(means: np.ndarray, variances: np.ndarray) -> Noise:
    """The model that fits variances at some signals, neither part below 0; N both."""
    design = np.stack([np.ones(len(means)), np.maximum(means, 0)], 1)
    weight = 1 / np.maximum(variances, _FLOOR)  # relative errors count the same in the dark and in the light
    read, shot = np.linalg.lstsq(design * weight[:, None], variances * weight, rcond=None)[0]
    if read < _FLOOR:
        read, shot = _FLOOR, float(np.average(variances / np.maximum(means, 1e-4), weights=means))
    if shot < 0:
        read, shot = float(np.mean(variances)), 0.0
    return Noise(max(float(read), _FLOOR), max(float(shot), 0.0))
