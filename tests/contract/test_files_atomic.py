"""CONTRACT rules 5 and 8: a file appears whole or not at all, and a disk that is full or refuses says so in words."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest

from penumbra_engine.errors import EngineError, InputError
from penumbra_engine.media import Picture, read_picture, write_atomically, write_picture


def noise(size: int = 40) -> Picture:
    pixels = np.random.default_rng(0).random((size, size, 4)).astype(np.float32)
    return Picture(pixels, ("R", "G", "B", "A"))


@pytest.mark.parametrize("there_before", [False, True])
def test_a_failure_midway_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there_before: bool
) -> None:
    target = tmp_path / "hero.1001.exr"
    if there_before:
        write_picture(target, noise())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        EngineError, match=r"hero\.1001\.exr: the disk is full or its quota is used up; free some space"
    ) as caught:
        write_picture(target, noise(20))
    assert caught.value.argument == "--out"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_interrupt_midway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_picture(tmp_path / "hero.1001.exr", noise())
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "report.json", b"{}")
    assert not list(tmp_path.iterdir())


def test_nobody_sees_a_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (seen.append([path.name for path in tmp_path.iterdir()]), sync(fd)))
    write_picture(tmp_path / "hero.1001.exr", noise())
    assert len(seen) == 1 and len(seen[0]) == 1 and seen[0][0].startswith(".penumbra-")
    assert [path.name for path in tmp_path.iterdir()] == ["hero.1001.exr"]


LIMITED = """
import resource, sys
from pathlib import Path
from tests.contract.test_files_atomic import noise
from penumbra_engine.errors import EngineError
from penumbra_engine.media import read_picture, write_picture

folder, picture = Path(sys.argv[1]), noise()
write_picture(folder / "whole.exr", picture)
size = (folder / "whole.exr").stat().st_size
refused = 0
for room in [0, 100, 2000, size // 2, *range(size - 700, size + 1, 7), size]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        write_picture(folder / "limited.exr", picture)
        assert (read_picture(folder / "limited.exr").pixels == read_picture(folder / "whole.exr").pixels).all()
        (folder / "limited.exr").unlink()
    except EngineError as error:
        refused += 1
        assert "limited.exr" in str(error)
    assert [path.name for path in folder.iterdir()] == ["whole.exr"], room
print(refused)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files by POSIX means")
def test_no_room_for_the_last_bytes_is_noticed(tmp_path: Path) -> None:
    """A disk that fills up as the file is closed: the EXR library reports success then."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 90


def test_a_writer_that_fails_without_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __init__(self, file: Any) -> None:
            self._file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def write_image(self, pixels: np.ndarray) -> bool:
            return False

    create = oiio.ImageOutput.create
    monkeypatch.setattr(oiio.ImageOutput, "create", lambda path: Failing(create(path)))
    with pytest.raises(EngineError, match=r"hero\.exr could not be written whole"):
        write_picture(tmp_path / "hero.exr", noise())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_gone_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in ("gone", "file"):
        for write in (lambda path: write_picture(path, noise()), lambda path: write_atomically(path, b"{}")):
            with pytest.raises(InputError, match=rf"{folder}.hero\.exr can't be written .*choose a folder"):
                write(tmp_path / folder / "hero.exr")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            write_picture(tmp_path / "hero.exr", noise())
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("name", ["with a space.exr", "ümläut – 東京.exr", "x" * 200 + ".exr"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / name, noise())
    assert read_picture(tmp_path / name).channels == ("R", "G", "B", "A")


def test_files_get_the_permissions_of_the_user(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.exr", noise())
    write_atomically(tmp_path / "report.json", b"{}")
    (tmp_path / "plain").touch()
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_values_that_are_not_finite_are_never_written(tmp_path: Path) -> None:
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="not finite"):
            write_picture(tmp_path / "a.exr", Picture(np.full((1, 1, 1), value, np.float32), ("A",)), float32=True)
    assert not list(tmp_path.iterdir())
