"""Network: the subject's alpha by published networks that see the clean plate, with the user's own weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from torch import Tensor

from penumbra_engine.errors import UsageError
from penumbra_engine.models.bgm_v1 import BackgroundMatting
from penumbra_engine.models.bgm_v2 import BACKBONES, BackgroundMattingV2
from penumbra_engine.models.checkpoints import Checkpoints, Loaded

_KINDS = {"bgm-v1": ("bgm-v1",), "bgm-v2": tuple(f"bgm-v2-{name}" for name in BACKBONES)}
_BASE = 480  # px of the wider side that the base of bgm-v2 sees: a quarter of HD, an eighth of 4K
_SCALES = (0.125, 0.5)
_SAMPLED = 80_000 / (1920 * 1080)  # of the picture: what `sampling` refines, as published for HD
_SIDE = 512  # px, what bgm-v1 was trained on
_ROUND = 0.1  # of the subject's size: what it sees round it
_SOFT = 0.01  # of the subject's size: how soft the mask is that it is told


@dataclass(frozen=True)
class Network:
    """The network of a job and how it is to refine."""

    weights: Loaded
    refine: str

    @property
    def facts(self) -> dict[str, str]:
        """What the report says of it, and what a result depends on."""
        kind = self.weights.kind
        refine = {} if kind.name in _KINDS["bgm-v1"] else {"refine": self.refine}
        return {"kind": kind.name, "licence": kind.licence, "weights": self.weights.sha256, **refine}

    def alpha(self, picture: np.ndarray, clean: np.ndarray, mask: np.ndarray) -> Tensor:
        """Alpha H x W. picture, clean: 3 x H x W float32, encoded, in [0, 1]. mask: H x W bool, roughly the subject;
        bgm-v2 needs none."""
        network = self.weights.network
        with torch.no_grad():
            if isinstance(network, BackgroundMatting):
                return _cropped(network, picture, clean, mask)
            return _whole(cast(BackgroundMattingV2, network), picture, clean, self.refine)


def checkpoint(models: Path, model: str, refine: str) -> Network:
    """The user's weights of a model, the smallest where several were added. Raises UsageError when none was, or the
    licence is forbidden here."""
    kept = Checkpoints(models)
    added = {one.kind.name for one in kept.added()}
    names = [name for name in _KINDS[model] if name in added]
    if not names:
        raise UsageError(
            f"--model {model} needs weights of your own: none of {', '.join(_KINDS[model])} was added. Get them and "
            "run `penumbra models add FILE`, or leave --model out: closed-form needs none",
            "--model",
        )
    return Network(kept.load(names[0]), refine)


def _whole(network: BackgroundMattingV2, picture: np.ndarray, clean: np.ndarray, refine: str) -> Tensor:
    height, width = picture.shape[1:]
    network.mode = refine
    network.scale = min(max(_BASE / max(height, width), _SCALES[0]), _SCALES[1])
    network.pixels = round(_SAMPLED * height * width)
    return network(torch.from_numpy(picture)[None], torch.from_numpy(clean)[None]).alpha[0, 0]


def _cropped(network: BackgroundMatting, picture: np.ndarray, clean: np.ndarray, mask: np.ndarray) -> Tensor:
    """By a square round the mask, resampled to the size the network was trained on; 0 outside and without a mask."""
    alpha = torch.zeros(mask.shape)
    if not mask.any():
        return alpha
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    size = max(np.ptp(rows), np.ptp(columns)) + 1
    half = (0.5 + _ROUND) * size
    spans = []
    for held, end in ((rows, mask.shape[0]), (columns, mask.shape[1])):
        centre = (held[0] + held[-1] + 1) / 2
        spans.append(slice(max(0, int(centre - half)), min(end, int(np.ceil(centre + half)))))
    window = spans[0], spans[1]
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(1.0, _SOFT * size))
    seen = [_square(side[:, *window]) for side in (picture, clean, soft[None])]
    # Its input of four grey frames is dead in the published weights.
    matted = network(*seen, torch.zeros(1, 4, _SIDE, _SIDE)).alpha[0, 0].numpy()
    shape = window[0].stop - window[0].start, window[1].stop - window[1].start
    alpha[window] = torch.from_numpy(cv2.resize(matted, shape[::-1], interpolation=cv2.INTER_AREA))
    return alpha.clamp(0, 1)


def _square(picture: np.ndarray) -> Tensor:
    """C x H x W in [0, 1] as 1 x C x side x side in [-1, 1]."""
    rows = np.ascontiguousarray(picture.transpose(1, 2, 0))
    square = cv2.resize(rows, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR).reshape(_SIDE, _SIDE, -1)
    return torch.from_numpy(square.transpose(2, 0, 1).copy())[None] * 2 - 1
