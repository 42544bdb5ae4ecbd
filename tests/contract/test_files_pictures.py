"""CONTRACT "Always", as far as one file goes: windows, metadata, precision, channels.

OpenEXR is the independent reader.
"""

from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from penumbra_engine.media import Picture, Typed, Window, exceeds_half, read_picture, write_picture

DISPLAY = Window(0, 0, 20, 10)
OVERSCAN = Window(-4, -2, 28, 14)
RGBA = ("R", "G", "B", "A")


def layer(window: Window = OVERSCAN, **at: Any) -> Picture:
    """A layer that holds nothing but `at`: name -> (x, y, values of R, G, B, A)."""
    pixels = np.zeros((window.height, window.width, 4), np.float32)
    for x, y, value in at.values():
        pixels[y - window.y, x - window.x] = value
    return Picture(pixels, RGBA, window.x, window.y, DISPLAY, 2.0)


def written(path: Path, picture: Picture, **options: Any) -> OpenEXR.File:
    write_picture(path, picture, **options)
    return OpenEXR.File(str(path), separate_channels=True)


def windows(file: OpenEXR.File) -> tuple[Window, Window]:
    """Data and display window as OpenEXR has them: first and last pixel."""
    header = file.header()

    def window(box: Any) -> Window:
        (x0, y0), (x1, y1) = (tuple(map(int, corner)) for corner in box)
        return Window(x0, y0, x1 - x0 + 1, y1 - y0 + 1)

    return window(header["dataWindow"]), window(header["displayWindow"])


def values(file: OpenEXR.File, names: tuple[str, ...] = RGBA) -> np.ndarray:
    return np.stack([file.channels()[name].pixels for name in names], axis=2)


def test_rule_1_overscan_and_pixel_aspect_are_kept(tmp_path: Path) -> None:
    picture = layer(corner=(-4, -2, (1, 2, 3, 1)), opposite=(23, 11, (4, 5, 6, 1)))
    file = written(tmp_path / "background.1001.exr", picture)
    assert windows(file) == (OVERSCAN, DISPLAY)
    assert file.header()["pixelAspectRatio"] == 2.0
    np.testing.assert_array_equal(values(file), picture.pixels)


@pytest.mark.parametrize("value", [(0.5, 0, 0, 1), (0, 0, 0, 0.25), (0, -3, 0, 0)])
def test_rule_1_layers_are_cropped_with_a_black_pixel_around(tmp_path: Path, value: tuple[float, ...]) -> None:
    """Any channel counts: alpha alone, colour without alpha, negative values."""
    file = written(tmp_path / "hero.1001.exr", layer(a=(3, 4, value), b=(7, 5, value)).cropped())
    assert windows(file) == (Window(2, 3, 7, 4), DISPLAY)
    pixels = values(file)
    assert not np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).any()
    np.testing.assert_array_equal(pixels[1, 1], np.float16(value))


def test_rule_1_the_black_pixel_is_there_at_the_edge_of_the_plate(tmp_path: Path) -> None:
    file = written(tmp_path / "hero.1001.exr", layer(a=(-4, -2, (1, 1, 1, 1))).cropped())
    assert windows(file) == (Window(-5, -3, 3, 3), DISPLAY)


def test_rule_1_an_empty_frame_is_one_black_pixel(tmp_path: Path) -> None:
    file = written(tmp_path / "hero.1001.exr", layer().cropped())
    data, display = windows(file)
    assert (data.size, display) == ((1, 1), DISPLAY)
    assert data.intersection(display) == data
    assert not values(file).any()


def test_rule_2_beyond_half_the_frame_is_32_bit(tmp_path: Path) -> None:
    bright = layer(sun=(1, 1, (1e6, 70000, -66000, 1)))
    assert exceeds_half(bright.pixels)
    with pytest.raises(ValueError, match="beyond half's range"):
        write_picture(tmp_path / "a.exr", bright)
    assert not list(tmp_path.iterdir())
    file = written(tmp_path / "a.exr", bright, float32=exceeds_half(bright.pixels))
    assert all(channel.pixels.dtype == np.float32 for channel in file.channels().values())
    np.testing.assert_array_equal(values(file), bright.pixels)


@given(arrays(np.float32, (3, 5, 4), elements=st.floats(-65504, 65504, width=32)))
def test_rule_4_values_survive_to_half_a_half_step(
    tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray
) -> None:
    path = tmp_path_factory.getbasetemp() / "values.exr"
    stored = values(written(path, Picture(pixels, RGBA)))
    assert stored.dtype == np.float16
    np.testing.assert_array_less(np.abs(stored.astype(np.float32) - pixels), 2e-3 * np.maximum(1, np.abs(pixels)))
    np.testing.assert_array_equal(read_picture(path).pixels, stored)


def test_rule_4_above_one_below_zero_and_colour_without_alpha(tmp_path: Path) -> None:
    value = (1000, -2.5, 0.125, 0)
    assert tuple(values(written(tmp_path / "a.exr", layer(a=(0, 0, value))))[2, 4]) == value


def test_rule_5_half_zips_single_part_same_channels(tmp_path: Path) -> None:
    names = (*RGBA, *(f"{group}.{name}" for group in ("hero", "background") for name in RGBA))
    pixels = np.random.default_rng(0).random((10, 20, 12)).astype(np.float32)
    full = written(tmp_path / "layers.1001.exr", Picture(pixels, names))
    empty = written(tmp_path / "layers.1002.exr", Picture(0 * pixels, names))
    for file in (full, empty):
        assert len(file.parts) == 1
        assert file.header()["compression"] == OpenEXR.ZIPS_COMPRESSION
        assert file.header()["type"] == OpenEXR.scanlineimage
        assert set(file.channels()) == set(names)
        assert all(channel.pixels.dtype == np.float16 for channel in file.channels().values())
    np.testing.assert_array_equal(values(full, names), pixels.astype(np.float16))


def test_rule_6_metadata_of_the_plate_and_of_the_solve(tmp_path: Path) -> None:
    plate = OpenEXR.File(
        {
            "timeCode": OpenEXR.TimeCode(9, 58, 59, 23, True, *[0] * 13),
            "chromaticities": (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767),
            "pixelAspectRatio": 2.0,
            "camera": "ALEXA – 東京",
            "lens": 35.5,
            "compression": OpenEXR.DWAA_COMPRESSION,
        },
        {"RGB": np.ones((4, 6, 3), np.float16)},
    )
    plate.write(str(tmp_path / "plate.exr"))
    source = read_picture(tmp_path / "plate.exr")
    solve = {"penumbra:version": "1", "penumbra:seed": 0, "penumbra:layerOrder": Typed("string[2]", ("hero", "car"))}
    picture = Picture(
        source.pixels, source.channels, 0, 0, source.display, source.pixel_aspect, {**source.metadata, **solve}
    )
    before, after = plate.header(), written(tmp_path / "out.exr", picture).header()
    for name in ("timeCode", "pixelAspectRatio", "camera", "lens"):
        assert str(after[name]) == str(before[name])
    np.testing.assert_allclose(after["chromaticities"], before["chromaticities"], rtol=1e-6)
    assert (after["penumbra:version"], after["penumbra:seed"]) == ("1", 0)
    assert after["penumbra:layerOrder"] == ["hero", "car"]
    assert after["compression"] == OpenEXR.ZIPS_COMPRESSION


def test_rule_7_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    picture = layer(a=(1, 1, (1, 2, 3, 1)))
    header = written(tmp_path / "a.exr", picture).header()
    assert not {"capDate", "DateTime", "owner"} & set(header)  # no time or machine of writing
    write_picture(tmp_path / "b.exr", picture)
    assert (tmp_path / "a.exr").read_bytes() == (tmp_path / "b.exr").read_bytes()
