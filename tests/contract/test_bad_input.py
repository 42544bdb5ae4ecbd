"""Bad input: an exit code, one message that names the culprit and what to do, and nothing half-written."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from penumbra_engine.cli import main
from pictures import write
from tiny_shot import TinyShot

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def shot(tiny_shot: TinyShot, tmp_path: Path) -> Path:
    """A copy of the tiny shot that a test may damage."""
    folder = tmp_path / "shot"
    shutil.copytree(tiny_shot.folder, folder)
    return folder


@pytest.fixture
def run(shot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command with the shot's own words, some of them replaced; exit code and message. Checks that the message
    is one line, that --json says the same, and that nothing was written."""

    def run(**changed: str | list[str] | None) -> tuple[int, str]:
        words: dict[str, str | list[str] | None] = {
            "plate": str(shot / "plate.####.exr"),
            "frames": "1001-1012",
            "colorspace": "lin_rec709_scene",
            "mask": [f"ball={shot / 'mask.####.png'}"],
            "out": str(tmp_path / "out"),
            "quality": "draft",
            **changed,
        }
        arguments = ["run", "omnimatte", "--in-process", "--json"]
        for name, value in words.items():
            for one in [value] if isinstance(value, str) else value or []:
                arguments += [f"--{name.replace('_', '-')}", one]
        code = main(arguments)
        said = capsys.readouterr()
        message = said.err.strip().splitlines()[-1].removeprefix("penumbra: ")
        failure = json.loads(said.out)
        assert failure["message"] == message and failure["code"] == code
        assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        return code, message

    return run


def test_a_missing_frame_in_the_middle(run: Run, shot: Path) -> None:
    (shot / "plate.1005.exr").unlink()
    code, message = run()
    assert code == 3
    assert "--plate" in message and "1005" in message


def test_frames_outside_the_files(run: Run) -> None:
    code, message = run(frames="1001-1020")
    assert code == 3
    assert "--plate" in message and "1013" in message and "1001-1012" in message


def test_a_range_that_runs_backwards(run: Run) -> None:
    code, message = run(frames="1012-1001")
    assert code == 2
    assert "--frames" in message or "1012-1001" in message
    assert "1001-1012" in message


def test_frames_to_write_that_are_not_solved(run: Run) -> None:
    code, message = run(write="1010-1014")
    assert code == 2
    assert "--write" in message and "1013" in message


def test_one_frame_only(run: Run) -> None:
    code, message = run(frames="1004")
    assert code == 4
    assert "--frames" in message and "1004" in message


@pytest.mark.parametrize("damage", ["truncated", "not a picture", "empty"])
def test_a_corrupt_frame(run: Run, shot: Path, damage: str) -> None:
    path = shot / "plate.1006.exr"
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[: len(whole) // 2], "not a picture": b"hello" * 100, "empty": b""}[damage])
    code, message = run()
    assert code == 3
    assert "plate.1006.exr" in message and "1006" in message


def test_a_plate_with_a_pixel_that_is_no_number(run: Run, shot: Path) -> None:
    pixels = np.full((32, 48, 3), 0.2, np.float32)
    pixels[4, 5] = np.nan
    write(shot / "plate.1003.exr", pixels)
    code, message = run()
    assert code == 3
    assert "plate.1003.exr" in message and "x=5 y=4" in message


def test_a_mask_of_another_size(run: Run, shot: Path) -> None:
    write(shot / "mask.1007.png", np.zeros((20, 48, 1), np.uint8), "uint8")
    code, message = run()
    assert code == 3
    assert "mask.1007.png" in message and "48x20" in message and "48x32" in message


def test_a_mask_that_is_empty_on_all_frames(run: Run, shot: Path) -> None:
    for path in shot.glob("mask.*.png"):
        write(path, np.zeros((32, 48, 1), np.uint8), "uint8")
    code, message = run()
    assert code == 3
    assert "ball" in message and "empty on all frames" in message


def test_black_frames_are_told_of(shot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for frame in (1005, 1008):
        write(shot / f"plate.{frame}.exr", np.zeros((32, 48, 3), np.float32))
    words = ["--plate", str(shot / "plate.####.exr"), "--frames", "1001-1012", "--colorspace", "lin_rec709_scene"]
    words += ["--mask", f"ball={shot / 'mask.####.png'}", "--quality", "draft", "--out", str(tmp_path / "out")]
    assert main(["run", "omnimatte", "--in-process", *words]) == 0
    assert "frames 1005,1008: every pixel of the plate is 0" in capsys.readouterr().err


@pytest.mark.parametrize("value", [1, 100])  # as of a mask that was saved as 0 and 1, or faded
def test_a_mask_that_is_nowhere_half_white(run: Run, shot: Path, value: int) -> None:
    for path in shot.glob("mask.*.png"):
        pixels = np.zeros((32, 48, 1), np.uint8)
        pixels[8:16, 8:16] = value
        write(path, pixels, "uint8")
    code, message = run()
    assert code == 3
    assert "ball" in message and f"nowhere brighter than {value / 255:.2g}" in message and "white (1)" in message


def test_one_mask_for_two_objects(run: Run, shot: Path) -> None:
    code, message = run(mask=[f"{name}={shot / 'mask.####.png'}" for name in ("ball", "kite")])
    assert code == 2
    assert "--mask kite" in message and "mask of ball too" in message


def test_a_still_instead_of_the_sequence(run: Run, shot: Path) -> None:
    code, message = run(plate=str(shot / "plate.1003.exr"))
    assert code == 4
    assert "plate.1003.exr is one still" in message and "plate.####.exr" in message


@pytest.mark.parametrize("node", ["omnimatte", "clean-plate", "trimap", "matte"])
def test_a_plate_of_a_few_pixels(shot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], node: str) -> None:
    for frame in range(1001, 1013):
        write(shot / f"plate.{frame}.exr", np.full((8, 64, 3), 0.2, np.float32))
        write(shot / f"mask.{frame}.png", np.pad(np.full((4, 4, 1), 255, np.uint8), ((2, 2), (4, 56), (0, 0))), "uint8")
    hint = {
        "omnimatte": ["--mask", f"ball={shot / 'mask.####.png'}"],
        "clean-plate": ["--clean-plate", str(shot / "plate.1001.exr")],
    }.get(node, ["--keyframe", f"1001={shot / 'mask.1001.png'}"])
    words = ["--plate", str(shot / "plate.####.exr"), "--frames", "1001-1012", "--colorspace", "lin_rec709_scene"]
    assert main(["run", node, "--in-process", *words, *hint, "--out", str(tmp_path / "out")]) == 3
    assert "is 64x8; give a plate of at least 16x16 pixels" in capsys.readouterr().err


def test_missing_mask_files(run: Run, shot: Path) -> None:
    (shot / "mask.1009.png").unlink()
    code, message = run()
    assert code == 3
    assert "1009" in message and "--mask-missing empty" in message


def test_missing_mask_files_may_mean_that_the_object_is_off_screen(shot: Path, tmp_path: Path) -> None:
    (shot / "mask.1012.png").unlink()
    words = ["--plate", str(shot / "plate.####.exr"), "--frames", "1001-1012", "--colorspace", "lin_rec709_scene"]
    words += ["--mask", f"ball={shot / 'mask.####.png'}", "--mask-missing", "empty", "--quality", "draft"]
    assert main(["run", "omnimatte", "--in-process", *words, "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "ball" / "ball.1012.exr").exists()


def test_an_unknown_colour_space(run: Run) -> None:
    code, message = run(colorspace="lin_rec708")
    assert code == 3
    assert "lin_rec708" in message and "lin_rec709" in message


def test_an_unreadable_config(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "broken.ocio"
    config.write_text("this: is [no config")
    code, message = run(ocio=str(config))
    assert code == 3
    assert "broken.ocio" in message


@pytest.mark.parametrize("name", ["background", "plate", "rgb", "ball_trimap", "2nd", "a b", "größe"])
def test_reserved_and_malformed_names(run: Run, shot: Path, name: str) -> None:
    code, message = run(mask=[f"{name}={shot / 'mask.####.png'}"])
    assert code == 2
    assert name in message


def test_a_repeated_name(run: Run, shot: Path) -> None:
    code, message = run(mask=[f"ball={shot / 'mask.####.png'}"] * 2)
    assert code == 2
    assert "'ball'" in message and "twice" in message


def test_an_output_folder_that_is_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    code, message = run(out=str(tmp_path / "taken"))
    assert code == 3
    assert "taken" in message and "--out" in message


def test_an_output_folder_with_too_long_a_name(run: Run, tmp_path: Path) -> None:
    code, message = run(out=str(tmp_path / ("x" * 300)))
    assert code == 3
    assert "can't be written" in message and "choose a folder" in message


def test_an_output_folder_that_refuses_files(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The administrator, as whom tests often run, is refused nothing: so the refusal is made here.
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Path, "touch", refuse)
    code, message = run()
    assert code == 3
    assert str(tmp_path / "out") in message


def test_a_full_disk(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(Path, "replace", full)
    code, message = run()
    assert code == 5
    assert "disk is full" in message or "space" in message


@pytest.mark.parametrize("words", [{"quality": "best"}, {"mask_missing": "skip"}, {"mask": ["ball"]}, {"seed": "many"}])
def test_words_that_are_not_of_their_grammar(run: Run, words: dict[str, str | list[str]]) -> None:
    code, message = run(**words)
    assert code == 2
    assert next(iter(words)).replace("_", "-") in message
