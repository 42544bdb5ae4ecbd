"""The node in Nuke, through a stub that refuses calls off the main thread and notes what enters the undo stack."""

import json
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fake_engine import Engine

from penumbra.nodes import OMNIMATTE_LAYERS
from penumbra.staging import Refused

GROUP = Path(__file__).resolve().parents[2] / "gizmos" / "nuke" / "OmnimatteLayers.nk"
SPEC = OMNIMATTE_LAYERS
FRAMES = range(1001, 1006)


@pytest.fixture
def host(nuke: ModuleType) -> ModuleType:
    import penumbra.hosts.nuke

    return penumbra.hosts.nuke


class Scene:
    """A script with a plate and a mask, both plain Reads, and our node, as a user would build it."""

    def __init__(self, nuke: Any, folder: Path, gui: bool = False) -> None:
        nuke.reset(gui)
        self.nuke, self.folder = nuke, folder
        for name in ("plate", "mask"):
            for frame in FRAMES:
                (folder / f"{name}.{frame}.exr").write_text(f"{name} {frame}")
        nuke.root()["name"]._value = str(folder / "shot.nk")
        nuke.root()["customOCIOConfigPath"]._value = "/studio/config.ocio"
        self.plate = self.read("plate")
        self.mask = self.read("mask")
        self.mask["label"]._value = "alpha"
        self.node = nuke.nodePaste(str(GROUP))
        self.node.setInput(0, self.plate)
        self.node.setInput(1, self.mask)
        nuke.Undo.stack.clear()

    def read(self, name: str, first: int = FRAMES[0], last: int = FRAMES[-1]) -> Any:
        pattern = str(self.folder / f"{name}.%04d.exr")
        return self.nuke.Node("Read", name, self.nuke.root(), file=pattern, first=first, last=last)

    def value(self, knob: str) -> Any:
        return self.node[knob].value()

    def shown(self, frame: int = 1001) -> str:
        """The file that a render of this frame reads."""
        switch = self.node.node("Choose")
        source = switch.input(self.nuke.evaluate(self.node, switch["which"].value(), frame))
        if source.Class() == "Input":
            source = self.node.input(0)
        assert source["on_error"].value() == "error"
        return str(self.nuke._at(source["file"].value(), frame))


@pytest.fixture
def scene(nuke: ModuleType, host: ModuleType, tmp_path: Path) -> Scene:
    return Scene(nuke, tmp_path)


@pytest.fixture
def gui(nuke: ModuleType, host: ModuleType, tmp_path: Path) -> Scene:
    made = Scene(nuke, tmp_path, gui=True)
    host.install()
    return made


def grade(scene: Scene) -> Any:
    """Put a Grade between the plate and the node, so that the plate has to be written."""
    made = scene.nuke.Node("Grade", "Grade1", scene.nuke.root())
    made.setInput(0, scene.plate)
    scene.node.setInput(0, made)
    return made


def press(scene: Scene, button: str) -> None:
    scene.node[button].execute()


def wait(scene: Scene, *badges: str) -> None:
    scene.nuke.pump(until=lambda: scene.node["badge"]._value in badges)


def close_script(scene: Scene) -> None:
    scene.nuke.close_script()
    for thread in threading.enumerate():
        if thread.name == "penumbra":
            thread.join(10)
            assert not thread.is_alive()


# A solve in a terminal


def test_solve_blocks_in_a_terminal_and_returns_the_folder(scene: Scene, host: ModuleType, engine: Engine) -> None:
    engine.by_itself = True
    out = host.solve(scene.node, 1002, 1004)
    assert out == scene.value("result") and Path(out).name == "v001"
    assert engine.jobs["job1"].frames == "1002-1004"
    assert Path(scene.shown(1003)) == Path(out) / "object1" / "object1.1003.exr"
    assert Path(scene.shown(1003)).read_text() == "object1 1003"
    assert scene.value("status").startswith("solved 1002-1004")


def test_unmodified_reads_are_passed_by_path_and_nothing_is_written(
    scene: Scene, host: ModuleType, engine: Engine
) -> None:
    dot = scene.nuke.Node("Dot", "Dot1", scene.nuke.root())
    dot.setInput(0, scene.plate)
    scene.node.setInput(0, dot)
    engine.by_itself = True
    host.solve(scene.node)
    job = engine.jobs["job1"]
    assert job.plate == str(scene.folder / "plate.####.exr")
    assert [(mask.name, mask.pattern) for mask in job.masks] == [("object1", str(scene.folder / "mask.####.exr"))]
    assert job.frames == "1001-1005" and job.colorspace == "ACES - ACEScg" and job.ocio == "/studio/config.ocio"
    assert scene.nuke._executed == []
    assert not (Path(job.out).parent / "stage").exists()


def test_a_read_with_other_frame_numbers_is_passed_as_links(scene: Scene, host: ModuleType, engine: Engine) -> None:
    scene.plate["frame_mode"]._value, scene.plate["frame"]._value = "offset", "-1000"
    engine.by_itself = True
    scene.mask["frame_mode"]._value, scene.mask["frame"]._value = "start at", "1"
    host.solve(scene.node, 2, 4)
    job = engine.jobs["job1"]
    for pattern, name in ((job.plate, "plate"), (job.masks[0].pattern, "mask")):
        for frame in (2, 3, 4):
            assert Path(scene.nuke._at(pattern, frame)).read_text() == f"{name} {frame + 1000}"
    assert scene.nuke._executed == []


def test_a_changed_plate_is_written_once_in_full_size_with_its_write_off_again(
    scene: Scene, host: ModuleType, engine: Engine
) -> None:
    grade(scene)
    scene.nuke.root()["proxy"]._value = True
    engine.by_itself = True
    host.solve(scene.node)
    assert scene.nuke._executed == [("Stage_plate", 1001, 1005, False, "rgb")]
    assert scene.nuke.root()["proxy"].value() is True
    assert scene.node.node("Stage_plate")["disable"].value() is True
    plate = engine.jobs["job1"].plate
    assert Path(scene.nuke._at(plate, 1003)).read_text() == "plate 1003"
    assert engine.jobs["job1"].colorspace == "ACES - ACEScg"  # the working space: what a raw Write writes
    host.solve(scene.node)
    assert len(scene.nuke._executed) == 1, "frames that are there already are written again"
    assert engine.jobs["job2"].plate == plate


def test_a_longer_range_writes_only_what_is_new(scene: Scene, host: ModuleType, engine: Engine) -> None:
    grade(scene)
    engine.by_itself = True
    host.solve(scene.node, 1002, 1003)
    host.solve(scene.node, 1001, 1005)
    assert [entry[1:3] for entry in scene.nuke._executed] == [(1002, 1003), (1001, 1001), (1004, 1005)]


def test_of_a_mask_the_alpha_is_written_if_it_has_one(scene: Scene, host: ModuleType, engine: Engine) -> None:
    above = scene.nuke.Node("Grade", "Grade2", scene.nuke.root())
    above.setInput(0, scene.mask)
    scene.node.setInput(1, above)
    engine.by_itself = True
    host.solve(scene.node)
    scene.mask["label"]._value = ""
    scene.mask["raw"]._value = True
    host.solve(scene.node)
    assert [entry[4] for entry in scene.nuke._executed] == ["alpha", "rgb"]


def test_every_solve_has_a_folder_of_its_own(scene: Scene, host: ModuleType, engine: Engine) -> None:
    engine.by_itself = True
    folders = [Path(host.solve(scene.node)).name for _ in range(3)]
    assert folders == ["v001", "v002", "v003"]
    assert scene.value("badge") == "v003"


def test_layers_of_a_passed_plate_are_read_in_its_space_and_data_as_it_is(
    scene: Scene, host: ModuleType, engine: Engine
) -> None:
    scene.plate["colorspace"]._value = "Utility/sRGB - Texture"
    engine.by_itself, engine.space = True, "ACES - ACEScg"
    host.solve(scene.node)
    assert engine.jobs["job1"].colorspace == "sRGB - Texture"
    layer, data = scene.node.node("Read_object_1"), scene.node.node("Read_confidence")
    assert layer["raw"].value() is False and layer["colorspace"].value().endswith("ACES - ACEScg)")
    assert data["raw"].value() is True
    assert layer["reload"].presses == 1


def test_layers_in_a_space_that_the_project_lacks_are_not_shown_in_a_wrong_one(
    scene: Scene, host: ModuleType, engine: Engine
) -> None:
    engine.by_itself = True
    host.solve(scene.node)
    before = [node["file"].value() for node in scene.node.nodes() if node.Class() == "Read"]
    engine.space = "ACES2065-1"
    with pytest.raises(Refused, match="the layers are in ACES2065-1, which the Read of this project does not offer"):
        host.solve(scene.node)
    assert [node["file"].value() for node in scene.node.nodes() if node.Class() == "Read"] == before
    assert scene.value("result").endswith("v001")


def test_layers_of_a_written_plate_are_read_raw(scene: Scene, host: ModuleType, engine: Engine) -> None:
    grade(scene)
    engine.by_itself = True
    host.solve(scene.node)
    assert scene.node.node("Read_object_1")["raw"].value() is True


def test_a_failed_solve_raises_the_engines_words_and_leaves_no_folder(
    scene: Scene, host: ModuleType, engine: Engine
) -> None:
    engine.refuses = SimpleNamespace(code=3, message="--mask object1: no file for frame 1003", argument="--mask")
    with pytest.raises(Refused, match="no file for frame 1003"):
        host.solve(scene.node)
    assert scene.value("status") == "--mask object1: no file for frame 1003"
    assert scene.value("result") == "" and scene.value("pending") == ""
    assert list((scene.folder / "penumbra").glob("*/v*")) == []


# A render only reads


def test_a_render_without_a_result_reads_a_path_that_says_what_to_do(scene: Scene) -> None:
    for output in SPEC.outputs[:-1]:
        scene.node["output"].setValue(output.label)
        assert scene.shown(1003) == "/penumbra-no-result/press Solve on this Omnimatte Layers node/frame.1003.exr"
    scene.node["output"].setValue("plate")
    assert scene.shown(1003) == str(scene.folder / "plate.1003.exr"), "asked for, the plate is shown"


def test_a_frame_that_was_not_solved_and_an_object_that_is_not_there_have_no_result(
    scene: Scene, host: ModuleType, engine: Engine
) -> None:
    engine.by_itself = True
    host.solve(scene.node, 1002, 1003)
    assert "no-result" in scene.shown(1001) and "no-result" in scene.shown(1004)
    assert "object1" in scene.shown(1002)
    scene.node["output"].setValue("object 2")
    assert "no-result" in scene.shown(1002)
    for label, folder in (("all layers", "layers"), ("background with grain", "background_grain")):
        scene.node["output"].setValue(label)
        assert scene.shown(1002).endswith(f"{folder}/{folder}.1002.exr")


def test_a_stale_result_is_rendered_only_when_the_user_says_so(scene: Scene, host: ModuleType, engine: Engine) -> None:
    engine.by_itself = True
    host.solve(scene.node)
    scene.node["quality"].setValue("final")
    press(scene, "check")
    assert scene.value("stale") is True and "quality was standard, is final" in scene.value("status")
    assert scene.shown() == (
        "/penumbra-stale-result/press Solve on this Omnimatte Layers node or tick use stale result/frame.1001.exr"
    )
    scene.node["use_stale"].setValue(True)
    assert Path(scene.shown()).read_text() == "object1 1001"


# Stale or fresh


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s: s.node["seed"].setValue(5), "seed was 0, is 5"),
        (lambda s: s.node["mask1_name"].setValue("walker"), "names was object1, is walker"),
        (lambda s: s.node["range"].setValue("custom"), "frames was 1001-1005, is 1"),
        (lambda s: s.node["colorspace"].setValue("ACEScg"), "colorspace was ACES - ACEScg, is ACEScg"),
        (lambda s: s.node.setInput(2, s.mask), "names was object1, is object1, object2"),
        (lambda s: s.plate["frame"].setValue("frame + 1"), "something above plate changed"),
        (lambda s: grade(s), "something above plate changed"),
        (lambda s: (s.folder / "plate.1003.exr").write_text("another picture"), "plate.1003.exr was written again"),
        (lambda s: (s.folder / "mask.1004.exr").unlink(), "mask.1004.exr was written again or removed"),
        (lambda s: Path(s.value("result")).rename(s.folder / "moved"), "v001 is gone"),
    ],
)
def test_what_makes_a_result_stale(scene: Scene, host: ModuleType, engine: Engine, change: Any, why: str) -> None:
    engine.by_itself = True
    host.solve(scene.node)
    press(scene, "check")
    assert scene.value("stale") is False and scene.value("status") == "the result fits the inputs"
    change(scene)
    press(scene, "check")
    assert scene.value("stale") is True and why in scene.value("status")
    assert scene.value("badge") == "stale" and scene.node["tile_color"].value() == 0xC8782DFF


def test_looks_do_not_make_it_stale_and_a_change_taken_back_makes_it_fresh(
    scene: Scene, host: ModuleType, engine: Engine
) -> None:
    above = grade(scene)
    engine.by_itself = True
    host.solve(scene.node)
    for name, value in (("xpos", 300), ("label", "hello"), ("tile_color", 7), ("note_font", "Courier")):
        above[name].setValue(value)
    press(scene, "check")
    assert scene.value("stale") is False
    above["multiply"].setValue(2.0)
    press(scene, "check")
    assert scene.value("stale") is True
    above["multiply"].setValue(1.0)
    press(scene, "check")
    assert scene.value("stale") is False and scene.node["tile_color"].value() == 0x4C5A6EFF


def test_a_colour_the_user_gave_the_tile_stays(scene: Scene, host: ModuleType, engine: Engine) -> None:
    engine.by_itself = True
    host.solve(scene.node)
    scene.node["tile_color"].setValue(0x11223344)
    scene.node["seed"].setValue(5)
    press(scene, "check")
    assert scene.value("stale") is True and scene.node["tile_color"].value() == 0x11223344


def test_the_panel_checks_when_it_opens_and_when_a_knob_of_the_solve_is_turned(gui: Scene, engine: Engine) -> None:
    engine.by_itself = True
    press(gui, "solve")
    wait(gui, "v001")
    gui.plate["frame"].setValue("frame + 1")
    assert gui.value("stale") is False, "nobody looked"
    gui.nuke.show_panel(gui.node)
    assert gui.value("stale") is True
    gui.plate["frame"].setValue("")
    gui.node["seed"].setValue(3)
    assert "seed was 0, is 3" in gui.value("status")
    gui.node["seed"].setValue(0)
    assert gui.value("stale") is False


# In front of a user


def test_solve_returns_at_once_and_tells_from_the_main_thread(gui: Scene, engine: Engine) -> None:
    press(gui, "solve")
    assert gui.value("badge") == "solving" and gui.value("pending").endswith("v001")
    gui.nuke.pump(until=lambda: gui.node["pending_job"]._value == "job1")
    engine.progress("job1", 7)
    gui.nuke.pump(until=lambda: "fit 7 of 100, 7 %, 12 s left" in gui.node["status"]._value)
    assert "no-result" in gui.shown()
    engine.finish("job1")
    wait(gui, "v001")
    assert Path(gui.shown()).read_text() == "object1 1001"
    assert gui.value("pending") == gui.value("pending_job") == ""


def test_nothing_of_a_solve_enters_the_undo_stack(gui: Scene, engine: Engine) -> None:
    grade(gui)
    gui.nuke.Undo.stack.clear()
    engine.by_itself = True
    press(gui, "solve")
    wait(gui, "v001")
    gui.nuke.show_panel(gui.node)
    assert gui.nuke.Undo.stack == []
    assert gui.nuke.Undo.disabled() is False


def test_many_events_become_few_calls(gui: Scene, engine: Engine) -> None:
    press(gui, "solve")
    gui.nuke.pump(until=lambda: "job1" in engine.streams)
    for done in range(1, 100):
        engine.progress("job1", done)
    engine.finish("job1")
    calls = gui.nuke.pump(until=lambda: gui.node["badge"]._value == "v001")
    assert calls <= 5


def test_cancel_cancels_this_job_and_leaves_no_folder(gui: Scene, engine: Engine) -> None:
    press(gui, "solve")
    gui.nuke.pump(until=lambda: "job1" in engine.streams)
    out = Path(gui.value("pending"))
    press(gui, "cancel")
    wait(gui, "cancelled")
    assert engine.cancelled == ["job1"] and not out.exists()
    assert gui.value("status") == "cancelled" and gui.value("pending") == ""
    press(gui, "cancel")
    assert gui.value("status") == "nothing to cancel, this node is not being solved"


def test_a_second_press_of_solve_starts_nothing(gui: Scene, engine: Engine) -> None:
    press(gui, "solve")
    press(gui, "solve")
    assert gui.value("status") == "this node is being solved; press Cancel first"
    gui.nuke.pump(until=lambda: "job1" in engine.streams)
    engine.finish("job1")
    wait(gui, "v001")
    assert list(engine.jobs) == ["job1"]


def test_a_failure_is_said_in_the_status_and_the_old_result_stays(gui: Scene, engine: Engine) -> None:
    engine.by_itself = True
    press(gui, "solve")
    wait(gui, "v001")
    engine.by_itself = False
    press(gui, "solve")
    gui.nuke.pump(until=lambda: "job2" in engine.streams)
    engine.fail("job2", "plate.1003.exr: the file is cut short")
    wait(gui, "failed")
    assert gui.value("status") == "plate.1003.exr: the file is cut short"
    assert gui.value("result").endswith("v001") and Path(gui.shown()).read_text() == "object1 1001"
    assert gui.nuke.messages == []


def test_writing_frames_can_be_cancelled_and_can_fail(gui: Scene, engine: Engine) -> None:
    above = grade(gui)
    (gui.folder / "plate.1003.exr").unlink()
    press(gui, "solve")
    assert "plate.1003.exr: Read error" in gui.value("status") and gui.value("badge") == "failed"
    inner = gui.node.node("plate")
    inner["label"]._value = "cancel"
    above["multiply"].setValue(3.0)
    press(gui, "solve")
    assert gui.value("status") == "writing the frames was cancelled"
    assert gui.node.node("Stage_plate")["disable"].value() is True
    assert engine.jobs == {}


def test_a_node_deleted_during_its_solve_is_left_alone(gui: Scene, engine: Engine) -> None:
    press(gui, "solve")
    gui.nuke.pump(until=lambda: "job1" in engine.streams)
    out = Path(gui.value("pending"))
    gui.nuke.delete(gui.node)
    engine.finish("job1")
    from penumbra.hosts import solve

    gui.nuke.pump(until=lambda: not solve._running)
    assert (out / "object1" / "object1.1001.exr").is_file()


def test_threads_end_when_the_script_closes_and_the_job_goes_on(gui: Scene, engine: Engine) -> None:
    press(gui, "solve")
    gui.nuke.pump(until=lambda: gui.node["pending_job"]._value == "job1")
    close_script(gui)
    assert engine.cancelled == []


def test_a_reopened_script_rejoins_its_solve_when_the_panel_opens(gui: Scene, engine: Engine) -> None:
    press(gui, "solve")
    gui.nuke.pump(until=lambda: gui.node["pending_job"]._value == "job1")
    close_script(gui)
    gui.nuke.show_panel(gui.node)
    engine.finish("job1")
    wait(gui, "v001")
    assert engine.keys and len(engine.jobs) == 1
    assert Path(gui.shown()).read_text() == "object1 1001"


def test_a_solve_whose_engine_is_gone_is_given_up(gui: Scene, engine: Engine) -> None:
    press(gui, "solve")
    gui.nuke.pump(until=lambda: gui.node["pending_job"]._value == "job1")
    close_script(gui)
    engine.gone = True
    gui.nuke.show_panel(gui.node)
    wait(gui, "failed")
    assert "no engine" in gui.value("status") and gui.value("pending_job") == ""


def test_the_engine_buttons_answer_in_the_status(gui: Scene, engine: Engine) -> None:
    press(gui, "engine_status")
    gui.nuke.pump(until=lambda: "engine 0.1.0 is ready" in gui.node["status"]._value)
    press(gui, "release_gpu")
    gui.nuke.pump(until=lambda: gui.node["status"]._value == "gave back 3 GiB")
    engine.gone = True
    press(gui, "release_gpu")
    gui.nuke.pump(until=lambda: "no engine" in gui.node["status"]._value)


# Copies


def test_a_copy_has_its_own_uuid_and_points_at_the_same_result(gui: Scene, engine: Engine) -> None:
    engine.by_itself = True
    press(gui, "solve")
    wait(gui, "v001")
    mine = gui.value("node_uuid")
    copy = gui.nuke.copy_paste(gui.node)
    assert mine and copy["node_uuid"].value() not in ("", mine) and gui.value("node_uuid") == mine
    assert copy["result"].value() == gui.value("result")
    assert copy.node("Read_object_1")["file"].value() == gui.node.node("Read_object_1")["file"].value()


def test_a_copy_of_a_node_that_is_being_solved_can_not_cancel_it(gui: Scene, engine: Engine) -> None:
    press(gui, "solve")
    gui.nuke.pump(until=lambda: gui.node["pending_job"]._value == "job1")
    copy = gui.nuke.copy_paste(gui.node)
    assert copy["pending_job"].value() == ""
    copy["cancel"].execute()
    assert engine.cancelled == [] and "nothing to cancel" in copy["status"].value()
    engine.finish("job1")
    wait(gui, "v001")
    assert copy["result"].value() == ""


def test_loading_a_script_changes_no_knob_and_asks_no_engine(gui: Scene, engine: Engine) -> None:
    engine.gone = True
    before = {name: knob._value for name, knob in gui.node._knobs.items()}
    gui.nuke._tell("create", gui.node)
    assert {name: knob._value for name, knob in gui.node._knobs.items()} == before


# What is refused


def test_what_is_missing_is_said(scene: Scene, host: ModuleType) -> None:
    scene.node.setInput(1, None)
    with pytest.raises(Refused, match=r"no mask is connected.*front one to mask1"):
        host.solve(scene.node)
    scene.node.setInput(0, None)
    with pytest.raises(Refused, match="nothing is connected to plate"):
        host.solve(scene.node)


def test_stereo_views_are_refused(scene: Scene, host: ModuleType) -> None:
    scene.plate["file"]._value = str(scene.folder / "plate_%V.%04d.exr")
    with pytest.raises(Refused, match=r"stereo view.*read one view by its own path"):
        host.solve(scene.node)
    scene.nuke._views[:] = ["left", "right"]
    with pytest.raises(Refused, match="views left, right"):
        host.solve(scene.node)


@pytest.mark.parametrize(
    ("knob", "value", "message"),
    [
        ("mask1_name", "background", "'background' is reserved"),
        ("mask1_name", "2nd", "use a letter"),
        ("seed", -1, "seed -1 is outside"),
        ("folder", "[getenv NOWHERE]", "output folder"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_written(
    scene: Scene, host: ModuleType, knob: str, value: Any, message: str
) -> None:
    grade(scene)
    scene.nuke._environment["NOWHERE"] = "/proc/nowhere"
    scene.node[knob].setValue(value)
    with pytest.raises(Refused, match=message):
        host.solve(scene.node)
    assert scene.nuke._executed == []
    assert list(scene.folder.rglob("v001")) == []


def test_a_script_without_a_name_needs_an_output_folder(scene: Scene, host: ModuleType, engine: Engine) -> None:
    scene.nuke.root()["name"]._value = ""
    with pytest.raises(Refused, match="save it, or choose a whole path"):
        host.solve(scene.node)
    scene.node["folder"].setValue(str(scene.folder / "a é"))
    engine.by_itself = True
    assert host.solve(scene.node) == str(scene.folder / "a é" / "v001")


def test_a_node_of_a_newer_penumbra_is_refused(scene: Scene, host: ModuleType) -> None:
    scene.node["version"].setValue(2)
    with pytest.raises(Refused, match="version 2, this Penumbra knows version 1; update"):
        host.solve(scene.node)


@pytest.mark.parametrize(("edition", "message"), [("nc", "Non-commercial.*1920"), ("indie", "Indie.*4096")])
def test_editions_with_limits_say_so_instead_of_writing_small_frames(
    scene: Scene, host: ModuleType, engine: Engine, edition: str, message: str
) -> None:
    scene.nuke.env[edition] = True
    engine.by_itself = True
    host.solve(scene.node)  # plain Reads need no writing
    grade(scene)
    with pytest.raises(Refused, match=message):
        host.solve(scene.node)
    scene.node._nodes.clear()
    with pytest.raises(Refused, match="lets Python reach few nodes only"):
        host.solve(scene.node)


def test_nukes_own_colour_management_has_names_that_the_engine_knows(
    scene: Scene, host: ModuleType, engine: Engine
) -> None:
    from penumbra_engine.media.colour import BUILT_IN

    scene.nuke.root()["colorManagement"]._value = "Nuke"
    for read in (scene.plate, *scene.node.nodes()):
        if read.Class() == "Read":
            read["colorspace"]._choices = ["default (linear)", "linear", "sRGB"]
    scene.plate["colorspace"]._value = "sRGB"
    engine.by_itself, engine.space = True, "lin_rec709_srgb"
    host.solve(scene.node)
    assert engine.jobs["job1"].colorspace == "srgb_tx" and engine.jobs["job1"].ocio == BUILT_IN
    assert scene.node.node("Read_object_1")["colorspace"].value() == "default (linear)"


def test_the_config_is_the_knobs_else_that_of_the_environment_else_the_projects(
    scene: Scene, host: ModuleType, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.by_itself, engine.space = True, "ACES - ACEScg"
    host.solve(scene.node)
    monkeypatch.setenv("OCIO", "/facility/config.ocio")
    host.solve(scene.node)
    scene.node["ocio"].setValue("/mine.ocio")
    scene.node["colorspace"].setValue("ACEScg")
    host.solve(scene.node)
    assert [job.ocio for job in engine.jobs.values()] == ["/studio/config.ocio", "/facility/config.ocio", "/mine.ocio"]
    assert engine.jobs["job3"].colorspace == "ACEScg"
    monkeypatch.delenv("OCIO")
    scene.nuke.root()["OCIO_config"]._value = "aces_1.3"
    host.solve(scene.node)
    scene.node["ocio"].setValue("")
    with pytest.raises(Refused, match=r"Nuke's OCIO config aces_1\.3 was not found.*name it in the knob"):
        host.solve(scene.node)


def test_a_node_without_penumbra_on_the_machine_says_so(gui: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "penumbra.hosts.nuke", None)
    press(gui, "solve")
    assert gui.nuke.messages == [
        "Penumbra is not installed on this machine. A result shows and renders without it; a button needs it."
    ]


def test_the_manifest_says_what_the_result_was_made_of(scene: Scene, host: ModuleType, engine: Engine) -> None:
    engine.by_itself = True
    host.solve(scene.node)
    made = json.loads(Path(scene.value("manifest")).read_text())
    plate = str(scene.folder / "plate.1001.exr")
    info = Path(plate).stat()
    assert made["inputs"]["plate"]["files"][plate] == [info.st_size, info.st_mtime_ns]
    assert made["words"]["quality"] == "standard" and made["words"]["frames"] == "1001-1005"


def test_the_self_test_finds_nothing_wrong_in_the_stub(
    nuke: ModuleType, host: ModuleType, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    from penumbra import client, launcher

    monkeypatch.syspath_prepend(str(GROUP.parents[2] / "plugin" / "startup" / "nuke"))
    monkeypatch.setattr(launcher, "ensure_engine", lambda: None)
    monkeypatch.setattr(client, "Client", lambda runtime: engine)
    import selftest

    engine.by_itself = True
    assert selftest.run(str(tmp_path)), capsys.readouterr().out
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(selftest.STEPS) and all(line.startswith("ok    ") for line in lines)


def test_the_self_test_names_the_step_that_fails_and_goes_on(
    nuke: ModuleType, host: ModuleType, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.syspath_prepend(str(GROUP.parents[2] / "plugin" / "startup" / "nuke"))
    import selftest

    engine.gone = True
    assert not selftest.run(str(tmp_path))
    said = capsys.readouterr().out
    assert "FAIL  frames_are_written_and_solved: Refused: no engine is installed" in said
    assert "ok    stale_is_not_rendered" not in said and "ok    gizmo" in said
    assert len(said.splitlines()) == len(selftest.STEPS)


def test_the_gizmo_is_the_same_node_and_keeps_its_result_in_knobs_of_its_panel(
    scene: Scene, host: ModuleType, engine: Engine
) -> None:
    group, gizmo = scene.node, scene.nuke.createNode("OmnimatteLayers")
    assert isinstance(gizmo, scene.nuke.Gizmo) and host.is_ours(gizmo)
    links = [name for name, knob in gizmo._knobs.items() if isinstance(knob, scene.nuke.Link_Knob)]
    assert [name for name in gizmo._knobs if name not in links] == list(group._knobs)
    assert [node._name for node in gizmo._nodes] == [node._name for node in group._nodes]
    gizmo.setInput(0, scene.plate)
    gizmo.setInput(1, scene.mask)
    engine.by_itself = True
    out = host.solve(gizmo)
    scene.node = scene.nuke.reopen(gizmo)  # Nuke saves nothing of what is inside a gizmo
    assert Path(scene.shown(1003)) == Path(out) / "object1" / "object1.1003.exr"
    for output in SPEC.outputs[4:-1]:
        scene.node["output"].setValue(output.label)
        assert Path(scene.shown(1003)).read_text() == f"{output.folder} 1003"
        assert scene.node.node("Read_" + output.name)["raw"].value() is output.data


def test_knobs_and_inputs_are_those_of_the_description(scene: Scene) -> None:
    missing = [knob.name for knob in SPEC.knobs if knob.name not in scene.node._knobs and knob.kind.value != "rule"]
    assert missing == []
    inputs = [node for node in scene.node.nodes() if node.Class() == "Input"]
    assert [(node.name(), node["number"].value()) for node in inputs] == [
        (given.name, index) for index, given in enumerate(SPEC.inputs)
    ]


# The other nodes ------------------------------------------------------------------------------------------------------


def other(scene: Scene, name: str, *inputs: Any) -> Any:
    """Another node of ours, connected to these."""
    node = scene.nuke.nodePaste(str(GROUP.with_name(name + ".nk")))
    for index, source in enumerate(inputs):
        if source is not None:
            node.setInput(index, source)
    return node


def test_keyframes_are_the_frames_that_were_keyed(scene: Scene, host: ModuleType, engine: Engine) -> None:
    node = other(scene, "TrimapPropagate", scene.plate, scene.mask)
    engine.by_itself = True
    with pytest.raises(Refused, match="no keyframe is listed"):
        host.solve(node)
    for frame in (1005, 1001, 1003, 1003):
        scene.nuke.current_frame = frame
        host.pressed(node, "key_frame")
    assert node["keyframes"].value() == "1001,1005"
    out = host.solve(node)
    job = engine.jobs["job1"]
    assert (job.kind, job.frames) == ("trimap", "1001-1005")
    assert [(key.name, key.frame, Path(key.pattern).name) for key in job.keyframes] == [
        ("matte", 1001, "mask.1001.exr"), ("matte", 1005, "mask.1005.exr"),
    ]  # fmt: skip
    assert node.node("Read_trimap")["file"].value() == f"{out}/matte_trimap/matte_trimap.####.exr"
    assert node.node("Read_trimap")["raw"].value() is True and node["result"].value() == out


def test_only_the_keyframes_of_a_roto_are_written(scene: Scene, host: ModuleType, engine: Engine) -> None:
    roto = scene.nuke.Node("Grade", "Roto1", scene.nuke.root())
    roto.setInput(0, scene.mask)
    node = other(scene, "Matte", scene.plate, roto)
    node["keyframes"].setValue("1002,1004")
    engine.by_itself = True
    host.solve(node)
    assert [call[:3] for call in scene.nuke._executed] == [
        ("Stage_keyframe", 1002, 1002), ("Stage_keyframe", 1004, 1004),
    ]  # fmt: skip
    assert engine.jobs["job1"].downsample == 0.0


def test_a_clean_plate_in_another_space_is_written_with_the_plate(
    scene: Scene, host: ModuleType, engine: Engine
) -> None:
    clean = scene.read("mask")
    node = other(scene, "CleanPlateMatte", scene.plate, clean)
    engine.by_itself = True
    host.solve(node)
    assert scene.nuke._executed == [] and engine.jobs["job1"].masks == []
    clean["colorspace"]._value = "Utility/sRGB - Texture"
    host.solve(node)
    assert {call[0] for call in scene.nuke._executed} == {"Stage_plate", "Stage_clean"}
