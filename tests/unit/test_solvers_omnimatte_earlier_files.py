"""Frames that did not change are copied from the files of the last solve."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penumbra_engine.cache import Store
from penumbra_engine.media import Picture, Window, write_picture
from penumbra_engine.solvers.delivery import Destination
from penumbra_engine.solvers.omnimatte.earlier_files import EarlierFiles

ONE, OTHER = "a" * 64, "b" * 64


def destination(out: Path, job: str) -> Destination:
    return Destination(out, (1,), {"penumbra:job": job, "penumbra:seed": 0}, full_window=False, float32=False)


def write(to: Destination) -> Path:
    path = to.out / "kite" / "kite.0001.exr"
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).random((9, 7, 4)).astype(np.float32)
    write_picture(path, Picture(pixels, tuple("RGBA"), 0, 0, Window(0, 0, 7, 9), 1.0, dict(to.metadata)))
    return path


@pytest.fixture
def first(tmp_path: Path) -> Destination:
    """A frame that was written and noted."""
    to, files = destination(tmp_path / "v001", ONE), EarlierFiles(Store(tmp_path / "cache"), "shot")
    files.note("content", to, [write(to)], {"exact": 0.25})
    files.save(of="refined")
    return to


def test_a_copy_is_what_would_have_been_written(tmp_path: Path, first: Destination) -> None:
    to, wanted = destination(tmp_path / "v002", OTHER), write(destination(tmp_path / "wanted", OTHER)).read_bytes()
    files = EarlierFiles(Store(tmp_path / "cache"), "shot")
    assert files.copy("content", to) == {"exact": 0.25}
    assert (to.out / "kite" / "kite.0001.exr").read_bytes() == wanted
    files.save(of="refined")
    again = destination(tmp_path / "v003", ONE)  # copies are copied in turn
    assert EarlierFiles(Store(tmp_path / "cache"), "shot").copy("content", again)


def test_what_changed_is_not_copied(tmp_path: Path, first: Destination) -> None:
    to, store = destination(tmp_path / "v002", OTHER), Store(tmp_path / "cache")
    assert EarlierFiles(store, "shot").copy("other content", to) is None
    assert EarlierFiles(store, "other shot").copy("content", to) is None
    for said in ({"penumbra:job": "none", "penumbra:seed": 0}, {"penumbra:job": OTHER, "penumbra:seed": 1}):
        assert EarlierFiles(store, "shot").copy("content", replace(to, metadata=said)) is None
    path = first.out / "kite" / "kite.0001.exr"
    whole = path.read_bytes()
    for changed in (whole[:-1] + b"!", whole.replace(ONE.encode(), b"c" * 64), whole[:100], b""):
        path.write_bytes(changed)
        assert EarlierFiles(store, "shot").copy("content", to) is None
    path.unlink()
    assert EarlierFiles(store, "shot").copy("content", to) is None
    assert not to.out.exists()
