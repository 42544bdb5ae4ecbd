"""The pattern grammar: which files a word of the command line names."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penumbra_engine.errors import InputError, UsageError
from penumbra_engine.media import Sequence


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("pattern", ["plate.####.exr", "plate.%04d.exr", "plate.#.exr", "plate.%d.exr", ""])
def test_one_sequence_by_any_spelling(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, "plate.1001.exr", "plate.1003.exr", "notes.txt", ".plate.1002.exr")
    sequence = Sequence.parse(str(tmp_path / pattern))
    assert sequence.frames() == (1001, 1003)
    assert sequence.path(1003) == tmp_path / "plate.1003.exr"
    assert sequence.missing((1001, 1002, 1003)) == (1002,)
    assert not sequence.still and sequence.select == ""


def test_padding_tells_sequences_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a.7.exr", "a.0007.exr", "a.10000.exr")
    assert Sequence.parse(str(tmp_path / "a.####.exr")).frames() == (7, 10000)
    assert Sequence.parse(str(tmp_path / "a.%d.exr")).frames() == (7, 10000)
    assert Sequence.parse(str(tmp_path / "a.%d.exr")).path(7).name == "a.7.exr"


def test_negative_frames_in_both_spellings(tmp_path: Path) -> None:
    touch(tmp_path / "c", "a.-002.exr", "a.-001.exr", "a.0000.exr")
    touch(tmp_path / "digits", "a.-0002.exr", "a.-0001.exr", "a.0000.exr")
    for folder in ("c", "digits"):
        for pattern in (f"{folder}/a.####.exr", folder):
            sequence = Sequence.parse(str(tmp_path / pattern))
            assert sequence.frames() == (-2, -1, 0)
            assert sequence.path(-2).is_file()


def test_a_frame_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.-002.exr", "a.-0002.exr")
    with pytest.raises(InputError, match=r"frame -2 is there twice, a\.-0002\.exr and a\.-002\.exr"):
        Sequence.parse(str(tmp_path / "a.####.exr"))


def test_a_dash_before_the_number_is_a_separator(tmp_path: Path) -> None:
    touch(tmp_path, "shot-0001.exr", "shot-0002.exr")
    assert Sequence.parse(str(tmp_path)).frames() == (1, 2)


def test_spaces_and_other_letters(tmp_path: Path) -> None:
    folder = touch(tmp_path / "Übung – 東京", "plâte final.1001.exr")
    assert Sequence.parse(str(folder / "plâte final.####.exr")).path(1001).is_file()
    assert Sequence.parse(str(folder)).path(1001).is_file()


def test_a_still_is_held(tmp_path: Path) -> None:
    touch(tmp_path, "clean.1001.exr")
    still = Sequence.parse(str(tmp_path / "clean.1001.exr"))
    assert still.still and still.frames() == () and still.missing((1, 2)) == ()
    assert still.path(1) == still.path(99) == tmp_path / "clean.1001.exr"


@pytest.mark.parametrize(
    ("pattern", "select", "path"),
    [
        ("roto.####.exr@char.a", "char.a", "roto.0005.exr"),
        ("still.png@R", "R", "still.png"),
        ("one@matte", "matte", "one/b.0005.exr"),
        ("v@2.####.exr", "", "v@2.0005.exr"),
        ("v@2.####.exr@depth", "depth", "v@2.0005.exr"),
        ("in@out/c.%04d.exr", "", "in@out/c.0005.exr"),
    ],
)
def test_what_stands_behind_the_at_selects(tmp_path: Path, pattern: str, select: str, path: str) -> None:
    touch(tmp_path, "roto.0005.exr", "still.png", "v@2.0005.exr")
    touch(tmp_path / "one", "b.0005.exr")
    touch(tmp_path / "in@out", "c.0005.exr")
    sequence = Sequence.parse(str(tmp_path / pattern))
    assert sequence.select == select
    assert sequence.path(5) == tmp_path / path


def test_a_folder_of_several_sequences_lists_them(tmp_path: Path) -> None:
    touch(tmp_path, "a.1.exr", "a.2.exr", "b.0001.png")
    with pytest.raises(InputError, match=r"a\.#\.exr \(1-2\), b\.####\.png \(1\); name one") as caught:
        Sequence.parse(str(tmp_path), "--mask char")
    assert caught.value.argument == "--mask char"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("nowhere/a.####.exr", "there is no folder"),
        ("b.####.exr", r"no such file; .* holds a\.####\.exr \(1001-1003\)"),
        ("a.######.exr", r"holds a\.####\.exr \(1001-1003\)"),
        ("a.exr", r"a\.exr: no such file"),
        ("gone.####.exr@char.a", r"gone\.####\.exr: no such file"),
        ("empty", r"holds none; .*empty holds no numbered pictures"),
    ],
)
def test_what_is_not_there_says_what_is(tmp_path: Path, pattern: str, message: str) -> None:
    touch(tmp_path, "a.1001.exr", "a.1002.exr", "a.1003.exr")
    touch(tmp_path / "empty")
    with pytest.raises(InputError, match=message):
        Sequence.parse(str(tmp_path / pattern))


def test_an_empty_pattern_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--plate is empty"):
        Sequence.parse(" ")


def test_require_names_the_missing_frames_and_what_exists(tmp_path: Path) -> None:
    touch(tmp_path, *(f"a.{frame}.exr" for frame in (1001, 1002, 1005)))
    sequence = Sequence.parse(str(tmp_path / "a.####.exr"))
    sequence.require((1001, 1005))
    with pytest.raises(InputError, match=r"frames 1003-1004 \(expected a\.1003\.exr\); files 1001-1002,1005 exist"):
        sequence.require(tuple(range(1001, 1006)))


@given(
    prefix=st.text("abcXYZ_-. é%", max_size=6),
    padding=st.integers(1, 6),
    frames=st.sets(st.integers(-99, 123456), min_size=1, max_size=5),
)
def test_what_printf_writes_is_found_again(
    tmp_path_factory: pytest.TempPathFactory, prefix: str, padding: int, frames: set[int]
) -> None:
    prefix = re.sub(r"%0?\d*d", "", prefix) + "."
    folder = touch(tmp_path_factory.mktemp("s"), *(f"{prefix}{frame:0{padding}d}.exr" for frame in frames))
    for placeholder in ("#" * padding, f"%0{padding}d"):
        sequence = Sequence.parse(str(folder / f"{prefix}{placeholder}.exr"))
        assert sequence.frames() == tuple(sorted(frames))
        assert all(sequence.path(frame).is_file() for frame in frames)
