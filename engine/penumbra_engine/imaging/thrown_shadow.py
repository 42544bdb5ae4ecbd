"""The shadow that never leaves: how much of the light objects keep from a background on every frame of a shot.

Where a shadow lies on all frames, no pixel tells what full light is. But the same objects throw the same shadows beside
it, on places that are lit at other times. So what their masks do to the light is learned from how the light changes.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import nnls
from torch import Tensor

from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.noise import Noise

_SIDE = 96  # cells along the longer side of a picture: soft shadows are smooth
_BLUR, _STEP = 0.08, 0.1  # of the longer side: how soft a mask's shadow is, and from place to place that it may fall on
_ACROSS, _ALONG = 6, 3  # steps to the sides, and up and down
_HEIGHTS = 4  # levels of the picture with shadows of their own: a floor's fall elsewhere than a wall's behind it
_SCALED = 9.0  # times the noise: what a change of light may leave of a difference
_SHOWN = 0.3  # of a cell: what has to be seen of it
_MISFIT = 0.03  # logarithm: how far the light may be from what the masks foretell, before it counts for less
_ALWAYS, _HARDLY = 0.004, 0.005  # logarithm: a shadow that never leaves is the exception, and below the second is none
_SOFT = (0.02, 0.4)  # logarithm: between these a loss of light is that of a soft shadow, and tells the colour of them
_MOST_COLOURED = 2.0  # times the loss of all channels together: that of one
_BRIGHT, _SOME = 0.9, 4  # of the frames: what light the brightest others surpass; how many tell of it at least
_RIDGE = 1e-3
_ROUNDS = 4


class ThrownShadow:
    """What the objects of a shot do to the light, as a kernel over their masks.

    The light on a place x in frame t is exp(u(x) - sum_k c_k phi_k(x, t)): u is what the background as it is known
    lacks of full light, phi_k are the masks, blurred and moved by so many steps, and c_k >= 0, for shadows darken. u is
    eliminated place by place, so that only changes over time tell of c; most places are seen in full light on some
    frame, so that many have u = 0. (Least squares, reweighted for a Laplacian prior of u and against what is no
    shadow.) Places are cells, of some pixels each.
    """

    def __init__(self, background: Tensor, noise: Noise, frames: int) -> None:
        """background: C x H x W scene-linear. frames: how many are to be seen."""
        self._height, self._width = background.shape[-2:]
        scale = min(1.0, _SIDE / max(self._height, self._width))
        self._cells = max(2, round(self._height * scale)), max(2, round(self._width * scale))
        self._step = max(1, round(_STEP * max(self._cells)))
        self._background, self._precision = background, 1 / noise.variance(background)
        self._beside = _ALONG * self._step, _ACROSS * self._step  # cells: as far as shadows are thrown
        self._seen = 0
        # Laid out at once: small arrays made between whole pictures would break up the memory that those leave.
        # Of each frame, over cells: the logarithm of its light over that of the background, the same by channel, how
        # much of a cell tells of that (0 where something else is seen), and the masks, blurred, with room around them.
        height, width = self._cells
        y, x = self._beside
        self._light, self._weight = np.zeros((2, frames, height, width), np.float32)
        self._coloured = np.zeros((frames, len(background), height, width), np.float32)
        self._soft = np.zeros((frames, height + 2 * y, width + 2 * x), np.float32)

    def see(self, picture: Tensor, seen: Tensor, objects: Tensor) -> None:
        """Take in a frame, C x H x W. seen: H x W bool, where it may show the background. objects: H x W bool, the
        masks of all objects."""
        precision = self._precision * seen
        squares, products, power = (
            self._pooled(precision * part)
            for part in (picture.square(), picture * self._background, self._background.square())
        )
        shown = self._pooled(seen[None].float())[0]
        by_channel = products / np.maximum(power, 1e-9)
        gain = products.mean(0) / np.maximum(power.mean(0), 1e-9)
        left = (squares - by_channel * products).mean(0) / np.maximum(shown, 1e-6)
        scaled = (left < _SCALED) & (shown > _SHOWN) & (by_channel.min(0) > 0)
        index, (y, x) = self._seen, self._beside
        self._light[index] = np.log(np.where(scaled, gain, 1))
        self._coloured[index] = np.log(np.where(scaled, by_channel, 1))
        self._weight[index] = scaled * shown
        wide = cv2.copyMakeBorder(self._pooled(objects[None].float())[0], y, y, x, x, cv2.BORDER_CONSTANT)
        self._soft[index] = cv2.GaussianBlur(wide, (0, 0), _BLUR * max(self._cells), borderType=cv2.BORDER_CONSTANT)
        self._seen += 1

    def full_light(self, brighter: Tensor | None = None) -> Tensor:
        """What the background has to be multiplied by to be without the shadow that lies on it on all frames, C x H x
        W. brighter: H x W, what brings it to the brightest light that it was seen in, which is contained in that; as
        cells tell of it if not given. The light that is given back has the colour of what soft shadows take."""
        weight = self._weight
        if brighter is None:
            brighter = self._brightest(weight)
        before = np.log(self._pooled(brighter[None])[0])
        light = self._light - before
        known = np.any(weight > 0, axis=0)
        least = np.where(weight > 0, self._learn(light, weight), np.inf).min(0)
        lacking = self._spread(np.where(known, least, 0), known) + brighter.log()
        colour = self._colour(light, weight * (before < _SOFT[0]))
        return (torch.from_numpy(colour).float()[:, None, None] * lacking).exp()

    def _brightest(self, weight: np.ndarray) -> Tensor:
        """What brings each place to the brightest light of some frames, H x W, at least 1. The very brightest is more
        often the light that an object throws, or an edge out of place."""
        light = np.where(weight > 0, self._light, np.nan)
        known = (weight > 0).sum(0) >= _SOME
        brightest = np.nanquantile(np.where(known, light, 0), _BRIGHT, axis=0)
        return self._spread(np.maximum(brightest - _HARDLY, 0), known).exp()

    def _spread(self, cells: np.ndarray, known: np.ndarray) -> Tensor:
        """A picture of what is known of cells, H x W."""
        filled = fill_smoothly(torch.from_numpy(cells)[None].float(), torch.from_numpy(known).float())
        return F.interpolate(filled[None], (self._height, self._width), mode="bilinear", align_corners=False)[0, 0]

    def _colour(self, light: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """What soft shadows take of the light of each channel, over what they take of all together: C."""
        soft = weight * (-light > _SOFT[0]) * (-light < _SOFT[1])
        squares = float((soft * np.square(light)).sum())
        products = np.einsum("tchw,thw->c", self._coloured, soft * light)
        return np.clip(products / squares, 1 / _MOST_COLOURED, _MOST_COLOURED) if squares else np.ones(len(products))

    def _learn(self, light: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """What the objects take of the light, sum_k c_k phi_k: T x h x w, as are the logarithm of the light beyond what
        the background has, and its weight."""
        levels = _levels(self._cells[0])
        count = levels.shape[1] * self._features(0).shape[-1]
        strength, lacks, thrown = weight, np.zeros(self._cells), np.zeros_like(light)
        for _ in range(_ROUNDS):
            held = _MISFIT**2 / (_ALWAYS * (_HARDLY + np.abs(lacks)))
            total = strength.sum(0) + held
            by_row, target, summed = np.zeros(1), np.zeros(count), np.zeros_like(self._features(0))
            for index, shares in enumerate(strength):
                features = self._features(index)
                by_row = by_row + _products(features, shares)
                target -= _sums(features, shares * light[index], levels)
                summed += features * shares[..., None]
            products = _on_levels(by_row - _products(summed, 1 / total), levels)
            target += _sums(summed, (strength * light).sum(0) / total, levels)
            scale = np.sqrt(np.diag(products).clip(1e-9))
            root = np.linalg.cholesky(products / np.outer(scale, scale) + _RIDGE * np.eye(len(scale)))
            kernel = nnls(root.T, np.linalg.solve(root, target / scale), maxiter=30 * count)[0] / scale
            places = levels @ kernel.reshape(levels.shape[1], -1)
            for index in range(len(light)):
                thrown[index] = (self._features(index) * places[:, None]).sum(-1)
            lacks = (strength * (light + thrown)).sum(0) / total
            strength = weight / (1 + np.square((light + thrown - lacks) / (2 * _MISFIT)))
        return thrown

    def _features(self, index: int) -> np.ndarray:
        """The masks of a frame, blurred, from all the places whose shadow may fall on each place: h x w x K."""
        height, width = self._cells
        moved = (
            self._soft[index][j * self._step :, i * self._step :][:height, :width]
            for j in range(2 * _ALONG + 1)
            for i in range(2 * _ACROSS + 1)
        )
        return np.stack(list(moved), -1)

    def _pooled(self, picture: Tensor) -> np.ndarray:
        """Means over cells. C x H x W; C x h x w."""
        height, width = self._cells
        planes = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA) for plane in picture.numpy())
        return np.stack(list(planes))


def _levels(height: int) -> np.ndarray:
    """How much of each level there is in each row, h x levels, summing to 1."""
    row = np.linspace(0, _HEIGHTS - 1, height, dtype=np.float32)[:, None]
    return np.clip(1 - np.abs(row - np.arange(_HEIGHTS)), 0, 1).astype(np.float32)


def _products(features: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Weighted products of each feature with each, summed along rows. h x w x K and h x w; h x K x K.

    By torch, row by row on its threads: NumPy's would share every one of these small products between all of theirs.
    """
    weighted = torch.from_numpy((features * shares[..., None]).astype(np.float32))
    return torch.bmm(weighted.transpose(1, 2), torch.from_numpy(features)).numpy()


def _on_levels(rows: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The same of each level with each, from those of the rows: h x K x K and h x levels; levels K x levels K."""
    count = levels.shape[1] * rows.shape[-1]
    return np.einsum("hl,hm,hij->limj", levels, levels, rows, optimize=True).reshape(count, count)


def _sums(features: np.ndarray, shares: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Weighted features on each level, summed over places. h x w x K, h x w and h x levels; levels K."""
    rows = (shares[:, None] @ features)[:, 0]
    return (levels.T @ rows).ravel().astype(np.float64)
