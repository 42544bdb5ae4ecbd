"""Palettes: the colours that an object has on the frames around one, as a first alpha tells them."""

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.matting.palette import Palette, at, together

_FRAMES = 8  # to either side
_SOLID = 0.9  # alpha: what shines through is little, and taken out
_DENSE = 0.2  # of such pixels, those of all frames together: near ones alone would all look the same
_LEAST = 48  # of them on a frame


class Palettes:
    """What a trimap leaves unknown on every frame, as a tyre, is in none of its foregrounds, and would be taken for a
    shadow of the colours that are. On some frames it is told apart all the same."""

    def __init__(self) -> None:
        self._of: dict[tuple[int, int], Palette] = {}

    def add(self, index: int, k: int, picture: Tensor, behind: Tensor, alpha: Tensor, trimap: Tensor) -> None:
        """Keep the k-th object's colours on a frame. picture, behind: 3 x H x W, scene-linear, the frame and its
        background as it is lit. alpha, trimap: H x W, of the object."""
        places = (alpha > _SOLID).nonzero()
        count = max(_LEAST, round(len(places) * _DENSE / (2 * _FRAMES + 1)))
        places = places[torch.from_numpy(np.random.default_rng((index, k)).permutation(len(places))[:count])]
        covered = at(alpha[None], places)
        colours = (at(picture, places) - (1 - covered) * at(behind, places)) / covered
        self._of[index, k] = Palette(colours.clamp(min=0), places - _middle(trimap))

    def around(self, index: int, k: int, trimap: Tensor) -> Palette | None:
        """The colours that an object has on the frames around one, at the places of that one; None where it is solid on
        none of them. trimap: H x W, of the object there."""
        near = [of for (frame, name), of in self._of.items() if name == k and abs(frame - index) <= _FRAMES]
        if not any(len(of.places) for of in near):
            return None
        found = together(near)
        return found._replace(places=found.places + _middle(trimap))

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it, for `of_arrays`."""
        whose = [key for key, of in self._of.items() for _ in of.places]
        every = together([Palette(torch.zeros(3, 0), torch.zeros(0, 2)), *self._of.values()])
        return {
            "whose": np.array(whose, np.int64).reshape(-1, 2),
            "colours": every.colours.numpy(),
            "places": every.places.numpy(),
        }

    @classmethod
    def of_arrays(cls, whose: np.ndarray, colours: np.ndarray, places: np.ndarray) -> "Palettes":
        """What `arrays` was asked of."""
        made = cls()
        for index, k in dict.fromkeys(map(tuple, whose.tolist())):
            its = (whose == (index, k)).all(1)
            made._of[index, k] = Palette(torch.from_numpy(colours[:, its]), torch.from_numpy(places[its]))
        return made


def _middle(trimap: Tensor) -> Tensor:
    """Of what isn't surely background, row and column; 0 where nothing is."""
    touched = (trimap > 0).nonzero()
    return touched.float().mean(0) if len(touched) else torch.zeros(2)
