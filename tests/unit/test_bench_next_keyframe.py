"""The bench of the suggested keyframe, with a solver whose mattes are known: right where keyed, empty elsewhere."""

import json
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from penumbra.protocol import MatteJob, Progress, Result
from penumbra_engine.bench.next_keyframe import bench_next_keyframe, draw
from penumbra_engine.bench.true_shot import TrueShot, read_alpha
from penumbra_engine.cli import main
from penumbra_engine.media import Picture, write_picture

SUGGESTED = 1005


def keyed_only(job: MatteJob, cache: Path) -> Generator[Progress, None, Result]:
    """Writes the keyframes, and nothing on all other frames; counts in the cache how often it ran there."""
    out, keyed = Path(job.out), {key.frame: key.pattern for key in job.keyframes}
    cache.mkdir(exist_ok=True)
    runs = cache / f"run {job.steps} {len(list(cache.iterdir()))}"
    runs.touch()
    yield Progress("train", 0, 1, 0.5)
    (out / "object1").mkdir()
    empty = np.zeros_like(read_alpha(Path(next(iter(keyed.values())))))[0]
    for frame in range(1001, 1013):
        alpha = read_alpha(Path(keyed[frame]))[0] if frame in keyed else empty
        write_picture(out / "object1" / f"object1.{frame}.exr", Picture(alpha[..., None], ("A",)))
    (out / "report.json").write_text(json.dumps({"next_keyframe": SUGGESTED, "runs": len(list(cache.iterdir()))}))
    return Result(job.out, "", "", {}, job.frames, job.colorspace, 1.0)


def test_what_a_keyframe_gains_is_what_its_frame_was_off_by(true_tiny: Path) -> None:
    shot = TrueShot.open(true_tiny)
    table = bench_next_keyframe([shot], steps=8, solve=keyed_only)
    said = [row["keyed as well"] for row in table.rows]
    assert said == ["none", "suggested", *["random"] * 5, "random, mean"]
    area = 1e3 * shot.alpha(0).mean((1, 2, 3)) / len(shot.frames)
    for row in table.rows[1:-1]:
        assert row["gain"] == pytest.approx(area[shot.frames.index(int(row["frame"]))], rel=1e-3)  # type: ignore[arg-type]
    gains = [float(row["gain"]) for row in table.rows[2:-1]]  # type: ignore[arg-type]
    assert table.rows[-1]["gain"] == pytest.approx(np.mean(gains))


def test_each_starts_from_the_first_network_alone_and_takes_half_of_the_steps(true_tiny: Path) -> None:
    ran: list[tuple[int, int]] = []

    def solve(job: MatteJob, cache: Path) -> Generator[Progress, None, Result]:
        ran.append((job.steps, len(list(cache.iterdir())) if cache.exists() else 0))
        return (yield from keyed_only(job, cache))

    shot = TrueShot.open(true_tiny)
    bench_next_keyframe([shot], steps=8, solve=solve)
    assert ran == [(8, 0), *[(4, 1)] * len({SUGGESTED, *draw(shot)})]


def test_random_frames_are_not_keyed_and_all_different(true_tiny: Path) -> None:
    drawn = draw(TrueShot.open(true_tiny))
    assert len(set(drawn)) == 5 and not {1001, 1007, 1012} & set(drawn)


def test_the_command_has_a_switch_for_it(
    true_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("penumbra_engine.bench.next_keyframe.run", keyed_only)
    words = ["bench", "matte", "--next-keyframe", "--shots", str(true_tiny), "--out", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "out" / "next_keyframe.json").read_text())
