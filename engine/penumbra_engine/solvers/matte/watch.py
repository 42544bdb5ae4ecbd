"""Watch: whether a training still gains, by views that it is never shown."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from penumbra_engine.cache import Entry
from penumbra_engine.solvers.matte.views import Batch, Views

_EVERY, _AT = 50, 40  # steps between looks; never where the training keeps its state, so that none is left out
_UNSEEN = 7_000_001  # a seed that no training has
_BATCHES = 2
_PATIENCE, _GAIN = 3, 0.01  # looks; of the loss: what they must bring together


class Watch:
    """The losses so far and the best weights, kept in the training's entry, so that one that was stopped goes on as if
    it had not been. loss: of a network on a batch."""

    def __init__(self, views: Views, loss: Callable[[nn.Module, Batch], Tensor], entry: Entry) -> None:
        self._batches = [views.batch(np.random.default_rng((_UNSEEN, n))) for n in range(_BATCHES)]
        self._loss, self._entry = loss, entry
        self.losses: dict[int, float] = {}
        if entry.has("watch"):
            saved = entry.load("watch")
            self.losses = dict(zip(saved["steps"].tolist(), saved["losses"].tolist(), strict=True))

    def due(self, step: int) -> bool:
        """Whether it is time to look."""
        return step % _EVERY == _AT

    def look(self, network: nn.Module, step: int) -> None:
        """Note how a network in evaluation mode does, and keep it when none did better."""
        if step in self.losses:
            return
        with torch.no_grad():
            loss = float(torch.stack([self._loss(network, batch) for batch in self._batches]).mean())
        if loss < min(self.losses.values(), default=float("inf")):
            self._entry.save("best", **{name: value.numpy() for name, value in network.state_dict().items()})
        self.losses[step] = loss
        steps = np.array(list(self.losses))
        self._entry.save("watch", steps=steps, losses=np.array(list(self.losses.values())))

    @property
    def settled(self) -> bool:
        """Whether the last looks brought next to nothing."""
        losses = list(self.losses.values())
        if len(losses) <= _PATIENCE:
            return False
        return min(losses[-_PATIENCE:]) > (1 - _GAIN) * min(losses[:-_PATIENCE])
