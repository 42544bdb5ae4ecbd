"""The benches of Clean Plate Matte and Trimap Propagate, with solvers whose result is known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra.protocol import Job, Result
from penumbra_engine.bench import clean_plate, subject, trimap
from penumbra_engine.bench.meter import Cost
from penumbra_engine.bench.true_shot import find_shots, read_alpha
from penumbra_engine.cli import main
from penumbra_engine.imaging.metrics.mattes import matte_scores
from penumbra_engine.media import Picture, write_picture
from tiny_shot import TinyShot

FRAMES = range(1001, 1013)


@pytest.fixture
def shots(true_tiny: Path, tiny_shot: TinyShot) -> Path:
    """The folder of the tiny shot with its truth, three trimaps and a captured clean plate."""
    write_picture(true_tiny / "captured.exr", Picture(1.05 * tiny_shot.clean, tuple("RGB")))
    for frame, alpha in zip(FRAMES, tiny_shot.alpha, strict=True):
        if frame in (1001, 1006, 1012):
            given = subject.trimap_of(alpha.transpose(2, 0, 1)).transpose(1, 2, 0)
            write_picture(true_tiny / f"trimap.{frame}.exr", Picture(given, ("A",)))
    meta = json.loads((true_tiny / "shot.json").read_text())
    meta["files"] |= {"trimap": ["trimap.####.exr"], "cleanplate": "captured.exr"}
    (true_tiny / "shot.json").write_text(json.dumps(meta))
    return true_tiny.parent


def solver(tiny: TinyShot, asked: list[Any]) -> Callable[[Job, Path], tuple[Result, Cost]]:
    """Stands for a solve: writes half of the true alpha, and the effects whole."""

    def run(job: Job, cache: Path) -> tuple[Result, Cost]:
        asked.append(job)
        out, names = Path(job.out), ["object1", "effects"] if job.kind == "clean-plate" else ["object1"]
        for name in [*names, "background"]:
            (out / name).mkdir()
        for frame, alpha, shade in zip(FRAMES, tiny.alpha, tiny.shade, strict=True):
            layers = {"object1": alpha / 2, "effects": 1 - shade}
            for name in names:
                pixels = np.concatenate([np.zeros((*alpha.shape[:2], 3), np.float32), layers[name]], -1)
                write_picture(out / name / f"{name}.{frame}.exr", Picture(pixels, tuple("RGBA")))
            write_picture(out / "background" / f"background.{frame}.exr", Picture(tiny.clean, tuple("RGB")))
        layers_at = {name: str(out / name) for name in names}
        return Result(job.out, "", "", layers_at, job.frames, job.colorspace, 3.0, ["mind the gap"]), Cost({"all": 3.0})

    return run


def test_the_error_of_a_matte_by_region() -> None:
    truth = np.zeros((2, 1, 4, 4), np.float32)
    truth[:, 0, 0], truth[:, 0, 1] = 1, 0.5
    alpha = truth.copy()
    alpha[:, 0, 0] -= 0.2
    alpha[1, 0, 1] += 0.4
    scores = matte_scores(alpha, truth)
    assert scores["core_mad"] == pytest.approx(0.2) and scores["soft_mad"] == pytest.approx(0.2)
    assert scores["mad_e3"] == pytest.approx(1e3 * (0.2 * 8 + 0.4 * 4) / 32)
    assert scores["dtssd"] == pytest.approx(100 * np.sqrt(0.16 / 4))


def test_a_trimap_of_the_truth_is_unknown_round_soft_pixels() -> None:
    alpha = np.zeros((1, 1, 20), np.float32)
    alpha[..., 10:], alpha[..., 10] = 1, 0.5
    found = subject.trimap_of(alpha)[0, 0]
    assert (found[:6] == 0).all() and (found[6:15] == 0.5).all() and (found[15:] == 1).all()


def test_trimap_propagate_is_measured_from_three_trimaps_and_from_one(
    shots: Path, tiny_shot: TinyShot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(trimap, "measured_run", solver(tiny_shot, asked))
    (table,) = trimap.bench_trimap(shots, out=tmp_path / "out")
    assert [[k.frame for k in job.keyframes] for job in asked] == [[1001, 1006, 1012], [1006]]
    rows = {str(row["method"]): row for row in table.rows}
    assert rows["three trimaps"]["core_mad"] == pytest.approx(0.5, abs=1e-3) and rows["one trimap"]["seconds"] == 3.0
    assert "cpu_seconds" in rows["three trimaps"] and "cpu_seconds" not in rows["rough mask"]
    assert "tiny, one trimap: mind the gap" in table.notes
    # The disc's rough mask is a little larger than it is.
    assert rows["rough mask"]["core_mad"] == 0 < float(rows["rough mask"]["mad_e3"])  # type: ignore[arg-type]
    if "PyMatting, true trimaps" in rows:
        assert rows["PyMatting, true trimaps"]["frames"] == 3 and "dtssd" not in rows["PyMatting, true trimaps"]
        assert float(rows["PyMatting, trimaps of the truth"]["soft_mad"]) < 0.2  # type: ignore[arg-type]
    assert (tmp_path / "out" / "tiny" / "sheet.png").stat().st_size > 10_000


def test_clean_plate_matte_is_measured_by_each_clean_plate(
    shots: Path,
    tiny_shot: TinyShot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(clean_plate, "measured_run", solver(tiny_shot, asked))
    monkeypatch.setattr(subject, "installed", lambda: False)
    assert main(["bench", "clean-plate", "--shots", str(shots), "--out", str(tmp_path / "out"), "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)
    rows = {row["method"]: row for row in table["rows"]}
    assert list(rows) == ["clean plate", "clean plate, no mask", "true clean plate", "auto", "rough mask"]
    assert [Path(job.clean_plate).name for job in asked] == ["captured.exr", "captured.exr", "clean.exr", "auto"]
    assert [bool(job.masks) for job in asked] == [True, False, True, True]
    assert rows["auto"]["bg_psnr_touched"] > 60 and rows["auto"]["replate_dark"] < 30
    assert (tmp_path / "out" / "clean_plate.md").exists()


def test_several_objects_are_lifted_as_one(shots: Path, tiny_shot: TinyShot, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = json.loads((shots / "tiny" / "shot.json").read_text())
    for kind in ("alpha", "layer", "effect", "mask"):
        meta["files"][kind] *= 2
    (shots / "tiny" / "shot.json").write_text(json.dumps(meta))
    asked: list[Any] = []
    solve = solver(tiny_shot, asked)

    def measured(job: Job, cache: Path) -> tuple[Result, Cost]:
        for mask in job.masks:  # type: ignore[union-attr]
            drawn = read_alpha(Path(mask.pattern.replace("####", "1006")))
            assert mask.name == "together" and np.allclose(drawn, find_shots(shots)[0].mask(0)[5], atol=1 / 255)
        return solve(job, cache)

    monkeypatch.setattr(clean_plate, "measured_run", measured)
    (table,) = clean_plate.bench_clean_plate(shots)
    assert [len(job.masks) for job in asked] == [1, 0, 1, 1]
    assert {row["subject"] for row in table.rows} == {"together"}
    assert [row["method"] for row in table.rows][-1] == "rough mask"


def test_shots_without_trimaps_are_refused(shots: Path) -> None:
    meta = json.loads((shots / "tiny" / "shot.json").read_text())
    del meta["files"]["trimap"]
    (shots / "tiny" / "shot.json").write_text(json.dumps(meta))
    assert main(["bench", "trimap", "--shots", str(shots)]) == 2
