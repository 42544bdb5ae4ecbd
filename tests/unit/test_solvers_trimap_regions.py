"""What a keyframe says of each pixel: trimaps as they are, mattes with a band around their edge."""

import numpy as np

from penumbra_engine.solvers.trimap.regions import regions, wrong


def test_a_trimap_is_taken_as_it_is() -> None:
    trimap = np.zeros((6, 9), np.float32)
    trimap[:, 3:] = 128 / 255
    trimap[:, 6:] = 1
    found = regions(trimap)
    assert (found[:, :3] == 0).all() and (found[:, 3:6] == 0.5).all() and (found[:, 6:] == 1).all()


def test_a_hard_matte_gets_a_band_of_two_pixels_each_side() -> None:
    matte = np.zeros((5, 20), np.float32)
    matte[:, 10:] = 1
    assert regions(matte)[2].tolist() == [0] * 8 + [0.5] * 4 + [1] * 8


def test_soft_pixels_of_a_matte_are_unknown() -> None:
    matte = np.zeros((5, 30), np.float32)
    matte[:, 10:20] = np.linspace(0.05, 0.95, 10)
    matte[:, 20:] = 1
    found = regions(matte)[2]
    assert (found[8:22] == 0.5).all() and found[7] == 0 and found[22] == 1


def test_what_is_wrong_is_said() -> None:
    half = np.full((4, 4), 0.5, np.float32)
    assert "no background" in wrong(half)
    half[0] = 0
    assert wrong(half) == "", "smoke has no foreground"
    assert "neither" in wrong(np.zeros((4, 4), np.float32))
