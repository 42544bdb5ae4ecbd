"""Layers with effects against the truth of a rendered shot."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penumbra_engine.imaging.metrics.mattes import dtssd
from penumbra_engine.imaging.metrics.pictures import psnr, ssim

_TEXTURE_TINT = (1.0, 0.9, 0.7)
_GRAINY = 0.004  # true alpha above which a layer carries the plate's grain


@dataclass(frozen=True, eq=False)
class Truth:
    """What a shot really is made of; scene-linear, K objects front to back, T frames.

    plate, clean: T x 3 x H x W. alphas: K of T x 1 x H x W, the objects alone. layers: K of T x 4 x H x W,
    premultiplied, without effects. effects: K of T x 3 x H x W: what is left of the clean picture under object k's
    shadows and reflections, as a ratio.
    """

    plate: np.ndarray
    clean: np.ndarray
    alphas: Sequence[np.ndarray]
    layers: Sequence[np.ndarray]
    effects: Sequence[np.ndarray]

    @functools.cached_property
    def union(self) -> np.ndarray:
        """Alpha of all objects, T x 1 x H x W."""
        return union(self.alphas)

    @functools.cached_property
    def effect(self) -> np.ndarray:
        """All effects together, T x 3 x H x W."""
        return np.prod([np.clip(effect, 0, None) for effect in self.effects], axis=0)

    @functools.cached_property
    def darkness(self) -> np.ndarray:
        """Alpha of all shadows, T x 1 x H x W."""
        return 1 - np.clip(self.effect, 0, 1).min(1, keepdims=True)

    @functools.cached_property
    def touched(self) -> np.ndarray:
        """How far the effects change the clean picture, T x 1 x H x W."""
        return np.abs(self.effect - 1).max(1, keepdims=True)

    @functools.cached_property
    def alpha(self) -> np.ndarray:
        """Alpha of objects and shadows, T x 1 x H x W."""
        return 1 - (1 - self.union) * (1 - self.darkness)

    @property
    def hit(self) -> np.ndarray:
        """Where anything hides or changes the background, T x 1 x H x W bool."""
        return (self.touched > 0.05) | (self.union > 0.02)

    @property
    def shadow_only(self) -> np.ndarray:
        return (self.darkness > 0.05) & (self.union < 0.01)

    @property
    def core(self) -> np.ndarray:
        return self.union > 0.98

    @property
    def soft(self) -> np.ndarray:
        return (self.union > 0.02) & (self.union < 0.98)

    @property
    def nothing(self) -> np.ndarray:
        return (self.touched < 0.012) & (self.union < 0.001)

    def over(self, background: np.ndarray) -> np.ndarray:
        """The true objects and effects on another background, T x 3 x H x W."""
        return composite(self.layers, self.alphas, background * self.effect)


def layer_scores(truth: Truth, background: np.ndarray, layers: Sequence[np.ndarray]) -> dict[str, float]:
    """All of the below. background: T x 3 x H x W. layers: K of T x 4 x H x W, premultiplied, effects and all."""
    alphas = [layer[:, 3:] for layer in layers]
    return {
        **background_scores(truth, background),
        **recomposition(truth, background, layers),
        **alpha_scores(truth, union(alphas)),
        **replate_scores(truth, layers),
        **({"ownership": ownership(truth, alphas)} if len(layers) > 1 else {}),
    }


def background_scores(truth: Truth, background: np.ndarray) -> dict[str, float]:
    """PSNR in dB on all pixels and on those that something hides or changes, SSIM, and dtSSD of the error over time."""
    return {
        "bg_psnr": psnr(background, truth.clean),
        "bg_psnr_touched": psnr(background, truth.clean, truth.hit),
        "bg_ssim": ssim(background, truth.clean),
        "bg_dtssd": dtssd(background, truth.clean),
    }


def recomposition(truth: Truth, background: np.ndarray, layers: Sequence[np.ndarray]) -> dict[str, float]:
    """How far the layers over their background are from the plate: the largest error, and all but a thousandth's."""
    error = np.abs(composite(layers, [layer[:, 3:] for layer in layers], background) - truth.plate)
    return {"recomp_max": float(error.max()), "recomp_p999": float(np.quantile(error, 0.999))}


def alpha_scores(truth: Truth, alpha: np.ndarray) -> dict[str, float]:
    """Errors of the alpha of all layers, T x 1 x H x W: mean absolute error on the whole picture (times 1000), under
    shadows alone, inside the objects, and along their soft edges; `leak`, alpha beyond the truth where nothing is; and
    dtSSD. NaN where a shot has no such pixels."""
    error = np.abs(alpha - truth.alpha)
    regions = {"effect_mad": truth.shadow_only, "core_mad": truth.core, "soft_mad": truth.soft}
    return {
        "alpha_mad_e3": 1e3 * float(error.mean(dtype=np.float64)),
        **{name: _mean(error, region) for name, region in regions.items()},
        "leak": _mean(np.maximum(alpha - truth.alpha, 0), truth.nothing),
        "dtssd": dtssd(alpha, truth.alpha),
    }


def replate_scores(truth: Truth, layers: Sequence[np.ndarray]) -> dict[str, float]:
    """PSNR in dB of the layers on a darker, a brighter and a quite different background against the true objects and
    effects there. The plate's grain belongs to what is lifted from it."""
    fit = truth.over(truth.clean)
    grain = np.where(truth.alpha > _GRAINY, truth.plate - fit, 0)
    alphas = [layer[:, 3:] for layer in layers]
    others = {"dark": truth.clean * 0.4, "bright": truth.clean * 1.8, "other": _texture(truth.clean.shape)}
    return {
        f"replate_{name}": psnr(composite(layers, alphas, other), truth.over(other) + grain)
        for name, other in others.items()
    }


def ownership(truth: Truth, alphas: Sequence[np.ndarray]) -> float:
    """The part of the alpha under one object's shadow alone that is in its layer. alphas: K of T x 1 x H x W."""
    right = wrong = 0.0
    depths = [np.clip(1 - effect, 0, 1).max(1, keepdims=True) for effect in truth.effects]
    for index, mine in enumerate(depths):
        others = np.max([depth for other, depth in enumerate(depths) if other != index], axis=0)
        region = (mine > 0.05) & (others < 0.01) & (truth.union < 0.01)
        sums = [float(alpha[region].sum(dtype=np.float64)) for alpha in alphas]
        right += sums[index]
        wrong += sum(sums) - sums[index]
    return right / max(right + wrong, 1e-9)


def union(alphas: Sequence[np.ndarray]) -> np.ndarray:
    """Alpha of several layers together; arrays of one shape."""
    return 1 - np.prod([1 - alpha for alpha in alphas], axis=0)


def composite(layers: Sequence[np.ndarray], alphas: Sequence[np.ndarray], background: np.ndarray) -> np.ndarray:
    """Layers T x 3 or more x H x W, front to back and premultiplied, over a background T x 3 x H x W."""
    picture = background
    for layer, alpha in zip(reversed(layers), reversed(alphas), strict=True):
        picture = layer[:, :3] + (1 - alpha) * picture
    return picture


def _texture(shape: tuple[int, ...]) -> np.ndarray:
    """A background of waves that no shot has, T x 3 x H x W."""
    height, width = shape[-2:]
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = 0.35 + 0.25 * np.sin(40 * x + 9 * y) * np.sin(33 * y)
    return np.broadcast_to(waves * np.array(_TEXTURE_TINT)[:, None, None], shape)


def _mean(values: np.ndarray, where: np.ndarray) -> float:
    return float(values[where].mean(dtype=np.float64)) if where.any() else float("nan")
