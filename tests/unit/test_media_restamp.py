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
    assert restamp(before, {"penumbra:job": OTHER, "artist": OTHER}) == wanted
    assert restamp(before, {"penumbra:node": "omnimatte"}) == before


@pytest.mark.parametrize("said", [{"penumbra:job": "short"}, {"penumbra:seed": "1"}, {"compression": "1"}])
def test_what_does_not_fit_is_refused(tmp_path: Path, said: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        restamp(written(tmp_path / "one.exr", ONE), said)
