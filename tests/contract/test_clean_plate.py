"""The files of `clean-plate`, held to the contract, with a clean plate from a moved camera and of another exposure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest
import torch

import pictures
from penumbra.protocol import CleanPlateJob, Mask, Result
from penumbra_engine.errors import InputError, PenumbraError, UnsolvableError, UsageError
from penumbra_engine.media import Window, read_picture
from penumbra_engine.media.windows import place
from penumbra_engine.models.bgm_v2 import BackgroundMattingV2
from penumbra_engine.models.checkpoints import Checkpoints
from penumbra_engine.solvers.jobs import run
from stages import finished

FRAMES = range(998, 1001)
DISPLAY, DATA = Window(0, 0, 150, 100), Window(-4, -3, 160, 110)
GAIN, BRIGHT = 1.25, 40.0


@dataclass(frozen=True)
class Solved:
    """One solve without a mask, and what it was made from."""

    plates: dict[int, np.ndarray]  # H x W x 3 over DATA
    wall: np.ndarray  # the plate without its subject
    alphas: dict[int, np.ndarray]  # of the subject, H x W
    job: CleanPlateJob
    result: Result
    cache: Path

    def read(self, name: str, frame: int) -> np.ndarray:
        """A file's pixels over DATA; black outside its own data window."""
        picture = read_picture(Path(self.result.out) / name / f"{name}.{frame:04d}.exr")
        return place(picture.pixels, picture.window, DATA)


def solve(job: CleanPlateJob, cache: Path) -> Result:
    return finished(run(job, cache))


def changed(job: CleanPlateJob, out: Path, **fields: object) -> CleanPlateJob:
    return CleanPlateJob(**{**vars(job), "out": str(out), **fields})


def write(path: Path, pixels: np.ndarray, frame: int = 0) -> None:
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], "half")
    if pixels.shape[1] == DATA.width:
        spec.x, spec.y = DATA.x, DATA.y
        spec.full_x, spec.full_y, spec.full_width, spec.full_height = DISPLAY
    spec.attribute("smpte:TimeCode", oiio.TypeDesc("timecode"), (0x01020300 + frame % 10, 0))
    pictures.write(path, pixels, spec=spec)


def scene(seed: int) -> np.ndarray:
    """A wall of soft blots in many colours, wider than the plate by 8 pixels on each side."""
    random = np.random.default_rng(seed)
    blots = random.random((DATA.height + 16, DATA.width + 16, 3)).astype(np.float32)
    blots = cv2.GaussianBlur(blots, (0, 0), 2.5)
    return np.clip(0.4 + 2.5 * (blots - 0.5), 0.05, 0.9).astype(np.float32)


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Solved]:
    folder = tmp_path_factory.mktemp("Aufnahme 7 – größer")
    y, x = np.mgrid[DATA.y : DATA.bottom, DATA.x : DATA.right].astype(np.float32)
    random, wide = np.random.default_rng(1), scene(3)
    wall = wide[8:-8, 8:-8].copy()
    camera = np.float32([[1, 0.01, 9.3], [-0.01, 1, 7.4]])
    clean = cv2.warpAffine(wide, camera, DATA.size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    write(folder / "clean.exr", GAIN * clean)
    plates, alphas = {}, {}
    for index, frame in enumerate(FRAMES):
        cx = 60 + 8 * index
        shadow = 1 - 0.5 * np.clip(9 - np.hypot(x - cx - 12, (y - 78) * 2) / 2, 0, 1)[..., None]
        alpha = np.clip(18 - np.hypot(x - cx, y - 45), 0, 1)[..., None]
        picture = alpha * np.float32([0.9, 0.25, 0.05]) + (1 - alpha) * wall * shadow
        picture[40:44, 60 + 8 * index : 64 + 8 * index] = BRIGHT
        picture = picture + random.normal(0, 0.003, picture.shape)
        write(folder / f"plate.{frame:04d}.exr", picture, frame)
        write(folder / f"mask.{frame:04d}.exr", (np.hypot(x - cx, y - 45) < 19)[..., None])
        plates[frame] = picture.astype(np.float16).astype(np.float32)
        alphas[frame] = alpha[..., 0]
    job = CleanPlateJob(
        plate=str(folder / "plate.####.exr"),
        frames=f"{FRAMES[0]}-{FRAMES[-1]}",
        colorspace="lin_rec709_scene",
        out=str(folder / "out"),
        clean_plate=str(folder / "clean.exr"),
        quality="draft",
        seed=5,
    )
    cache = tmp_path_factory.mktemp("cache")
    yield Solved(plates, wall, alphas, job, solve(job, cache), cache)


def test_subject_over_effects_over_background_is_the_plate(solved: Solved) -> None:
    for frame, plate in solved.plates.items():
        background = solved.read("background", frame)
        picture, premultiplied = background[..., :3], []
        for name in ("effects", "subject"):
            layer = solved.read(name, frame)
            premultiplied.append(np.abs(layer[..., :3]))
            picture = layer[..., :3] + (1 - layer[..., 3:]) * picture
        scale = np.maximum.reduce([np.ones_like(plate), np.abs(plate), *premultiplied, np.abs(background[..., :3])])
        assert (np.abs(picture - plate) / scale).max() < 2e-3
    errors = json.loads(Path(solved.result.report).read_text())["recomposition"]["float"]
    assert set(errors) == {str(frame) for frame in FRAMES} and max(errors.values()) < 1e-5


def test_the_subject_is_found_without_a_mask_and_its_shadow_is_no_part_of_it(solved: Solved) -> None:
    for frame, alpha in solved.alphas.items():
        assert np.abs(solved.read("subject", frame)[..., 3] - alpha).mean() < 0.015
    y = 78 - DATA.y
    middle = solved.read("effects", FRAMES[0])[y, 60 + 12 - DATA.x]
    assert middle[3] == pytest.approx(0.5, abs=0.08)
    assert solved.read("subject", FRAMES[0])[y, 60 + 12 - DATA.x, 3] == 0


def test_the_clean_plate_is_aligned_and_exposed_like_the_plate(solved: Solved) -> None:
    report = json.loads(Path(solved.result.report).read_text())["alignment"]
    for gains in report["gain"].values():
        assert gains == pytest.approx([1 / GAIN] * 3, rel=0.03)
    frame = FRAMES[0]
    hidden = solved.alphas[frame] == 1
    error = solved.read("background", frame)[..., :3][hidden] - solved.wall[hidden]
    assert np.sqrt(np.mean(error**2)) < 0.02


def test_values_above_one_survive(solved: Solved) -> None:
    assert all(solved.read("subject", frame).max() > 0.99 * BRIGHT for frame in FRAMES)


def test_every_promised_file_is_there_and_no_other(solved: Solved) -> None:
    out = Path(solved.result.out)
    folders = {"subject", "effects", "background", "confidence"}
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert files == {f"{f}/{f}.{n:04d}.exr" for f in folders for n in FRAMES} | {"report.json", "overview.png"}


@pytest.mark.parametrize("name", ["subject", "effects", "background", "confidence"])
def test_an_independent_reader_finds_windows_and_channels(solved: Solved, name: str) -> None:
    for frame in FRAMES:
        path = Path(solved.result.out) / name / f"{name}.{frame:04d}.exr"
        with OpenEXR.File(str(path), separate_channels=True) as file:
            header, found = file.header(), file.channels()
            assert len(file.parts) == 1 and header["compression"] == OpenEXR.ZIPS_COMPRESSION
            assert set(found) == ({"A"} if name == "confidence" else set("RGBA"))
            assert all(channel.pixels.dtype == np.float16 for channel in found.values())
            assert tuple(int(v) for v in header["displayWindow"][1]) == (DISPLAY.width - 1, DISPLAY.height - 1)
            low, high = (tuple(int(v) for v in corner) for corner in header["dataWindow"])
            whole = ((DATA.x, DATA.y), (DATA.right - 1, DATA.bottom - 1))
            assert ((low, high) == whole) == (name in ("background", "confidence"))
            assert header["timeCode"].frame == frame % 10
            assert header["penumbra:node"] == "clean-plate" and header["penumbra:seed"] == 5


def test_merged_effects_are_in_the_layer_named_by_its_mask(solved: Solved, tmp_path: Path) -> None:
    masks = [Mask("ball", str(Path(solved.job.plate).parent / "mask.####.exr"))]
    job = changed(solved.job, tmp_path, masks=masks, effects="merge", frames="998")
    result = solve(job, solved.cache)
    assert set(result.layers) == {"ball"} and not (tmp_path / "effects").exists()
    picture = read_picture(tmp_path / "ball" / "ball.0998.exr")
    layer = place(picture.pixels, picture.window, DATA)
    background = read_picture(tmp_path / "background" / "background.0998.exr").pixels[..., :3]
    plate = solved.plates[998]
    scale = np.maximum(1, np.abs(plate))
    assert (np.abs(layer[..., :3] + (1 - layer[..., 3:]) * background - plate) / scale).max() < 2e-3
    assert layer[78 - DATA.y, 72 - DATA.x, 3] == pytest.approx(0.5, abs=0.08)


@pytest.fixture(scope="module")
def bgm_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of the engine with weights of bgm-v2 that are random, but call every pixel that is refined a half."""
    torch.manual_seed(0)
    network = BackgroundMattingV2("mobilenetv2")
    torch.nn.init.zeros_(network.refiner.conv4.weight)
    with torch.no_grad():
        network.refiner.conv4.bias.copy_(torch.tensor([0.5, 0, 0, 0]))
    home = tmp_path_factory.mktemp("home")
    torch.save(network.state_dict(), home / "weights.pth")
    Checkpoints(home / "models").add(home / "weights.pth")
    return home


def test_the_users_own_network_gives_the_subject_and_shadows_stay_apart(
    solved: Solved, bgm_home: Path, tmp_path: Path
) -> None:
    job = changed(solved.job, tmp_path, frames="998", model="bgm-v2", refine="full")
    result = solve(job, bgm_home / "cache")
    report = json.loads(Path(result.report).read_text())
    assert (report["network"]["kind"], report["network"]["refine"]) == ("bgm-v2-mobilenetv2", "full")
    subject = read_picture(tmp_path / "subject" / "subject.0998.exr")
    assert np.all(place(subject.pixels, subject.window, DATA)[..., 3] == 0.5)
    assert subject.metadata["penumbra:model"] == "bgm-v2-mobilenetv2"
    effects = read_picture(tmp_path / "effects" / "effects.0998.exr")
    shadow = place(effects.pixels, effects.window, DATA)[78 - DATA.y, 60 + 12 - DATA.x, 3]
    assert shadow == pytest.approx(0.5, abs=0.08)


def test_a_network_without_weights_is_refused_with_what_to_do(solved: Solved, tmp_path: Path) -> None:
    for model in ("bgm-v1", "bgm-v2"):
        with pytest.raises(UsageError, match=r"penumbra models add") as raised:
            solve(changed(solved.job, tmp_path / "out", model=model), tmp_path / "cache")
        assert raised.value.argument == "--model"
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.exr"))


def refused(job: CleanPlateJob, cache: Path, kind: type[PenumbraError]) -> str:
    with pytest.raises(kind) as raised:
        solve(job, cache)
    assert raised.value.argument in ("--clean-plate", "--solver")
    assert not [path for path in Path(job.out).rglob("*") if path.is_file()]
    return str(raised.value)


def test_a_clean_plate_of_another_scene_is_refused_with_its_frames(solved: Solved, tmp_path: Path) -> None:
    write(tmp_path / "other.exr", scene(9)[8:-8, 8:-8])
    job = changed(solved.job, tmp_path / "out", clean_plate=str(tmp_path / "other.exr"))
    assert "998-1000" in refused(job, tmp_path / "cache", UnsolvableError)


def test_a_clean_plate_of_another_size_is_refused(solved: Solved, tmp_path: Path) -> None:
    write(tmp_path / "small.exr", scene(3)[:50, :60])
    job = changed(solved.job, tmp_path / "out", clean_plate=str(tmp_path / "small.exr"))
    assert "60x50" in refused(job, tmp_path / "cache", InputError)


def test_the_plate_itself_is_no_clean_plate(solved: Solved, tmp_path: Path) -> None:
    job = changed(solved.job, tmp_path / "out", clean_plate=solved.job.plate)
    assert "nothing to lift" in refused(job, tmp_path / "cache", InputError)


def test_a_cancelled_job_leaves_no_half_files_and_goes_on_where_it_was(solved: Solved, tmp_path: Path) -> None:
    job, cache = changed(solved.job, tmp_path / "out", frames="998-999"), tmp_path / "cache"
    steps = run(job, cache)
    for progress in steps:
        if progress.stage == "bound":
            break
    steps.close()
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    done = set(cache.rglob("done.json"))
    assert {path.relative_to(cache).parts[0] for path in done} == {"decode", "align", "subject"}
    solve(job, cache)
    assert done < set(cache.rglob("done.json"))
