"""The bench of growth, with costs whose growth is known."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from penumbra.protocol import OmnimatteJob, parse_frames
from penumbra_engine.bench.growth import bench_growth, forth_and_back, slope
from penumbra_engine.bench.meter import Cost
from penumbra_engine.bench.plot import Panel, plot
from penumbra_engine.media import Sequence, read_mask, read_picture


def test_frames_go_forth_and_back() -> None:
    assert forth_and_back(8, 3) == [0, 1, 2, 1, 0, 1, 2, 1]
    assert forth_and_back(3, 1) == [0, 0, 0]


def test_the_slope_is_the_exponent() -> None:
    assert slope([1, 2, 4, 8], [3 * n**1.5 for n in (1, 2, 4, 8)]) == pytest.approx(1.5)
    assert slope([1, 2, 4], [7, 7, 7]) == pytest.approx(0)


def test_a_shot_is_made_longer_and_larger_and_its_growth_told(true_tiny: Path, tmp_path: Path) -> None:
    made = []

    def solve(job: OmnimatteJob, cache: Path) -> Cost:
        frames = parse_frames(job.frames)
        plates = [read_picture(Sequence.parse(job.plate).path(frame)).pixels for frame in frames]
        mask = read_mask(Sequence.parse(job.masks[0].pattern).path(frames[0])).pixels
        assert mask.shape[:2] == plates[0].shape[:2] and 0 < mask.mean() < 1
        made.append(plates)
        pixels = plates[0].shape[0] * plates[0].shape[1] / 1e6
        seconds = {"open": 9.0, "canvas": 0.5 * len(frames), "refine": len(frames) * (pixels / 0.002) ** 2}
        return Cost(seconds, dict.fromkeys(seconds, 1.0), dict.fromkeys(seconds, 100 * pixels))

    costs, slopes = bench_growth(
        true_tiny.parent, out=tmp_path, solve=solve, frames=(12, 24, 48), megapixels=(0.002, 0.032)
    )
    assert [(row["frames"], row["seconds"]) for row in costs.rows[:3]] == [
        (count, pytest.approx(1.5 * count, rel=0.05)) for count in (12, 24, 48)
    ]
    assert costs.rows[3]["MP"] == pytest.approx(0.032, rel=0.03) and costs.rows[3]["frames"] == 12
    seconds, _, memory = slopes.rows
    assert seconds["by frames"] == pytest.approx(1) and memory["by frames"] == pytest.approx(0)
    assert float(str(seconds["by pixels"])) > 1.5 and memory["by pixels"] == pytest.approx(1)
    # The same scene comes back, with other grain, whatever its size.
    assert 0 < np.abs(made[1][0] - made[1][22]).max() < 0.2
    small = cv2.resize(made[3][0], made[0][0].shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small - made[0][0]).mean() < 0.02
    assert (tmp_path / "growth.png").exists()


def test_a_line_is_where_its_values_are() -> None:
    panel = Panel("seconds", "frames", (1.0, 10.0), {"all": (1.0, 10.0), "refine": (10.0, 10.0)})
    image = cv2.imdecode(np.frombuffer(plot([panel, panel]), np.uint8), cv2.IMREAD_COLOR)
    drawn = np.abs(image[:, 75:425].astype(int) - (180, 119, 31)).sum(-1) < 120
    assert drawn.any(0).sum() > 250 and np.ptp(np.argwhere(drawn)[:, 0]) < 10, "a line that stays is level"
    assert np.array_equal(image[:, :520], image[:, 520:])
