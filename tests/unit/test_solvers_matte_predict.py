"""A picture that is looked at in bands gives the mattes of the whole; a matte is doubted where the network wavered."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from penumbra_engine.cache import Store
from penumbra_engine.models.small_matte import CHANNELS, SmallMatte
from penumbra_engine.solvers.matte import predict
from penumbra_engine.solvers.matte.train import Learned
from stages import finished


class Fixed(nn.Module):
    """Sees an object where a picture that tells its rows says that they are from `top` on."""

    def __init__(self, top: int) -> None:
        super().__init__()
        self.top = top

    def forward(self, seen: Tensor) -> Tensor:
        return (seen[:, :1] >= self.top).float()


def test_a_matte_is_doubted_where_the_network_changed_its_mind_and_never_where_it_was_given(tmp_path: Path) -> None:
    given = np.eye(32, dtype=np.float32)
    keyframes = SimpleNamespace(frames=lambda name: [0], matte=lambda name, index: given)
    rows = torch.arange(32.0)[:, None].expand(CHANNELS, 32, 32)
    scene = SimpleNamespace(names=("fox",), keyframes=keyframes, whole=lambda index: rows)
    shot = SimpleNamespace(frames=(1001, 1002), height=32, width=32)
    learned = Learned(Fixed(16), Fixed(20), "key", 0.0, 1)
    steps = predict.matte_frames(cast(Any, shot), cast(Any, scene), learned, Store(tmp_path))
    mattes = finished(steps)
    assert (mattes.mattes[0][0] == given).all() and mattes.doubt[0] == 0
    assert mattes.mattes[1][0, 15:17, 0].tolist() == [0, 1]
    confidence = mattes.confidence[1][0]
    assert (confidence[:13] == 1).all() and (confidence[23:] == 1).all()
    assert confidence[17:19].max() < 0.25
    assert mattes.doubt[1] == pytest.approx(4 / 32, rel=0.05)


@pytest.mark.parametrize("height", [100, 320, 333])
def test_bands_are_the_whole(height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = SmallMatte(2).eval()
    torch.nn.init.normal_(network.head.weight)
    seen = torch.rand(CHANNELS, height, 40, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = predict.in_bands(network, seen)
        monkeypatch.setattr(predict, "_BAND", 64)
        found = predict.in_bands(network, seen)
    assert found.shape == (2, height, 40)
    assert float(whole.std()) > 0.01
    assert float((found - whole).abs().max()) < 1e-3


def test_a_picture_does_not_end_at_its_edges() -> None:
    class Mean(nn.Module):
        """The mean over a window, zeros beyond the picture, as in a convolution."""

        def forward(self, seen: Tensor) -> Tensor:
            return torch.nn.functional.avg_pool2d(seen[:, :1], 9, 1, 4)

    assert torch.allclose(predict.in_bands(Mean(), torch.ones(CHANNELS, 40, 50)), torch.ones(1, 40, 50))
    assert predict.in_bands(Mean(), torch.ones(CHANNELS, 6, 50)).shape == (1, 6, 50)


class Same(nn.Module):
    """Finds the picture itself, and keeps the sizes that it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, int]] = []

    def forward(self, seen: Tensor) -> Tensor:
        self.sizes.append((seen.shape[2], seen.shape[3]))
        return seen


@pytest.mark.parametrize("size", [(270, 480), (37, 9), (1, 1), (2500, 33), (2500, 9)])
def test_a_picture_of_any_size_is_looked_at_in_whole_cells(size: tuple[int, int]) -> None:
    network, seen = Same(), torch.rand(1, *size, generator=torch.Generator().manual_seed(1))
    assert torch.equal(predict.in_bands(network, seen), seen)
    assert all(height % 16 == width % 16 == 0 for height, width in network.sizes)


def mattes_of(doubt: list[float], *there: list[int]) -> predict.Mattes:
    """Mattes of some objects, each on the frames it is there."""
    stack = np.zeros((len(doubt), len(there), 4, 4), np.float32)
    for k, frames in enumerate(there):
        stack[frames, k, 1] = 1
    return predict.Mattes("key", cast(Any, stack), cast(Any, None), np.array(doubt))


@pytest.mark.parametrize(
    "doubt, keyed, asked",
    [
        ([0.9, 0.1, 0.3, 0.2, 0.9], [0, 4], 2),
        ([0, 0.2, 0.1, 0, 0], [0, 4], 1),
        ([0.0] * 5, [0, 4], 2),
        ([0.0] * 5, [1], 4),
        ([0.0, 0.0], [0, 1], None),
    ],
)
def test_the_frame_to_key_next_is_the_least_sure_or_the_farthest(
    doubt: list[float], keyed: list[int], asked: int | None
) -> None:
    assert mattes_of(doubt).least_sure(keyed) == asked


def test_an_object_that_was_found_nowhere_but_where_it_is_keyed_is_lost() -> None:
    keyed = {"fox": [0, 3], "hare": [0], "owl": [0, 1, 2, 3]}
    keyframes = cast(Any, SimpleNamespace(names=tuple(keyed), frames=keyed.__getitem__))
    assert mattes_of([0.0] * 4, [0, 3], [0, 2], [0, 1, 2, 3]).lost(keyframes) == ["fox"]
