"""Register: where the camera looks in each frame, as homographies to the middle frame."""

from dataclasses import dataclass

import numpy as np

from penumbra_engine.cache import Store
from penumbra_engine.errors import UnsolvableError
from penumbra_engine.imaging.direct_alignment import align, unlike
from penumbra_engine.imaging.lens import Lens
from penumbra_engine.imaging.lens_from_motion import measure_bend
from penumbra_engine.imaging.registration import Frame, Pair, register_pair, solve_cameras
from penumbra_engine.imaging.stillness import at_rest, displacement, explained
from penumbra_engine.media import Shot
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps, code_version

_OFFSETS = (1, 2, 4, 8)
_LOOKS = 7  # pairs that the lens is measured on
_STATIC = 0.12  # px: less than what the features of a static shot wander by
_MOVED = 1.0  # px: a camera that stands shakes by less
_RESTS = 0.02  # of the blocks: before a camera that moves none stays where it was
_BETTER = 0.75  # of what features leave of the difference: then they lie on what moves on its own
_WORTH = 1.5  # times: a homography that lessens a difference by less finds things on the move, or noise


@dataclass(frozen=True)
class Registration:
    """model: `static` or `homography`. cameras: T x 3 x 3 float64, frame pixels to pixels of the reference frame.
    residual: T, px by which the matches of a frame miss the solution; inliers: T, matches that agree with it, or blocks
    of the picture where the camera is static. lens: with it the homographies are those of a pinhole's pixels. plain:
    the picture has features only on what moves on its own, and was registered by its shading."""

    key: str
    model: str
    reference: int
    cameras: np.ndarray
    residual: np.ndarray
    inliers: np.ndarray
    lens: Lens
    plain: bool = False


def register(shot: Shot, plates: Plates, store: Store) -> Steps[Registration]:
    """Homographies of all frames. Independent of the masks, so that a changed mask costs no new registration.

    Raises UnsolvableError, naming the frame, when a frame can't be tied to its neighbours.
    """
    with store.entry("register", code=code_version(), plates=plates.key) as entry:
        if not entry.complete:
            count = len(plates.luminance)
            reference = count // 2
            pairs: list[Pair] = []
            frames: list[Frame] = []
            total = count * (1 + len(_OFFSETS))
            for index in range(count):
                frames.append(Frame(plates.luminance[index][0]))
                yield index, total
            static, plain = count == 1, False
            if not static:
                pairs = yield from _still_pairs(frames, reference, total)
                static = len(pairs) == count - 1
            if static:
                cameras, model, bend = np.tile(np.eye(3), (count, 1, 1)), "static", 0.0
            else:
                plain = _features_mislead(frames)
                if plain:
                    bend = 0.0
                    pairs = yield from _pairs_without_features(frames, total)
                else:
                    bend = measure_bend((frames[a], frames[b]) for a, b in _apart(count, _OFFSETS[-1]))
                    for frame in frames:
                        frame.bend = bend
                    pairs = yield from _pairs_between(frames, total)
                try:
                    cameras = solve_cameras(pairs, count, reference, (shot.width, shot.height))
                except ValueError as error:
                    lost = shot.frames[error.args[0][0]]
                    raise UnsolvableError(
                        f"frame {lost} of --plate can't be registered to its neighbours: too few features outside of "
                        "what moves. Leave the frame out of --frames, or solve what lies before and after it apart",
                        "--plate",
                    ) from error
                model = "homography"
            residual, inliers = _quality(pairs, cameras, count, shot)
            entry.save("cameras", cameras=cameras, residual=residual, inliers=inliers)
            entry.finish({"model": model, "reference": reference, "bend": bend, "plain": plain})
        meta, arrays = entry.meta, entry.load("cameras")
        lens = Lens(meta["bend"], shot.width, shot.height)
        return Registration(entry.key, meta["model"], meta["reference"], **arrays, lens=lens, plain=meta["plain"])


def _apart(count: int, offset: int) -> list[tuple[int, int]]:
    """Some pairs of frames that lie so far apart, over the whole shot."""
    offset = min(offset, count - 1)
    starts = np.unique(np.linspace(0, count - 1 - offset, _LOOKS).round().astype(int)).tolist()
    return [(start, start + offset) for start in starts]


def _still_pairs(frames: list[Frame], reference: int, total: int) -> Steps[list[Pair]]:
    """Every frame against the reference, given up when one moved: then the camera isn't static."""
    pairs = []
    sure: bool | None = None  # whether enough of the picture rests; None: not asked yet
    # The ends first: a camera that moves at all has moved most there.
    for done, index in enumerate(sorted(range(len(frames)), key=lambda t: -abs(t - reference))):
        if index == reference:
            continue
        apart, blocks = displacement(frames[index].luminance, frames[reference].luminance)
        apart /= frames[index].scale
        if not sure and apart >= _STATIC:
            if sure is None:
                others = (frame.luminance for t, frame in enumerate(frames) if t != reference)
                within = _STATIC * frames[reference].scale
                sure = at_rest(others, frames[reference].luminance, within) >= _RESTS
            if not sure and (apart >= _MOVED or not _stands(frames, index, reference)):
                break
        pairs.append(Pair(index, reference, np.eye(3), blocks, 0.0, 0.0))
        yield len(frames) + done, total
    return pairs


def _stands(frames: list[Frame], index: int, reference: int) -> bool:
    """Whether a frame that differs from the reference has not moved all the same: by its features, or because moving it
    by them explains nothing. Things on the move may fill half of a picture, and hold most of its features."""
    pair = register_pair((frames[index], frames[reference]), (index, reference), polish=False)
    if pair is None:
        return False
    frame = frames[index]
    small = np.linalg.inv(frame.to_full) @ pair.homography @ frame.to_full
    height, width = frame.luminance.shape
    if _grid_displacement(small, (width, height)) / frame.scale < _STATIC:
        return True
    return explained(frame.luminance, frames[reference].luminance, small) < _WORTH


def _pairs_between(frames: list[Frame], total: int) -> Steps[list[Pair]]:
    pairs = []
    done = len(frames)
    for offset in _OFFSETS:
        for index in range(len(frames)):
            if index + offset < len(frames):
                # Unpolished: where the wall is plain and a subject has the detail, intensities follow the subject.
                pair = register_pair((frames[index], frames[index + offset]), (index, index + offset), polish=False)
                if pair is not None:
                    pairs.append(pair)
            yield done, total
            done += 1
    return pairs


def _features_mislead(frames: list[Frame]) -> bool:
    """Whether the picture as a whole moves otherwise than its features do: before a wall that has no detail, these are
    an object's."""
    pairs = _apart(len(frames), 1)
    misled = 0
    for a, b in pairs:
        pair = register_pair((frames[a], frames[b]), (a, b), polish=False)
        first, second = frames[a].luminance, frames[b].luminance
        if pair is None:
            misled += 1
            continue
        small = np.linalg.inv(frames[a].to_full) @ pair.homography @ frames[a].to_full
        misled += unlike(first, second, align(first, second, np.eye(3))) < _BETTER * unlike(first, second, small)
    return misled > len(pairs) / 2


def _pairs_without_features(frames: list[Frame], total: int) -> Steps[list[Pair]]:
    """Each frame over those after it by all of its pixels, started from where the steps between them lead."""
    pairs: list[Pair] = []
    done, count = len(frames), len(frames)
    steps: list[np.ndarray] = []
    for offset in _OFFSETS:
        for index in range(count - offset):
            start = steps[index - 1] if offset == 1 and index else np.eye(3)
            for step in steps[index : index + offset] if offset > 1 else []:
                start = step @ start
            small = align(frames[index].luminance, frames[index + offset].luminance, start)
            if offset == 1:
                steps.append(small)
            full = frames[index].to_full @ small @ np.linalg.inv(frames[index].to_full)
            pairs.append(Pair(index, index + offset, full / full[2, 2], 0, 0.0, 0.0))
            yield done, total
            done += 1
    return pairs


def _grid_displacement(homography: np.ndarray, size: tuple[float, float]) -> float:
    """Root mean square distance in pixels that a homography moves the points of a grid by."""
    grid = np.stack(np.meshgrid(np.linspace(0, size[0], 5), np.linspace(0, size[1], 5)), -1).reshape(-1, 2)
    moved = grid @ homography[:, :2].T + homography[:, 2]
    return float(np.sqrt(np.mean(np.sum((moved[:, :2] / moved[:, 2:] - grid) ** 2, 1))))


def _quality(pairs: list[Pair], cameras: np.ndarray, count: int, shot: Shot) -> tuple[np.ndarray, np.ndarray]:
    """Per frame: how far its pairs are from the solution in pixels of the frame, and the matches behind them."""
    misses: list[list[float]] = [[] for _ in range(count)]
    inliers = np.zeros(count, np.int64)
    for pair in pairs:
        wanted = np.linalg.inv(cameras[pair.target]) @ cameras[pair.source]
        miss = _grid_displacement(np.linalg.inv(wanted) @ pair.homography, (shot.width, shot.height))
        for frame in (pair.source, pair.target):
            misses[frame].append(miss)
            inliers[frame] = max(inliers[frame], pair.inliers)
    return np.array([float(np.median(m)) if m else 0.0 for m in misses]), inliers
