"""The files of `trimap`, and what it says of bad input, on a shot of a few pixels."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from penumbra.protocol import Keyframe, Result, TrimapJob
from penumbra_engine.errors import EngineError, InputError, UsageError
from penumbra_engine.media import Window, read_picture
from penumbra_engine.media.windows import place
from penumbra_engine.solvers import memory
from penumbra_engine.solvers.jobs import run
from penumbra_engine.solvers.trimap import likeness
from penumbra_engine.solvers.trimap.regions import regions
from pictures import write
from stages import finished

FRAMES = range(1001, 1013)
KEYED = (1001, 1012)


def solve(job: TrimapJob, cache: Path) -> Result:
    return finished(run(job, cache))


@pytest.fixture(autouse=True, scope="module")
def short_training() -> Iterator[None]:
    with mock.patch.dict(likeness._STEPS, draft=40):
        yield


@pytest.fixture(scope="module")
def make(tiny_shot: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TrimapJob]:
    """A job on the tiny shot with trimaps on its ends; `changes` are fields of it."""
    folder = tmp_path_factory.mktemp("keyframes")
    for frame in FRAMES:
        write(folder / f"trimap.{frame}.png", regions(tiny_shot.alpha[frame - FRAMES[0]][..., 0])[..., None], "uint8")

    def job(out: Path, keyed: tuple[int, ...] = KEYED, **changes: Any) -> TrimapJob:
        keyframes = [Keyframe("ball", frame, str(folder / f"trimap.{frame}.png")) for frame in keyed]
        fields = {"plate": tiny_shot.plate, "frames": tiny_shot.frames, "keyframes": keyframes, "quality": "draft"}
        return TrimapJob(**{"colorspace": "lin_rec709_scene", "out": str(out), **fields, **changes})

    return job


@pytest.fixture(scope="module")
def solved(make: Callable[..., TrimapJob], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Result]:
    out, cache = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("cache")
    return out, cache, solve(make(out), cache)


def pixels(out: Path, name: str, frame: int) -> np.ndarray:
    picture = read_picture(out / name / f"{name}.{frame}.exr")
    return place(picture.pixels, picture.window, Window(0, 0, 48, 32))


def test_every_promised_file_is_there_and_no_other(solved: tuple[Path, Path, Result]) -> None:
    out, _, result = solved
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    wanted = {f"{name}/{name}.{frame}.exr" for name in ("ball", "ball_trimap", "confidence") for frame in FRAMES}
    assert files == wanted | {"report.json", "overview.png"}
    assert set(result.layers) == {"ball", "ball_trimap"} and result.frames == "1001-1012"


def test_trimaps_hold_three_values_and_keep_the_keyframes(solved: tuple[Path, Path, Result], tiny_shot: Any) -> None:
    out, _, _ = solved
    for frame in FRAMES:
        picture = read_picture(out / "ball_trimap" / f"ball_trimap.{frame}.exr")
        assert picture.channels == ("A",)
        assert set(np.unique(picture.pixels)) <= {0.0, 0.5, 1.0}
    for frame in KEYED:
        truth = regions(tiny_shot.alpha[frame - FRAMES[0]][..., 0])
        assert np.array_equal(pixels(out, "ball_trimap", frame)[..., 0], truth)


def test_what_lies_between_the_keyframes_is_found(solved: tuple[Path, Path, Result], tiny_shot: Any) -> None:
    out, _, _ = solved
    for frame in FRAMES:
        error = np.abs(pixels(out, "ball", frame)[..., 3] - tiny_shot.alpha[frame - FRAMES[0]][..., 0])
        assert error.mean() < 0.02, frame  # the ball covers some 8 % of the picture


def test_alpha_agrees_with_its_trimap_and_layers_are_premultiplied(solved: tuple[Path, Path, Result]) -> None:
    out, _, _ = solved
    for frame in FRAMES:
        layer, trimap = pixels(out, "ball", frame), pixels(out, "ball_trimap", frame)[..., 0]
        assert (layer[trimap == 1][:, 3] == 1).all() and (layer[trimap == 0] == 0).all()
        assert layer[..., 3].min() >= 0 and layer[..., 3].max() <= 1


def test_the_report_says_how_and_where_to_key_next(solved: tuple[Path, Path, Result]) -> None:
    report = json.loads(Path(solved[2].report).read_text())
    assert report["next_keyframe"] in set(FRAMES) - set(KEYED)
    assert report["propagation"]["by"] == "both" and report["alpha"]["solver"] == "closed-form"
    assert report["alpha"]["background"] is True, "the camera stands"
    assert max(report["alpha"]["residual"].values()) <= 1e-4
    assert any(f"on frame {report['next_keyframe']}" in text for text in report["warnings"])


def test_a_cancelled_solve_goes_on_and_gives_the_same(
    solved: tuple[Path, Path, Result], make: Callable[..., TrimapJob], tmp_path: Path
) -> None:
    out, cache = tmp_path / "out", tmp_path / "cache"
    steps = run(make(out), cache)
    while next(steps).stage != "likeness":
        pass
    for _ in range(20):
        next(steps)
    steps.close()
    assert not list(out.rglob("*.exr"))
    solve(make(out), cache)
    for frame in FRAMES:
        assert np.array_equal(pixels(out, "ball", frame), pixels(solved[0], "ball", frame))


@pytest.mark.parametrize(("frame", "twice"), [(1006, False), (1001, True)])
def test_where_the_camera_stands_a_background_is_looked_for_once_more_from_a_keyframe_at_one_end(
    frame: int, twice: bool, make: Callable[..., TrimapJob], tmp_path: Path
) -> None:
    steps, stages = run(make(tmp_path / "out", keyed=(frame,)), tmp_path / "cache"), list[str]()
    while "likeness" not in stages:  # which comes after both
        stages.append(next(steps).stage)
    steps.close()
    assert "background" in stages and ("uncover" in stages) == twice


def test_motion_alone_needs_no_training(make: Callable[..., TrimapJob], tmp_path: Path) -> None:
    result = solve(make(tmp_path / "out", propagation="flow"), tmp_path / "cache")
    report = json.loads(Path(result.report).read_text())
    assert "likeness" not in report["seconds"] and "motion" in report["seconds"]
    assert report["alpha"]["background"] is False


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.0, r"--keyframe ball, frame 1005: .*ball.png has no background \(black\)"),
        (0.5, r"--keyframe ball, frame 1005: .*ball.png has no background \(black\)"),
        (0.0, r"--keyframe ball, frame 1005: .*ball.png has neither foreground nor an unknown region"),
    ],
)
def test_a_trimap_of_one_value_is_refused(
    make: Callable[..., TrimapJob], tmp_path: Path, value: float, message: str
) -> None:
    path = write(tmp_path / "ball.png", np.full((32, 48, 1), value), "uint8")
    with pytest.raises(InputError, match=message):
        solve(make(tmp_path / "out", keyframes=[Keyframe("ball", 1005, path)]), tmp_path / "cache")
    assert not list((tmp_path / "out").rglob("*.exr"))


def test_no_foreground_is_legal(make: Callable[..., TrimapJob], tmp_path: Path) -> None:
    smoke = np.zeros((32, 48, 1))
    smoke[8:24, 8:40] = 0.5
    path = write(tmp_path / "smoke.png", smoke, "uint8")
    job = make(tmp_path / "out", keyframes=[Keyframe("smoke", 1005, path)], propagation="flow", write="1005")
    solve(job, tmp_path / "cache")
    assert set(np.unique(pixels(tmp_path / "out", "smoke_trimap", 1005))) == {0.0, 0.5}


def test_keyframes_outside_the_range_or_of_another_size_are_refused(
    make: Callable[..., TrimapJob], tmp_path: Path
) -> None:
    path = write(tmp_path / "ball.png", np.zeros((16, 16, 1)), "uint8")
    with pytest.raises(UsageError, match=r"frame 1050 is none of --frames"):
        solve(make(tmp_path / "out", keyframes=[Keyframe("ball", 1050, path)]), tmp_path / "cache")
    with pytest.raises(InputError, match=r"frame 1005: .* is 16x16, the plate is 48x32"):
        solve(make(tmp_path / "out", keyframes=[Keyframe("ball", 1005, path)]), tmp_path / "cache")


def test_a_solver_that_there_is_none_of_is_refused(make: Callable[..., TrimapJob], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--solver: .*no alpha solver 'magic'"):
        solve(make(tmp_path / "out", solver="magic"), tmp_path / "cache")


def test_a_plate_that_memory_cannot_hold_is_refused_before_a_frame_is_read(
    make: Callable[..., TrimapJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 1e7)
    with pytest.raises(EngineError, match=r"unknown, takes about 0\.1 GB of memory and 0\.0 GB are free here"):
        solve(make(tmp_path / "out"), tmp_path / "cache")
    assert not (tmp_path / "cache" / "decode").exists()
