"""The bench from a folder of shots to tables, with methods whose result is known."""

import json
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from penumbra.protocol import OmnimatteJob, Progress, Result
from penumbra_engine.bench import ablation, omnimatte
from penumbra_engine.bench.median import mask_over_median
from penumbra_engine.bench.meter import Meter
from penumbra_engine.bench.omnimatte import bench_shots
from penumbra_engine.bench.true_shot import TrueShot, read_result
from penumbra_engine.cli import main
from penumbra_engine.imaging.metrics.layers import recomposition
from stages import finished
from tiny_shot import TinyShot


def run(job: OmnimatteJob, cache: Path) -> Result:
    return finished(mask_over_median(job, cache))


def test_the_mask_over_the_median_is_a_whole_result(true_tiny: Path, tmp_path: Path) -> None:
    shot = TrueShot.open(true_tiny)
    run(shot.job(tmp_path / "out"), tmp_path / "cache")
    background, layers = read_result(tmp_path / "out", shot.names, shot.frames)
    truth = shot.truth()
    assert recomposition(truth, background, layers)["recomp_max"] < 2e-3
    assert set(np.unique(layers[0][:, 3])) == {0, 1}
    # At the disc's centre the mask is on, and the wall behind it is what other frames show.
    assert layers[0][0, 3, 12, 6] == 1
    assert np.abs(background[0, :, 12, 6] - truth.clean[0, :, 12, 6]).max() < 1e-3


def test_a_shot_becomes_rows_and_a_sheet(
    true_tiny: Path, tiny_shot: TinyShot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(job: OmnimatteJob, cache: Path) -> Generator[Progress, None, Result]:
        """The baseline again, called something else."""
        return (yield from mask_over_median(job, cache))

    monkeypatch.setattr(omnimatte, "METHODS", {"ours": half, "mask over median": mask_over_median})
    said: list[str] = []
    figures, costs, stages = bench_shots(true_tiny.parent, out=tmp_path / "out", tell=said.append)
    assert said == ["tiny: ours", "tiny: mask over median"]
    assert [(row["shot"], row["method"]) for row in figures.rows] == [("tiny", "ours"), ("tiny", "mask over median")]
    first, second = ({k: v for k, v in row.items() if k != "method"} for row in figures.rows)
    assert first == second
    # The shadow is missing from the matte: its whole alpha is the error.
    dark = 1 - tiny_shot.shade
    assert first["effect_mad"] == pytest.approx(dark[(dark > 0.05) & (tiny_shot.alpha < 0.01)].mean(), abs=1e-3)
    assert costs.rows[0]["frames/s"] == pytest.approx(12 / float(costs.rows[0]["seconds"]))  # type: ignore[arg-type]
    assert {"decode", "masks", "register", "median"} <= set(stages.columns)
    assert (tmp_path / "out" / "tiny" / "sheet.png").stat().st_size > 10_000
    assert (tmp_path / "out" / "tiny" / "mask_over_median" / "background").is_dir()


def test_the_command_prints_one_object_and_writes_tables(
    true_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(omnimatte, "METHODS", {"mask over median": mask_over_median})
    words = ["bench", "omnimatte", "--shots", str(true_tiny.parent), "--out", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "omnimatte.json").read_text())
    assert printed[0]["rows"][0]["shot"] == "tiny"
    assert main([*words[:3], str(tmp_path / "nowhere")]) == 2


def test_the_meter_adds_up_a_stage_that_comes_twice() -> None:
    meter = Meter()
    for stage in ("a", "a", "b", "a"):
        meter.stage(stage)
    cost = meter.end()
    assert list(cost.seconds) == ["a", "b"]
    assert cost.total == sum(cost.seconds.values()) and cost.peak > 10


def test_the_truth_in_the_place_of_a_stage(true_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = json.loads((true_tiny / "shot.json").read_text())
    (true_tiny / "shot.json").write_text(json.dumps({**meta, "frames": [1001, 1008]}))
    chosen = ("as it is", "true registration", "true background and masks", "no effects", "no network")
    monkeypatch.setattr(ablation, "VARIANTS", {name: ablation.VARIANTS[name] for name in chosen})
    table = ablation.ablate(true_tiny)
    rows = {str(row["variant"]): row for row in table.rows}
    assert list(rows) == list(chosen[:-1])  # one object needs no network
    assert rows["true registration"]["bg_psnr_touched"] == rows["as it is"]["bg_psnr_touched"]
    assert float(rows["true background and masks"]["bg_psnr_touched"]) > 60  # type: ignore[arg-type]
    assert float(rows["no effects"]["effect_mad"]) > 3 * float(rows["as it is"]["effect_mad"])  # type: ignore[arg-type]
    assert float(rows["true registration"]["seconds saved"]) > 0  # type: ignore[arg-type]
