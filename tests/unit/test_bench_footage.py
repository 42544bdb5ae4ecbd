"""The bench on footage: labels of traffic, and films of panels, made by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from penumbra_engine.bench.highway import bench_highway, mask_scores, read_labels
from penumbra_engine.bench.panels import Clip, bench_panels, clip_scores, displayed
from penumbra_engine.errors import InputError, UsageError
from penumbra_engine.media import Config


def test_shadows_count_and_unknown_pixels_do_not(tmp_path: Path) -> None:
    (tmp_path / "groundtruth").mkdir()
    row = np.uint8([255, 50, 170, 85, 0, 0, 0, 0])
    for frame in (900, 901):
        cv2.imwrite(str(tmp_path / "groundtruth" / f"gt{frame:06d}.png"), np.tile(row, (8, 1)))
    labels = read_labels(tmp_path, (900, 901))
    assert labels.truth[0, 0].tolist() == [True, True] + [False] * 6
    assert labels.known[0, 0].tolist() == [True, True, False, False, True, True, True, True]
    mask = np.zeros((2, 8, 8), bool)
    mask[..., [0, 2, 3, 4]] = True  # of the car and its shadow a half, one column too many, and two that nobody knows
    scores = mask_scores(mask, labels)
    assert scores["F1"] == pytest.approx(2 * 1 / (2 + 2))
    assert scores["J"] == pytest.approx(1 / 3)
    assert mask_scores(labels.truth, labels) == {"F1": 1, "J": 1, "F": 1}


def test_a_folder_that_is_no_highway(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="frames and groundtruth"):
        bench_highway(tmp_path)


def film() -> np.ndarray:
    """Three frames of two rows of eight panels: the grey of column c is 100 + c, the second object's row is white."""
    picture = np.full((3, 3 * 148 + 20, 8 * 128, 3), 255, np.uint8)
    for row in (0, 1):
        for column in range(8):
            picture[:, row * 148 : row * 148 + 128, column * 128 : column * 128 + 128] = 100 + column
    return picture


def test_panels_are_where_they_are() -> None:
    clip = Clip("a", film())
    assert clip.objects == 1
    assert [int(clip.panel(column, 1).mean()) for column in (0, 1, 5, 7)] == [100, 101, 105, 107]
    scores = clip_scores(clip)
    nothing, omnimatte, pretrained = (next(scores) for _ in range(3))
    assert nothing[1]["background"] == pytest.approx(-20 * np.log10(7 / 255), abs=1e-4)
    assert omnimatte[1]["objects"] == pytest.approx(-20 * np.log10(6 / 255), abs=1e-4)
    assert pretrained[1]["background"] == pytest.approx(-20 * np.log10(2 / 255), abs=1e-4)


def test_a_saturated_picture_comes_back_from_the_working_space_as_it_was() -> None:
    space = Config.load("").space("srgb_tx")
    assert space.working == "ACEScg"  # wider than sRGB: the curve alone would not do
    codes = np.float32([[0.9, 0.1, 0.2], [0.1, 0.8, 0.3], [0.2, 0.2, 0.2]])
    solved = space.to_working(codes).T.reshape(1, 3, 1, 3)
    np.testing.assert_allclose(displayed(solved, space)[0, :, 0].T, codes, atol=1e-3)


def test_what_is_no_film_of_panels(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder with"):
        bench_panels(tmp_path)
    (tmp_path / "shad2").mkdir()
    (tmp_path / "shad2" / "1.mp4").write_bytes(b"no film")
    with pytest.raises(InputError, match=r"1\.mp4: expected a film of panels"):
        bench_panels(tmp_path)
