"""The node in a real Natron: it loads, solves, shows and renders, with the plug-in and without."""

from pathlib import Path

import pytest
from real_natron import NATRON, REPO, SHOT, Natron

from penumbra.nodes import NODES, PLATE_OUTPUT, Kind, NodeSpec

pytestmark = [
    pytest.mark.natron,
    pytest.mark.skipif(NATRON is None, reason="no NatronRenderer on PATH"),
]


@pytest.mark.parametrize("spec", NODES.values(), ids=lambda spec: spec.name)
def test_knobs_inputs_and_graph_are_those_of_the_description(natron: Natron, spec: NodeSpec) -> None:
    said = natron.run(
        """
        node, write = placed(os.environ["NODE"])
        said["inputs"] = [node.getInputLabel(index) for index in range(node.getMaxInputCount())]
        said["kinds"] = {p.getScriptName(): p.getTypeName() for p in node.getParams()}
        said["visible"] = [p.getScriptName() for p in node.getParams() if p.getIsVisible()]
        said["inner"] = {n.getScriptName(): n.getPluginID() for n in node.getChildren()}
        stages = [n for n in said["inner"] if n.startswith("Stage_")]
        said["off"] = [n for n in stages if node.getNode(n).getParam("disableNode").get()]
        import penumbra.hosts.natron as p
        said["values"] = p.NatronPanel(node, app).values()
        said["modules"] = [name for name in sys.modules if name.startswith("NatronGui")]
        """,
        NODE=spec.name,
    )
    assert said["inputs"] == [given.name for given in spec.inputs]
    for knob in spec.knobs:
        assert knob.name in said["kinds"]
        assert (knob.name in said["visible"]) is not knob.hidden
        if knob.kind not in (Kind.BUTTON, Kind.RULE, Kind.FOLDER):
            assert said["values"][knob.name] == knob.default, knob.name
    assert said["off"] == ["Stage_" + given.name for given in spec.inputs]
    reads = [name for name, kind in said["inner"].items() if kind == "fr.inria.built-in.Read"]
    assert reads == ["Read_" + output.name for output in spec.outputs if output is not PLATE_OUTPUT]
    assert said["modules"] == []


def test_a_solve_shows_its_result_and_passes_reads_by_path(natron: Natron) -> None:
    said = natron.run("""
        node, write = scene()
        made = engine()
        import penumbra.hosts.natron as p
        said["out"] = p.solve(node, 1003, 1005)
        job = made.jobs["job1"]
        said["job"] = [job.plate, job.masks[0].name, job.masks[0].pattern, job.frames, job.colorspace, job.ocio]
        said["status"] = node.getParam("status").get()
        said["files"] = rendered(write, 1003, 1005)
        node.getParam("output").set("confidence")
        said["data"] = rendered(write, 1003, 1003, "data")
        said["again"] = p.solve(node)
    """)
    results = natron.folder / "results"
    assert said["out"] == str(results / "v001") and said["again"] == str(results / "v002")
    *words, config = said["job"]
    assert words == [
        str(SHOT / "plate.####.exr"), "object1", str(SHOT / "mask1.####.png"), "1003-1005", "scene_linear",
    ]  # fmt: skip
    assert Path(config).is_file()
    assert not (results / "stage").exists()
    assert said["status"].startswith("solved 1003-1005")
    assert said["files"] == [f"out.{frame}.exr" for frame in (1003, 1004, 1005)]
    truth = natron.pixels(str(SHOT / "obj1_layer.1005.exr"))
    assert abs(natron.pixels("out/out.1003.exr") - truth).max() < 1e-3
    assert said["data"] == ["data.1003.exr"]


def test_the_ocio_config_is_natrons_also_where_the_environment_of_python_does_not_say(natron: Natron) -> None:
    said = natron.run("""
        import ctypes
        import penumbra.hosts.natron as p
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_char_p
        said["natron"] = getenv(b"OCIO").decode()
        os.environ.pop("OCIO", None)
        node, write = scene()
        said["unset"] = p.NatronPanel(node, app).ocio()
        os.environ["OCIO"] = "/studio/config.ocio"
        said["set"] = p.NatronPanel(node, app).ocio()
    """)
    assert said["unset"] == said["natron"] and said["set"] == "/studio/config.ocio"


def test_a_path_may_hold_variables_of_the_project(natron: Natron) -> None:
    said = natron.run("""
        node, write = scene()
        made = engine()
        paths = app.getProjectParam("projectPaths")
        paths.setTable([*paths.getTable(), ["SHOT", SHOT]])
        node.getInput(0).getParam("filename").set("[SHOT]/plate.####.exr")
        import penumbra.hosts.natron as p
        p.solve(node, 1003, 1004)
        said["plate"] = made.jobs["job1"].plate
    """)
    assert said["plate"] == str(SHOT / "plate.####.exr")


def test_the_solve_button_works(natron: Natron) -> None:
    said = natron.run("""
        node, write = scene()
        made = engine()
        node.getParam("solve").trigger()
        said["solved"] = [list(made.jobs), node.getParam("badge").get(), node.getParam("solved_last").get()]
        node.getParam("quality").set("final")
        node.getParam("check").trigger()
        said["stale"] = [node.getParam("stale").get(), node.getParam("status").get(), node.getLabel()]
        node.getParam("engine_status").trigger()
        said["engine"] = node.getParam("status").get()
        node.disconnectInput(1)
        node.getParam("solve").trigger()
        said["refused"] = node.getParam("status").get()
    """)
    assert said["solved"] == [["job1"], "v001", 1024]
    assert said["stale"][0] and "quality was standard, is final" in said["stale"][1]
    assert said["stale"][2].endswith(" (stale)")
    assert said["engine"].startswith("engine 0.1.0 is ready")
    assert said["refused"].startswith("no mask is connected")


def test_a_changed_plate_is_written_as_it_is_seen(natron: Natron) -> None:
    said = natron.run("""
        node, write = scene()
        made = engine()
        grade = app.createNode("net.sf.openfx.GradePlugin")
        grade.connectInput(0, node.getInput(0))
        grade.getParam("multiply").set(2, 2, 2, 1)
        node.disconnectInput(0)
        node.connectInput(0, grade)
        roto = app.createNode("fr.inria.built-in.Roto")
        roto.connectInput(0, node.getInput(0))
        shape = roto.getRotoContext().createEllipse(100, 100, 50, True, 1003)
        node.connectInput(2, roto)
        import penumbra.hosts.natron as p
        import penumbra.hosts.solve as flow
        panel = p.NatronPanel(node, app)
        p.solve(node, 1003, 1004)
        job = made.jobs["job1"]
        said["patterns"] = [job.plate, *(mask.pattern for mask in job.masks)]
        said["off"] = node.getNode("Stage_plate").getParam("disableNode").get()
        said["fresh"] = flow.check(panel)
        grade.getParam("multiply").setValueAtTime(3.0, 1010.0, 0)
        said["keyed"] = flow.check(panel)
        grade.getParam("multiply").removeAnimation(0)
        grade.getParam("multiply").set(2, 2, 2, 1)
        said["undone"] = flow.check(panel)
        shape.movePointByIndex(0, 1004, 5, 5)
        said["moved"] = flow.check(panel)
    """)
    plate, mask1, mask2 = said["patterns"]
    assert "stage/plate-" in plate and "stage/mask2-" in mask2 and mask1 == str(SHOT / "mask1.####.png")
    before = natron.pixels(str(SHOT / "plate.1003.exr"))
    assert (natron.pixels(plate.replace("####", "1003")) == 2 * before).all()
    alpha = natron.pixels(mask2.replace("####", "1003"))
    assert alpha.shape[2] == 1 and alpha.max() == 1.0
    assert said["off"] is True
    assert said["fresh"] == [] and said["undone"] == []
    assert said["keyed"] == ["something above plate changed", "something above mask2 changed"][::-1]
    assert said["moved"] == ["something above mask2 changed"]


def test_of_a_roto_only_the_keyframes_are_written(natron: Natron) -> None:
    said = natron.run("""
        node, write = placed("TrimapPropagate", plate="plate.####.exr")
        made = engine()
        roto = app.createNode("fr.inria.built-in.Roto")
        roto.connectInput(0, node.getInput(0))
        roto.getRotoContext().createEllipse(100, 100, 50, True, 1003)
        node.connectInput(1, roto)
        said["keyframes"] = []
        for _ in range(2):
            node.getParam("key_frame").trigger()
            said["keyframes"].append(node.getParam("keyframes").get())
        knobs(node, layer_name="cart", keyframes="1003,1005")
        import penumbra.hosts.natron as p
        p.solve(node, 1003, 1005)
        job = made.jobs["job1"]
        said["plate"] = job.plate
        said["job"] = [[keyframe.name, keyframe.frame, keyframe.pattern] for keyframe in job.keyframes]
        said["written"] = sorted(os.listdir(os.path.dirname(job.keyframes[0].pattern)))
        knobs(node, output="trimap")
        said["files"] = rendered(write, 1004, 1004)
    """)
    assert said["keyframes"] == ["1", ""]  # in a terminal Natron stays on frame 1
    assert said["plate"] == str(SHOT / "plate.####.exr")
    assert [key[:2] for key in said["job"]] == [["cart", 1003], ["cart", 1005]]
    assert said["written"] == ["keyframe.1003.exr", "keyframe.1005.exr", "staged.json"]
    assert natron.pixels(said["job"][0][2]).shape[2] == 1
    assert said["files"] == ["out.1004.exr"]


def test_pictures_of_other_colour_spaces_are_written_in_natrons(natron: Natron) -> None:
    said = natron.run("""
        node, write = placed("CleanPlateMatte", plate="plate.####.exr", clean="clean.exr")
        made = engine()
        import penumbra.hosts.natron as p
        p.solve(node, 1003, 1004)
        node.getInput(1).getParam("ocioInputSpace").set("color_timing")
        p.solve(node, 1003, 1004)
        said["jobs"] = [[job.plate, job.clean_plate, job.colorspace] for job in made.jobs.values()]
    """)
    (plate, clean, _), (written, converted, space) = said["jobs"]
    assert (plate, clean) == (str(SHOT / "plate.####.exr"), str(SHOT / "clean.exr"))
    assert "stage/plate-" in written and "stage/clean-" in converted and space == "scene_linear"
    assert (natron.pixels(written.replace("####", "1003")) == natron.pixels(str(SHOT / "plate.1003.exr"))).all()
    assert abs(natron.pixels(converted.replace("####", "1003")) - natron.pixels(str(SHOT / "clean.exr"))).mean() > 0.1


def test_a_read_with_other_frame_numbers_is_passed_as_links(natron: Natron) -> None:
    said = natron.run("""
        node, write = scene()
        made = engine()
        for index in (0, 1):
            node.getInput(index).getParam("timeOffset").set(-1000)
        import penumbra.hosts.natron as p
        said["range"] = p.NatronPanel(node, app).input_range()
        p.solve(node, 3, 4)
        said["plate"] = made.jobs["job1"].plate
    """)
    assert said["range"] == [1, 24]
    linked = Path(said["plate"].replace("####", "0004"))
    assert linked.resolve() == SHOT / "plate.1004.exr"


def test_in_front_of_a_user_a_solve_does_not_block(natron: Natron) -> None:
    said = natron.run("""
        node, write = scene()
        made = engine()
        made.by_itself = False
        import types
        import penumbra.hosts.natron as p
        natron = p.NatronEngine.natron
        p.NatronEngine = types.SimpleNamespace(
            natron=types.SimpleNamespace(isBackground=lambda: False, getInstance=natron.getInstance))
        grade = app.createNode("net.sf.openfx.GradePlugin")
        grade.connectInput(0, node.getInput(0))
        node.disconnectInput(0)
        node.connectInput(0, grade)

        def pump(until):
            end = time.time() + 60
            while not until():
                assert time.time() < end, node.getParam("status").get()
                p.drain()
                time.sleep(0.01)

        said["out"] = p.solve(node, 1003, 1004)
        said["writing"] = [list(made.jobs), node.getParam("badge").get()]
        pump(lambda: node.getParam("pending_job").get() == "job1")
        made.progress("job1", 7)
        pump(lambda: "fit 7 of 100" in node.getParam("status").get())
        said["off"] = node.getNode("Stage_plate").getParam("disableNode").get()
        made.finish("job1")
        pump(lambda: node.getParam("badge").get() == "v001")
        p.solve(node, 1003, 1004)
        pump(lambda: node.getParam("pending_job").get() == "job2")
        node.getParam("cancel").trigger()
        pump(lambda: node.getParam("badge").get() == "cancelled")
        said["left"] = sorted(os.listdir(os.path.join(FOLDER, "results")))
    """)
    assert said["writing"] == [[], "writing"]
    assert said["off"] is True
    assert said["left"] == ["stage", "v001"]


def test_a_copy_gets_a_uuid_of_its_own_and_keeps_the_result(natron: Natron) -> None:
    said = natron.run("""
        node, write = scene()
        made = engine()
        import penumbra.hosts.natron as p
        import penumbra.hosts.solve as flow
        p.solve(node, 1003, 1004)
        copy = app.createNode("org.penumbra.OmnimatteLayers")
        for name in ("node_uuid", "result", "manifest"):
            copy.getParam(name).set(node.getParam(name).get())
        first, second = p.NatronPanel(node, app), p.NatronPanel(copy, app)
        said["same"] = [first.same(p.NatronPanel(node, app)), first.same(second)]
        flow.claim(second)
        said["uuids"] = first.uuids()
        said["results"] = [node.getParam("result").get(), copy.getParam("result").get()]
        copy.destroy()
        said["alive"] = [first.alive(), second.alive()]
    """)
    assert said["same"] == [True, False]
    assert len(set(said["uuids"])) == 2 and all(said["uuids"])
    assert said["results"][0] == said["results"][1]
    assert said["alive"][0] is True


def test_a_render_without_a_fresh_result_fails_with_the_frame_and_what_to_do(natron: Natron) -> None:
    said = natron.run("""
        node, write = scene()
        made = engine()
        said["none"] = rendered(write, 1003, 1004, "none")
        import penumbra.hosts.natron as p
        p.solve(node, 1003, 1004)
        said["outside"] = rendered(write, 1005, 1005, "outside")
        node.getParam("output").set("object 2")
        said["object"] = rendered(write, 1003, 1003, "object")
        node.getParam("output").set("object 1")
        node.getParam("stale").set(True)
        said["stale"] = rendered(write, 1003, 1003, "stale")
        node.getParam("use_stale").set(True)
        said["used"] = rendered(write, 1003, 1003, "used")
        node.getParam("output").set("plate")
        said["plate"] = rendered(write, 1005, 1005, "plate")
    """)
    assert said["none"] == said["outside"] == said["object"] == said["stale"] == []
    assert said["used"] == ["used.1003.exr"] and said["plate"] == ["plate.1005.exr"]
    assert "press Solve on this Omnimatte Layers node/frame.1003.exr" in natron.log
    assert "press Solve on this Omnimatte Layers node/frame.1005.exr" in natron.log
    assert "press Solve on this Omnimatte Layers node or tick use stale result/frame.1003.exr" in natron.log
    assert natron.log.count("Rendering Failed") >= 4


def test_a_project_opens_and_renders_its_result_without_the_plug_in(natron: Natron, tmp_path: Path) -> None:
    natron.run("""
        node, write = scene()
        made = engine()
        import penumbra.hosts.natron as p
        p.solve(node, 1003, 1004)
        write.setScriptName("Result")
        write.getParam("filename").set(os.path.join(FOLDER, "farm.####.exr"))
        other = app.createNode("org.penumbra.OmnimatteLayers")
        other.connectInput(0, node.getInput(0))
        empty = app.createNode("fr.inria.openfx.WriteOIIO")
        empty.setScriptName("Empty")
        empty.connectInput(0, other)
        empty.getParam("filename").set(os.path.join(FOLDER, "empty.####.exr"))
        said["saved"] = app.saveProjectAs(os.path.join(FOLDER, "shot.ntp"))
    """)
    elsewhere = tmp_path / "another home"
    elsewhere.mkdir()
    project = natron.folder / "shot.ntp"
    text = project.read_text().replace(str(REPO), "/not/on/this/machine")
    text = text.replace("/not/on/this/machine/tests/data", str(REPO / "tests" / "data"))
    project.write_text(text)
    log = natron.call("-w", "Result", str(project), "1003-1004", home=elsewhere)
    truth = natron.pixels(str(SHOT / "obj1_layer.1005.exr"))
    assert abs(natron.pixels("farm.1004.exr") - truth).max() < 1e-3, log
    log = natron.call("-w", "Empty", str(project), "1003-1004", home=elsewhere)
    assert list(natron.folder.glob("empty.*")) == []
    assert "press Solve on this Omnimatte Layers node/frame.1003.exr" in log
