"""The background of a frame from those near it, and what its canvas has to say."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from penumbra_engine.cache import Store
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.media.windows import Window
from penumbra_engine.solvers.omnimatte.nearby import Nearby
from penumbra_engine.solvers.omnimatte.state import CLEAN, DISTURBED

COUNT, HEIGHT, WIDTH, AT = 13, 8, 16, 6


def test_the_fewer_frames_show_a_background_the_more_its_canvas_says(tmp_path: Path) -> None:
    """All frames are 0.5 and the canvas is 0.2; on the columns of each pair one more frame is clean."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    others = [index for index in range(COUNT) if index != AT]
    with Store(tmp_path).entry("state") as entry:
        state = entry.create_stack("state", (COUNT, 1, HEIGHT, WIDTH), np.uint8)
        for nth, index in enumerate(others):
            state[index] = np.where(x // 2 > nth, CLEAN, DISTURBED)[None].astype(np.uint8)
        points = torch.from_numpy(np.stack([x, y], 2).astype(np.float32))
        frame = Window(0, 0, WIDTH, HEIGHT)
        mosaic: Any = SimpleNamespace(
            to_canvas=np.tile(np.eye(3), (COUNT, 1, 1)), frame=frame, through=lambda part, to_source: points
        )
        exposed: Any = SimpleNamespace(
            read=lambda index, part=frame: torch.full((3, part.height, part.width), 0.5),
        )
        near = Nearby(mosaic, exposed, state, Noise(1e-6, 1e-5))
        canvas, tolerance = torch.full((3, HEIGHT, WIDTH), 0.2), torch.zeros(HEIGHT, WIDTH)
        background, _ = near.background(AT, frame, canvas, tolerance)
    middle = background[0, 4, 1::2]  # of each pair the column that interpolation leaves alone
    assert middle[0] == 0.2 and torch.allclose(middle[6:], torch.tensor(0.5))
    assert (middle[:7].diff() > 0.03).all()
