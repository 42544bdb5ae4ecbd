"""The files of `matte`, and what it says of bad input: a network trained for a few steps on a shot of a few pixels."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from penumbra.protocol import Keyframe, MatteJob, Progress, Result
from penumbra_engine.errors import InputError, PenumbraError, UsageError
from penumbra_engine.media import read_picture
from penumbra_engine.solvers.jobs import run
from pictures import write
from rvm_weights import rvm_home

FRAMES = range(1001, 1013)
KEYED = (1001, 1007, 1012)
STEPS = 4


def solve(job: MatteJob, cache: Path) -> tuple[Result, list[Progress]]:
    steps, seen = run(job, cache), []
    try:
        while True:
            seen.append(next(steps))
    except StopIteration as end:
        return end.value, seen


@pytest.fixture(scope="module")
def make(tiny_shot: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., MatteJob]:
    """A job on the tiny shot with its true mattes on three frames; `changes` are fields of it."""
    folder = tmp_path_factory.mktemp("keyframes")
    for frame in FRAMES:
        write(folder / f"matte.{frame}.exr", tiny_shot.alpha[frame - FRAMES[0]])

    def job(out: Path, keyed: tuple[int, ...] = KEYED, **changes: Any) -> MatteJob:
        keyframes = [Keyframe("ball", frame, str(folder / f"matte.{frame}.exr")) for frame in keyed]
        fields = {"plate": tiny_shot.plate, "frames": tiny_shot.frames, "steps": STEPS, "keyframes": keyframes}
        return MatteJob(**{"colorspace": "lin_rec709_scene", "out": str(out), **fields, **changes})

    return job


class Solved(NamedTuple):
    out: Path
    cache: Path
    result: Result
    seen: list[Progress]


@pytest.fixture(scope="module")
def solved(make: Callable[..., MatteJob], tmp_path_factory: pytest.TempPathFactory) -> Solved:
    out, cache = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("cache")
    return Solved(out, cache, *solve(make(out), cache))


def test_every_promised_file_is_there_and_no_other(solved: Solved) -> None:
    out, result = solved.out, solved.result
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    wanted = {f"{name}/{name}.{frame}.exr" for name in ("ball", "confidence") for frame in FRAMES}
    assert files == wanted | {"report.json", "overview.png"}
    assert result.layers == {"ball": str(out / "ball")} and result.frames == "1001-1012"


def test_a_keyed_frame_has_the_matte_it_was_given_and_its_own_colour(solved: Solved, tiny_shot: Any) -> None:
    from penumbra_engine.media import Window
    from penumbra_engine.media.windows import place

    picture = read_picture(solved.out / "ball" / "ball.1007.exr")
    assert picture.channels == tuple("RGBA")
    pixels = place(picture.pixels, picture.window, Window(0, 0, 48, 32))
    truth = tiny_shot.alpha[6][..., 0]
    assert np.abs(pixels[..., 3] - truth).max() < 1e-3
    # Premultiplied: the disc's one colour times its alpha, in the soft edge too.
    assert np.abs(pixels[..., :3] - truth[..., None] * np.float32([0.8, 0.3, 0.1])).max() < 0.06


def test_confidence_is_full_where_the_artist_was(solved: Solved) -> None:
    confidence = read_picture(solved.out / "confidence" / "confidence.1001.exr")
    assert confidence.channels == ("A",)
    assert confidence.pixels.min() == 1
    other = read_picture(solved.out / "confidence" / "confidence.1004.exr").pixels
    assert other.min() >= 0 and other.max() <= 1


def test_the_report_names_the_fit_and_a_frame_to_key_next(solved: Solved) -> None:
    report = json.loads(Path(solved.result.report).read_text())
    assert report["next_keyframe"] in set(FRAMES) - set(KEYED)
    assert report["fit"]["parent"] == "" and report["fit"]["loss"] > 0 and report["fit"]["steps"] == STEPS
    stages = ("decode", "keyframes", "background", "sketch", "uncover", "train", "matte", "join", "write", "all")
    assert tuple(report["seconds"]) == stages


def test_a_cancelled_training_goes_on_where_it_was_to_the_same_mattes(
    solved: Solved, make: Callable[..., MatteJob], tmp_path: Path
) -> None:
    steps = run(make(tmp_path / "out"), tmp_path / "cache")
    for progress in steps:
        if progress.stage == "train" and progress.done == progress.total - 1:
            break
    steps.close()
    assert not list((tmp_path / "out").iterdir())  # no preview is left either
    solve(make(tmp_path / "out"), tmp_path / "cache")
    for path in (solved.out / "ball").iterdir():
        assert np.array_equal(read_picture(tmp_path / "out" / "ball" / path.name).pixels, read_picture(path).pixels)


def test_a_keyframe_more_starts_from_the_last_network(
    solved: Solved, make: Callable[..., MatteJob], tmp_path: Path
) -> None:
    cache = solved.cache
    first = json.loads(Path(solved.result.report).read_text())["fit"]["key"]
    more = (*KEYED, 1004)
    warm = solve(make(tmp_path / "warm", keyed=more), cache)[0]
    assert json.loads(Path(warm.report).read_text())["fit"]["parent"] == first
    cold = solve(make(tmp_path / "cold", keyed=more, cold=True), cache)[0]
    assert json.loads(Path(cold.report).read_text())["fit"]["parent"] == ""


def test_a_rough_mask_is_hard_and_can_be_read_as_one(
    solved: Solved, make: Callable[..., MatteJob], tmp_path: Path
) -> None:
    solve(make(tmp_path, as_mask=True, write="1007"), solved.cache)
    mask = read_picture(tmp_path / "ball" / "ball.1007.exr").pixels[..., 3]
    assert set(np.unique(mask)) == {0, 1}


def test_progress_shows_where_the_preview_is(
    make: Callable[..., MatteJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penumbra_engine.solvers.matte.overview._EVERY", 0)
    steps, told = run(make(tmp_path / "out"), tmp_path / "cache"), []
    for progress in steps:
        if progress.stage in ("sketch", "train") and progress.done:
            told.append(progress.message)
            assert (tmp_path / "out" / "preview.png").read_bytes().startswith(b"\x89PNG")
        if len(told) == 3:
            break
    steps.close()
    # The second stage goes on counting where the first ended. (A preview may take no more than a tenth of the time.)
    assert told[0] == f"step 1, preview {tmp_path / 'out' / 'preview.png'}"


def test_objects_keyed_on_different_frames_share_a_network(
    make: Callable[..., MatteJob], tiny_shot: Any, tmp_path: Path
) -> None:
    shade = write(tmp_path / "shade.exr", 2 - 2 * tiny_shot.shade[5])
    keyframes = [*make(tmp_path, keyed=(1001, 1012)).keyframes, Keyframe("shadow", 1006, shade)]
    result, _ = solve(make(tmp_path / "out", keyframes=keyframes, steps=2), tmp_path / "cache")
    assert list(result.layers) == ["ball", "shadow"]
    for name, frame, truth in (("ball", 1012, tiny_shot.alpha[11]), ("shadow", 1006, 2 - 2 * tiny_shot.shade[5])):
        alpha = read_picture(tmp_path / "out" / name / f"{name}.{frame}.exr").pixels[..., 3]
        assert alpha.sum() == pytest.approx(truth.sum(), rel=1e-3)


def test_progress_never_goes_back(solved: Solved) -> None:
    fractions = [progress.fraction for progress in solved.seen]
    assert fractions == sorted(fractions) and fractions[-1] <= 1


def test_one_frame_of_odd_size_is_enough(tmp_path: Path) -> None:
    y, x = np.mgrid[0:33, 0:47].astype(np.float32)
    alpha = np.clip(8.5 - np.hypot(x - 20, y - 16), 0, 1)[..., None]
    plate = write(tmp_path / "plate.0001.exr", 0.2 + 0.5 * alpha.repeat(3, 2))
    key = Keyframe("ball", 1, write(tmp_path / "matte.0001.exr", alpha))
    job = MatteJob(plate, "1", "lin_rec709_scene", str(tmp_path / "out"), keyframes=[key], steps=2)
    result, _ = solve(job, tmp_path / "cache")
    assert json.loads(Path(result.report).read_text())["next_keyframe"] is None
    assert any("without its background" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"model": "rvm", "keyframes": [], "steps": 0}, UsageError, "penumbra models add"),
        ({"model": "rvm", "keyframes": [Keyframe(n, 1001, "/matte.exr") for n in "ab"]}, UsageError, "one thing"),
        ({"model": "rvm", "keyframes": []}, UsageError, "--steps"),
        ({"downsample": 0.5}, UsageError, "--downsample"),
        ({"both_directions": True}, UsageError, "--both-directions"),
        ({"keyframes": []}, UsageError, "--keyframe"),
        ({"keyframes": [Keyframe("ball", 2000, "/matte.exr")]}, UsageError, "frame 2000"),
    ],
)
def test_what_it_cannot_do_is_refused(
    make: Callable[..., MatteJob], tmp_path: Path, changes: dict[str, Any], error: type[PenumbraError], said: str
) -> None:
    with pytest.raises(error, match=said):
        solve(make(tmp_path / "out", **changes), tmp_path / "cache")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((32, 48, 1)), r"frame 1003.*empty"),
        (np.ones((32, 48, 1)), r"frame 1003.*covers every pixel"),
        (np.zeros((20, 48, 1)), r"frame 1003.*48x20.*48x32"),
    ],
)
def test_a_keyframe_that_teaches_nothing_is_refused(
    make: Callable[..., MatteJob], tmp_path: Path, pixels: np.ndarray, said: str
) -> None:
    key = Keyframe("ball", 1003, write(tmp_path / "bad.exr", pixels))
    with pytest.raises(InputError, match=said):
        solve(make(tmp_path / "out", keyframes=[key]), tmp_path / "cache")


@pytest.fixture(scope="module")
def weights_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rvm_home(tmp_path_factory.mktemp("home"))


def streamed(make: Callable[..., MatteJob], out: Path, **changes: Any) -> MatteJob:
    return make(out, **{"model": "rvm", "keyframes": [], "steps": 0, **changes})


def test_the_users_own_weights_matte_without_guidance(
    make: Callable[..., MatteJob], weights_home: Path, tiny_shot: Any, tmp_path: Path
) -> None:
    result, _ = solve(streamed(make, tmp_path, both_directions=True, downsample=0.5), weights_home / "cache")
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    wanted = {f"{name}/{name}.{frame}.exr" for name in ("matte", "confidence") for frame in FRAMES}
    assert files == wanted | {"report.json", "overview.png"} and list(result.layers) == ["matte"]
    report = json.loads(Path(result.report).read_text())
    assert len(report["network"].pop("sha256")) == 64
    assert report["network"] == {"kind": "rvm-mobilenetv3", "licence": "GPL-3.0", "ratio": 0.5, "both": True}
    picture = read_picture(tmp_path / "matte" / "matte.1005.exr")
    assert picture.metadata["penumbra:model"] == "rvm-mobilenetv3"
    assert picture.pixels[..., 3].min() >= 0 and picture.pixels[..., 3].max() <= 1 and picture.pixels[..., 3].any()


def test_a_stream_that_was_cancelled_remembers_what_it_saw(
    make: Callable[..., MatteJob], weights_home: Path, tmp_path: Path
) -> None:
    import shutil

    whole, again = tmp_path / "whole", tmp_path / "again"
    for home in (whole, again):
        shutil.copytree(weights_home / "models", home / "models")
    solve(streamed(make, whole / "out"), whole / "cache")
    steps = run(streamed(make, again / "out"), again / "cache")
    for progress in steps:
        if progress.stage == "matte" and progress.done == 11:  # its memory was kept after frame 10
            break
    steps.close()
    _, seen = solve(streamed(make, again / "out"), again / "cache")
    assert [p.done for p in seen if p.stage == "matte" and p.total == len(FRAMES)] == [11, 12]
    for path in (whole / "out" / "matte").iterdir():
        assert np.array_equal(read_picture(path).pixels, read_picture(again / "out" / "matte" / path.name).pixels)


def test_the_users_own_weights_are_tuned_to_keyframes(
    make: Callable[..., MatteJob], weights_home: Path, tiny_shot: Any, tmp_path: Path
) -> None:
    result, _ = solve(make(tmp_path, model="rvm", steps=2), weights_home / "cache")
    assert list(result.layers) == ["ball"]
    report = json.loads(Path(result.report).read_text())
    assert report["network"]["kind"] == "rvm-mobilenetv3" and report["fit"]["steps"] == 3  # one of each part at least
    assert report["next_keyframe"] in set(FRAMES) - set(KEYED)
    keyed = read_picture(tmp_path / "ball" / "ball.1007.exr")
    assert keyed.metadata["penumbra:model"] == "rvm-mobilenetv3"
    assert keyed.pixels[..., 3].sum() == pytest.approx(tiny_shot.alpha[6].sum(), rel=1e-3)
