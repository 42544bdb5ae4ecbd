"""A camera that travels past cards at three depths: `omnimatte` finds its path, and gives the files that need it."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio
import pytest

from penumbra.protocol import Mask, OmnimatteJob
from penumbra_engine.media import read_picture
from penumbra_engine.solvers.jobs import run

pytestmark = pytest.mark.slow

FRAMES, WIDTH, HEIGHT, FOCAL = range(1001, 1017), 240, 136, 230.0
STEP, TURN = 0.16, np.radians(-0.7)  # of the camera to the right, a frame; it keeps looking at the middle
#: depth, left, right, top, bottom of upright cards, y down; far ones first.
CARDS = ((12.0, -9, 12, -5, 5), (7.0, -2.8, -1.0, -1.2, 2.2), (7.0, 1.6, 3.4, -0.6, 2.2), (4.0, 1.1, 1.35, -3, 3))


@dataclass(frozen=True)
class Street:
    """plate and clean: T x H x W x 3. alpha: T x H x W, of the ball. depth: T x H x W."""

    out: Path
    plate: np.ndarray
    clean: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray

    def read(self, name: str, frame: int, folder: str = "") -> np.ndarray:
        return read_picture(self.out / (folder or name) / f"{name}.{frame}.exr").pixels


def texture(seed: int, across: int, down: int) -> np.ndarray:
    """Blotches of several sizes, H x W x 3."""
    random = np.random.default_rng(seed)
    sizes = (4, 9, 21)
    octaves = [random.random((down // n + 2, across // n + 2, 3)).astype(np.float32) for n in sizes]
    whole = sum(cv2.resize(o, (across, down), interpolation=cv2.INTER_CUBIC) for o in octaves) / len(sizes)
    return np.clip(0.1 + 1.2 * (whole - 0.25), 0.03, 0.9)


def views() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    cards = [
        texture(k, round(40 * (right - left)), round(40 * (bottom - top)))
        for k, (_, left, right, top, bottom) in enumerate(CARDS)
    ]
    random = np.random.default_rng(1)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    plates, cleans, alphas, depths = [], [], [], []
    for index in range(len(FRAMES)):
        clean, depth = np.zeros((HEIGHT, WIDTH, 3), np.float32), np.zeros((HEIGHT, WIDTH), np.float32)
        turn = TURN * (index - len(FRAMES) / 2)
        x0, down = (x - (WIDTH - 1) / 2) / FOCAL, (y - (HEIGHT - 1) / 2) / FOCAL
        across, ahead = x0 * np.cos(turn) + np.sin(turn), np.cos(turn) - x0 * np.sin(turn)
        for (z, left, right, top, bottom), card in zip(CARDS, cards, strict=True):
            wx, wy, away = across * z / ahead + STEP * index, down * z / ahead, z / ahead
            inside = (wx > left) & (wx < right) & (wy > top) & (wy < bottom)
            where = np.float32(40 * (wx - left)), np.float32(40 * (wy - top))
            seen = cv2.remap(card, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            clean[inside], depth[inside] = seen[inside], away[inside]
        post = depth < 5
        ball = 60 + 7.0 * index
        alpha = np.clip(11.5 - np.hypot(x - ball, y - 60), 0, 1) * ~post
        shade = np.where((np.hypot((x - ball) / 2, y - 96) < 7) & ~post, 0.55, 1)[..., None]
        picture = alpha[..., None] * np.float32([0.7, 0.1, 0.1]) + (1 - alpha[..., None]) * clean * shade
        plates.append(picture + 0.003 * random.standard_normal(picture.shape))
        cleans.append(clean)
        alphas.append(alpha)
        depths.append(depth)
    return np.stack(plates).astype(np.float32), np.stack(cleans), np.stack(alphas), np.stack(depths)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    folder = tmp_path_factory.mktemp("street")
    plate, clean, alpha, depth = views()
    for index, frame in enumerate(FRAMES):
        rough = cv2.dilate((alpha[index] > 0.5).astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.float32)
        for name, pixels, kind in (("plate", plate[index], "half"), ("mask", rough[..., None], "uint8")):
            end = "exr" if kind == "half" else "png"
            picture = oiio.ImageBuf(oiio.ImageSpec(WIDTH, HEIGHT, pixels.shape[2], kind))
            picture.set_pixels(picture.roi, np.ascontiguousarray(pixels))
            assert picture.write(str(folder / f"{name}.{frame}.{end}")), picture.geterror()
    job = OmnimatteJob(
        plate=str(folder / "plate.####.exr"),
        frames="1001-1016",
        colorspace="lin_rec709_scene",
        out=str(folder / "out"),
        masks=[Mask("ball", str(folder / "mask.####.png"))],
    )
    for _ in run(job, folder / "cache"):
        pass
    return Street(folder / "out", plate, clean, alpha, depth)


def test_the_report_says_that_geometry_was_taken_and_why(street: Street) -> None:
    camera = json.loads((street.out / "report.json").read_text())["camera"]
    assert camera["model"] == "multi-view"
    assert "structure from motion" in camera["why"]
    assert camera["focal_px"] == pytest.approx(FOCAL, rel=0.05)


def test_depth_and_camera_share_their_units(street: Street) -> None:
    """Only the scale is free: depth over the distance between two cameras is not."""
    places = np.loadtxt(street.out / "camera.chan")[:, 1:4]
    step = np.linalg.norm(places[8] - places[0]) / 8
    for index in (3, 8, 12):
        found = street.read("depth", FRAMES[index])[..., 0] / step * STEP
        error = np.abs(found / street.depth[index] - 1)
        assert np.median(error) < 0.03
        assert (error > 0.15).mean() < 0.05
    assert (street.out / "camera.nk").read_text().startswith("Camera2 {")


def test_the_background_shows_what_ball_and_shadow_hid(street: Street) -> None:
    for index in (3, 5, 12):  # where the ball is in the open
        background = street.read("background", FRAMES[index])[..., :3]
        touched = np.abs(street.plate[index] - street.clean[index]).max(-1) > 0.05
        error = np.square(background - street.clean[index])[touched].mean()
        assert -10 * np.log10(error) > 35


def test_a_post_in_front_of_the_ball_is_a_hole_in_its_layer(street: Street) -> None:
    hidden = [_hidden(street, index) for index in range(len(FRAMES))]
    index = int(np.argmax([h.sum() for h in hidden]))
    assert hidden[index].sum() > 40
    layer = read_picture(street.out / "layers" / f"layers.{FRAMES[index]}.exr")
    alpha = layer.pixels[..., layer.channels.index("ball.A")]
    assert alpha[hidden[index]].mean() < 0.1
    assert alpha[street.alpha[index] > 0.99].mean() > 0.9


def _hidden(street: Street, index: int) -> np.ndarray:
    """Where the post is in front of the ball, but for its edges, which the picture mixes."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    post = cv2.erode((street.depth[index] < 5).astype(np.uint8), np.ones((1, 5), np.uint8)) > 0
    return (np.hypot(x - 60 - 7.0 * index, y - 60) < 9) & post
