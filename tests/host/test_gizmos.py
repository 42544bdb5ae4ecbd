"""The nodes as text: what is committed is what plugin/penumbra/nodes.py makes, and the graph keeps its promises."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from penumbra import generate
from penumbra.nodes import NODES, OMNIMATTE_LAYERS, Kind, Knob

REPO = Path(__file__).resolve().parents[2]
COMMITTED = [(node, name) for node in NODES.values() for name in generate.files(node)]


@pytest.mark.parametrize(("node", "name"), COMMITTED, ids=[name for _, name in COMMITTED])
def test_the_committed_file_is_the_generated_one(node, name: str) -> None:  # type: ignore[no-untyped-def]
    assert (REPO / "gizmos" / name).read_bytes() == generate.files(node)[name].encode(), (
        "run `python -m penumbra.generate` in plugin/"
    )


def test_the_command_writes_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "GIZMOS", tmp_path)
    generate.main()
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert written == sorted(name for _, name in COMMITTED)


def test_another_node_is_data_only(nuke: ModuleType) -> None:
    more = Knob("tolerance", Kind.INT, "tolerance", "A number.", 3)
    other = dataclasses.replace(
        OMNIMATTE_LAYERS, name="OtherNode", label="Other Node", inputs=OMNIMATTE_LAYERS.inputs[:2],
        knobs=(*OMNIMATTE_LAYERS.knobs, more), outputs=OMNIMATTE_LAYERS.outputs[-3:],
    )  # fmt: skip
    group = nuke.scriptReadText(generate.nuke_group(other))
    assert group["tolerance"].value() == 3
    assert [node.name() for node in group.nodes() if node.Class() == "Read"] == [
        "Nothing", "Stale", "Read_confidence", "Read_removal",
    ]  # fmt: skip
    assert 'return "org.penumbra.OtherNode"' in generate.natron_pyplug(other)


def test_a_text_that_nuke_would_take_for_an_expression_is_an_error() -> None:
    knob = Knob("bad", Kind.STRING, "bad", "costs 5 $")
    with pytest.raises(ValueError, match="has a meaning in Nuke scripts"):
        generate.nuke_group(dataclasses.replace(OMNIMATTE_LAYERS, knobs=(knob,)))


def test_the_graph_in_nuke_is_static_and_its_writes_are_off(nuke: ModuleType) -> None:
    group = nuke.nodePaste(str(REPO / "gizmos" / "nuke" / "OmnimatteLayers.nk"))
    kinds = [node.Class() for node in group.nodes()]
    assert set(kinds) == {"Input", "Write", "Read", "Switch", "Output"}
    for node in group.nodes():
        if node.Class() == "Write":
            assert node["disable"].value() and node["raw"].value()
            assert node.name() == "Stage_" + node.input(0).name()
        if node.Class() == "Read":
            assert node["on_error"].value() == "error" and node["file"].value()
    switch = group.node("Choose")
    names = [node.name() for node in (switch.input(index) for index in range(switch.inputs()))]
    outputs = ["plate" if o.label == "plate" else "Read_" + o.name for o in OMNIMATTE_LAYERS.outputs]
    assert names == [*outputs, "Stale", "Nothing"]
    assert group.node("Output1").input(0) is switch


def test_the_pyplug_is_python_without_windows_and_without_the_plug_in() -> None:
    for name in ("OmnimatteLayers.py", "penumbra_pyplug.py"):
        text = (REPO / "gizmos" / "natron" / name).read_text()
        assert "NatronGui" not in text
        code = f"import sys; sys.path.insert(0, {str(REPO / 'gizmos' / 'natron')!r}); import {name[:-3]}"
        subprocess.run([sys.executable, "-S", "-c", code], check=True)
