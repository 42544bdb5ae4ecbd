"""Colour spaces: resolved by name, alias and role, linear ones untouched, everything else refused in words."""

from pathlib import Path

import numpy as np
import PyOpenColorIO as ocio
import pytest

from penumbra_engine.errors import InputError, UsageError
from penumbra_engine.media import Config

PINNED = "cg-config-v2.2.0_aces-v1.3_ocio-v2.4"
OLDEST = "cg-config-v1.0.0_aces-v1.3_ocio-v2.1"

# A config of the first kind: two spaces and a role, no aliases, no encodings, no interchange.
BARE = """ocio_profile_version: 1
search_path: luts
roles: {{scene_linear: lin, default: lin{roles}}}
displays:
  screen:
    - !<View> {{name: Raw, colorspace: lin}}
colorspaces:
  - !<ColorSpace> {{name: lin, bitdepth: 32f}}
  - !<ColorSpace> {{name: camera log, bitdepth: 32f, to_reference: !<LogTransform> {{base: 10, direction: inverse}}}}
  - !<ColorSpace> {{name: mask data, bitdepth: 32f, isdata: true}}
{spaces}"""


def bare(folder: Path, roles: str = "", spaces: str = "") -> str:
    path = folder / "bare config é.ocio"
    path.write_text(BARE.format(roles=roles, spaces=spaces), encoding="utf-8")
    return str(path)


@pytest.fixture
def pixels() -> np.ndarray:
    random = np.random.default_rng(1)
    picture = random.uniform(-0.1, 2, (7, 5, 3)).astype(np.float32)
    picture[0, 0] = 1000, -3, 6e4
    return picture


@pytest.mark.parametrize("config", [PINNED, OLDEST, f"ocio://{PINNED}", "studio-config-v1.0.0_aces-v1.3_ocio-v2.1"])
@pytest.mark.parametrize(
    ("name", "linear", "interop"),
    [
        ("lin_rec709_scene", True, "lin_rec709_scene"),
        ("lin_rec709_srgb", True, "lin_rec709_scene"),
        ("LIN_REC709", True, "lin_rec709_scene"),
        ("Linear Rec.709 (sRGB)", True, "lin_rec709_scene"),
        ("scene_linear", True, "lin_ap1_scene"),
        ("ACEScg", True, "lin_ap1_scene"),
        ("lin_ap0_scene", True, "lin_ap0_scene"),
        ("srgb_tx", False, "lin_ap1_scene"),
        ("srgb_texture", False, "lin_ap1_scene"),
        ("srgb_rec709_scene", False, "lin_ap1_scene"),
        ("sRGB - Texture", False, "lin_ap1_scene"),
        ("sRGB", False, "lin_ap1_scene"),
        ("ACEScct", False, "lin_ap1_scene"),
    ],
)
def test_names_of_one_space_in_every_config(config: str, name: str, linear: bool, interop: str) -> None:
    space = Config.load(config).space(name)
    assert space.is_linear == linear
    assert space.interop_id == interop
    assert space.config_id.startswith(config.removeprefix("ocio://") + "@")


def test_a_linear_space_is_not_touched(pixels: np.ndarray) -> None:
    space = Config.load().space("ACEScg")
    assert space.working == space.name == "ACEScg"
    assert space.to_working(pixels) is pixels


def test_texture_goes_to_scene_linear(pixels: np.ndarray) -> None:
    space = Config.load().space("srgb_tx")
    before = pixels.copy()
    linear = space.working_to_lin_rec709(space.to_working(pixels))
    np.testing.assert_array_equal(pixels, before)  # never in place
    inside = (pixels > 0.05) & (pixels <= 2)
    inside &= inside.all(axis=2, keepdims=True)
    np.testing.assert_allclose(linear[inside], ((pixels[inside] + 0.055) / 1.055) ** 2.4, rtol=2e-4)


def test_ap1_to_rec709_by_the_published_matrix(pixels: np.ndarray) -> None:
    matrix = [[1.70505, -0.62179, -0.08326], [-0.13026, 1.14080, -0.01055], [-0.02400, -0.12897, 1.15297]]
    converted = Config.load().space("scene_linear").working_to_lin_rec709(pixels)
    assert converted.dtype == np.float32
    np.testing.assert_allclose(converted, pixels @ np.transpose(matrix), rtol=1e-4, atol=2e-4 * 6e4 / 60)


def test_a_view_and_an_empty_picture_convert_too(pixels: np.ndarray) -> None:
    space = Config.load().space("scene_linear")
    whole = space.working_to_lin_rec709(pixels)
    np.testing.assert_array_equal(space.working_to_lin_rec709(pixels[::2, 1:]), whole[::2, 1:])
    assert space.working_to_lin_rec709(pixels[:0]).shape == (0, 5, 3)


def test_only_float32_rgb(pixels: np.ndarray) -> None:
    space = Config.load().space("scene_linear")
    with pytest.raises(ValueError, match="float32 pixels with 3 channels, got float64"):
        space.working_to_lin_rec709(pixels.astype(np.float64))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "ACESgc",
            "'ACESgc': no such colour space, alias or role in cg-config.*Close to it: .*ACEScg.*scene_linear = ACEScg",
        ),
        ("Raw", "for data"),
        ("data", "for data"),
        ("sRGB - Display", "space of a display.*srgb_tx"),
    ],
)
def test_what_a_plate_cannot_be_in(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Config.load().space(name)
    assert caught.value.argument == "--colorspace"


def test_an_empty_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--colorspace is empty"):
        Config.load().space("")


def test_the_environment_names_the_config_when_the_job_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Config.load().name == PINNED
    monkeypatch.setenv("OCIO", f"ocio://{OLDEST}")
    assert Config.load().name == OLDEST
    assert Config.load(PINNED).name == PINNED
    monkeypatch.setenv("OCIO", str(tmp_path / "gone.ocio"))
    with pytest.raises(InputError, match=r"\$OCIO .*gone\.ocio: no such file"):
        Config.load()


@pytest.mark.parametrize("name", ["ocio://default", "ocio://cg-config-latest", "studio-config-latest"])
def test_names_that_move_between_releases_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="another config in every OpenColorIO release"):
        Config.load(name)


def test_unreadable_configs_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ocio"
    broken.write_text("colorspaces: [")
    with pytest.raises(InputError, match=r"broken\.ocio is not a usable OpenColorIO config"):
        Config.load(str(broken))
    with pytest.raises(InputError, match="no such built-in config; there are cg-config"):
        Config.load("ocio://cg-config-v99")


def test_a_bare_config_that_says_nothing_of_its_colours(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no role aces_interchange"):
        Config.load(bare(tmp_path)).space("lin")


def test_a_bare_config_with_an_interchange_role(tmp_path: Path, pixels: np.ndarray) -> None:
    config = Config.load(bare(tmp_path, roles=", aces_interchange: lin"))
    space = config.space("camera log")
    assert (space.is_linear, space.working, space.interop_id) == (False, "lin", None)
    through_pinned = Config.load(PINNED).space("lin_ap0").working_to_lin_rec709(pixels)
    np.testing.assert_allclose(config.space("lin").working_to_lin_rec709(pixels), through_pinned, rtol=1e-5, atol=1e-3)
    with pytest.raises(InputError, match="for data"):
        config.space("mask data")
    with pytest.raises(InputError, match="no such colour space"):
        config.space("lin_rec709_srgb")


def test_a_bare_config_with_a_space_of_a_known_name(tmp_path: Path, pixels: np.ndarray) -> None:
    curve = "!<ExponentWithLinearTransform> {gamma: 2.4, offset: 0.055}"
    srgb = f"  - !<ColorSpace> {{name: sRGB, bitdepth: 32f, to_scene_reference: {curve}}}\n"
    path = bare(tmp_path, spaces=srgb)
    Path(path).write_text(Path(path).read_text(encoding="utf-8").replace("version: 1", "version: 2"), encoding="utf-8")
    np.testing.assert_allclose(
        Config.load(path).space("lin").working_to_lin_rec709(pixels), pixels, rtol=1e-4, atol=0.1
    )


def test_a_linear_role_is_needed_only_by_what_is_not_linear(tmp_path: Path) -> None:
    path = Path(bare(tmp_path, roles=", aces_interchange: lin"))
    path.write_text(path.read_text(encoding="utf-8").replace("scene_linear: lin, ", ""), encoding="utf-8")
    config = Config.load(str(path))
    assert config.space("lin").is_linear
    with pytest.raises(InputError, match="no role scene_linear"):
        config.space("camera log")


def test_the_id_is_of_the_content_wherever_the_file_lies(tmp_path: Path) -> None:
    ids = set()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        ids.add(Config.load(bare(tmp_path / folder, roles=", aces_interchange: lin")).space("lin").config_id)
    assert len(ids) == 1 and ids.pop().startswith("bare config é.ocio@")


def test_the_id_changes_with_a_look_up_table(tmp_path: Path) -> None:
    (tmp_path / "luts").mkdir()
    lut = "  - !<ColorSpace> {name: graded, bitdepth: 32f, to_reference: !<FileTransform> {src: grade.spi1d}}\n"
    path = bare(tmp_path, roles=", aces_interchange: lin", spaces=lut)

    def identity(gain: float) -> str:
        table = f"Version 1\nFrom 0.0 1.0\nLength 3\nComponents 1\n{{\n0.0\n{0.3 * gain}\n{gain}\n}}\n"
        (tmp_path / "luts" / "grade.spi1d").write_text(table)
        ocio.ClearAllCaches()
        return Config.load(path).space("graded").config_id

    assert identity(1.0) == identity(1.0) != identity(2.0)
