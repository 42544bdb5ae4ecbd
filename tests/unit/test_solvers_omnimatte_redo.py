"""A canvas after one mask was changed, from the one before."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import cv2
import numpy as np
import pytest

from penumbra_engine.cache import Store
from penumbra_engine.imaging.lens import Lens
from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.media import Shot
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.canvas import Canvas, build_canvas
from penumbra_engine.solvers.omnimatte.flow import Flow
from penumbra_engine.solvers.omnimatte.footage import Footage
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.plates import Plates
from stages import finished

COUNT, HEIGHT, WIDTH, PAN = 20, 64, 112, 2.5
CHANGED, GONE = 9, 15
PINHOLE = Lens(0.0, WIDTH, HEIGHT)


class Pan:
    """A disc with a shadow that crosses a wall, and one that stands there and is gone in the end, before a camera that
    stands or pans, in a light that drifts."""

    def __init__(self, folder: Path, camera: str) -> None:
        random = np.random.default_rng(2)
        pan = PAN if camera == "homography" else 0.0
        wide = WIDTH + int(PAN * COUNT) + 8
        wall = np.kron(0.2 + 0.4 * random.random((3, HEIGHT // 4, wide // 4)), np.ones((4, 4))).astype(np.float32)
        wall = np.stack([cv2.GaussianBlur(channel, (0, 0), 1.5) for channel in wall])
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        self.store = Store(folder)
        cameras = np.stack([np.array([[1, 0, pan * t], [0, 1, 0], [0, 0, 1.0]]) for t in range(COUNT)])
        still = np.zeros(COUNT)
        self.registration = Registration("cameras", camera, 0, cameras, still, still.astype(int), PINHOLE)
        self.objects = []
        with self.store.entry("shot") as entry:
            self.plate = entry.create_stack("plate", (COUNT, 3, HEIGHT, WIDTH))
            self.flow = entry.create_stack("flow", (COUNT, 3, HEIGHT, WIDTH))
            for index in range(COUNT):
                shift = np.array([[1, 0, -pan * index], [0, 1, 0]])
                picture = np.stack([cv2.warpAffine(c, shift, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC) for c in wall])
                left = 8 + 5 * index
                picture = np.where(np.hypot(x - left, (y - 50) * 2) < 8, 0.6 * picture, picture)
                crossing, standing = np.hypot(x - left, y - 40) < 5, np.hypot(x + pan * index - 60, y - 16) < 7
                if index >= GONE:
                    standing[:] = False
                picture = np.where(crossing | standing, 0.9, picture) + 0.005 * random.standard_normal(picture.shape)
                self.plate[index] = (1 + 0.01 * (index - GONE)) * picture.astype(np.float32)
                self.flow[index] = np.stack([0 * y, 0 * y, 1 + 0 * y]).astype(np.float32)
                self.objects.append(crossing | standing)

    def canvas(self, changed: dict[int, np.ndarray], cold: bool) -> Canvas:
        """The canvas with the masks of some frames changed."""
        key = "masks" + "".join(f" {index}:{mask.sum()}" for index, mask in changed.items())
        with self.store.entry(key) as entry:
            masks = entry.create_stack("masks", (COUNT, 1, HEIGHT, WIDTH), np.uint8)
            for index, whole in enumerate(self.objects):
                masks[index] = 255 * changed.get(index, whole)[None].astype(np.uint8)
            shot = SimpleNamespace(frames=tuple(range(COUNT)), height=HEIGHT, width=WIDTH, levels=lambda: np.zeros(0))
            steps = build_canvas(
                Footage(
                    cast(Shot, shot),
                    cast(Plates, SimpleNamespace(plate=self.plate)),
                    Masks(key, masks),
                    self.registration,
                    Flow("flow", self.flow),
                ),
                self.store,
                cold=cold,
            )
            return finished(steps)


@pytest.fixture(scope="module")
def pans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pan]:
    return {camera: Pan(tmp_path_factory.mktemp(camera), camera) for camera in ("static", "homography")}


@pytest.fixture(params=["static", "homography"])
def pan(pans: dict[str, Pan], request: pytest.FixtureRequest) -> Pan:
    """One that knows of no earlier canvas; those that tests solved are kept, to be found and not built again."""
    pan = pans[request.param]
    shutil.rmtree(pan.store.root / "notes", ignore_errors=True)
    return pan


def test_a_mended_mask_gives_what_a_cold_solve_gives(pan: Pan) -> None:
    first = pan.canvas({index: np.zeros((HEIGHT, WIDTH), bool) for index in range(5)}, cold=False)
    again, cold = pan.canvas({}, cold=False), pan.canvas({}, cold=True)
    assert first.parent == "" and again.parent == first.key and cold.parent == ""
    noise = cold.noise.read**0.5

    def apart(one: Canvas, index: int) -> np.ndarray:
        return np.abs(one.background(index).numpy() - cold.background(index).numpy())

    assert max(apart(first, index).max() for index in range(COUNT)) > 20 * noise  # the disc was in the background
    for index in range(COUNT):
        assert apart(again, index).max() < noise and np.square(apart(again, index)).mean() < (0.1 * noise) ** 2


def test_frames_that_a_mask_does_not_reach_are_kept(pan: Pan) -> None:
    first = pan.canvas({}, cold=False)
    again, cold = (pan.canvas({CHANGED: dilate(pan.objects[CHANGED], 3)}, cold=cold) for cold in (False, True))
    assert CHANGED not in again.kept and len(again.kept) > 0.6 * COUNT
    for index in range(COUNT):
        assert (again.content(index) == first.content(index)) == (index in again.kept)
        assert np.abs(again.background(index).numpy() - cold.background(index).numpy()).max() < cold.noise.read**0.5
    assert pan.canvas({}, cold=False).key == first.key  # taken back, it is there still


@pytest.mark.parametrize("pan", ["static"], indirect=True)
def test_many_changed_masks_are_solved_cold(pan: Pan) -> None:
    first = pan.canvas({}, cold=False)
    fewer = {index: dilate(pan.objects[index], 2) for index in range(5)}
    more = {**fewer, 5: dilate(pan.objects[5], 2)}
    few, many = pan.canvas(fewer, cold=False), pan.canvas(more, cold=False)
    assert few.parent and not many.parent and not many.kept
    assert first.whole == few.whole == first.key and many.whole == many.key


@pytest.mark.parametrize("pan", ["static"], indirect=True)
def test_what_no_frame_shows_stays_as_it_was_filled_until_one_shows_it(pan: Pan) -> None:
    never = np.zeros((HEIGHT, WIDTH), bool)
    never[6:26, 84:104] = True
    hidden = {index: shape | never for index, shape in enumerate(pan.objects)}
    first = pan.canvas(hidden, cold=False)
    inside = never & (first.seen(0).numpy() == 0)
    picture = first.background(0).numpy()
    assert inside.sum() > 300 and picture[:, inside].std(1).mean() > 0.7 * picture[:, ~inside].std(1).mean()

    elsewhere = {CHANGED: hidden[CHANGED] | dilate(pan.objects[CHANGED], 3)}
    again = pan.canvas({**hidden, **elsewhere}, cold=False)
    assert again.parent == first.key
    assert np.array_equal(again.background(0).numpy()[:, inside], first.background(0).numpy()[:, inside])

    uncovered = {**hidden, CHANGED: pan.objects[CHANGED], CHANGED + 1: pan.objects[CHANGED + 1]}
    shown, cold = (pan.canvas(uncovered, cold=cold) for cold in (False, True))
    assert shown.parent and not (shown.seen(0).numpy()[inside] == 0).any()
    apart = np.abs(shown.background(0).numpy() - cold.background(0).numpy())[:, inside]
    assert apart.max() < 5 * cold.noise.read**0.5
