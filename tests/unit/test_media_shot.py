"""A shot is checked whole before any work: what is wrong is said with its argument, frame and file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from penumbra.protocol import CleanPlateJob, Keyframe, Mask, OmnimatteJob, TrimapJob
from penumbra_engine.errors import InputError, UsageError
from penumbra_engine.media import Picture, Shot, Typed, Window, check_out, write_picture

FRAMES = (1001, 1002, 1003)
DISPLAY = Window(0, 0, 8, 6)
OVERSCAN = Window(-2, -1, 12, 8)
TIME_CODE = {"smpte:TimeCode": Typed("timecode", (0x01020304, 0))}


def plate(folder: Path, frame: int, window: Window = DISPLAY, **changes: Any) -> np.ndarray:
    """Write one frame of a plate, a different value in every pixel; its pixels."""
    count = window.width * window.height * 3
    pixels = (frame - 1000 + np.arange(count, dtype=np.float32).reshape(window.height, window.width, 3) / 256) - 0.5
    pixels = pixels.astype(np.float16).astype(np.float32)
    picture = Picture(pixels, ("R", "G", "B"), window.x, window.y, DISPLAY, 2.0, TIME_CODE)
    picture = replace(picture, **changes)
    folder.mkdir(exist_ok=True)
    write_picture(folder / f"plate.{frame}.exr", picture)
    return pixels


def mask(folder: Path, name: str, frame: int, pixels: Any, window: Window = DISPLAY, display: Window = DISPLAY) -> None:
    picture = Picture(np.asarray(pixels, np.float32)[..., None], ("A",), window.x, window.y, display)
    write_picture(folder / f"{name}.{frame}.exr", picture)


def dot(window: Window = DISPLAY, x: int = 3, y: int = 2) -> np.ndarray:
    """A mask with one pixel set, at x, y of the display."""
    pixels = np.zeros((window.height, window.width), np.float32)
    pixels[y - window.y, x - window.x] = 1
    return pixels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "shot – 東京 1"
    for frame in FRAMES:
        plate(folder, frame)
        mask(folder, "hero", frame, dot())
    return folder


def job(folder: Path, **changes: Any) -> OmnimatteJob:
    base = OmnimatteJob(
        plate=str(folder / "plate.####.exr"),
        frames="1001-1003",
        colorspace="ACEScg",
        out=str(folder / "out"),
        masks=[Mask("hero", str(folder / "hero.####.exr"))],
    )
    return replace(base, **changes)


def test_a_plain_shot(folder: Path) -> None:
    shot = Shot.open(job(folder))
    assert (shot.frames, shot.names, shot.width, shot.height) == (FRAMES, ("hero",), 8, 6)
    assert (shot.window, shot.display, shot.pixel_aspect, shot.warnings) == (DISPLAY, DISPLAY, 2.0, ())
    np.testing.assert_array_equal(shot.plate(1002), plate(folder, 1002))
    np.testing.assert_array_equal(shot.mask("hero", 1002), dot())
    assert shot.header(1001)["smpte:TimeCode"] == TIME_CODE["smpte:TimeCode"]


def test_the_codes_of_an_8_bit_plate_as_light(folder: Path) -> None:
    assert not len(Shot.open(job(folder)).levels())  # half floats
    for frame in FRAMES:
        cv2.imwrite(str(folder / f"plate.{frame}.png"), np.zeros((6, 8, 3), np.uint8))
    levels = Shot.open(job(folder, plate=str(folder / "plate.####.png"), colorspace="srgb_tx")).levels()
    assert len(levels) == 256
    np.testing.assert_allclose(levels[[0, 128, 255]], [0, 0.21586, 1], atol=1e-4)


def test_few_bits_said_to_be_linear_are_warned_of(folder: Path) -> None:
    for frame in FRAMES:
        cv2.imwrite(str(folder / f"plate.{frame}.png"), np.zeros((6, 8, 3), np.uint8))
    plates = str(folder / "plate.####.png")
    (said,) = Shot.open(job(folder, plate=plates, colorspace="lin_rec709_scene")).warnings
    assert "holds code values of 8 bits" in said and "is linear" in said
    assert not Shot.open(job(folder, plate=plates, colorspace="srgb_tx")).warnings
    assert not Shot.open(job(folder, colorspace="ACEScg")).warnings


def test_overscan_is_part_of_the_shot(folder: Path) -> None:
    for frame in FRAMES:
        pixels = plate(folder, frame, OVERSCAN)
    shot = Shot.open(job(folder))
    assert (shot.window, shot.display) == (OVERSCAN, DISPLAY)
    np.testing.assert_array_equal(shot.plate(1003), pixels)
    np.testing.assert_array_equal(shot.mask("hero", 1003), dot(OVERSCAN))  # drawn on the display window


@pytest.mark.parametrize(
    ("window", "display"),
    [
        (OVERSCAN, DISPLAY),
        (OVERSCAN._replace(x=0, y=0), OVERSCAN._replace(x=0, y=0)),  # a file that knows no windows
        (Window(3, 2, 1, 1), DISPLAY),
        (DISPLAY._replace(x=7, y=7), DISPLAY._replace(x=7, y=7)),  # the same size elsewhere
    ],
)
def test_masks_lie_by_their_windows(folder: Path, window: Window, display: Window) -> None:
    for frame in FRAMES:
        plate(folder, frame, OVERSCAN)
        origin = window if display == DISPLAY else (OVERSCAN if display.size == OVERSCAN.size else DISPLAY)
        mask(folder, "hero", frame, dot(Window(origin.x, origin.y, *window.size)), window, display)
    np.testing.assert_array_equal(Shot.open(job(folder)).mask("hero", 1001), dot(OVERSCAN))


def test_data_windows_that_change_are_united(folder: Path) -> None:
    small = plate(folder, 1002, Window(1, 1, 2, 2))
    plate(folder, 1003, OVERSCAN)
    shot = Shot.open(job(folder))
    assert shot.window == OVERSCAN
    frame = shot.plate(1002)
    np.testing.assert_array_equal(frame[2:4, 3:5], small)
    assert np.count_nonzero(frame) == np.count_nonzero(small)


def test_a_mask_is_cut_to_0_and_1(folder: Path) -> None:
    mask(folder, "hero", 1001, 255 * dot() - dot(x=0))
    assert sorted(set(Shot.open(job(folder)).mask("hero", 1001).ravel().tolist())) == [0, 1]


def test_selections_choose_layer_and_channel(folder: Path) -> None:
    for frame in FRAMES:
        pixels = np.stack([np.full((6, 8), value, np.float32) for value in (0.5, 0.25, 0.125, 0.75)], axis=2)
        write_picture(folder / f"all.{frame}.exr", Picture(pixels, ("fg.R", "fg.G", "fg.B", "roto.hero")))
    pattern = str(folder / "all.####.exr")
    shot = Shot.open(job(folder, plate=f"{pattern}@fg", masks=[Mask("hero", f"{pattern}@roto.hero")]))
    np.testing.assert_array_equal(shot.plate(1001)[0, 0], [0.5, 0.25, 0.125])
    assert (shot.mask("hero", 1001) == 0.75).all()
    assert shot.digest_plate(1001).removesuffix("@fg") == shot.digest_mask("hero", 1001).removesuffix("@roto.hero")


@pytest.mark.parametrize(
    ("changes", "message", "argument"),
    [
        ({"frames": "1003-1001"}, "runs backwards; write 1001-1003", "--frames"),
        ({"frames": "all"}, "'all' is no frame range", "--frames"),
        ({"masks": []}, "give at least one --mask", "--mask"),
        ({"masks": [Mask("background", "x")]}, "'background' is reserved", "--mask"),
        ({"masks": [Mask("a", "x"), Mask("a", "x")]}, "given twice", "--mask"),
        ({"mask_missing": "black"}, "is none of error, empty", "--mask-missing"),
        ({"colorspace": ""}, "--colorspace: is empty", "--colorspace"),
        ({"plate": ""}, "--plate: is empty", "--plate"),
    ],
)
def test_what_is_not_well_formed_is_a_usage_error(folder: Path, changes: Any, message: str, argument: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        Shot.open(job(folder, **changes))
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    ("changes", "message", "argument"),
    [
        (
            {"frames": "990-1003"},
            r"no file for frames 990-1000 \(expected plate\.0990\.exr\); files 1001-1003",
            "--plate",
        ),
        ({"frames": "1-5"}, "no file for frames 1-5", "--plate"),
        ({"colorspace": "ACESgc"}, "no such colour space", "--colorspace"),
        ({"ocio": "/nowhere/config.ocio"}, "no such file", "--ocio"),
        ({"plate": "/nowhere/plate.####.exr"}, "no folder /nowhere", "--plate"),
        ({"masks": [Mask("hero", "/nowhere/m.####.exr")]}, "--mask hero .*no folder", "--mask hero"),
    ],
)
def test_what_is_not_there_is_an_input_error(folder: Path, changes: Any, message: str, argument: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Shot.open(job(folder, **changes))
    assert caught.value.argument == argument


def test_a_missing_frame_in_the_middle(folder: Path) -> None:
    (folder / "plate.1002.exr").unlink()
    with pytest.raises(
        InputError, match=r"no file for frame 1002 \(expected plate\.1002\.exr\); files 1001,1003 exist"
    ):
        Shot.open(job(folder))


def test_missing_masks_are_an_error_unless_the_object_is_off_screen(folder: Path) -> None:
    (folder / "hero.1002.exr").unlink()
    with pytest.raises(InputError, match=r"hero\.####\.exr: no file for frame 1002 .*--mask-missing empty"):
        Shot.open(job(folder))
    shot = Shot.open(job(folder, mask_missing="empty"))
    assert not shot.mask("hero", 1002).any() and shot.digest_mask("hero", 1002) == "empty"
    assert [shot.mask("hero", frame).any() for frame in FRAMES] == [True, False, True]


def test_a_mask_of_another_size(folder: Path) -> None:
    mask(folder, "hero", 1002, np.ones((3, 4)), Window(0, 0, 4, 3), Window(0, 0, 4, 3))
    with pytest.raises(InputError, match=r"--mask hero, frame 1002: .*hero\.1002\.exr is 4x3, the plate is 8x6"):
        Shot.open(job(folder))


def test_both_sizes_of_an_overscan_plate_are_said(folder: Path) -> None:
    for frame in FRAMES:
        plate(folder, frame, OVERSCAN)
    mask(folder, "hero", 1001, np.ones((3, 4)), Window(0, 0, 4, 3), Window(0, 0, 4, 3))
    with pytest.raises(InputError, match=r"the plate is 8x6 \(data window 12x8\)"):
        Shot.open(job(folder))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"display": Window(0, 0, 9, 6)}, r"frame 1002: .*is 9x6\+0\+0, but frame 1001 is 8x6\+0\+0"),
        ({"pixel_aspect": 1.0}, "pixel aspect 1, but frame 1001 has 2"),
        ({"channels": ("X", "Y", "Z")}, r"frame 1002: .*plate\.1002\.exr has no R, G and B, which a plate needs"),
    ],
)
def test_a_plate_that_changes(folder: Path, changes: Any, message: str) -> None:
    plate(folder, 1002, **changes)
    with pytest.raises(InputError, match=message):
        Shot.open(job(folder))


def test_a_selected_layer_must_have_colour(folder: Path) -> None:
    with pytest.raises(InputError, match=r"plate\.1001\.exr@r has the channels R; a plate needs R, G and B"):
        Shot.open(job(folder, plate=str(folder / "plate.####.exr@r")))


def test_a_corrupt_file_is_found_before_any_work(folder: Path) -> None:
    (folder / "plate.1003.exr").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"--plate, frame 1003: .*plate\.1003\.exr can't be read") as caught:
        Shot.open(job(folder))
    assert caught.value.argument == "--plate"


def test_a_truncated_file_is_named_when_it_is_read(folder: Path) -> None:
    path = folder / "plate.1002.exr"
    path.write_bytes(path.read_bytes()[:-20])
    shot = Shot.open(job(folder))
    with pytest.raises(InputError, match=r"--plate, frame 1002: .*plate\.1002\.exr is damaged"):
        shot.plate(1002)


def test_values_that_are_not_finite_are_counted_and_placed(folder: Path, tmp_path: Path) -> None:
    import OpenEXR

    pixels = np.ones((6, 8, 3), np.float16)
    pixels[4, 5, 1], pixels[5, 7, :] = np.nan, np.inf
    OpenEXR.File({}, {"RGB": pixels}).write(str(folder / "plate.1001.exr"))
    shot = Shot.open(job(folder, frames="1001"))
    with pytest.raises(InputError, match=r"frame 1001: .* has 2 pixels that are NaN or infinite, the first at x=5 y=4"):
        shot.plate(1001)


def test_digests_follow_the_content(folder: Path) -> None:
    shot = Shot.open(job(folder))
    before = shot.digest_plate(1001)
    assert before == Shot.open(job(folder)).digest_plate(1001) != shot.digest_plate(1002)
    plate(folder, 1001, OVERSCAN)
    assert shot.digest_plate(1001) != before


def test_files_are_tagged_with_the_space_they_are_in(folder: Path) -> None:
    wrong = {
        "colorInteropID": "lin_rec709_scene",
        "chromaticities": Typed("float[8]", (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)),
    }
    for frame in FRAMES:
        plate(folder, frame, metadata=wrong | TIME_CODE)
    same = Shot.open(job(folder, colorspace="lin_rec709_srgb"))
    assert same.warnings == () and same.header(1001)["colorInteropID"] == "lin_rec709_scene"
    other = Shot.open(job(folder))
    assert [("tagged lin_rec709_scene" in w or "chromaticities" in w) and "ACEScg" in w for w in other.warnings] == [
        True,
        True,
    ]
    header = other.header(1001)
    assert header["colorInteropID"] == "lin_ap1_scene" and header["chromaticities"].value[0] == 0.713  # type: ignore[union-attr]
    texture = Shot.open(job(folder, colorspace="srgb_tx"))
    assert texture.header(1001)["colorInteropID"] == "lin_ap1_scene" and texture.warnings == ()


def test_a_space_without_a_known_name_keeps_the_plates_word(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.ocio"
    config.write_text(
        "ocio_profile_version: 1\nroles: {scene_linear: lin, default: lin, aces_interchange: lin}\n"
        "displays:\n  d:\n    - !<View> {name: v, colorspace: lin}\n"
        "colorspaces:\n  - !<ColorSpace> {name: lin}\n"
        "  - !<ColorSpace> {name: log, to_reference: !<LogTransform> {base: 2, direction: inverse}}\n"
    )
    plate(folder, 1001, metadata={"colorInteropID": "studio_space"})
    linear = Shot.open(job(folder, frames="1001", ocio=str(config), colorspace="lin"))
    assert linear.header(1001)["colorInteropID"] == "studio_space"
    log = Shot.open(job(folder, frames="1001", ocio=str(config), colorspace="log"))
    assert "colorInteropID" not in log.header(1001)
    np.testing.assert_allclose(log.plate(1001), 2.0 ** linear.plate(1001), rtol=1e-5)


def test_a_still_plate_is_held(folder: Path) -> None:
    shot = Shot.open(job(folder, plate=str(folder / "plate.1002.exr")))
    np.testing.assert_array_equal(shot.plate(1001), shot.plate(1003))
    assert [warning.partition("is one still")[2] for warning in shot.warnings] == [
        ", held on all 3 frames; a sequence is spelled plate.####.exr"
    ]
    assert not Shot.open(job(folder, plate=str(folder / "plate.1002.exr"), frames="1002")).warnings


def test_the_output_folder_is_made_and_tried(tmp_path: Path) -> None:
    out = check_out(tmp_path / "a" / "ü b")
    assert out.is_dir() and not list(out.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"--out .*file is a file; name a folder"):
        check_out(tmp_path / "file")
    with pytest.raises(InputError, match="can't be written"):
        check_out(tmp_path / "file" / "below")
    with pytest.raises(UsageError, match="--out is empty"):
        check_out("")


def test_a_folder_that_refuses_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(
        InputError, match=r"can't be written \(Permission denied\); choose a folder that you may write to"
    ) as caught:
        check_out(tmp_path / "locked")
    assert caught.value.argument == "--out"


def test_keyframes_are_read_like_masks(folder: Path) -> None:
    keyframes = [
        Keyframe("matte", 1002, str(folder / "hero.1002.exr")),
        Keyframe("hat", 1002, str(folder / "hero.####.exr")),
    ]
    words = {name: getattr(job(folder), name) for name in ("plate", "frames", "colorspace", "out")}
    shot = Shot.open(TrimapJob(**words, keyframes=keyframes))
    assert [(name, frame) for name, frame, _ in shot.keyframes] == [("matte", 1002), ("hat", 1002)]
    np.testing.assert_array_equal(shot.keyframe("matte", 1002), dot())
    assert shot.digest_keyframe("matte", 1002) == shot.digest_keyframe("hat", 1002)
    mask(folder, "small", 1002, np.zeros((3, 4)), Window(0, 0, 4, 3), Window(0, 0, 4, 3))
    keyframes[0] = replace(keyframes[0], pattern=str(folder / "small.1002.exr"))
    with pytest.raises(
        InputError, match=r"--keyframe matte, frame 1002: .* is 4x3, the plate is 8x6; render the keyframe"
    ):
        Shot.open(TrimapJob(**words, keyframes=keyframes))


def test_a_clean_plate_is_a_still_or_covers_every_frame(folder: Path) -> None:
    words = {name: getattr(job(folder), name) for name in ("plate", "frames", "colorspace", "out")}
    still = Shot.open(CleanPlateJob(**words, clean_plate=str(folder / "plate.1002.exr")))
    assert still.clean_plate_frames == (1001,)
    np.testing.assert_array_equal(still.clean(1001), still.plate(1002))
    moving = Shot.open(CleanPlateJob(**words, clean_plate=str(folder / "plate.####.exr")))
    assert moving.clean_plate_frames == FRAMES
    plate(folder / "clean", 1001)
    with pytest.raises(InputError, match=r"--clean-plate .*: no file for frames 1002-1003"):
        Shot.open(CleanPlateJob(**words, clean_plate=str(folder / "clean" / "plate.####.exr")))
    with pytest.raises(InputError, match=r"--clean-plate, frame 1001: .* has no R, G and B"):
        Shot.open(CleanPlateJob(**words, clean_plate=str(folder / "hero.1001.exr"))).clean(1001)
    assert Shot.open(CleanPlateJob(**words, clean_plate="auto", masks=job(folder).masks)).clean_plate is None
