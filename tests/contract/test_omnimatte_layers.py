"""The files of `omnimatte`, held to the contract line by line, on a plate with everything that goes wrong elsewhere."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest

from penumbra.protocol import Mask, OmnimatteJob, Result
from penumbra_engine.media import Window, read_picture
from penumbra_engine.media.windows import place
from penumbra_engine.solvers.jobs import run
from penumbra_engine.solvers.omnimatte import fit
from pictures import write
from stages import finished

FRAMES = range(997, 1005)  # through the number where patterns change their width
DISPLAY, DATA = Window(0, 0, 56, 40), Window(-4, -3, 64, 46)  # overscan on every side
BRIGHT, NEGATIVE = 1000.0, -0.25


@dataclass(frozen=True)
class Solved:
    """One solve of two crossing discs, and what it was made from."""

    plates: dict[int, np.ndarray]  # H x W x 3 over DATA
    out: Path
    job: OmnimatteJob
    result: Result
    cache: Path

    def read(self, name: str, frame: int) -> np.ndarray:
        """A file's pixels over DATA; black outside its own data window."""
        picture = read_picture(self.out / name / f"{name}.{frame:04d}.exr")
        return place(picture.pixels, picture.window, DATA)


def solve(job: OmnimatteJob, cache: Path) -> Result:
    return finished(run(job, cache))


@pytest.fixture(autouse=True, scope="module")
def short_training() -> Iterator[None]:
    """Who owns which effect is no matter of the files."""
    with mock.patch.dict(fit._STEPS, standard=30):
        yield


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Solved]:
    folder = tmp_path_factory.mktemp("Aufnahme 7 – größer")  # spaces and letters beyond ASCII
    random = np.random.default_rng(3)
    y, x = np.mgrid[DATA.y : DATA.bottom, DATA.x : DATA.right].astype(np.float32)
    wall = np.float32(0.2) + np.float32(0.3) * random.random(
        (DATA.height // 3 + 1, DATA.width // 4 + 1, 3), dtype=np.float32
    )
    wall = np.kron(wall, np.ones((3, 4, 1), np.float32))[: DATA.height, : DATA.width]
    wall[8:11, 10:14] = BRIGHT
    wall[36:40, 50:56, 2] = NEGATIVE
    plates = {}
    for index, frame in enumerate(FRAMES):
        picture = wall.copy()
        for k, (cx, cy, colour) in enumerate(
            [(6 + 6 * index, 14, (0.9, 0.2, 0.1)), (50 - 5 * index, 18, (0.1, 0.5, 0.9))]
        ):
            shadow = np.hypot(x - cx - 4, (y - cy - 12) * 2) < 6
            picture[shadow] *= np.float32(0.5)
            disc = np.clip(5.5 - np.hypot(x - cx, y - cy), 0, 1)[..., None]
            picture = picture * (1 - disc) + np.float32(colour) * disc
            mask = (np.hypot(x - cx, y - cy) < 6).astype(np.uint8)
            inside = mask[-DATA.y : -DATA.y + DISPLAY.height, -DATA.x : -DATA.x + DISPLAY.width]
            write_mask(folder / f"mask{k}.{frame:04d}.png", inside)
        plates[frame] = write_plate(folder / f"plate.{frame:04d}.exr", picture.astype(np.float32), frame)
    job = OmnimatteJob(
        plate=str(folder / "plate.####.exr"),
        frames=f"{FRAMES[0]}-{FRAMES[-1]}",
        colorspace="lin_rec709_scene",
        out=str(folder / "out"),
        masks=[Mask(name, str(folder / f"mask{k}.####.png")) for k, name in enumerate(("ball", "kite"))],
        seed=5,
    )
    cache = tmp_path_factory.mktemp("cache")
    yield Solved(plates, folder / "out", job, solve(job, cache), cache)


def overscan(kind: str) -> oiio.ImageSpec:
    spec = oiio.ImageSpec(DATA.width, DATA.height, 3, kind)
    spec.x, spec.y = DATA.x, DATA.y
    spec.full_x, spec.full_y, spec.full_width, spec.full_height = DISPLAY
    return spec


def write_plate(path: Path, pixels: np.ndarray, frame: int) -> np.ndarray:
    spec = overscan("half")
    spec.attribute("PixelAspectRatio", 2.0)
    spec.attribute("smpte:TimeCode", oiio.TypeDesc("timecode"), (0x01020300 + frame % 10, 0))
    spec.attribute("camera:lens", "32 mm")
    write(path, pixels, spec=spec)
    return pixels.astype(np.float16).astype(np.float32)


def write_mask(path: Path, mask: np.ndarray) -> None:
    write(path, 255 * mask[..., None].astype(np.uint8), "uint8")


def test_layers_over_background_are_the_plate(solved: Solved) -> None:
    for frame, plate in solved.plates.items():
        background = solved.read("background", frame)
        picture, premultiplied = background[..., :3], []
        for name in ("kite", "ball"):  # the last in order lies farthest back
            layer = solved.read(name, frame)
            premultiplied.append(np.abs(layer[..., :3]))
            picture = layer[..., :3] + (1 - layer[..., 3:]) * picture
        scale = np.maximum.reduce([np.ones_like(plate), np.abs(plate), *premultiplied, np.abs(background[..., :3])])
        assert (np.abs(picture - plate) / scale).max() < 2e-3


def test_the_error_before_rounding_is_reported_for_every_frame(solved: Solved) -> None:
    errors = json.loads(Path(solved.result.report).read_text())["recomposition"]["float"]
    assert set(errors) == {str(frame) for frame in FRAMES}
    assert max(errors.values()) < 1e-5


def test_the_background_is_the_plate_where_no_layer_has_alpha(solved: Solved) -> None:
    for frame, plate in solved.plates.items():
        free = (solved.read("ball", frame)[..., 3] == 0) & (solved.read("kite", frame)[..., 3] == 0)
        assert free.any()
        assert np.array_equal(solved.read("background", frame)[free][:, :3], plate[free])


def test_values_above_one_and_below_zero_survive(solved: Solved) -> None:
    background = np.stack([solved.read("background", frame)[..., :3] for frame in FRAMES])
    assert background.max() == BRIGHT
    assert background.min() == NEGATIVE


def test_alpha_is_within_its_range_and_objects_are_found(solved: Solved) -> None:
    for name in ("ball", "kite"):
        alpha = np.stack([solved.read(name, frame)[..., 3] for frame in FRAMES])
        assert alpha.min() >= 0 and alpha.max() == 1


def test_every_promised_file_is_there_and_no_other(solved: Solved) -> None:
    folders = {"ball", "kite", "background", "background_grain", "canvas", "layers", "removal", "confidence"}
    files = {str(path.relative_to(solved.out)) for path in solved.out.rglob("*") if path.is_file()}
    assert files == {f"{f}/{f}.{n:04d}.exr" for f in folders for n in FRAMES} | {"report.json", "overview.png"}


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("ball", {"R", "G", "B", "A"}),
        ("background", {"R", "G", "B", "A"}),
        ("background_grain", {"R", "G", "B", "A"}),
        ("canvas", {"R", "G", "B", "A"}),
        ("removal", {"A"}),
        ("confidence", {"A"}),
        ("layers", {*"RGBA", *(f"{n}.{c}" for n in ("ball", "kite", "background") for c in "RGBA")}),
    ],
)
def test_an_independent_reader_finds_windows_aspect_and_channels(solved: Solved, name: str, channels: set[str]) -> None:
    for frame in FRAMES:
        with OpenEXR.File(str(solved.out / name / f"{name}.{frame:04d}.exr"), separate_channels=True) as file:
            assert len(file.parts) == 1
            header = file.header()
            found = file.channels()
            assert set(found) == channels
            assert all(channel.pixels.dtype == np.float16 for channel in found.values())
            assert header["compression"] == OpenEXR.ZIPS_COMPRESSION
            assert header["pixelAspectRatio"] == 2.0
            low, high = (tuple(int(v) for v in corner) for corner in header["displayWindow"])
            assert (low, high) == ((0, 0), (DISPLAY.width - 1, DISPLAY.height - 1))
            low, high = (tuple(int(v) for v in corner) for corner in header["dataWindow"])
            whole = ((DATA.x, DATA.y), (DATA.right - 1, DATA.bottom - 1))
            assert ((low, high) == whole) == (name not in ("ball", "removal"))
            assert header["timeCode"].frame == frame % 10
            assert header["camera:lens"] == "32 mm"


def test_each_file_says_how_it_was_made(solved: Solved) -> None:
    keys = {f"penumbra:{key}" for key in ("version", "node", "model", "weights", "job", "manifest", "ocio", "seed")}
    metadata = read_picture(solved.out / "ball" / f"ball.{FRAMES[0]:04d}.exr").metadata
    assert keys <= set(metadata)
    assert metadata["penumbra:seed"] == 5
    layers = read_picture(solved.out / "layers" / f"layers.{FRAMES[0]:04d}.exr")
    assert layers.metadata["penumbra:layerOrder"] == "ball,kite,background"


def test_layer_files_are_cropped_to_what_they_hold_and_one_black_pixel(solved: Solved) -> None:
    for frame in FRAMES:
        picture = read_picture(solved.out / "ball" / f"ball.{frame:04d}.exr")
        held = (picture.pixels != 0).any(2)
        if held.any():
            assert not held[0].any() and not held[-1].any() and not held[:, 0].any() and not held[:, -1].any()
            assert held[1].any() and held[-2].any() and held[:, 1].any() and held[:, -2].any()
        else:
            assert held.size == 1


@pytest.mark.slow
def test_the_same_job_gives_the_same_bytes(solved: Solved, tmp_path: Path) -> None:
    again = OmnimatteJob(**{**vars(solved.job), "out": str(solved.out)})
    before = {path: path.read_bytes() for path in solved.out.rglob("*.exr")}
    solve(again, tmp_path / "another cache")
    assert all(path.read_bytes() == content for path, content in before.items())


def test_write_options_redo_only_the_write(solved: Solved, tmp_path: Path) -> None:
    stages = set(solved.cache.rglob("done.json"))
    job = OmnimatteJob(
        **{**vars(solved.job), "out": str(tmp_path), "write": "999-1000", "full_window": True, "float32": True}
    )
    result = solve(job, solved.cache)
    assert set(solved.cache.rglob("done.json")) == stages
    assert result.frames == "999-1000"
    assert sorted(path.name for path in (tmp_path / "kite").iterdir()) == ["kite.0999.exr", "kite.1000.exr"]
    picture = read_picture(tmp_path / "kite" / "kite.0999.exr")
    assert picture.window == DATA
    with OpenEXR.File(str(tmp_path / "kite" / "kite.0999.exr"), separate_channels=True) as file:
        assert file.channels()["R"].pixels.dtype == np.float32


def test_files_that_are_copied_are_those_that_would_be_written(solved: Solved, tmp_path: Path) -> None:
    job = OmnimatteJob(**{**vars(solved.job), "out": str(tmp_path)})
    copied, written = {}, {}
    for files in (copied, written):
        report = json.loads(Path(solve(job, solved.cache).report).read_text())
        files.update({path: path.read_bytes() for path in tmp_path.rglob("*.exr")} | report["recomposition"])
        for note in (solved.cache / "notes").glob("files-*.json"):
            note.unlink()
    assert copied == written


@pytest.mark.slow
def test_a_changed_mask_redoes_neither_registration_nor_flow(solved: Solved, tmp_path: Path) -> None:
    folder = Path(solved.job.plate).parent
    for frame in FRAMES:
        mask = read_picture(folder / f"mask1.{frame:04d}.png").pixels[..., 0]
        write_mask(tmp_path / f"other.{frame:04d}.png", np.roll(mask, 1, 1))
    masks = [solved.job.masks[0], Mask("kite", str(tmp_path / "other.####.png"))]
    first = json.loads(Path(solved.result.report).read_text())["fit"]
    count = {
        stage: len(list((solved.cache / stage).rglob("done.json")))
        for stage in ("decode", "register", "flow", "canvas")
    }
    result = solve(OmnimatteJob(**{**vars(solved.job), "masks": masks, "out": str(tmp_path / "out")}), solved.cache)
    after = {stage: len(list((solved.cache / stage).rglob("done.json"))) for stage in count}
    assert after == {**count, "canvas": count["canvas"] + 1}
    # The fit starts from the last one of this shot, and says so; a cold one does not.
    second = json.loads(Path(result.report).read_text())["fit"]
    assert second["parent"] == first["key"]
    cold = OmnimatteJob(**{**vars(solved.job), "masks": masks, "out": str(tmp_path / "cold"), "cold": True})
    assert json.loads(Path(solve(cold, solved.cache).report).read_text())["fit"]["parent"] == ""


def test_values_beyond_half_are_written_as_32_bit_and_reported(solved: Solved, tmp_path: Path) -> None:
    for frame in FRAMES:
        pixels = solved.plates[frame].copy()
        pixels[0, 0] = 1e5
        write(tmp_path / f"p.{frame:04d}.exr", pixels, spec=overscan("float"))
    plate = str(tmp_path / "p.####.exr")
    job = OmnimatteJob(**{**vars(solved.job), "plate": plate, "out": str(tmp_path / "out"), "quality": "draft"})
    result = solve(job, tmp_path / "cache")
    background = read_picture(tmp_path / "out" / "background" / f"background.{FRAMES[0]:04d}.exr").pixels
    assert np.array_equal(background[0, 0, :3], [1e5, 1e5, 1e5])
    assert json.loads(Path(result.report).read_text())["recomposition"]["float32"] == list(FRAMES)
    assert any("32-bit" in warning and job.frames in warning for warning in result.warnings)


@pytest.mark.slow
def test_a_cancelled_job_keeps_finished_stages_and_leaves_no_half_files(solved: Solved, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    steps = run(OmnimatteJob(**{**vars(solved.job), "out": str(tmp_path / "out")}), cache)
    for progress in steps:
        if progress.stage == "fit" and progress.done >= 60:
            break
    steps.close()
    assert (cache / "register").exists() and not list((tmp_path / "out").rglob("*"))
    assert solve(OmnimatteJob(**{**vars(solved.job), "out": str(solved.out)}), cache)
    # Resumed at its checkpoint, the fit gives what it gave without the interruption.
    fit = next(iter((cache / "fit").rglob("network.safetensors"))).read_bytes()
    first = json.loads(Path(solved.result.report).read_text())["fit"]["key"]
    assert fit == (solved.cache / "fit" / first[:2] / first / "network.safetensors").read_bytes()


def test_a_layer_has_a_hole_where_an_object_in_front_covers_it(solved: Solved) -> None:
    for frame in FRAMES:
        front, back = solved.read("ball", frame)[..., 3], solved.read("kite", frame)[..., 3]
        assert not back[front == 1].any()
