"""The rough masks as one stack."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from penumbra.protocol import Mask, OmnimatteJob
from penumbra_engine.cache import Store
from penumbra_engine.errors import InputError
from penumbra_engine.media import Shot
from penumbra_engine.solvers.masks import Masks, read_masks
from penumbra_engine.solvers.plates import decode
from stages import finished

FRAMES = range(1, 4)


def read(folder: Path) -> Masks:
    job = OmnimatteJob(
        plate=str(folder / "plate.####.png"),
        frames="1-3",
        colorspace="srgb_tx",
        out=str(folder / "out"),
        masks=[Mask("hero", str(folder / "hero.####.png"))],
    )
    shot, store = Shot.open(job), Store(folder / "cache")
    return finished(read_masks(shot, finished(decode(shot, store)), store))


def paint(folder: Path, frame: int, mask: np.ndarray) -> None:
    cv2.imwrite(str(folder / f"hero.{frame:04d}.png"), mask)


def dot(value: int = 255) -> np.ndarray:
    mask = np.zeros((18, 24), np.uint8)
    mask[2:4, 3:5] = value
    return mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for frame in FRAMES:
        cv2.imwrite(str(tmp_path / f"plate.{frame:04d}.png"), np.full((18, 24, 3), 40 * frame, np.uint8))
        paint(tmp_path, frame, dot())
    return tmp_path


def test_only_masks_whose_file_changed_are_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, opened = read(folder), list[int]()
    mask = Shot.mask

    def noted(shot: Shot, name: str, frame: int) -> np.ndarray:
        opened.append(frame)
        return mask(shot, name, frame)

    monkeypatch.setattr(Shot, "mask", noted)
    assert read(folder).key == first.key and not opened
    paint(folder, 2, dot(128))
    again = read(folder)
    assert opened == [2] and again.key != first.key
    for index, value in enumerate((255, 128, 255)):
        np.testing.assert_array_equal(again.masks[index][0], dot(value))
    assert [again.content(t) == first.content(t) for t in range(3)] == [True, False, True]


def test_a_mask_that_is_never_there(folder: Path) -> None:
    for frame in FRAMES:
        paint(folder, frame, dot(0))
    for _ in range(2):  # and not only when it is read
        with pytest.raises(InputError, match=r"--mask hero .*empty on all frames 1-3; paint hero") as caught:
            read(folder)
        assert caught.value.argument == "--mask hero"


def test_a_mask_that_is_everywhere(folder: Path) -> None:
    for frame in FRAMES:
        paint(folder, frame, np.full((18, 24), 255, np.uint8))
    with pytest.raises(InputError, match="covers every pixel of all frames; if its alpha is solid"):
        read(folder)
    paint(folder, 3, dot())
    assert read(folder).objects(0).all()
