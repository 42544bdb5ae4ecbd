"""The camera's files, read back as the packages read them: a point must land on the pixel where the engine sees it."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from penumbra_engine.imaging.pinhole import Cameras
from penumbra_engine.media import Shot
from penumbra_engine.media.windows import Window
from penumbra_engine.solvers.omnimatte.camera_files import write_camera

FRAMES, FOCAL = (1001, 1002, 1005), 250.0
POINT = np.array([0.4, -0.3, 5.0])  # y down, z ahead


def shot(window: Window) -> Shot:
    return cast(Shot, SimpleNamespace(frames=FRAMES, window=window, display=Window(0, 0, 200, 100)))


def cameras(window: Window) -> Cameras:
    turns = Rotation.from_euler("xyz", [[0, 0, 0], [5, -12, 3], [-8, 20, -15]], degrees=True).as_matrix()
    pose = np.concatenate([turns, [[[0.1], [0.2], [0.3]]] * 3], 2)
    centre = (window.width - 1) / 2, (window.height - 1) / 2
    return Cameras(torch.from_numpy(pose), FOCAL, centre, 0.0)


def on_format(position: list[float], rotation: list[float], half_view: float) -> np.ndarray:
    """Where a host with y up and ZXY puts POINT, from the middle of the format, in units of its half height."""
    x, y, z = np.radians(rotation)
    around = [Rotation.from_rotvec(r).as_matrix() for r in ([0, y, 0], [x, 0, 0], [0, 0, z])]
    seen = (around[0] @ around[1] @ around[2]).T @ (POINT * [1, -1, -1] - position)
    return seen[:2] / -seen[2] / half_view


@pytest.mark.parametrize("window", [Window(0, 0, 200, 100), Window(-10, -5, 240, 110)], ids=["plain", "overscan"])
def test_a_point_lands_where_the_plate_shows_it(tmp_path: Path, window: Window) -> None:
    view = cameras(window)
    write_camera(shot(window), view, tmp_path)
    lines = [[float(n) for n in line.split()] for line in (tmp_path / "camera.chan").read_text().splitlines()]
    assert [line[0] for line in lines] == list(FRAMES)
    node = (tmp_path / "camera.nk").read_text()
    shift = [float(n) for n in re.search(r"win_translate \{(\S+) (\S+)\}", node).groups()]  # type: ignore[union-attr]
    for pose, (_, *numbers) in zip(view.pose.numpy(), lines, strict=True):
        at = pose[:, :3] @ POINT + pose[:, 3]
        pixel = at[:2] / at[2] * FOCAL + view.centre + [window.x + 0.5, window.y + 0.5]
        landed = on_format(numbers[:3], numbers[3:6], np.tan(np.radians(numbers[6] / 2))) * [50, -50] + [100, 50]
        assert landed + np.array([100 * shift[0], -100 * shift[1]]) == pytest.approx(pixel, abs=1e-3)


def test_the_node_keys_every_solved_frame(tmp_path: Path) -> None:
    window = Window(0, 0, 200, 100)
    write_camera(shot(window), cameras(window), tmp_path)
    node = (tmp_path / "camera.nk").read_text()
    curves = re.findall(r"\{curve ([^}]+)\}", node)
    assert len(curves) == 6
    assert all(re.findall(r"x(\d+)", curve) == ["1001", "1002", "1005"] for curve in curves)
    focal, across = (float(re.search(rf" {name} (\S+)", node)[1]) for name in ("focal", "haperture"))  # type: ignore[index]
    assert focal / across == pytest.approx(FOCAL / 200)
