"""Ablation of Omnimatte Layers: each stage replaced by the truth or left out, one at a time.

What a stage loses is what its truth would gain; what a stage earns is what is lost without it. The stages are the
solver's own, called one by one as `solvers.omnimatte.solve` does, with stand-ins of their result types.
"""

import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from penumbra.protocol import Progress
from penumbra_engine.bench.meter import Cost, measured
from penumbra_engine.bench.table import Cell, Table
from penumbra_engine.bench.true_shot import TrueShot, find_shots
from penumbra_engine.cache import Store
from penumbra_engine.imaging.lens import Lens
from penumbra_engine.imaging.metrics.layers import layer_scores
from penumbra_engine.media import Shot
from penumbra_engine.solvers.clock import Clock
from penumbra_engine.solvers.masks import Masks, read_masks
from penumbra_engine.solvers.omnimatte.bound import Bound, bound_effects
from penumbra_engine.solvers.omnimatte.canvas import Canvas, build_canvas
from penumbra_engine.solvers.omnimatte.fit import fit_ownership
from penumbra_engine.solvers.omnimatte.flow import Flow, estimate_flow
from penumbra_engine.solvers.omnimatte.footage import Footage
from penumbra_engine.solvers.omnimatte.geometry import solve_geometry
from penumbra_engine.solvers.omnimatte.refine import refine
from penumbra_engine.solvers.omnimatte.register import Registration, register
from penumbra_engine.solvers.plates import decode

#: What is changed, and the stages whose time is not spent then.
VARIANTS: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "true registration": ("register",),
    "true background": ("register", "flow", "canvas"),
    "true masks": (),
    "true background and masks": ("register", "flow", "canvas"),
    "no flow": ("flow",),
    "no effects": ("bound",),
    "no network": ("fit",),
}
_STAGES = ("decode", "masks", "register", "flow", "geometry", "canvas", "bound", "fit", "refine")
_FIGURES = ("bg_psnr_touched", "effect_mad", "core_mad", "soft_mad", "leak", "dtssd", "ownership")


@dataclass(frozen=True)
class Picture:
    """background: T x 3 x H x W. layers: K of T x 4 x H x W, premultiplied."""

    background: np.ndarray
    layers: list[np.ndarray]


def ablate(shots: Path, only: str = "", tell: Callable[[str], None] = lambda line: None) -> Table:
    """Solve every shot once for each variant that it allows. Raises UsageError when no such shot is there, and what
    the stages raise."""
    table = Table(
        "Omnimatte Layers: ablation",
        "Each stage given the truth or left out, scored before files are written. gained: dB over `as it is`, "
        "background where touched, and mean of the layers on three other backgrounds. saved: seconds of the cold solve "
        "that the change makes needless.",
        ("shot", "variant", *_FIGURES, "bg gained", "replate gained", "seconds saved"),
    )
    for shot in find_shots(shots, only):
        truth, whole = shot.truth(), Cost()
        base: dict[str, float] = {}
        with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as cache:
            for variant, spared in VARIANTS.items():
                if not _applies(variant, shot):
                    continue
                tell(f"{shot.name}: {variant}")
                made, cost = measured(_solve(shot, variant, Store(Path(cache))))
                scores = layer_scores(truth, made.background, made.layers)
                base, whole = base or scores, whole if whole.seconds else cost
                cells: dict[str, Cell] = {name: scores[name] for name in _FIGURES if name in scores}
                cells |= {"bg gained": scores["bg_psnr_touched"] - base["bg_psnr_touched"]}
                if shot.ratio:
                    cells |= {"replate gained": _replated(scores) - _replated(base)}
                saved = sum(whole.seconds.get(stage, 0.0) for stage in spared)
                table.add({"shot": shot.name, "variant": variant, **cells, "seconds saved": saved})
    return table


def _applies(variant: str, shot: TrueShot) -> bool:
    """Only a camera that stands still is known without a solve; one object needs no network."""
    if variant == "true registration":
        return shot.static
    return variant != "no network" or len(shot.names) > 1


def _replated(scores: dict[str, float]) -> float:
    return float(np.mean([scores[f"replate_{name}"] for name in ("dark", "bright", "other")]))


def _solve(true: TrueShot, variant: str, store: Store) -> Generator[Progress, None, Picture]:
    """The stages of a solve in their order, one or two of them replaced."""
    clock = Clock(dict.fromkeys(_STAGES, 1 / len(_STAGES)))
    job = true.job(store.root)
    shot = Shot.open(job)
    plates = yield from clock.run("decode", decode(shot, store))
    masks = yield from clock.run("masks", read_masks(shot, plates, store))
    if "masks" in variant:
        masks = _true_masks(true, masks, store)
    if variant == "true registration":
        registration = _still(shot, store)
    else:
        registration = yield from clock.run("register", register(shot, plates, store))
    flow = yield from clock.run("flow", estimate_flow(plates, registration, store))
    if variant == "no flow":
        flow = _no_flow(flow, store)
    footage = Footage(shot, plates, masks, registration, flow)
    geometry = yield from clock.run("geometry", solve_geometry(footage, store))
    canvas = yield from clock.run("canvas", build_canvas(footage, store, geometry))
    if "background" in variant:
        canvas = _true_canvas(true, canvas, store)
    bound = yield from clock.run("bound", bound_effects(shot, plates, masks, canvas, job.quality, store))
    if variant == "no effects":
        bound = _no_effects(bound, store)
    quality = "draft" if variant == "no network" else job.quality
    fit = fit_ownership(shot, plates, masks, registration, bound, quality, job.seed, True, store)
    owners = yield from clock.run("fit", fit)
    layers = yield from clock.run("refine", refine(shot, plates, masks, canvas, bound, owners, job.quality, store))
    frames = [layers.read(index, plates, canvas) for index in range(len(shot.frames))]
    each = np.stack([layer.numpy() for layer, _ in frames], 1)
    return Picture(np.stack([background.numpy() for _, background in frames]), list(each))


def _true_masks(true: TrueShot, masks: Masks, store: Store) -> Masks:
    """The objects' own alpha, cut at a half."""
    with store.entry("masks", truth="alpha", instead_of=masks.key) as entry:
        if not entry.complete:
            stack = entry.create_stack("masks", masks.masks.shape, np.uint8)
            alphas = np.concatenate([true.alpha(index) for index in range(len(true.names))], 1)
            stack[:] = np.where(alphas > 0.5, 255, 0).astype(np.uint8)
            entry.finish()
        return Masks(entry.key, entry.stack("masks"))


def _still(shot: Shot, store: Store) -> Registration:
    count = len(shot.frames)
    cameras, none = np.tile(np.eye(3), (count, 1, 1)), np.zeros(count)
    key = store.entry("register", truth="static").key
    lens = Lens(0.0, shot.width, shot.height)
    return Registration(key, "static", count // 2, cameras, none, none.astype(np.int64), lens)


def _no_flow(flow: Flow, store: Store) -> Flow:
    """Nothing moves on its own, for sure."""
    with store.entry("flow", truth="none", instead_of=flow.key) as entry:
        if not entry.complete:
            stack = entry.create_stack("flow", flow.flow.shape)
            stack[:] = np.broadcast_to(np.array([0, 0, 1], np.float32)[:, None, None], stack.shape)
            entry.finish()
        return Flow(entry.key, entry.stack("flow"))


def _true_canvas(true: TrueShot, canvas: Canvas, store: Store) -> Canvas:
    """The clean picture of every frame, seen everywhere and exactly in place; the noise is what was measured."""
    clean = true.clean()
    count, _, height, width = clean.shape
    with store.entry("canvas", truth="clean", instead_of=canvas.key) as entry:
        if not entry.complete:
            entry.create_stack("background", clean.shape)[:] = clean
            entry.create_stack("seen", (count, 1, height, width))[:] = np.ones((count, 1, height, width), np.float32)
            entry.create_stack("tolerance", (count, 1, 1, 1))
            entry.finish()
        return replace(
            canvas,
            key=entry.key,
            _frames=(),
            _pictures=(),
            gains=np.ones_like(canvas.gains),
            falloff=np.ones((3, 1, 1), np.float32),
            misfit=np.ones_like(canvas.misfit),
            _background=entry.stack("background"),
            _seen=entry.stack("seen"),
            _tolerance=entry.stack("tolerance"),
        )


def _no_effects(bound: Bound, store: Store) -> Bound:
    """All light comes through."""
    with store.entry("bound", truth="none", instead_of=bound.key) as entry:
        if not entry.complete:
            stack = entry.create_stack("effect", bound.effect.shape)
            stack[:] = np.broadcast_to(np.array([1, 1, 1, 0], np.float32)[:, None, None], stack.shape)
            entry.finish()
        return Bound(entry.key, entry.stack("effect"), tuple(f"{entry.key} {content}" for content in bound.contents))
