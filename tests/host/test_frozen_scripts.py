"""Scripts that users saved with a release go on working: they open, show their result, and can be solved again.

frozen/ holds one of each host for every release, with the folders of then as @WORDS@. They are never made anew.
"""

import gzip
from pathlib import Path
from types import ModuleType

import pytest
from fake_engine import Engine
from real_natron import NATRON, REPO, SHOT, Natron

FROZEN = Path(__file__).parent / "frozen"


@pytest.mark.parametrize("path", sorted(FROZEN.glob("*.nk")), ids=lambda path: path.stem)
def test_a_nuke_script_of_an_earlier_release(path: Path, nuke: ModuleType, tmp_path: Path, engine: Engine) -> None:
    import penumbra.hosts.nuke as host

    nuke.reset()
    for frame in range(1001, 1025):
        (tmp_path / f"plate.{frame}.exr").write_text("plate")
        (tmp_path / f"mask1.{frame}.exr").write_text("mask")
    (tmp_path / "v001" / "walker").mkdir(parents=True)
    (tmp_path / "v001" / "walker" / "walker.1003.exr").write_text("the layer of then")
    node = nuke.scriptReadText(path.read_text().replace("@FOLDER@", str(tmp_path)).replace("@SHOT@", str(tmp_path)))
    nuke.root()["customOCIOConfigPath"].setValue("/studio/config.ocio")

    switch = node.node("Choose")
    shown = switch.input(nuke.evaluate(node, switch["which"].value(), 1003))
    assert Path(nuke._at(shown["file"].value(), 1003)).read_text() == "the layer of then"
    assert "no-result" in switch.input(nuke.evaluate(node, switch["which"].value(), 1005))["file"].value()

    engine.by_itself = True
    assert host.solve(node, 1003, 1004) == str(tmp_path / "v002")
    assert engine.jobs["job1"].masks[0].name == "walker" and engine.jobs["job1"].quality == "draft"
    assert node["badge"].value() == "v002"


@pytest.mark.natron
@pytest.mark.skipif(NATRON is None, reason="no NatronRenderer on PATH")
@pytest.mark.parametrize("path", sorted(FROZEN.glob("*.ntp.gz")), ids=lambda path: path.name.split(".ntp")[0])
def test_a_natron_project_of_an_earlier_release(path: Path, natron: Natron, tmp_path: Path) -> None:
    words = {"@FOLDER@": natron.folder, "@SHOT@": SHOT, "@HOME@": natron.home, "@REPO@": REPO}
    text = gzip.decompress(path.read_bytes()).decode()
    for word, folder in words.items():
        text = text.replace(word, str(folder))
    project = natron.folder / "shot.ntp"
    project.write_text(text)
    layer = (SHOT / "obj1_layer.1005.exr").read_bytes()
    for frame in (1003, 1004):
        file = natron.folder / "results" / "v001" / "object1" / f"object1.{frame}.exr"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(layer)

    elsewhere = tmp_path / "no plug-in here"
    elsewhere.mkdir()
    for home in (elsewhere, natron.home):
        log = natron.call("-w", "Result", str(project), "1003-1004", home=home)
        for frame in (1003, 1004):
            shown = natron.folder / f"farm.{frame}.exr"
            assert (natron.pixels(str(shown)) == natron.pixels(str(SHOT / "obj1_layer.1005.exr"))).all(), log
            shown.unlink()

    said = natron.run("""
        opened = app.loadProject(os.path.join(FOLDER, "shot.ntp"))
        node = opened.getNode("Omnimatte_Layers1")
        made = engine()
        import penumbra.hosts.natron as p
        said["values"] = p.NatronPanel(node, opened).values()
        said["out"] = p.solve(node, 1003, 1004)
        said["badge"] = node.getParam("badge").get()
    """)
    assert said["values"]["result"] == str(natron.folder / "results" / "v001")
    assert said["out"] == str(natron.folder / "results" / "v002") and said["badge"] == "v002"
