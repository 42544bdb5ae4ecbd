"""The solved camera as files that compositing and 3D packages read: camera.nk and camera.chan."""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from penumbra_engine.files import write_atomically
from penumbra_engine.imaging.pinhole import Cameras
from penumbra_engine.media import Shot

_APERTURE = 36.0  # mm, the width of the film back that the focal length is told for
_FLIP = np.diag([1.0, -1.0, -1.0])  # from y down, z ahead to y up, z behind


def write_camera(shot: Shot, cameras: Cameras, out: Path) -> None:
    """Write `camera.nk`, a Camera2 to paste into Nuke, and `camera.chan`, a line a frame: frame, position, rotation
    (degrees, about z, then x, then y) and vertical field of view (degrees). Both hold every frame that was solved.

    The scale of the scene can't be known from pictures; depth/ has the same units. The lens' distortion is in
    report.json. Raises InputError or EngineError when the folder takes no file.
    """
    place, turn = poses(cameras)
    across, down = shot.display.width, shot.display.height
    view = 2 * np.degrees(np.arctan(down / 2 / cameras.focal))
    lines = [
        " ".join([str(frame), *(f"{value:.8g}" for value in (*p, *r, view))])
        for frame, p, r in zip(shot.frames, place, turn, strict=True)
    ]
    write_atomically(out / "camera.chan", ("\n".join(lines) + "\n").encode())
    x = shot.window.x + cameras.centre[0] + 0.5 - shot.display.x - across / 2
    y = shot.display.y + down / 2 - shot.window.y - cameras.centre[1] - 0.5
    node = [
        "Camera2 {",
        " inputs 0",
        " rot_order ZXY",
        f" translate {_curves(shot.frames, place)}",
        f" rotate {_curves(shot.frames, turn)}",
        f" focal {cameras.focal / across * _APERTURE:.8g}",
        f" haperture {_APERTURE:.8g}",
        f" vaperture {_APERTURE * down / across:.8g}",
        f" win_translate {{{2 * x / across:.8g} {2 * y / across:.8g}}}",
        " name PenumbraCamera",
        "}",
    ]
    write_atomically(out / "camera.nk", ("\n".join(node) + "\n").encode())


def poses(cameras: Cameras) -> tuple[np.ndarray, np.ndarray]:
    """Positions T x 3, y up, and rotations T x 3 in degrees about x, y and z, applied about z, then x, then y."""
    pose = cameras.pose.numpy()
    to_world = pose[:, :, :3].transpose(0, 2, 1)
    place = -np.einsum("tij,tj->ti", to_world, pose[:, :, 3]) @ _FLIP
    z, x, y = np.unwrap(Rotation.from_matrix(_FLIP @ to_world @ _FLIP).as_euler("zxy"), axis=0).T
    return place, np.degrees(np.stack([x, y, z], 1))


def _curves(frames: tuple[int, ...], values: np.ndarray) -> str:
    each = (" ".join(f"x{f} {v:.8g}" for f, v in zip(frames, column, strict=True)) for column in values.T)
    return "{" + " ".join(f"{{curve {keys}}}" for keys in each) + "}"
