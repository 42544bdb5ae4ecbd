"""Other words in the header of an EXR file."""

from pathlib import Path

import numpy as np
import pytest

from penumbra_engine.media import Picture, Window, write_picture
from penumbra_engine.media.restamp import restamp

ONE, OTHER = "a" * 64, "b" * 64


def written(path: Path, job: str) -> bytes:
    pixels = np.random.default_rng(0).random((9, 7, 4)).astype(np.float32)
    said = {"penumbra:job": job, "penumbra:node": "omnimatte", "artist": job}
    write_picture(path, Picture(pixels, tuple("RGBA"), 0, 0, Window(0, 0, 7, 9), 1.0, said))
    return path.read_bytes()


def test_it_is_the_file_that_would_have_been_written(tmp_path: Path) -> None:
    before, wanted = written(tmp_path / "one.exr", ONE), written(tmp_path / "other.exr", OTHER)
    assert before != wanted
    header = restamp(before, {"penumbra:job": OTHER, "artist": OTHER})
    assert header + before[len(header) :] == wanted
    assert restamp(before, {"penumbra:node": "omnimatte"}) == restamp(before, {}) == before[: len(header)]


@pytest.mark.parametrize("said", [{"penumbra:job": "short"}, {"penumbra:seed": "1"}, {"compression": "1"}])
def test_what_does_not_fit_is_refused(tmp_path: Path, said: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        restamp(written(tmp_path / "one.exr", ONE), said)


def test_a_header_ends_where_the_table_of_lines_begins(tmp_path: Path) -> None:
    data = written(tmp_path / "one.exr", ONE)
    header = restamp(data, {})
    first_line = int.from_bytes(data[len(header) : len(header) + 8], "little")  # ZIPS: a chunk a line, 9 of them
    assert first_line == len(header) + 9 * 8
