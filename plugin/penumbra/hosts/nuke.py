"""Everything that touches Nuke: read the node and what is above it, write staged frames, point the Reads at a result.

`import penumbra.hosts.nuke as p; p.solve(nuke.thisNode())` is all that a button of the node holds.
"""

import os
import re
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, cast

import nuke

from .. import staging
from ..nodes import NODES, STALE_COLOUR, TILE_COLOUR, Input, Kind, NodeSpec, Output
from ..staging import ReadFiles, Refused, Route, Seen
from . import solve as flow

#: Knobs every node has that say how it looks, not what it does.
_LOOKS = frozenset((
    "name", "xpos", "ypos", "selected", "label", "note_font", "note_font_size", "note_font_color", "tile_color",
    "gl_color", "hide_input", "bookmark", "postage_stamp", "postage_stamp_frame", "dope_sheet", "indicators",
    "icon", "autolabel", "help", "panel", "lifetimeStart", "lifetimeEnd", "useLifetime", "cached", "onCreate",
    "onDestroy", "knobChanged", "updateUI",
))

#: What Nuke's own (not OCIO) colour management calls spaces, by names that OCIO configs share.
_NUKE_LUTS = {"linear": "lin_rec709_srgb", "sRGB": "srgb_tx"}

#: A config that has those names: the engine's own choice, named so that it is not another one by chance.
_NUKE_CONFIG = "cg-config-v2.2.0_aces-v1.3_ocio-v2.4"

#: Width and height that an edition writes at most.
_LIMITS = {"nc": ("Non-commercial", 1920, 1080), "indie": ("Indie", 4096, 2160)}


def solve(node: nuke.Node, first: Optional[int] = None, last: Optional[int] = None) -> str:
    """Solve a node and show the result; returns the result's folder. Blocks in a terminal. Raises Refused."""
    return flow.solve(NukePanel(node), first, last)


def pressed(node: nuke.Node, button: str) -> None:
    """A button of the node."""
    flow.press(NukePanel(node), button)


def knob_changed() -> None:
    """Nuke's callback for all groups and gizmos: our panel was opened, or something a result depends on changed."""
    node, knob = nuke.thisNode(), nuke.thisKnob()
    if not nuke.GUI or not is_ours(node):
        return
    panel = NukePanel(node)
    name = knob.name()
    if name in ("showPanel", "inputChange") or name in panel.spec.solve_knobs:
        flow.opened(panel)


def created() -> None:
    """Nuke's callback for a new group or gizmo: a pasted copy of a node of ours becomes a node of its own."""
    node = nuke.thisNode()
    if is_ours(node) and node["node_uuid"].value():
        flow.claim(NukePanel(node))


def install() -> None:
    """Have Nuke call us. Only in front of a user; scripts open and render without it."""
    for kind in ("Group", *NODES):
        nuke.addOnCreate(created, nodeClass=kind)
        nuke.addKnobChanged(knob_changed, nodeClass=kind)
    nuke.addOnScriptClose(flow.leave_all)


def is_ours(node: nuke.Node) -> bool:
    """Whether it is a node of Penumbra, as a group or as a gizmo."""
    knob = node.knob("penumbra_node")
    return knob is not None and knob.value() in NODES


class NukePanel(flow.Panel):
    """A node of ours in Nuke."""

    def __init__(self, node: nuke.Node) -> None:
        knob = node.knob("penumbra_node")
        if knob is None:
            raise Refused("{} is no node of Penumbra".format(node.name()))
        if knob.value() not in NODES:
            raise Refused("{} is a {} node, which this Penumbra does not know; update it".format(
                node.name(), knob.value()))
        self.node = node
        self.spec: NodeSpec = NODES[knob.value()]
        self.interactive = bool(nuke.GUI)

    def values(self) -> Dict[str, Any]:
        quiet = (Kind.BUTTON, Kind.RULE)
        return {knob.name: self.node[knob.name].value() for knob in self.spec.knobs if knob.kind not in quiet}

    def put(self, **values: Any) -> None:
        with _no_undo():
            for name, value in values.items():
                self.node[name].setValue(value)
            if "stale" in values:
                tile = self.node["tile_color"]
                if tile.value() in (TILE_COLOUR, STALE_COLOUR):  # any other is the user's choice
                    tile.setValue(STALE_COLOUR if values["stale"] else TILE_COLOUR)

    def alive(self) -> bool:
        try:
            self.node.name()
        except ValueError:  # Nuke's word for an object whose node was deleted
            return False
        return True

    def same(self, other: flow.Panel) -> bool:
        return isinstance(other, NukePanel) and self.node == other.node

    def uuids(self) -> List[str]:
        nodes = nuke.allNodes(recurseGroups=True, group=nuke.root())
        return [str(node["node_uuid"].value()) for node in nodes if is_ours(node)]

    def refuse(self) -> None:
        views = nuke.views()
        if len(views) > 1:
            raise Refused("the project has the views {}; views can't be solved yet, so solve in a project with one "
                          "view".format(", ".join(views)))

    def connected(self) -> List[str]:
        return [given.name for index, given in enumerate(self.spec.inputs) if self.node.input(index) is not None]

    def input_range(self) -> Tuple[int, int]:
        plate = self.node.input(0)
        if plate is None:
            raise Refused("nothing is connected to {}".format(self.spec.inputs[0].name))
        range_ = plate.frameRange()
        return int(range_.first()), int(range_.last())

    def seen(self, frames: Tuple[int, ...]) -> List[Seen]:
        found = []
        for index, given in enumerate(self.spec.inputs):
            top = self.node.input(index)
            if top is not None:
                above, read = list(_above(top)), _plain_read(top, frames)
                sources = {path for node in above for path in _files(node)} if read is None else read.files.values()
                found.append(Seen(given.name, "\n".join(map(_text, above)), sorted(set(sources)), read))
        return found

    def frame(self) -> int:
        return int(nuke.frame())

    def folder(self, given: str) -> str:
        path = _evaluated(self.node["folder"]) if given else "penumbra/{}-{}".format(
            self.spec.name, self.node["node_uuid"].value()[:8])
        if os.path.isabs(path):
            return path
        script = _script_folder()
        if not script:
            raise Refused("the script has no name yet; save it, or choose a whole path as output folder")
        return os.path.join(script, path)

    def colorspace(self) -> str:
        root = nuke.root()
        if root["colorManagement"].value() != "OCIO":
            return _NUKE_LUTS["linear"]
        return _space(str(root["workingSpaceLUT"].value()))

    def ocio(self) -> str:
        root = nuke.root()
        if root["colorManagement"].value() != "OCIO":
            return _NUKE_CONFIG
        if os.environ.get("OCIO"):
            return os.environ["OCIO"]
        name = str(root["OCIO_config"].value())
        if name == "custom":
            return _evaluated(root["customOCIOConfigPath"])
        folder = os.path.join(os.path.dirname(nuke.EXE_PATH), "plugins", "OCIOConfigs", "configs")
        for path in (os.path.join(folder, name, "config.ocio"), os.path.join(folder, name + ".ocio")):
            if os.path.isfile(path):
                return path
        raise Refused("the file of Nuke's OCIO config {} was not found in {}; name it in the knob OCIO config".format(
            name, folder))

    def write(self, routes: List[Route], done: Callable[[str], None]) -> None:
        problem = ""
        try:
            with _full_size():
                for route in routes:
                    self._write(route)
        except nuke.CancelledError:
            problem = "writing the frames was cancelled"
        except (RuntimeError, Refused) as error:  # what Nuke raises when a render fails
            problem = "writing {} failed: {}".format(", ".join(r.name for r in routes), error)
        done(problem)

    def show(self, results: List[Tuple[Output, str]], frames: Tuple[int, ...], raw: bool, colorspace: str) -> None:
        reads = [(self._inner("Read_" + output.name), raw or output.data, pattern) for output, pattern in results]
        # All or none: a space that is not there must not leave Reads of two results.
        spaces = ["" if as_is else _choice(read["colorspace"], colorspace) for read, as_is, _ in reads]
        with _no_undo():
            for (read, as_is, pattern), space in zip(reads, spaces):
                read["raw"].setValue(as_is)
                read["file"].setValue(pattern)
                for name, value in (("first", frames[0]), ("last", frames[-1]), ("origfirst", frames[0]),
                                    ("origlast", frames[-1]), ("origset", True), ("on_error", "error")):
                    read[name].setValue(value)
                if not as_is:
                    read["colorspace"].setValue(space)
                cast(nuke.Script_Knob, read["reload"]).execute()

    def call_main(self, call: Callable[[], None]) -> None:
        if self.interactive:
            nuke.executeInMainThread(call)
        else:
            call()

    def _inner(self, name: str) -> nuke.Node:
        found = self.node.node(name) if isinstance(self.node, nuke.Group) else None
        if found is None:
            edition = _edition()
            why = "Nuke {} lets Python reach few nodes only".format(edition[0]) if edition else "it was edited"
            raise Refused("the node's own {} can't be reached: {}".format(name, why))
        return found

    def _write(self, route: Route) -> None:
        given = next(g for g in self.spec.inputs if g.name == route.name)
        write = self._inner("Stage_" + route.name)
        top = self.node.input(self.spec.inputs.index(given))
        edition = _edition()
        if edition and top is not None and (top.width() > edition[1] or top.height() > edition[2]):
            raise Refused("Nuke {} writes at most {} x {}, {} is {} x {}; connect a Read itself, so that nothing has "
                          "to be written".format(*edition, route.name, top.width(), top.height()))
        with _no_undo():
            write["file"].setValue(route.pattern.replace("\\", "/"))
            write["channels"].setValue(_channels(given, top))
            write["disable"].setValue(False)
        try:
            for first, last in staging.runs(route.frames):
                nuke.execute(write, first, last, 1)
        finally:
            with _no_undo():
                write["disable"].setValue(True)


class _no_undo:
    """What is set within does not enter the undo stack."""

    def __enter__(self) -> None:
        self._was_on = not nuke.Undo.disabled()
        nuke.Undo.disable()

    def __exit__(self, *_: Any) -> None:
        if self._was_on:
            nuke.Undo.enable()


class _full_size:
    """Renders within are in full size, whatever the project's proxy mode."""

    def __enter__(self) -> None:
        self._proxy = nuke.root()["proxy"].value()
        self._set(False)

    def __exit__(self, *_: Any) -> None:
        self._set(self._proxy)

    def _set(self, proxy: bool) -> None:
        if nuke.root()["proxy"].value() != proxy:
            with _no_undo():
                nuke.root()["proxy"].setValue(proxy)


def _edition() -> Optional[Tuple[str, int, int]]:
    """Name, width and height limit of an edition with limits."""
    return next((limit for key, limit in _LIMITS.items() if nuke.env.get(key)), None)


def _script_folder() -> str:
    name = str(nuke.root()["name"].value())
    return os.path.dirname(os.path.abspath(name)) if name else ""


def _evaluated(knob: nuke.Knob) -> str:
    """A file knob's path with its expressions worked out; the place of the frame stays."""
    return str(cast(nuke.File_Knob, knob).getEvaluatedValue() or "")


def _channels(given: Input, top: Optional[nuke.Node]) -> str:
    """What to write of an input: of a hint its alpha if it has one, as the engine would read a file of it."""
    if given.hint and top is not None and "rgba.alpha" in top.channels():
        return "alpha"
    return "rgb"


def _through_groups(node: Optional[nuke.Node]) -> Optional[nuke.Node]:
    """What feeds this node: for the Input of a group, that which is connected to the group."""
    while node is not None and node.Class() == "Input":
        node = node.parent().input(int(node["number"].value()))
    return node


def _above(top: nuke.Node) -> Iterator[nuke.Node]:
    """All nodes a picture depends on, each once, in an order that does not depend on names."""
    waiting: List[Optional[nuke.Node]] = [_through_groups(top)]
    met = set()
    while waiting:
        node = waiting.pop()
        if node is None or node.fullName() in met:
            continue
        met.add(node.fullName())
        yield node
        if is_ours(node) and node["output"].value() != "plate":
            continue  # a result on disk, whatever is connected
        if isinstance(node, nuke.Group) and not is_ours(node):
            waiting.extend(node.nodes())
        waiting.extend(_through_groups(node.input(i)) for i in reversed(range(node.inputs())))
        waiting.extend(n for n in node.dependencies(nuke.EXPRESSIONS) if n.Class() not in ("Root", "Viewer"))


def _text(node: nuke.Node) -> str:
    """What a node does, as text: its class and its knobs that are not at their default."""
    if is_ours(node):
        names = ["penumbra_node", "result", "output", "stale", "use_stale"]
    else:
        names = [name for name in node.writeKnobs(nuke.WRITE_NON_DEFAULT_ONLY).split() if name not in _LOOKS]
    knobs = ((name, node.knob(name)) for name in sorted(set(names)))
    return "{} {}".format(node.Class(), "; ".join("{} {}".format(n, k.toScript()) for n, k in knobs if k is not None))


def _files(node: nuke.Node) -> List[str]:
    """All files a node reads."""
    if node.Class() != "Read":
        knob = node.knob("file")
        return [_evaluated(knob)] if isinstance(knob, nuke.File_Knob) and knob.value() else []
    pattern = _pattern(node)
    return [staging.file_of(pattern, f) for f in range(int(node["first"].value()), int(node["last"].value()) + 1)]


def _pattern(read: nuke.Node) -> str:
    knob = read["file"]
    text = str(knob.value())
    staging.check_path(text, read.name())
    path = _evaluated(knob)
    if path and not os.path.isabs(path):
        project = _evaluated(nuke.root()["project_directory"]) or _script_folder()
        path = os.path.join(project, path)
    return path


def _shift(read: nuke.Node) -> Optional[int]:
    """How much later than its number a file is shown; None when it is no constant."""
    mode, text = read["frame_mode"].value(), str(read["frame"].value()).strip()
    if mode == "expression":
        return 0 if text in ("", "frame") else None
    try:
        number = int(float(text or 0))
    except ValueError:
        return None
    if mode == "start at":
        return number - int(read["first"].value())
    return number if mode == "offset" else None


def _plain_read(top: nuke.Node, frames: Tuple[int, ...]) -> Optional[ReadFiles]:
    """The files of an input that is a Read with only Dots below it."""
    node = _through_groups(top)
    while node is not None and node.Class() == "Dot":
        node = _through_groups(node.input(0))
    if node is None or node.Class() != "Read" or node["disable"].value():
        return None
    pattern, shift = _pattern(node), _shift(node)
    if not pattern or shift is None:
        return None
    first, last = int(node["first"].value()), int(node["last"].value())
    held = node["before"].value() == "hold" and node["after"].value() == "hold"
    if held and staging.file_of(pattern, 0) == pattern:  # one still
        files = {frame: pattern for frame in frames}
    else:
        files = {f: staging.file_of(pattern, f - shift) for f in frames if first <= f - shift <= last}
    return ReadFiles(files, _read_space(node), bool(node["raw"].value()))


def _read_space(read: nuke.Node) -> str:
    text = str(read["colorspace"].value())
    if nuke.root()["colorManagement"].value() != "OCIO":
        return _NUKE_LUTS.get(_space(text), "")
    return _space(text)


def _space(text: str) -> str:
    """The name of a space in what a colour space knob shows: `default (X)`, `role (X)` or `Family/X`."""
    inner = re.match(r"(?:default|[a-z_]+) \((.+)\)\Z", text)
    return (inner.group(1) if inner else text).split("/")[-1].strip()


def _choice(knob: nuke.Knob, name: str) -> str:
    """What a Read's colour space knob calls the space of this name. Raises Refused when it has none."""
    luts = {lut: key for key, lut in _NUKE_LUTS.items()}
    wanted = name if nuke.root()["colorManagement"].value() == "OCIO" else luts.get(name, "")
    choices = [str(choice) for choice in knob.values()] if isinstance(knob, nuke.Enumeration_Knob) else []
    for choice in choices:
        if wanted and wanted in (choice, _space(choice)):
            return choice
    raise Refused("the layers are in {}, which the Read of this project does not offer; open them by hand, or solve "
                  "with the project's own OCIO config".format(name))
