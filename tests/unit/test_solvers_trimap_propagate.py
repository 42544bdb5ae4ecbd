"""Keyframes carried by motion alone, where the motion is known: three pixels to the right in every frame."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from penumbra_engine.cache import Stack, Store
from penumbra_engine.solvers.alpha import _at_most_whole
from penumbra_engine.solvers.background import _carried_masks
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.motion import Motion
from penumbra_engine.solvers.trimap.propagate import _fused, _trimap, _whole, propagate
from penumbra_engine.solvers.trimap.regions import depth
from penumbra_engine.solvers.trimap.tracking import track
from stages import finished

HEIGHT, WIDTH, STEP = 24, 64, 3


class Frames:
    """What propagation asks of a shot."""

    frames = (1, 2, 3, 4, 5)
    height, width = HEIGHT, WIDTH


def trimap(index: int) -> np.ndarray:
    """A box with a grey rim of three pixels that has moved `index` steps."""
    drawn = np.zeros((HEIGHT, WIDTH), np.float32)
    left = 8 + STEP * index
    drawn[5:19, left : left + 18] = 0.5
    drawn[8:16, left + 3 : left + 15] = 1
    return drawn


def stack(store: Store, name: str, frames: np.ndarray) -> Stack:
    with store.entry(name) as entry:
        filled = entry.create_stack("frames", frames.shape)
        for index, frame in enumerate(frames):
            filled[index] = frame
        entry.finish()
        return entry.stack("frames")


def carried(folder: Path, keyed: tuple[int, ...], trust: float = 1) -> np.ndarray:
    store = Store(folder)
    flow = np.zeros((5, 6, HEIGHT, WIDTH), np.float32)
    flow[:, 0], flow[:, 3], flow[:, [2, 5]] = STEP, -STEP, trust
    drawn = stack(store, "keys", np.stack([trimap(index)[None] for index in keyed]))
    keyframes = Keyframes("k", drawn, tuple(("box", index) for index in keyed))
    motion, frames = Motion("m", stack(store, "flow", flow)), Frames()
    steps = propagate(frames, None, keyframes, motion, None, store)  # type: ignore[arg-type]
    result = finished(steps)
    return np.stack([result.trimaps[index][0] for index in range(5)])


@pytest.mark.parametrize("keyed", [(0,), (4,), (2,), (0, 4)])
def test_a_trimap_moves_with_the_motion_forward_and_backward(tmp_path: Path, keyed: tuple[int, ...]) -> None:
    found = carried(tmp_path, keyed)
    for index in range(5):
        wrong = found[index] != trimap(index)
        # The rim of what is known gives a pixel to the unknown, never the other way.
        assert (found[index][wrong] == 0.5).all() and wrong.sum() <= 2 * (18 + 14), index
        assert (found[index] == 1).sum() >= 10 * 6, index


def test_a_keyframe_keeps_its_own(tmp_path: Path) -> None:
    assert np.array_equal(carried(tmp_path, (1,))[1], trimap(1))


def test_motion_that_is_not_trusted_leaves_all_unknown(tmp_path: Path) -> None:
    assert (carried(tmp_path, (0,), trust=0)[1:] == 0.5).all()


def moving(store: Store, trust: np.ndarray) -> Motion:
    """Three pixels to the right in every frame; trust: T x H x W."""
    flow = np.zeros((5, 6, HEIGHT, WIDTH), np.float32)
    flow[:, 0], flow[:, 3] = STEP, -STEP
    flow[:, 2], flow[:, 5] = trust, trust
    return Motion("m", stack(store, "flow", flow))


def test_what_two_keyframes_say_is_weighed_by_the_trust_in_the_way_from_each(tmp_path: Path) -> None:
    trust = np.ones((5, HEIGHT, WIDTH), np.float32)
    store = Store(tmp_path)
    motion = moving(store, trust)
    into = store.entry("planes").create_stack("planes", (5, 3, HEIGHT, WIDTH))
    ones, nothing = np.ones((1, HEIGHT, WIDTH), np.float32), np.zeros((1, HEIGHT, WIDTH), np.float32)
    for _ in motion.bring({0: ones, 4: nothing}, into, 1):
        pass
    assert (into[0][1] == 1).all() and (into[4][1] == 0).all()
    assert np.allclose(into[1][1], 0.8 / (0.8 + 0.8**3), atol=1e-4), "one step of trust .8 against three"
    assert (np.stack([into[index][0] for index in range(5)]) == 0).all(), "other planes are left alone"


def test_motion_that_is_not_trusted_at_all_weighs_both_sides_alike(tmp_path: Path) -> None:
    store = Store(tmp_path)
    motion = moving(store, np.zeros((5, HEIGHT, WIDTH), np.float32))
    into = store.entry("planes").create_stack("planes", (5, 2, HEIGHT, WIDTH))
    ones, nothing = np.ones((1, HEIGHT, WIDTH), np.float32), np.zeros((1, HEIGHT, WIDTH), np.float32)
    for _ in motion.bring({0: ones, 4: nothing}, into, 0):
        pass
    assert np.allclose(into[2][0], 0.5) and into[2][1].max() < 1e-4


def rough_masks(folder: Path, keyed: tuple[int, ...]) -> np.ndarray:
    """T x H x W bool, of a box that moves three pixels a frame before a background that rests. Motion is not trusted on
    what the box uncovers, where forward and backward flow miss each other."""
    store, flow = Store(folder), np.zeros((5, 6, HEIGHT, WIDTH), np.float32)
    boxes = np.stack([trimap(index) > 0 for index in range(5)])
    for at, (forward, backward) in enumerate(pairwise(boxes)):
        flow[at, 0], flow[at, 2] = STEP * forward, forward | ~backward
        flow[at + 1, 3], flow[at + 1, 5] = -STEP * backward, backward | ~forward
    drawn = stack(store, "keys", np.stack([trimap(index)[None] for index in keyed]))
    keyframes = Keyframes("k", drawn, tuple(("box", index) for index in keyed))
    steps = _carried_masks(Frames(), keyframes, Motion("m", stack(store, "flow", flow)), store)  # type: ignore[arg-type]
    result = finished(steps)
    return np.stack([result.objects(index)[0] > 0.5 for index in range(5)])


@pytest.mark.parametrize("keyed", [(0,), (2,), (4,), (0, 4)])
def test_the_rough_masks_leave_no_trail_down_to_the_keyframe(tmp_path: Path, keyed: tuple[int, ...]) -> None:
    found = rough_masks(tmp_path, keyed)
    for index in range(5):
        box = trimap(index) > 0
        assert found[index][box].mean() > 0.8, index
        assert found[index][~box].mean() < 0.01, index


def told(values: list[list[float]] | list[float]) -> np.ndarray:
    """Planes of one value each but for a border of nothing, so that every trimap has a background."""
    planes = np.zeros((*np.shape(values), 20, 20), np.float32)
    planes[..., 4:-4, 4:-4] = np.array(values)[..., None, None]
    return planes


def fused(brought: list[list[float]], evidence: list[float], tracked: list[float], depth: float = 2) -> list[float]:
    """What the middle of a frame is in each object's trimap."""
    planes = told(tracked)
    planes[-1] = 1 - planes[:-1].sum(0)
    depths = [depth] * (len(tracked) - 1)
    return [float(of[10, 10]) for of, _ in _fused(told(brought), told(evidence), planes, depths)]


UNLIKE_ANY_KEYFRAME = [0.1, 0.2, 0.1, 1.0]
EXPLAINED = [0.1, 0.2, 0.1, 0.0]


def test_what_motion_brings_and_no_background_explains_is_the_object_however_it_looks() -> None:
    assert fused([[0.9, 0.9, 0.01]], UNLIKE_ANY_KEYFRAME, [0.5, 0.5]) == [1]
    assert fused([[0.9, 0.9, 0.01]], EXPLAINED, [0.5, 0.5]) == [0], "the background explains it"
    assert fused([[0.0, 0.0, 0.01]], UNLIKE_ANY_KEYFRAME, [0.0, 1.0]) == [0], "another thing that moves there"


def test_what_is_tracked_is_sure_as_far_inside_as_in_the_keyframes() -> None:
    lost = [[0.0, 0.0, 0.01]]
    assert fused(lost, [0.1, 0.9, 0.1, 1.0], [0.95, 0.05], depth=8) == [1]
    assert fused(lost, [0.1, 0.9, 0.1, 1.0], [0.95, 0.05], depth=30) == [0.5], "hair as deep as that"


def test_tracking_tells_whose_a_pixel_is_where_two_objects_look_alike() -> None:
    nothing, alike = [[0.0, 0.0, 0.01]] * 2, [0.5, 0.9, 0.7, 0.5, 0.9, 0.7, 1.0]
    assert fused(nothing, alike, [0.95, 0.04, 0.01]) == [1, 0]
    assert fused(nothing, alike, [0.04, 0.95, 0.01]) == [0, 1]
    assert fused(nothing, alike, [0.5, 0.49, 0.01]) == [0.5, 0.5]


def test_a_speck_of_background_in_an_object_is_unknown() -> None:
    inner = np.zeros((100, 100), np.float32)
    inner[20:80, 20:80] = 0.9
    inner[50, 50:53], inner[20:40, 20:40] = 0, 0
    trimap, _ = _trimap(inner, inner)
    assert (trimap[50, 50:53] == 0.5).all(), "three pixels"
    assert (trimap[22:38, 22:38] == 0).all(), "a corner that is open to the background"


def tracked(folder: Path, likely: np.ndarray, trust: float) -> np.ndarray:
    """Of classes C that look as they do (T x C) wherever the box is, what its middle is by tracking; T x C."""
    store = Store(folder)
    motion = moving(store, np.full((5, HEIGHT, WIDTH), trust, np.float32))
    into = store.entry("tracked").create_stack("tracked", (5, likely.shape[1], HEIGHT, WIDTH))
    boxes = np.stack([trimap(index) > 0 for index in range(5)])
    alike = np.full(likely.shape[1], 1.0)
    for _ in track(lambda at: np.where(boxes[at], likely[at][:, None, None], alike[:, None, None]), motion, into):
        pass
    assert np.allclose(np.stack([into[index].sum(0) for index in range(5)]), 1, atol=1e-5)
    return np.stack([into[index][:, 12, 17 + STEP * index] for index in range(5)])


def test_a_part_that_looks_like_another_on_a_frame_is_remembered_from_those_around_it(tmp_path: Path) -> None:
    looks = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.9, 0.1], [0.9, 0.1]])
    assert (tracked(tmp_path / "a", looks, trust=1)[:, 0] > 0.8).all()
    alone = tracked(tmp_path / "b", looks, trust=0)
    assert np.allclose(alone, looks, atol=1e-5), "without motion a frame speaks for itself"


def test_the_middle_of_a_band_is_half_of_its_depth() -> None:
    assert depth([trimap(0)]) == 4, "three grey pixels, and the first white one is four from the black"
    assert depth([np.where(trimap(0) > 0, 0.5, 0).astype(np.float32)]) == np.inf, "smoke is sure nowhere"


def test_objects_hide_no_more_than_all_of_what_is_behind() -> None:
    alpha = np.array([1, 0.75, 0.2], np.float32)[None, :, None].repeat(2, 0)
    alpha[1, :, 0] = 0.4, 0.75, 0.3
    unknown = np.array([[[False], [True], [True]], [[True], [True], [True]]])
    found = _at_most_whole(alpha, unknown)[..., 0]
    assert np.allclose(found, [[1, 0.5, 0.2], [0, 0.5, 0.3]])


def test_what_hangs_on_no_foreground_and_rather_is_another_object_is_left_to_it() -> None:
    drawn, other = np.zeros((20, 60), np.float32), np.full((20, 60), -0.5, np.float32)
    drawn[5:15, 5:15], drawn[7:13, 7:13] = 0.5, 1
    drawn[5:15, 25:30] = drawn[5:15, 45:50] = 0.5  # the other's edge, and a part of its own beyond it
    other[:, 20:35] = 0.5
    found = _whole(drawn, other)
    assert (found[:, 20:35] == 0).all() and (found[:, :20] == drawn[:, :20]).all()
    assert (found[:, 35:] == drawn[:, 35:]).all()


def test_an_object_without_any_foreground_keeps_all_that_may_be_it() -> None:
    drawn = np.zeros((20, 60), np.float32)
    drawn[5:15, 25:30] = 0.5
    assert np.array_equal(_whole(drawn, np.ones_like(drawn)), drawn)
