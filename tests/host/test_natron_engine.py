"""All four nodes in a real Natron with the real engine, at their cheapest: what a solve wrote is shown and rendered."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_natron import NATRON, SHOT, Natron

from penumbra.client import Client
from penumbra.launcher import find_engine

pytestmark = [
    pytest.mark.natron,
    pytest.mark.slow,
    pytest.mark.skipif(NATRON is None, reason="no NatronRenderer on PATH"),
]

FRAMES = range(1001, 1005)


@pytest.fixture(scope="module")
def real_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What tells Natron where the engine is. The first Solve starts it, for all tests here."""
    home = str(tmp_path_factory.mktemp("engine"))
    yield {"PENUMBRA_ENGINE": str(Path(sys.executable).with_name("penumbra")), "PENUMBRA_HOME": home}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PENUMBRA_HOME", home)
        runtime = find_engine()
        if runtime is not None:
            Client(runtime).shutdown()


def check_renders(natron: Natron, said: dict[str, Any], folders: dict[str, str]) -> None:
    """Natron's render of each output, by label, holds what the engine wrote to its folder."""
    for label, folder in folders.items():
        assert said["files"][label] == [f"{label}.{frame}.exr" for frame in FRAMES]
        for frame in FRAMES:
            shown = natron.pixels(f"{label}/{label}.{frame}.exr")
            written = natron.pixels(f"{said['out']}/{folder}/{folder}.{frame}.exr")
            assert (shown[..., -written.shape[2] :] == written).all(), (label, frame)


def truth(natron: Natron, frame: int) -> Any:
    """The cart's true alpha, H x W."""
    return natron.pixels(str(SHOT / f"obj1_alpha.{frame}.exr"))[..., 0]


def test_omnimatte_layers(natron: Natron, real_engine: dict[str, str]) -> None:
    said = natron.run(
        """
        node, write = scene()
        knobs(node, mask1_name="cart", quality="draft")
        import penumbra.hosts.natron as p
        import penumbra.hosts.solve as flow
        said["out"] = p.solve(node, 1001, 1004)
        said["files"] = all_outputs(node, write, 1001, 1004)
        knobs(node, output="all layers")
        write.getParam("processAllPlanes").set(True)
        said["files"]["planes"] = rendered(write, 1001, 1004, "planes")
        over, picked = app.createNode("net.sf.openfx.MergePlugin"), app.createNode("fr.inria.openfx.WriteOIIO")
        for index, plane in enumerate(("background", "cart")):
            shuffle = app.createNode("net.sf.openfx.ShufflePlugin")
            shuffle.connectInput(0, node)
            for channel in "RGBA":
                shuffle.getParam("output" + channel).set("B.{}.{}".format(plane, channel))
            over.connectInput(index, shuffle)
        picked.connectInput(0, over)
        said["files"]["over"] = rendered(picked, 1003, 1003, "over")
        said["stale"] = flow.check(p.NatronPanel(node, app))
        knobs(node, mask1_name="layers")
        node.getParam("solve").trigger()
        said["refused"] = node.getParam("status").get()
        """,
        **real_engine,
    )
    folders = {"object 1": "cart", "background with grain": "background_grain"}
    check_renders(natron, said, folders | {name: name for name in ("background", "canvas", "removal", "confidence")})
    layer, true = natron.pixels("object 1/object 1.1003.exr"), natron.pixels(str(SHOT / "obj1_layer.1003.exr"))
    assert layer[..., 3].max() > 0.9 and np.abs(layer - true).mean() < 0.02
    layers = natron.channels(f"{said['out']}/layers/layers.1003.exr")
    planes = natron.channels("planes/planes.1003.exr")
    assert set(planes) == set(layers) >= {"A", "cart.A", "background.R"}
    assert all((planes[name] == layers[name]).all() for name in layers)
    over, plate = natron.pixels("over/over.1003.exr")[..., :3], natron.pixels(str(SHOT / "plate.1003.exr"))
    assert np.abs(over - plate).max() < 2e-3 * max(1.0, plate.max())
    assert said["files"]["object 2"] == [] and "press Solve on this Omnimatte Layers node" in natron.log
    assert said["stale"] == [] and "reserved" in said["refused"]


def test_trimap_propagate(natron: Natron, real_engine: dict[str, str]) -> None:
    said = natron.run(
        """
        node, write = placed("TrimapPropagate", plate="plate.####.exr", keyframe="obj1_alpha.####.exr")
        knobs(node, layer_name="cart", propagation="flow", quality="draft")
        import penumbra.hosts.natron as p
        import penumbra.hosts.solve as flow
        said["unkeyed"] = refusal(lambda: p.solve(node, 1001, 1004))
        knobs(node, keyframes="1001,1004")
        said["out"] = p.solve(node, 1001, 1004)
        said["status"] = node.getParam("status").get()
        said["files"] = all_outputs(node, write, 1001, 1004)
        said["fresh"] = flow.check(p.NatronPanel(node, app))
        knobs(node, keyframes="1001,1010")
        said["stale"] = flow.check(p.NatronPanel(node, app))
        said["outside"] = refusal(lambda: p.solve(node))
        """,
        **real_engine,
    )
    assert said["status"].startswith("solved 1001-1004")
    check_renders(natron, said, {"matte": "cart", "trimap": "cart_trimap", "confidence": "confidence"})
    alpha = natron.pixels("matte/matte.1002.exr")[..., 3]
    assert np.abs(alpha - truth(natron, 1002)).mean() < 0.01
    assert "no keyframe is listed" in said["unkeyed"] and "1010" in said["outside"]
    assert said["fresh"] == [] and said["stale"] == ["keyframes was 1001,1004, is 1001,1010"]


def test_clean_plate_matte(natron: Natron, real_engine: dict[str, str]) -> None:
    said = natron.run(
        """
        node, write = placed("CleanPlateMatte", plate="plate.####.exr", clean="clean.exr", mask="mask1.####.png")
        knobs(node, quality="draft")
        import penumbra.hosts.natron as p
        said["out"] = p.solve(node, 1001, 1004)
        said["files"] = all_outputs(node, write, 1001, 1004)
        knobs(node, model="bgm-v2")
        said["weightless"] = refusal(lambda: p.solve(node))
        knobs(node, model="closed-form")
        node.disconnectInput(1)
        node.disconnectInput(2)
        said["blind"] = refusal(lambda: p.solve(node))
        """,
        **real_engine,
    )
    names = ("subject", "effects", "background", "confidence")
    check_renders(natron, said, {name: name for name in names})
    subject, effects, background = (natron.pixels(f"{name}/{name}.1002.exr") for name in names[:3])
    assert np.abs(subject[..., 3] - truth(natron, 1002)).mean() < 0.01
    over = effects[..., :3] + (1 - effects[..., 3:]) * background[..., :3]
    over = subject[..., :3] + (1 - subject[..., 3:]) * over
    plate = natron.pixels("plate/plate.1002.exr")[..., :3]
    assert np.abs(over - plate).max() < 4e-3 * max(1.0, plate.max())
    assert "penumbra models add" in said["weightless"]
    assert said["blind"] == "nothing is connected to clean; connect it, or mask"


def test_matte(natron: Natron, real_engine: dict[str, str]) -> None:
    said = natron.run(
        """
        node, write = placed("Matte", plate="plate.####.exr", keyframe="obj1_alpha.####.exr")
        knobs(node, layer_name="cart", keyframes="1001,1004", steps=20)
        import penumbra.hosts.natron as p
        said["out"] = p.solve(node, 1001, 1004)
        said["files"] = all_outputs(node, write, 1001, 1004)
        knobs(node, model="rvm", steps=0)
        said["weightless"] = refusal(lambda: p.solve(node))
        node.disconnectInput(1)
        knobs(node, model="small")
        said["keyless"] = refusal(lambda: p.solve(node))
        """,
        **real_engine,
    )
    check_renders(natron, said, {"matte": "cart", "confidence": "confidence"})
    alpha = natron.pixels("matte/matte.1004.exr")[..., 3]
    assert np.abs(alpha - truth(natron, 1004)).max() < 2e-3  # a keyed frame keeps the matte that was given
    assert "penumbra models add" in said["weightless"]
    assert said["keyless"] == "nothing is connected to keyframe; connect it, or set model to rvm"


def test_a_matte_of_one_node_is_the_mask_of_the_next(natron: Natron, real_engine: dict[str, str]) -> None:
    said = natron.run(
        """
        above, write = placed("Matte", plate="plate.####.exr", keyframe="obj1_alpha.####.exr")
        knobs(above, keyframes="1001,1004", steps=20, as_mask=True, folder=os.path.join(FOLDER, "masks"))
        node, write = placed("OmnimatteLayers", plate="plate.####.exr")
        knobs(node, quality="draft")
        node.connectInput(1, above)
        import penumbra.hosts.natron as p
        said["unsolved"] = refusal(lambda: p.solve(node, 1001, 1004))
        said["masks"] = p.solve(above, 1001, 1004)
        said["out"] = p.solve(node, 1001, 1004)
        said["files"] = rendered(write, 1001, 1004)
        """,
        **real_engine,
    )
    assert "frame 1001 was not written" in said["unsolved"]
    (staged,) = (natron.folder / "results" / "stage").glob("mask1-*/mask1.1001.exr")
    mask = natron.pixels(f"{said['masks']}/matte/matte.1001.exr")[..., 3]
    assert (natron.pixels(str(staged))[..., 0] == mask).all() and mask.max() == 1
    assert said["files"] == [f"out.{frame}.exr" for frame in FRAMES]
    layer = natron.pixels("out/out.1001.exr")
    assert (layer == natron.pixels(f"{said['out']}/object1/object1.1001.exr")).all() and layer[..., 3].max() > 0.9
