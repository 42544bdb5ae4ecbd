"""The background of a travelling camera, on a scene that is known: a wall, a post in front of it, and between the two a
disc with a shadow that walks past."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from penumbra_engine.cache import Stack, Store
from penumbra_engine.imaging.lens import Lens
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.imaging.pinhole import Cameras
from penumbra_engine.media import Shot
from penumbra_engine.solvers.masks import Masks
from penumbra_engine.solvers.omnimatte.canvas import Canvas, build_canvas
from penumbra_engine.solvers.omnimatte.flow import Flow
from penumbra_engine.solvers.omnimatte.footage import Footage
from penumbra_engine.solvers.omnimatte.geometry import Geometry, solve_geometry
from penumbra_engine.solvers.omnimatte.multiview import MultiView, frames_around
from penumbra_engine.solvers.omnimatte.register import Registration
from penumbra_engine.solvers.plates import Plates
from stages import finished

COUNT, HEIGHT, WIDTH = 16, 40, 72
FAR, NEAR = 0.1, 0.2  # inverse depths: the wall moves by 1 px a frame, the post by 2
HANGING = 0.14
Solved = tuple[Canvas, np.ndarray, np.ndarray]


@pytest.fixture(scope="module", params=[False, True], ids=["of all frames", "of half as many"])
def solved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Solved:
    """The canvas, the true backgrounds T x 3 x H x W, and where disc or shadow touch, T x H x W."""
    random = np.random.default_rng(3)
    texture = np.kron(0.2 + 0.4 * random.random((3, HEIGHT // 2, (WIDTH + COUNT) // 2)), np.ones((2, 2)))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    folder = tmp_path_factory.mktemp("multi-view")
    backgrounds, touched = [], []
    with Store(folder).entry("shot") as entry:
        plate = entry.create_stack("plate", (COUNT, 3, HEIGHT, WIDTH))
        masks = entry.create_stack("masks", (COUNT, 1, HEIGHT, WIDTH), np.uint8)
        measured = entry.create_stack("measured", (COUNT, 2, HEIGHT, WIDTH))
        depth = entry.create_stack("depth", (COUNT, 1, HEIGHT, WIDTH))
        flow = entry.create_stack("flow", (COUNT, 3, HEIGHT, WIDTH))
        for index in range(COUNT):
            post = (x >= 50 - 2 * index) & (x < 54 - 2 * index)
            wall = texture[:, :, index : index + WIDTH]
            disc = (np.hypot(x - 8 - 3 * index, y - 12) < 5) & ~post
            shadow = (np.hypot(x - 8 - 3 * index, (y - 30) * 2) < 8) & ~post
            backgrounds.append(np.where(post, 0.08, wall))
            picture = np.where(disc, 0.9, np.where(shadow, 0.5, 1) * backgrounds[-1])
            touched.append(disc | shadow)
            plate[index] = (picture + 0.004 * random.standard_normal(picture.shape)).astype(np.float32)
            masks[index] = 255 * disc[None].astype(np.uint8)
            # Its outline moves over the wall, so that it is matched as if it hung before it.
            outline = shadow & (x > 13 + 3 * index)
            matched = np.where(outline, HANGING, np.where(post, NEAR, FAR)).astype(np.float32)
            measured[index], depth[index] = np.stack([matched, ~disc]), matched[None]
    pose = torch.eye(3, 4, dtype=torch.float64).repeat(COUNT, 1, 1)
    pose[:, 0, 3] = -0.2 * torch.arange(COUNT)
    view = Cameras(pose, 50.0, ((WIDTH - 1) / 2, (HEIGHT - 1) / 2), 0.0)
    still = np.tile(np.eye(3), (COUNT, 1, 1))
    shot = SimpleNamespace(frames=tuple(range(COUNT)), height=HEIGHT, width=WIDTH, levels=lambda: np.zeros(0))
    steps = build_canvas(
        Footage(
            cast(Shot, shot),
            cast(Plates, SimpleNamespace(plate=cast(Stack, plate))),
            Masks("masks", masks),
            Registration("cameras", "homography", COUNT // 2, still, np.zeros(COUNT), np.zeros(COUNT, int), PINHOLE),
            Flow("flow", flow),
        ),
        Store(folder),
        Geometry("geometry", "", view, depth, np.full(COUNT, 0.01), measured),
        rough=request.param,
    )
    return finished(steps), np.stack(backgrounds), np.stack(touched)


PINHOLE = Lens(0.0, WIDTH, HEIGHT)


def test_what_objects_and_shadows_hide_is_fetched_from_other_frames(
    solved: Solved,
) -> None:
    canvas, truth, touched = solved
    for index in (2, 8, 13):
        missed = np.abs(canvas.background(index).numpy() - truth[index])[:, touched[index]]
        assert missed.mean() < 0.02  # a shadow left in would be 0.2
        assert np.quantile(missed, 0.9) < 0.03


def test_a_post_in_front_of_an_object_stays_in_the_background(solved: Solved) -> None:
    canvas, truth, _ = solved
    index = 8  # the disc at 32 is behind the post at 34 to 37
    behind = canvas.background(index).numpy()[:, 9:16, 35:37]
    assert np.abs(behind - truth[index][:, 9:16, 35:37]).max() < 0.05
    assert (canvas.seen(index).numpy()[9:16, 35:37] > 0.5).all()


def test_beside_a_post_depth_is_not_sure(solved: Solved) -> None:
    sure = solved[0].sure(4)  # the post at 42 to 45
    assert sure is not None
    assert not sure[:, 38:50].any() and sure[2:-2, 56:].all()


def test_an_untouched_frame_fits_its_background_to_the_noise(solved: Solved) -> None:
    canvas, *_ = solved
    assert np.median(canvas.misfit) < 1.5


def test_what_comes_into_view_on_one_frame_is_seen_there(solved: Solved) -> None:
    canvas, backgrounds, _ = solved
    error = canvas.background(COUNT - 1).numpy() - backgrounds[-1]
    assert np.abs(error[..., -1]).mean() < 0.01
    assert (canvas.seen(COUNT - 1)[:, -1] > 0).all()


def test_at_the_end_of_a_shot_as_many_frames_are_asked_as_in_its_middle() -> None:
    assert sorted(frames_around(20, 41, (1, 3, 8))) == [12, 17, 19, 21, 23, 28]
    assert sorted(frames_around(40, 41, (1, 3, 8))) == [32, 35, 36, 37, 38, 39]
    assert sorted(frames_around(0, 4, (1, 3, 8))) == [1, 2, 3]


def test_behind_other_masks_poses_and_what_was_measured_stay(tmp_path: Path) -> None:
    """A wall with a box before it that was matched as if it were the scene, until its masks are known."""
    store, at = Store(tmp_path), slice(10, 20)
    pose = torch.eye(3, 4, dtype=torch.float64).repeat(COUNT, 1, 1)
    pose[:, 0, 3] = -0.2 * torch.arange(COUNT)
    view = Cameras(pose, 50.0, ((WIDTH - 1) / 2, (HEIGHT - 1) / 2), 0.0)
    with store.entry("shot") as entry:
        masks = entry.create_stack("masks", (COUNT, 1, HEIGHT, WIDTH), np.uint8)
        measured = entry.create_stack("measured", (COUNT, 2, HEIGHT, WIDTH))
        for index in range(COUNT):
            box = np.zeros((HEIGHT, WIDTH), bool)
            box[at, 4 + 5 * index : 14 + 5 * index] = True
            masks[index] = 255 * box[None].astype(np.uint8)
            measured[index] = np.stack([np.where(box, NEAR, FAR), np.ones((HEIGHT, WIDTH))]).astype(np.float32)
    earlier = Geometry("geometry", "why", view, measured, np.full(COUNT, 0.01), measured)
    shot = cast(Shot, SimpleNamespace(height=HEIGHT, width=WIDTH))
    none = cast(Any, SimpleNamespace(key="none"))
    footage = Footage(shot, none, Masks("masks", masks), none, none)
    found = finished(solve_geometry(footage, store, earlier))
    assert found.depth is not None and found.cameras is not None and found.measured is not None
    assert torch.equal(found.cameras.pose, pose) and found.cameras.centre == view.centre
    assert (found.measured[7] == measured[7]).all() and found.why == "why"
    behind = found.depth[7][0, at, 39:49]
    assert np.abs(behind - FAR).max() < 0.1 * (NEAR - FAR)


def test_what_is_no_shadow_and_far_from_the_objects_may_be_the_scene_itself() -> None:
    random = torch.Generator().manual_seed(0)
    background = 0.3 + 0.3 * torch.rand(3, HEIGHT, WIDTH, generator=random)
    picture, other = background.clone(), 0.3 + 0.3 * torch.rand(3, HEIGHT, WIDTH, generator=random)
    picture[:, 2:12, 40:50] = other[:, 2:12, 40:50]  # leaves
    picture[:, 20:38, 40:60] *= 0.6  # a shadow
    picture[:, 25:35, 10:20] = other[:, 25:35, 10:20]  # a hand that the mask leaves out
    view = SimpleNamespace(
        exposed=SimpleNamespace(read=lambda index: picture),
        noise=Noise(1e-6, 1e-5),
        tolerance=torch.zeros(HEIGHT, WIDTH),
        _near_objects=lambda index: np.arange(WIDTH) < np.full((HEIGHT, 1), 30),
    )
    found = MultiView._on_its_own(cast(MultiView, view), 0, background)
    assert found[3:11, 41:49].all() and not found[25:33, 45:55].any() and not found[:, :30].any()
