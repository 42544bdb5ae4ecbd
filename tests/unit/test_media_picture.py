"""Reading pictures: formats, layers, parts, masks and damaged files."""

from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest

from penumbra_engine.errors import InputError
from penumbra_engine.media import (
    Picture,
    Typed,
    Window,
    exceeds_half,
    read_header,
    read_mask,
    read_picture,
    write_picture,
)


def write(path: Path, pixels: Any, channels: tuple[str, ...], kind: str = "float", **attributes: Any) -> Path:
    """A file by OpenImageIO itself."""
    pixels = np.asarray(pixels)
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], len(channels), kind)
    spec.channelnames = channels
    for name, value in attributes.items():
        spec.attribute(name, value)
    file = oiio.ImageOutput.create(str(path))
    assert file.open(str(path), spec) and file.write_image(np.ascontiguousarray(pixels)) and file.close()
    return path


def ramp(channels: int, height: int = 3, width: int = 4) -> np.ndarray:
    """A different value in every channel of every pixel, exact in half floats."""
    return np.arange(height * width * channels, dtype=np.float32).reshape(height, width, channels) / 64


@pytest.fixture
def layered(tmp_path: Path) -> Path:
    """One part: the picture, a layer with alpha, a layer in Nuke's words, a lone channel."""
    rgba, char = ("R", "G", "B", "A"), ("char.R", "char.G", "char.B", "char.A")
    names = (*rgba, *char, "glow.red", "glow.green", "glow.blue", "depth.Z")
    return write(tmp_path / "layered.exr", ramp(12), names)


@pytest.mark.parametrize(
    ("select", "columns", "names"),
    [
        ("rgb", (0, 1, 2), ("R", "G", "B")),
        ("rgba", (0, 1, 2, 3), ("R", "G", "B", "A")),
        ("char", (4, 5, 6, 7), ("R", "G", "B", "A")),
        ("CHAR", (4, 5, 6, 7), ("R", "G", "B", "A")),
        ("glow", (8, 9, 10), ("R", "G", "B")),
        ("char.a", (7,), ("A",)),
        ("char.alpha", (7,), ("A",)),
        ("rgba.alpha", (3,), ("A",)),
        ("a", (3,), ("A",)),
        ("depth", (11,), ("Z",)),
        ("depth.z", (11,), ("Z",)),
    ],
)
def test_layers_and_channels(layered: Path, select: str, columns: tuple[int, ...], names: tuple[str, ...]) -> None:
    picture = read_picture(layered, select)
    assert picture.channels == read_header(layered, select).channels == names
    np.testing.assert_array_equal(picture.pixels, ramp(12)[..., columns])


def test_an_unknown_layer_lists_the_channels(layered: Path) -> None:
    with pytest.raises(
        InputError, match=r"layered\.exr has no layer or channel 'hero'; it has the channels R, G, B, A, char\.R"
    ):
        read_picture(layered, "hero")


def test_a_plate_without_colour_says_what_it_has(tmp_path: Path) -> None:
    grey = write(tmp_path / "grey.exr", ramp(1), ("Y",))
    with pytest.raises(InputError, match=r"has no R, G and B, which a plate needs; it has the channels Y"):
        read_picture(grey, "rgb")


@pytest.mark.parametrize("spell", [("R", "G", "B", "A"), ("char.R", "char.G", "char.B", "char.A")])
def test_layers_in_parts(tmp_path: Path, spell: tuple[str, ...]) -> None:
    """Parts say their layer in the part's name only, or in the channels' names too."""
    beauty = {name: ramp(4)[..., i].copy() for i, name in enumerate("RGBA")}
    char = {name: 10 + ramp(4)[..., i] for i, name in enumerate(spell)}
    path = tmp_path / "parts.exr"
    parts = [OpenEXR.Part({}, beauty, "rgba"), OpenEXR.Part({}, char, "char")]
    OpenEXR.File(parts).write(str(path))
    np.testing.assert_array_equal(read_picture(path, "rgb").pixels, ramp(4)[..., :3])
    picture = read_picture(path, "char")
    assert picture.channels == ("R", "G", "B", "A")
    np.testing.assert_array_equal(picture.pixels, 10 + ramp(4))
    np.testing.assert_array_equal(read_mask(path, "char.a").pixels, 10 + ramp(4)[..., 3:])


@pytest.mark.parametrize(
    ("suffix", "kind", "top"),
    [("png", "uint8", 255), ("png", "uint16", 65535), ("tif", "uint16", 65535), ("dpx", "uint10", 1023)],
)
def test_integers_are_read_as_0_to_1(tmp_path: Path, suffix: str, kind: str, top: int) -> None:
    levels = np.array([[[0, 1, top]]]) / top
    spec_kind = "uint16" if kind == "uint10" else kind
    stored = np.round(levels * (65535 if spec_kind == "uint16" else 255)).astype(spec_kind)
    extra = {"oiio:BitsPerSample": 10} if kind == "uint10" else {}
    path = write(tmp_path / f"a.{suffix}", stored, ("R", "G", "B"), spec_kind, **extra)
    np.testing.assert_allclose(read_picture(path).pixels, levels, atol=1e-6)
    assert 2 ** read_header(path).bits - 1 == top


def test_colour_is_not_multiplied_by_alpha(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.png",
        np.uint8([[[200, 100, 50, 51]]]),
        ("R", "G", "B", "A"),
        "uint8",
        **{"oiio:UnassociatedAlpha": 1},
    )
    np.testing.assert_allclose(read_picture(path).pixels, np.float32([[[200, 100, 50, 51]]]) / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("channels", "select", "expected"),
    [
        (("R", "G", "B", "A"), "", 3),
        (("R", "G", "B", "A"), "g", 1),
        (("R", "G", "B"), "", 0),
        (("Y",), "", 0),
        (("matte.red", "matte.green"), "matte", 0),
        (("matte.Y", "other.Y"), "matte", 0),
    ],
)
def test_which_channel_is_the_mask(tmp_path: Path, channels: tuple[str, ...], select: str, expected: int) -> None:
    path = write(tmp_path / "m.exr", ramp(len(channels)), channels)
    mask = read_mask(path, select)
    assert mask.channels == ("A",)
    np.testing.assert_array_equal(mask.pixels[..., 0], ramp(len(channels))[..., expected])


def test_a_file_without_a_channel_for_a_mask(tmp_path: Path) -> None:
    path = write(tmp_path / "m.exr", ramp(2), ("X", "Y"))
    with pytest.raises(InputError, match=r"channels X, Y: .* name the channel of the mask"):
        read_mask(path)


@pytest.mark.parametrize("suffix", ["exr", "png", "jpg", "tif", "dpx"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.6, 0.97])
def test_damaged_files_are_named(tmp_path: Path, suffix: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    if suffix == "exr":
        path = write(tmp_path / "übel.exr", noise.astype(np.float16), ("R", "G", "B"), "half", compression="zips")
    else:
        path = write(tmp_path / f"übel.{suffix}", noise, ("R", "G", "B"), "uint8")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=rf"übel\.{suffix} (is damaged|can't be read)"):
        read_picture(path)


def test_zeros_in_the_middle_of_an_exr(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((64, 64, 3)).astype(np.float16)
    path = write(tmp_path / "a.exr", noise, ("R", "G", "B"), "half", compression="zips")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :][:400] = bytes(400)
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged or incomplete"):
        read_picture(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.exr: no such file"):
        read_picture(tmp_path / "gone.exr")
    (tmp_path / "folder.exr").mkdir()
    with pytest.raises(InputError, match=r"folder\.exr is not a file"):
        read_picture(tmp_path / "folder.exr")


def test_metadata_survives_a_round_trip(tmp_path: Path) -> None:
    metadata = {
        "smpte:TimeCode": Typed("timecode", (0x01020304, 5)),
        "framesPerSecond": Typed("rational", (24000, 1001)),
        "chromaticities": Typed("float[8]", (0.5, 0.25, 0.125, 0.75, 0.0, 0.0625, 0.25, 0.5)),
        "colorInteropID": "lin_rec709_scene",
        "DateTime": "2024:02:29 12:00:00",
        "worldToCamera": Typed("matrix", tuple(float(i) for i in range(16))),
        "studio:take": "três – 3",
        "studio:slate": 12,
        "studio:gain": 0.5,
        "studio:names": Typed("string[2]", ("a", "b")),
    }
    picture = Picture(ramp(3), ("R", "G", "B"), metadata=metadata)
    write_picture(tmp_path / "a.exr", picture)
    read = read_picture(tmp_path / "a.exr").metadata
    assert {name: read.get(name) for name in metadata} == metadata
    assert set(read) - set(metadata) == {"screenWindowCenter", "screenWindowWidth"}
    write_picture(tmp_path / "b.exr", read_picture(tmp_path / "a.exr"))
    assert (tmp_path / "a.exr").read_bytes() == (tmp_path / "b.exr").read_bytes()


def test_what_only_the_old_file_was_is_left_behind(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.exr", ramp(3), ("R", "G", "B"), "half", compression="dwaa", **{"openexr:dwaCompressionLevel": 3.0}
    )
    assert not {"compression", "PixelAspectRatio"} & set(read_picture(path).metadata)
    assert not [name for name in read_picture(path).metadata if name.startswith(("openexr:", "oiio:"))]


def test_half_floats_are_written_as_they_are_and_only_numbers(tmp_path: Path) -> None:
    pixels = np.float16([[[0.0, -1.5, 65504.0], [6e-8, 0.1, 3.0]]])
    write_picture(tmp_path / "half.exr", Picture(pixels, tuple("RGB")))
    assert np.array_equal(read_picture(tmp_path / "half.exr").pixels, pixels.astype(np.float32))
    for bad in (np.nan, np.inf, -np.inf):
        for kind in (np.float16, np.float32):
            pixels = np.full((2, 2, 3), 1, kind)
            pixels[1, 0, 2] = bad
            with pytest.raises(ValueError, match="not finite"):
                write_picture(tmp_path / "bad.exr", Picture(pixels, tuple("RGB")))
    assert not (tmp_path / "bad.exr").exists()


def test_exceeds_half() -> None:
    assert not exceeds_half(np.float32([[[65504, -65504]]]))
    assert exceeds_half(np.float32([[[65505]]])) and exceeds_half(np.float32([[[-1e6]]]))
    assert not exceeds_half(np.zeros((0, 4, 3), np.float32))


def test_pixels_channels_and_windows_agree() -> None:
    with pytest.raises(ValueError, match=r"pixels \(3, 4, 3\) don't hold the channels R, G"):
        Picture(ramp(3), ("R", "G"))
    picture = Picture(ramp(3), ("R", "G", "B"), 5, 6)
    assert picture.window == picture.display == Window(5, 6, 4, 3)
