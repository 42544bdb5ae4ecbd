"""The background of a shot whose exposure does not hold still."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from penumbra_engine.cache import Stack, Store
from penumbra_engine.imaging.lens import Lens
from penumbra_engine.media import Shot
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.canvas import Canvas, build_canvas
from penumbra_engine.solvers.omnimatte.flow import Flow
from penumbra_engine.solvers.omnimatte.footage import Footage
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.plates import Plates
from stages import finished

COUNT, HEIGHT, WIDTH = 12, 48, 80
FLICKER = 1 + 0.06 * (-1.0) ** np.arange(COUNT)
JUMP = np.where(np.arange(COUNT) < 5, 1, 0.8)

PINHOLE = Lens(0.0, WIDTH, HEIGHT)


def canvas_of(
    folder: Path, camera: str, gains: np.ndarray, coarser: int = 1, rough: bool = False
) -> tuple[Canvas, np.ndarray]:
    """The canvas of a disc with a shadow that passes a wall, and the wall. coarser: so many times is the flow."""
    random = np.random.default_rng(2)
    wall = np.kron(0.2 + 0.4 * random.random((3, HEIGHT // 4, WIDTH // 4)), np.ones((4, 4)))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    with Store(folder).entry("shot") as entry:
        plate = entry.create_stack("plate", (COUNT, 3, HEIGHT, WIDTH))
        masks = entry.create_stack("masks", (COUNT, 1, HEIGHT, WIDTH), np.uint8)
        coarse = (HEIGHT // coarser, WIDTH // coarser)
        flow = entry.create_stack("flow", (COUNT, 3, *coarse))
        for index in range(COUNT):
            left = 6 + 6 * index
            disc = np.hypot(x - left, y - 16) < 6
            picture = np.where(np.hypot(x - left, (y - 34) * 2) < 10, 0.6 * wall, wall)
            picture = np.where(disc, 0.9, picture) + 0.005 * random.standard_normal(wall.shape)
            plate[index], masks[index] = (gains[index] * picture).astype(np.float32), 255 * disc[None].astype(np.uint8)
            flow[index] = np.concatenate([np.zeros((2, *coarse)), np.ones((1, *coarse))]).astype(np.float32)
    still = np.tile(np.eye(3), (COUNT, 1, 1))
    shot = SimpleNamespace(frames=tuple(range(COUNT)), height=HEIGHT, width=WIDTH, levels=lambda: np.zeros(0))
    steps = build_canvas(
        Footage(
            cast(Shot, shot),
            cast(Plates, SimpleNamespace(plate=cast(Stack, plate))),
            Masks("masks", masks),
            Registration("cameras", camera, COUNT // 2, still, np.zeros(COUNT), np.zeros(COUNT, int), PINHOLE),
            Flow("flow", flow),
        ),
        Store(folder),
        rough=rough,
    )
    return finished(steps), wall


@pytest.mark.parametrize("camera", ["static", "homography"])
@pytest.mark.parametrize("gains", [FLICKER, JUMP], ids=["flicker", "jump"])
def test_exposure_is_followed(tmp_path: Path, camera: str, gains: np.ndarray) -> None:
    canvas, wall = canvas_of(tmp_path, camera, gains)
    assert np.abs(canvas.gains / canvas.gains[0] * gains[0] / gains[:, None] - 1).max() < 0.01
    for index in (0, 3, 7, 11):
        missed = np.abs(canvas.background(index).numpy() / gains[index] - wall)
        assert missed.mean() < 0.004 and np.quantile(missed, 0.99) < 0.03  # the flicker alone is 0.024 on the mean


@pytest.mark.parametrize("camera", ["static", "homography"])
def test_frames_may_be_larger_than_their_flow(tmp_path: Path, camera: str) -> None:
    canvas, wall = canvas_of(tmp_path, camera, np.ones(COUNT), coarser=2)
    assert canvas.tolerance(3).shape == (HEIGHT, WIDTH)
    assert np.abs(canvas.background(3).numpy() - wall).mean() < 0.004


def test_a_rough_one_is_made_of_the_canvas_alone_and_only_where_the_camera_moves(tmp_path: Path) -> None:
    canvas, wall = canvas_of(tmp_path, "homography", np.ones(COUNT), rough=True)
    assert canvas.doubt(3) is None, "no frames near it were asked"
    assert np.abs(canvas.background(3).numpy() - wall).mean() < 0.01
    assert canvas.key != canvas_of(tmp_path, "homography", np.ones(COUNT))[0].key
    static = [canvas_of(tmp_path, "static", np.ones(COUNT), rough=rough)[0].key for rough in (True, False)]
    assert static[0] == static[1]
