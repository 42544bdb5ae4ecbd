"""Frames of a pan that starts and stops, smeared by a shutter that is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.imaging.camera_blur import CameraBlur, View
from penumbra_engine.imaging.warp import warp

HEIGHT, WIDTH = 40, 64
AT = np.array([0.0, 0.2, 1.0, 4.0, 10.0, 18.0, 26.0, 34.0, 40.0, 43.0, 43.8, 44.0])  # px, the pan's place in each frame


def camera(place: float) -> np.ndarray:
    """Pixels of a frame to those of the wall."""
    return np.array([[1, 0, place + 4], [0, 1, 4], [0, 0, 1.0]])


def wall() -> Tensor:
    coarse = torch.rand(1, 3, 16, 40, generator=torch.Generator().manual_seed(3))
    return F.interpolate(coarse, scale_factor=3, mode="bicubic")[0]


def film(shutter: float) -> list[Tensor]:
    speed = np.gradient(AT)
    times = shutter * ((np.arange(32) + 0.5) / 32 - 0.5)
    return [
        torch.stack([warp(wall(), torch.from_numpy(camera(at + t * v)), HEIGHT, WIDTH)[0] for t in times]).mean(0)
        for at, v in zip(AT, speed, strict=True)
    ]


def measured(frames: list[Tensor]) -> CameraBlur:
    blur = CameraBlur(np.stack([camera(at) for at in AT]), (WIDTH, HEIGHT))
    shown = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    list(blur.measure(lambda target, source: (frames[target], shown, through(frames[source])), near=4))
    return blur


def through(frame: Tensor) -> View:
    return lambda to_source: warp(frame, torch.from_numpy(to_source), HEIGHT, WIDTH)


def miss(found: Tensor, inside: Tensor, truth: Tensor) -> float:
    return float((found - truth).abs().mean(0)[inside].mean())


SHARP, SMEARED = 2, 5


@pytest.mark.parametrize("shutter", [0.5, 1.0])
def test_a_sharp_frame_is_seen_with_the_smear_of_another(shutter: float) -> None:
    frames = film(shutter)
    blur = measured(frames)
    plain, inside = through(frames[SHARP])(np.linalg.inv(camera(AT[SHARP])) @ camera(AT[SMEARED]))
    smeared, here = blur.seen(SMEARED, SHARP, through(frames[SHARP]))
    assert miss(smeared, here, frames[SMEARED]) < 0.3 * miss(plain, inside, frames[SMEARED])
    assert not (here & ~inside).any()


def test_what_a_short_shutter_took_is_not_smeared() -> None:
    frames = film(0.0)
    blur = measured(frames)
    plain, _ = through(frames[SHARP])(np.linalg.inv(camera(AT[SHARP])) @ camera(AT[SMEARED]))
    assert torch.equal(blur.seen(SMEARED, SHARP, through(frames[SHARP]))[0], plain)
    assert blur.sharpness(SHARP, SMEARED) == 1


def test_a_smeared_frame_counts_less_for_a_sharp_one() -> None:
    frames = film(0.5)
    blur = measured(frames)
    assert blur.sharpness(SHARP, SMEARED) < 0.2
    assert blur.sharpness(SMEARED, SHARP) == 1
    plain, _ = through(frames[SMEARED])(np.linalg.inv(camera(AT[SMEARED])) @ camera(AT[SHARP]))
    assert torch.equal(blur.seen(SHARP, SMEARED, through(frames[SMEARED]))[0], plain)


def test_a_steady_pan_tells_no_shutter_and_smears_nothing() -> None:
    cameras = np.stack([camera(4.0 * index) for index in range(6)])
    asked = []
    blur = CameraBlur(cameras, (WIDTH, HEIGHT))
    list(blur.measure(lambda target, source: asked.append((target, source)), near=4))  # type: ignore[arg-type, func-returns-value]
    assert not asked and blur.sharpness(0, 5) == 1
