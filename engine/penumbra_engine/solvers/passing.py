"""Passing: an object that moves is seen before another background on neighbouring frames, which tells its alpha."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from penumbra_engine.imaging.extent import box_of
from penumbra_engine.imaging.fill import fill_smoothly
from penumbra_engine.imaging.filters import box
from penumbra_engine.imaging.flow import fetched
from penumbra_engine.matting.triangulation import triangulation
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.plates import Plates

_FRAMES = 2  # to either side
_FAR = 1 / 60  # of the longer side: what has moved so far is half as much to be relied on; it turns, bends and blurs
_NEAR = 4  # px: how well an object moves along is measured on means over squares of twice that and one
#: What a background counts for that was never seen, beside one that was.
GUESSED = 1e-3


def asked(index: int, count: int) -> list[int]:
    """The frames beside one of `count` that `passing` asks."""
    return [other for other in range(index - _FRAMES, index + _FRAMES + 1) if 0 <= other < count and other != index]


def passing(
    plates: Plates,
    background: Callable[[int], Tensor],
    motion: Motion,
    index: int,
    trimap: np.ndarray,
    light: Tensor,
    noise: Tensor,
    seen: Callable[[int], Tensor],
) -> Tensor:
    """What the frames beside one tell of an object's alpha, 4 x H x W as of `triangulation`.

    background: of a frame, 3 x H x W. trimap: H x W, of the object. light: 3 x H x W, what is left of the background's
    light, as the object's shadows go along with it. noise: H x W, variance of picture less background, guesses at this
    reckoned in; a neighbour's is as much and more where its background is a guess. seen: of a frame, H x W in [0, 1],
    how far its background is none.
    """
    told = torch.zeros(4, *trimap.shape)
    if not (trimap == 1).any():
        return told
    rows, columns = box_of(torch.from_numpy(trimap > 0), _NEAR)  # what lies beyond would only be thrown away
    picture, behind = torch.from_numpy(plates.plate[index])[:, rows, columns], background(index)
    light, noise = light[:, rows, columns], noise[rows, columns]
    surely = trimap[rows, columns] == 1
    there = torch.from_numpy(surely).to(picture)
    share = box(there[None, None], _NEAR)[0, 0]
    height, width = trimap.shape
    here = np.mgrid[rows, columns][::-1].astype(np.float32)

    def others() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for frame, at in motion.beside(index, surely, here, _FRAMES):
            beside = torch.from_numpy(fetched(plates.plate[frame], *at))
            # Where it is sure of itself, an object shows by how much it changes on its way.
            changed = box(((beside - picture).square().mean(0) * there)[None, None], _NEAR)[0, 0]
            changed = fill_smoothly((changed / share.clamp(min=1e-6))[None], share)[0]
            far = torch.from_numpy(((at - here) ** 2).sum(0)) / (_FAR * max(height, width)) ** 2
            inside = torch.from_numpy(((at >= 0) & (at <= np.array([[[width - 1]], [[height - 1]]]))).all(0))
            known = torch.from_numpy(fetched(seen(frame)[None].numpy(), *at)[0])
            both = noise + noise / known.clamp(min=GUESSED)
            variance = torch.where(inside, (both + changed) * (1 + far), torch.inf)
            yield beside, torch.from_numpy(fetched(background(frame).numpy(), *at)) * light, variance

    told[:, rows, columns] = triangulation(picture, behind[:, rows, columns] * light, others())
    return told
