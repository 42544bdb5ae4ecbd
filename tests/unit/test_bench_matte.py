"""The bench of Matte from a folder of shots to a table, with methods whose result is known."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from penumbra_engine.bench import matte
from penumbra_engine.bench.dancer import compose_dancer
from penumbra_engine.bench.matte import bench_mattes
from penumbra_engine.bench.nearest import carried, nearest_keyframe
from penumbra_engine.bench.true_shot import TrueShot
from penumbra_engine.cache import Store
from penumbra_engine.cli import main
from penumbra_engine.errors import UsageError
from penumbra_engine.media import read_picture
from penumbra_engine.solvers.keyframes import Keyframes
from penumbra_engine.solvers.motion import Motion
from tiny_shot import TinyShot


def test_the_first_the_middle_and_the_last_frame_are_keyed_where_none_is_named(true_tiny: Path) -> None:
    keyframes = TrueShot.open(true_tiny).matte_job(true_tiny / "out").keyframes
    assert [(key.name, key.frame) for key in keyframes] == [("object1", 1001), ("object1", 1007), ("object1", 1012)]
    assert keyframes[1].pattern == str(true_tiny / "alpha.1007.exr")


def test_named_keyframes_are_taken(true_tiny: Path) -> None:
    meta = json.loads((true_tiny / "shot.json").read_text())
    meta["objects"] = [{"trimap_frames": [1002, 1009]}]
    (true_tiny / "shot.json").write_text(json.dumps(meta))
    assert TrueShot.open(true_tiny).keyed == ((1002, 1009),)


def test_a_keyframe_is_carried_to_the_frames_that_it_is_nearest_to(tmp_path: Path) -> None:
    """A bar that moves by one pixel a frame, keyed on the first and the last of five; the last key is wider."""
    with Store(tmp_path).entry("motion") as entry:
        flow = entry.create_stack("flow", (5, 6, 4, 12))
        for index in range(5):
            flow[index] = np.broadcast_to(np.float32([1, 0, 1, -1, 0, 1])[:, None, None], (6, 4, 12))
        mattes = entry.create_stack("mattes", (2, 1, 4, 12))
        for key, (at, width) in enumerate(((2, 2), (6, 3))):
            bar = (np.arange(12) >= at) & (np.arange(12) < at + width)
            mattes[key] = np.broadcast_to(bar.astype(np.float32), (1, 4, 12))
        keyframes = Keyframes("", mattes, (("bar", 0), ("bar", 4)))
        found = carried(keyframes, "bar", Motion("", flow), 5)
    starts = [int(np.argmax(row)) for row in found[:, 0]]
    assert starts == [2, 3, 4, 5, 6]
    assert [int(row.sum()) for row in found[:, 0]] == [2, 2, 2, 3, 3]


def test_a_shot_becomes_rows_and_a_sheet(
    true_tiny: Path, tiny_shot: TinyShot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matte, "METHODS", {"by flow": nearest_keyframe})
    said: list[str] = []
    table = bench_mattes([TrueShot.open(true_tiny)], out=tmp_path / "out", tell=said.append)
    assert said == ["tiny: by flow"]
    assert [row["method"] for row in table.rows] == ["by flow", "rough mask"]
    flow, masks = table.rows
    truth = tiny_shot.alpha.transpose(0, 3, 1, 2)
    error = np.abs(TrueShot.open(true_tiny).mask(0) - truth).mean()
    assert masks["mad_e3"] == pytest.approx(1e3 * error, rel=1e-3) and masks["seconds"] is None
    assert float(flow["seconds"]) > 0 and float(flow["cpu_seconds"]) > 0  # type: ignore[arg-type]
    assert float(flow["mad_e3"]) > 0  # type: ignore[arg-type]
    assert float(flow["grad"]) > 0 and float(masks["grad"]) > float(flow["grad"])  # type: ignore[arg-type]
    assert (tmp_path / "out" / "tiny" / "sheet.png").stat().st_size > 10_000
    assert len(list((tmp_path / "out" / "tiny" / "by_flow" / "object1").iterdir())) == 12


def test_the_command_prints_one_object_and_writes_tables(
    true_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(matte.METHODS) == ["small", "nearest keyframe by flow"]
    monkeypatch.setattr(matte, "METHODS", {"by flow": nearest_keyframe})
    words = ["bench", "matte", "--shots", str(true_tiny.parent), "--out", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "matte.json").read_text())
    assert [row["method"] for row in printed[0]["rows"]] == ["by flow", "rough mask"]
    assert main([*words[:3], str(tmp_path / "nowhere")]) == 2


def test_a_dancer_becomes_a_shot_whose_plate_is_the_composite(tmp_path: Path) -> None:
    footage = tmp_path / "footage"
    for folder in ("rgba", "plates"):
        (footage / folder).mkdir(parents=True)
    random = np.random.default_rng(0)
    cv2.imwrite(str(footage / "plates" / "wall.jpg"), random.integers(60, 200, (90, 160, 3), np.uint8))
    for index in range(3):
        keyed = np.full((36, 64, 4), 8, np.uint8)  # alpha 8 of 255 is what keying leaves of nothing
        keyed[10:26, 20 + index : 40 + index] = (0, 0, 255, 247)  # BGR: red
        cv2.imwrite(str(footage / "rgba" / f"{1001 + index}.png"), keyed)
    compose_dancer(footage, "wall", tmp_path / "dancer")
    shot = TrueShot.open(tmp_path / "dancer")
    assert shot.frames == (1001, 1002, 1003) and shot.keyed == ((1001, 1002, 1003),)
    truth, mask = shot.alpha(0), shot.mask(0)
    assert set(np.unique(truth)) == {0, 1} and truth[1, 0, 12, 21:41].all()
    assert (mask >= truth).all() and mask.sum() > truth.sum()
    plate = read_picture(tmp_path / "dancer" / "plate.1002.exr").pixels
    assert plate[11:25, 22:40].mean((0, 1)) == pytest.approx([1, 0, 0], abs=0.01)
    with pytest.raises(UsageError, match="expected rgba"):
        compose_dancer(tmp_path, "wall", tmp_path / "none")
