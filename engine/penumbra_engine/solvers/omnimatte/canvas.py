"""Canvas: the background behind the objects and their effects, for every frame."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra_engine.cache import Entry, Stack, Store
from penumbra_engine.imaging.disturbance import MOST_UNEVEN
from penumbra_engine.imaging.falloff import spread
from penumbra_engine.imaging.noise import Noise
from penumbra_engine.solvers.lineage import Lineage
from penumbra_engine.solvers.omnimatte.flat import Flat
from penumbra_engine.solvers.omnimatte.footage import Footage
from penumbra_engine.solvers.omnimatte.geometry import Geometry
from penumbra_engine.solvers.omnimatte.multiview import MultiView
from penumbra_engine.solvers.omnimatte.redo import Redo
from penumbra_engine.solvers.steps import Steps, code_version


def _no_falloff() -> np.ndarray:
    return np.ones((3, 1, 1), np.float32)


@dataclass(frozen=True)
class Canvas:
    """The background as each frame sees it.

    background: T x 3 x H x W, or 1 x 3 x H x W when the camera is static. seen: same with one channel, how many clean
    samples a pixel has, of 8, cut to [0, 1]; 0 was never seen and is a guess. gains: T x 3, exposure of each frame over
    the canvas. falloff: 3 x h x w, what a lens leaves of the light, coarsely over the frame. misfit: T, how far the
    undisturbed part of each frame lies from its background, in standard deviations of the noise (1 is perfect). uneven:
    relative, what the background is too bright or dark by over wide parts. parent: the key of the canvas that this one
    was made from, "" when cold. whole: that of the one that the whole was built for last, its own when cold.
    """

    key: str
    noise: Noise
    gains: np.ndarray
    misfit: np.ndarray
    _background: Stack
    _seen: Stack
    _tolerance: Stack
    falloff: np.ndarray = field(default_factory=_no_falloff, kw_only=True)
    uneven: float = field(default=MOST_UNEVEN, kw_only=True)
    _sure: Stack | None = field(default=None, kw_only=True)
    _doubt: Stack | None = field(default=None, kw_only=True)
    parent: str = field(default="", kw_only=True)
    whole: str = field(default="", kw_only=True)
    _frames: tuple[str, ...] = field(default=(), kw_only=True)
    _pictures: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def still(self) -> bool:
        """Whether all frames share one background: the camera is static."""
        return len(self._background) == 1

    @property
    def by_depth(self) -> bool:
        """Whether it was put together by the depth of the scene, parts of which may stand before an object."""
        return self._sure is not None

    def content(self, index: int) -> str:
        """A key of what is known of a frame: while that is the same, so is all that is made of it. It holds the key of
        the canvas for which that was found."""
        return f"{self._frames[index] if self._frames else self.key}:{index}"

    def picture(self, index: int) -> str:
        """A key of the background of a frame, to the last digit."""
        return f"{self._pictures[index] if self._pictures else self.key}:{index}"

    @property
    def kept(self) -> list[int]:
        """The frames for which this canvas has nothing new."""
        return [index for index, key in enumerate(self._frames) if key != self.key]

    def background(self, index: int) -> Tensor:
        """3 x H x W in the exposure of the frame."""
        still = self._background[min(index, len(self._background) - 1)]
        return torch.from_numpy(still) * self._exposure(index)

    def seen(self, index: int) -> Tensor:
        """H x W."""
        return torch.from_numpy(self._seen[min(index, len(self._seen) - 1)][0])

    def tolerance(self, index: int) -> Tensor:
        """H x W, what registration may be off by in pixels."""
        coarse = torch.from_numpy(self._tolerance[index])[None]
        return F.interpolate(coarse, self._seen.shape[-2:], mode="bilinear", align_corners=False)[0, 0]

    def sure(self, index: int) -> np.ndarray | None:
        """H x W bool, where the background is not taken from beside an edge of depth; None where no depth was used."""
        return None if self._sure is None else self._sure[index][0] > 0

    def doubt(self, index: int) -> Tensor | None:
        """3 x H x W in the exposure of the frame, the variance of what the background differs by, as the frames that it
        was fetched from tell; None where the camera is static and nothing sways."""
        if self._doubt is None:
            return None
        return torch.from_numpy(self._doubt[min(index, len(self._doubt) - 1)]) * self._exposure(index) ** 2

    def _exposure(self, index: int) -> Tensor:
        """What a background is multiplied by to be as bright as the frame, 3 x H x W."""
        lens = spread(torch.from_numpy(self.falloff), *self._seen.shape[-2:])
        return torch.from_numpy(self.gains[index]).float()[:, None, None] * lens


def build_canvas(
    footage: Footage,
    store: Store,
    geometry: Geometry | None = None,
    cold: bool = True,
    rough: bool = False,
) -> Steps[Canvas]:
    """Estimate the background, find what the objects do to it, and estimate it again without that: one flat picture
    under all frames, or for each frame its own where the geometry of the scene was solved.

    Unless it is to be cold, a flat one starts from the last of the shot where no more than a few masks were changed.
    rough: to find objects by that are not known yet; where the camera turns each frame's own is less sharp then, in
    half the time, and by depth it is of half as many frames. Only a cold one is.
    """
    parts: dict[str, Any] = {"code": code_version(), "flow": footage.flow.key, "masks": footage.masks.key}
    rough = rough and footage.registration.model != "static"
    if rough:
        parts["rough"] = True
    if geometry is not None and geometry.cameras is not None:
        with store.entry("canvas", **parts, geometry=geometry.key) as entry:
            if not entry.complete:
                yield from MultiView(footage, geometry, entry, rough).run()
            return _read(entry)
    of_masks, lineage = store.entry("canvas", **parts), Lineage(store, "canvas", footage.flow.key)
    parent = "" if cold else lineage.parent_of(of_masks.key)
    entry = store.entry("canvas", **parts, parent=parent) if parent else of_masks
    build = None
    if parent and not entry.complete:
        earlier = store.finished("canvas", parent)
        build = Redo(footage, entry, earlier) if earlier else None
        if build is None or not build.worthwhile:
            build, entry = None, of_masks
    with entry:
        if not entry.complete:
            yield from (build or Flat(footage, entry, rough)).run()
        canvas = _read(entry)
        if not cold:
            lineage.record(of_masks.key, canvas.parent, canvas.key)
        return canvas


def _read(entry: Entry) -> Canvas:
    meta, arrays = entry.meta, entry.load("frames")
    return Canvas(
        entry.key,
        Noise(**meta["noise"]),
        arrays["gains"],
        arrays["misfit"],
        entry.stack("background"),
        entry.stack("seen"),
        entry.stack("tolerance"),
        falloff=arrays["falloff"],
        uneven=meta["uneven"],
        _sure=entry.stack("sure") if entry.has("sure") else None,
        _doubt=entry.stack("doubt") if entry.has("doubt") else None,
        parent=meta.get("parent", ""),
        whole=meta.get("whole", entry.key),
        _frames=tuple(meta.get("frames", ())),
        _pictures=tuple(meta.get("pictures", ())),
    )
