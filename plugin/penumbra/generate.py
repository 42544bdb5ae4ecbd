"""Write the nodes as text for the hosts: `python -m penumbra.generate` from plugin/ writes gizmos/ anew.

The graphs are static. For each input a Write, off except while frames are staged; for each output a Read; one Switch
between them, whose number is an expression, so that a script shows and renders its result without the plug-in.
"""

import sys
from pathlib import Path
from typing import Dict, List, Tuple

from .nodes import NODES, PLATE_OUTPUT, TILE_COLOUR, Kind, Knob, NodeSpec

GIZMOS = Path(__file__).resolve().parents[2] / "gizmos"

_MADE = "Written by `python -m penumbra.generate` from plugin/penumbra/nodes.py; changes here are lost."
_NO_PLUGIN = "Penumbra is not installed on this machine. A result shows and renders without it; a button needs it."

# The oldest Nuke we write for; newer ones read it.
_NUKE_VERSION = "version 13.0 v1"

_NUKE_KINDS = {
    Kind.STRING: 1, Kind.FILE: 2, Kind.FOLDER: 2, Kind.INT: 3, Kind.CHOICE: 4, Kind.BOOL: 6, Kind.FLOAT: 7,
    Kind.BUTTON: 22, Kind.STATUS: 26, Kind.RULE: 26,
}


def files(node: NodeSpec) -> Dict[str, str]:
    """The generated files of a node, by path below gizmos/."""
    return {
        "nuke/{}.gizmo".format(node.name): nuke_gizmo(node),
        "nuke/{}.nk".format(node.name): nuke_group(node),
        "natron/{}.py".format(node.name): natron_pyplug(node),
    }


def nuke_gizmo(node: NodeSpec) -> str:
    """The node as a gizmo, for nuke.createNode."""
    lines = [_NUKE_VERSION, "# " + _MADE, *_nuke_node(node, "Gizmo", [], _nuke_links(node))]
    return "\n".join(lines) + "\n"


def nuke_group(node: NodeSpec) -> str:
    """The node as a group to paste: its script opens on machines without Penumbra."""
    stack = ["push 0"] * (len(node.inputs) - 1) + ["push $cut_paste_input"]
    head = ["set cut_paste_input [stack 0]", _NUKE_VERSION, "# " + _MADE, *stack]
    inputs = [" inputs {}".format(len(node.inputs)), " name {}1".format(node.name), " selected true"]
    return "\n".join([*head, *_nuke_node(node, "Group", inputs, [])]) + "\n"


def _nuke_links(node: NodeSpec) -> List[str]:
    """Links to what a solve sets inside: of a gizmo, scripts keep the knobs of its own panel only."""
    return [
        " addUserKnob {{41 {0}_{1} l {0}_{1} T Read_{0}.{1} +INVISIBLE}}".format(output.name, knob)
        for output in node.outputs if output is not PLATE_OUTPUT
        for knob in ("file", "first", "last", "raw", "colorspace")
    ]


def _nuke_node(node: NodeSpec, kind: str, head: List[str], links: List[str]) -> List[str]:
    lines = [
        kind + " {", *head,
        " help " + _quoted(node.help),
        " tile_color 0x{:08x}".format(TILE_COLOUR),
        ' label "\\[value badge]"',
        " addUserKnob {{20 penumbra l {}}}".format(_quoted(node.label)),
    ]
    for knob in node.knobs:
        lines.extend(_nuke_knob(knob))
    lines.extend([*links, "}"])
    for index, given in enumerate(node.inputs):
        x = 150 * index
        lines.extend(_nuke_inner("Input", given.name, x, 0, "inputs 0", "number {}".format(index)))
        if index == 0:
            lines.append("set plate [stack 0]")
        lines.extend(_nuke_inner(
            "Write", "Stage_" + given.name, x, 100, "disable true", "channels rgb", "raw true", "file_type exr",
            "datatype \"16 bit half\"", "compression \"Zip (1 scanline)\"", "metadata \"all metadata\"",
            "create_directories true"))
    sources = _sources(node)
    for index in reversed(range(len(sources))):  # the top of the stack becomes input 0
        name, path, data = sources[index]
        if not path:
            lines.append("push $plate")
            continue
        lines.extend(_nuke_inner(
            "Read", name, 150 * index, 300, "inputs 0", "file " + _quoted(path), "first 1", "last 1", "origfirst 1",
            "origlast 1", "origset true", "on_error error", *(["raw true"] if data else [])))
    lines.extend(_nuke_inner("Switch", "Choose", 0, 450, "inputs {}".format(len(sources)),
                             "which {{{{{}}}}}".format(_quoted(_nuke_choice(node)))))
    lines.extend(_nuke_inner("Output", "Output1", 0, 550))
    return [*lines, "end_group"]


def _nuke_knob(knob: Knob) -> List[str]:
    words = [str(_NUKE_KINDS[knob.kind]), '""' if knob.kind is Kind.RULE else knob.name, "l " + _quoted(knob.label)]
    if knob.tooltip:
        words.append("t " + _quoted(knob.tooltip))
    if knob.kind is Kind.CHOICE:
        words.append("M {{{}}}".format(" ".join(_quoted(choice) for choice in knob.choices)))
    if knob.kind is Kind.BUTTON:
        words.append("T " + _quoted(_nuke_script(knob.name)))
    if knob.kind is Kind.STATUS:
        words.append("T " + _quoted(str(knob.default)))
    if knob.hidden:
        words.append("+INVISIBLE")
    words.append("-STARTLINE" if knob.same_line else "+STARTLINE")
    lines = [" addUserKnob {{{}}}".format(" ".join(words))]
    if knob.kind is Kind.BOOL:
        lines.append(" {} {}".format(knob.name, "true" if knob.default else "false"))
    elif knob.kind in (Kind.INT, Kind.FLOAT):
        lines.append(" {} {}".format(knob.name, knob.default))
    elif knob.kind in (Kind.CHOICE, Kind.STRING) and knob.default != "":
        lines.append(" {} {}".format(knob.name, _quoted(str(knob.default))))
    return lines


def _nuke_script(button: str) -> str:
    return ("try:\n import penumbra.hosts.nuke as p\nexcept ImportError:\n nuke.message('{}')\nelse:\n "
            "p.pressed(nuke.thisNode(), '{}')".format(_NO_PLUGIN, button))


def _nuke_inner(kind: str, name: str, x: int, y: int, *knobs: str) -> List[str]:
    return [" {} {{".format(kind), *("  " + knob for knob in knobs), "  name " + name, "  xpos {}".format(x),
            "  ypos {}".format(y), " }"]


def _nuke_choice(node: NodeSpec) -> str:
    plate, count = node.outputs.index(PLATE_OUTPUT), len(node.outputs)
    return ("parent.output == {0} ? {0} : parent.stale && !parent.use_stale ? {1} : frame < parent.solved_first || "
            "frame > parent.solved_last ? {2} : parent.output".format(plate, count, count + 1))


def _quoted(text: str) -> str:
    """A word of a Nuke script. Raises ValueError for characters that would start an expression there."""
    if any(c in text for c in "[]{}$\\"):
        raise ValueError("{!r} holds a character that has a meaning in Nuke scripts".format(text))
    return '"{}"'.format(text.replace('"', '\\"').replace("\n", "\\n"))


def _sources(node: NodeSpec) -> List[Tuple[str, str, bool]]:
    """What the Switch chooses from: name, path and whether it is data, outputs first, then what fails and says why.

    A path of "" is the plate input.
    """
    found = [("Read_" + o.name, "" if o is PLATE_OUTPUT else node.no_result, o.data) for o in node.outputs]
    return [*found, ("Stale", node.stale_result, True), ("Nothing", node.no_result, True)]


_NATRON = """\
# Natron PyPlug
# {made}

from penumbra_pyplug import build, tell, tell_staged

LABEL = "{label}"
VERSION = {version}
HELP = (
    {help}
)
COLOUR = ({colour})
INPUTS = ({inputs})
KNOBS = (
    # kind, name, label, tooltip, default, choices, hidden, on the line of the one before
{knobs}
)
SOURCES = (
    # what the output shows by number: a Read and its file, or an input
{sources}
)
FAILURES = (
    # the numbers behind them: what fails and says why
{failures}
)
CHOICE = (
    {choice}
)
PLANES = {planes}  # the Read whose planes are to be had beside RGBA


def getPluginID():
    return "org.penumbra.{name}"


def getLabel():
    return LABEL


def getVersion():
    return VERSION


def getGrouping():
    return "Penumbra"


def getPluginDescription():
    return HELP


def createInstance(app, group):
    build(app, group, "{name}", LABEL, COLOUR, INPUTS, KNOBS, SOURCES, FAILURES, CHOICE, PLANES)


def changed(thisParam, thisNode, thisGroup, app, userEdited):
    tell(thisParam, thisNode, app, userEdited)


def staged(aborted, thisNode, app):
    tell_staged(aborted)
"""


def natron_pyplug(node: NodeSpec) -> str:
    """The node as a PyPlug: its data; penumbra_pyplug.py beside it builds the group."""
    plate, count = node.outputs.index(PLATE_OUTPUT), len(node.outputs)
    sources = _sources(node)
    choice = ("{0} if thisGroup.output.get() == {0} else {1} if thisGroup.stale.get() and not "
              "thisGroup.use_stale.get() else {2} if frame < thisGroup.solved_first.get() or frame > "
              "thisGroup.solved_last.get() or not thisGroup.shown.get() >> thisGroup.output.get() & 1 else "
              "thisGroup.output.get()".format(plate, count, count + 1))
    return _NATRON.format(
        made=_MADE, name=node.name, label=node.label, version=node.version, help=_wrapped(node.help, 4),
        colour=", ".join("{:.2f}".format((TILE_COLOUR >> shift & 255) / 255) for shift in (24, 16, 8)),
        inputs=", ".join(_text(given.name) for given in node.inputs),
        knobs="\n".join(_natron_knob(knob) for knob in node.knobs),
        sources="\n".join(_natron_source(name, path or node.inputs[0].name) for name, path, _ in sources[:count]),
        failures="\n".join(_natron_source(name, path.replace("####", "%d")) for name, path, _ in sources[count:]),
        choice=_wrapped(choice, 4),
        planes=_text(next(("Read_" + output.name for output in node.outputs if output.planes), "")))


def _natron_source(name: str, path: str) -> str:
    return "    ({},\n     {}),".format(_text(name), _wrapped(path, 5))


def _natron_knob(knob: Knob) -> str:
    head = ", ".join(map(_text, (knob.kind.value, knob.name, knob.label)))
    choices = _filled([_text(choice) + ", " for choice in knob.choices], 100)
    flags = "{}, {}".format(knob.hidden, knob.same_line)
    return "    ({},\n     {},\n     {}, ({}), {}),".format(
        head, _wrapped(knob.tooltip, 5), _text(knob.default), "\n      ".join(line.rstrip() for line in choices), flags)


def _text(value: object) -> str:
    """A value as Python source, in double quotes."""
    return '"{}"'.format(value.replace('"', '\\"')) if isinstance(value, str) else repr(value)


def _wrapped(text: str, indent: int) -> str:
    """A text as Python source, in pieces that leave lines of at most 120 columns."""
    lines = _filled([word + " " for word in text.split(" ")], 115 - indent)
    lines[-1] = lines[-1][:-1]
    return ("\n" + " " * indent).join(map(_text, lines))


def _filled(words: List[str], width: int) -> List[str]:
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += word
    return lines


def main() -> None:
    """Write all files; says which."""
    for node in NODES.values():
        for name, text in files(node).items():
            path = GIZMOS / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8"))
            sys.stdout.write("{}\n".format(path))


if __name__ == "__main__":
    main()
