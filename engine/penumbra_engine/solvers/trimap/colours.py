"""Colours: whose of several objects a pixel's colour is, as the keyframes show them."""

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from penumbra_engine.media import Shot
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.trimap.regions import regions

_BINS = 16  # of each channel, encoded
_BLUR = 1.0  # bins, sigma
_ANY = 1e-4  # share of an object's pixels that may have the colour of any one bin
_AROUND = 3  # px: square over which colours are heard


class KeyedColours:
    """What colours the objects of the keyframes have where they surely are: a histogram of each, blurred.

    Where objects cross, a network that sees at half the size, and motion that is lost where one hides the other, take a
    sliver of the one for the other. Its colour is seen all the same.
    """

    def __init__(self, shot: Shot, plates: Plates, keyframes: Keyframes) -> None:
        self.shot, self.plates = shot, plates
        cube = (_BINS,) * 3
        counts = np.zeros((len(keyframes.names), *cube))
        for name, index in keyframes.of:
            surely = regions(keyframes.matte(name, index)) == 1
            counted = np.bincount(self._bins(index)[surely], minlength=_BINS**3)
            counts[keyframes.names.index(name)] += counted.reshape(cube)
        self.common = np.stack([gaussian_filter(of, _BLUR).ravel() / max(of.sum(), 1) + _ANY for of in counts])

    def odds(self, index: int) -> np.ndarray:
        """How much likelier the colours of a frame are on each object than on the mean of all, names x H x W float32; 1
        for a single one."""
        if len(self.common) == 1:
            return np.ones((1, self.shot.height, self.shot.width), np.float32)
        likely = self.common[:, self._bins(index)]
        odds = (likely / likely.mean(0)).astype(np.float32)
        return np.stack([cv2.blur(of, (_AROUND, _AROUND)) for of in odds])

    def _bins(self, index: int) -> np.ndarray:
        """The bin of each pixel of a frame, H x W, counted through all three channels."""
        encoded = self.plates.encoded(self.shot, index)
        red, green, blue = np.minimum(encoded * _BINS, _BINS - 1).astype(np.uint8)
        return np.asarray(np.ravel_multi_index((red, green, blue), (_BINS,) * 3))
