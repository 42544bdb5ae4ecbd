"""How the cost of Omnimatte Layers grows: one shot made longer and larger, seconds and memory against both."""

import math
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from penumbra.protocol import Mask, OmnimatteJob, format_frames
from penumbra_engine.bench.highway import write_mask
from penumbra_engine.bench.meter import Cost, measured_run
from penumbra_engine.bench.plot import Panel, plot
from penumbra_engine.bench.table import Cell, Table
from penumbra_engine.bench.true_shot import TrueShot, find_shots
from penumbra_engine.files import write_atomically
from penumbra_engine.imaging.metrics.layers import Truth
from penumbra_engine.media import Picture, write_picture

FRAMES = (24, 48, 96, 192)
MEGAPIXELS = (0.1296, 0.5184, 1.1664, 2.0736)  # 480x270 to 1920x1080
_READ, _SHOT = 5e-6, 1e-4  # variance of the grain, and per signal
_FIRST = 1001

#: What a solve costs. The first stage, `open`, is that of what has to be loaded.
Solve = Callable[[OmnimatteJob, Path], Cost]


@dataclass(frozen=True)
class Case:
    """A solve of some frames of some size, and what it cost."""

    frames: int
    width: int
    height: int
    cost: Cost

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6

    @property
    def seconds(self) -> dict[str, float]:
        """By stage, without what is loaded once."""
        return {stage: spent for stage, spent in self.cost.seconds.items() if stage != "open"}

    @property
    def cpu_seconds(self) -> float:
        return self.cost.cpu_total - self.cost.cpu_seconds["open"]


def alone(job: OmnimatteJob, cache: Path) -> Cost:
    """The cost of a solve in a process of its own: it shall find no memory that another has left."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_cost, (job, cache))


def _cost(job: OmnimatteJob, cache: Path) -> Cost:
    return measured_run(job, cache)[1]


def bench_growth(
    shots: Path,
    only: str = "",
    out: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
    solve: Solve = alone,
    frames: Sequence[int] = FRAMES,
    megapixels: Sequence[float] = MEGAPIXELS,
) -> list[Table]:
    """Solve the first shot of a folder (`standard`, cold) as ever more frames of the least size, and as the fewest
    frames of ever larger size. With `out`, the plot growth.png goes there.

    Longer: played forth and back. Larger: layers and background enlarged, for enlarged grain would be blotches; every
    frame has grain of its own. Returns the table of costs and that of slopes: the exponents by which seconds and memory
    grow, in least squares of the logarithms. Raises UsageError when no such shot is there, and what the solver raises.
    """
    shot = find_shots(shots, only)[0]
    truth = shot.truth()
    sizes = [(count, megapixels[0]) for count in frames] + [(frames[0], pixels) for pixels in megapixels[1:]]
    cases = []
    for count, pixels in sizes:
        with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as temporary:
            tell(f"{shot.name}: {count} frames of {pixels:.2f} MP")
            job = _made(shot, truth, count, pixels, Path(temporary))
            height, width = _size(truth, pixels)
            cases.append(Case(count, width, height, solve(job, Path(temporary) / "cache")))
    longer, larger = cases[: len(frames)], [cases[0], *cases[len(frames) :]]
    if out:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / "growth.png", plot(list(_panels(longer, larger))))
    return [_costs(shot.name, cases), _slopes(longer, larger)]


def forth_and_back(count: int, length: int) -> list[int]:
    """Which of `length` frames each of `count` shows when they are played forth and back."""
    period = max(1, 2 * length - 2)
    return [min(index % period, period - index % period) for index in range(count)]


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The exponent by which y > 0 grows with x > 0, in least squares of the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def _made(shot: TrueShot, truth: Truth, count: int, megapixels: float, folder: Path) -> OmnimatteJob:
    """The shot as so many frames of that size, written to a folder, and the request for its layers."""
    height, width = _size(truth, megapixels)
    numbers = range(_FIRST, _FIRST + count)
    plates, shown = truth.over(truth.clean), forth_and_back(count, len(shot.frames))
    for frame, index in zip(numbers, shown, strict=True):
        plate = cv2.resize(plates[index].transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_CUBIC)
        deviation = np.sqrt(_READ + _SHOT * np.maximum(plate, 0))
        plate += deviation * np.random.default_rng(frame).standard_normal(plate.shape, np.float32)
        write_picture(folder / f"plate.{frame}.exr", Picture(plate, tuple("RGB")))
    masks = []
    for number, name in enumerate(shot.names):
        rough = shot.mask(number)
        for frame, index in zip(numbers, shown, strict=True):
            mask = cv2.resize(rough[index, 0], (width, height), interpolation=cv2.INTER_LINEAR)
            write_mask(folder / f"{name}.{frame}.png", mask > 0.5)
        masks.append(Mask(name, str(folder / f"{name}.####.png")))
    plate_files, asked = str(folder / "plate.####.exr"), format_frames(tuple(numbers))
    return replace(shot.job(folder / "out"), plate=plate_files, frames=asked, masks=masks, cold=True)


def _size(truth: Truth, megapixels: float) -> tuple[int, int]:
    """Height and width of so many pixels in the proportions of the shot."""
    height, width = truth.plate.shape[2:]
    larger = math.sqrt(megapixels * 1e6 / (height * width))
    return round(height * larger), round(width * larger)


def _costs(name: str, cases: Sequence[Case]) -> Table:
    stages = list(dict.fromkeys(stage for case in cases for stage in case.seconds))
    table = Table(
        "Omnimatte Layers: growth",
        f"{name} made longer and larger, standard, cold, each solve in a process of its own, whose memory (MB, "
        "resident) includes what it loads; loading is not in the seconds. Seconds of each stage at the end.",
        ("frames", "size", "MP", "seconds", "CPU seconds", "a frame", "peak MB", *stages),
    )
    for case in cases:
        seconds = sum(case.seconds.values())
        cells: dict[str, Cell] = {
            "frames": case.frames,
            "size": f"{case.width}x{case.height}",
            "MP": round(case.megapixels, 4),
            "seconds": seconds,
            "CPU seconds": case.cpu_seconds,
            "a frame": seconds / case.frames,
            "peak MB": round(case.cost.peak),
        }
        table.add({**cells, **case.seconds})
    return table


def _slopes(longer: Sequence[Case], larger: Sequence[Case]) -> Table:
    table = Table(
        "Omnimatte Layers: slopes of growth",
        "The exponent by which a cost grows with frames and with pixels: 1 is in proportion, 0 is flat.",
        ("of", "by frames", "by pixels"),
    )
    costs: dict[str, Callable[[Case], float]] = {
        "seconds": lambda case: sum(case.seconds.values()),
        "CPU seconds": lambda case: case.cpu_seconds,
        "peak MB": lambda case: case.cost.peak,
    }
    for of, cost in costs.items():
        table.add(
            {
                "of": of,
                "by frames": slope([case.frames for case in longer], [cost(case) for case in longer]),
                "by pixels": slope([case.megapixels for case in larger], [cost(case) for case in larger]),
            }
        )
    return table


def _panels(longer: Sequence[Case], larger: Sequence[Case]) -> Iterator[Panel]:
    for name, cases, x in (
        ("frames", longer, [float(case.frames) for case in longer]),
        ("megapixels", larger, [case.megapixels for case in larger]),
    ):
        most = sorted(cases[-1].seconds, key=lambda stage: -cases[-1].seconds[stage])[:4]
        seconds = {"all": [sum(case.seconds.values()) for case in cases]}
        seconds |= {stage: [case.seconds[stage] for case in cases] for stage in most}
        yield Panel("seconds", name, x, seconds)
        yield Panel("peak MB", name, x, {"all": [case.cost.peak for case in cases]})
