"""Everything that touches Natron: read the node and what is above it, write staged frames, point the Reads at a result.

Natron has no call to reach its main thread, so in front of a user a Qt timer asks for what is to be done there.
"""

import os
import queue
import uuid
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import NatronEngine

from .. import staging
from ..nodes import NODES, STALE_COLOUR, TILE_COLOUR, Input, Kind, NodeSpec, Output
from ..staging import ReadFiles, Refused, Route, Seen
from . import solve as flow

#: Params every node has that say how it looks or what it tells, not what it does.
_LOOKS = frozenset((
    "userTextArea", "hideInputs", "forceCaching", "enablePreview", "nodeInfos", "nodeLifeTime", "enableNodeLifeTime",
    "onParamChanged", "onInputChanged", "afterNodeCreated", "beforeNodeRemoval", "NatronOfxParamStringSublabelName",
    "fileInfo", "availableViews", "ParamExistingInstance", "timeDomainUserEdited",
))
_NO_VALUE = ("Button", "Page", "Group", "Separator")

#: The space that Natron's Reads convert to and its Writes from.
_WORKING = "scene_linear"

_SUFFIX = " (stale)"

_main: "queue.Queue[Callable[[], None]]" = queue.Queue()
#: What is still to be written for a solve, in front of a user: called with whether the last render was aborted.
_writers: List[Callable[[bool], None]] = []


def solve(node: Any, first: Optional[int] = None, last: Optional[int] = None) -> str:
    """Solve a node and show the result; returns the result's folder. Blocks in the renderer. Raises Refused."""
    return flow.solve(NatronPanel(node, NatronEngine.natron.getInstance(0)), first, last)


def changed(param: Any, node: Any, app: Any, by_user: bool) -> None:
    """Natron's callback for a knob of ours that got a value, or a button that was pressed."""
    if not by_user:
        return
    panel = NatronPanel(node, app)
    name = param.getScriptName()
    if param.getTypeName() == "Button":
        flow.press(panel, name)
    elif panel.interactive and name in panel.spec.solve_knobs:
        flow.opened(panel)


def staged(aborted: bool) -> None:
    """Natron's callback at the end of a render of staged frames. From any thread."""
    if _writers:
        _main.put(lambda: _writers.pop(0)(aborted))


def install() -> None:
    """Have Natron call us on its main thread. Only in front of a user."""
    from qtpy.QtCore import QTimer  # comes with Natron

    timer = QTimer()
    timer.timeout.connect(drain)
    timer.start(100)
    install.timer = timer  # type: ignore[attr-defined]  # Qt stops a timer nobody holds


def drain() -> None:
    """Do on the main thread what other threads have asked for."""
    while True:
        try:
            call = _main.get_nowait()
        except queue.Empty:
            return
        call()


class NatronPanel(flow.Panel):
    """A node of ours in Natron."""

    def __init__(self, node: Any, app: Any) -> None:
        mark = node.getParam("penumbra_node")
        if mark is None:
            raise Refused("{} is no node of Penumbra".format(node.getScriptName()))
        if mark.get() not in NODES:
            raise Refused("{} is a {} node, which this Penumbra does not know; update it".format(
                node.getScriptName(), mark.get()))
        self.node = node
        self.app = app
        self.spec: NodeSpec = NODES[mark.get()]
        self.interactive = not NatronEngine.natron.isBackground()

    def values(self) -> Dict[str, Any]:
        quiet = (Kind.BUTTON, Kind.RULE)
        return {knob.name: _value(self.node.getParam(knob.name)) for knob in self.spec.knobs if knob.kind not in quiet}

    def put(self, **values: Any) -> None:
        for name, value in values.items():
            self.node.getParam(name).set(value)
        if "stale" in values:
            colour = STALE_COLOUR if values["stale"] else TILE_COLOUR
            self.node.setColor(*((colour >> shift & 255) / 255.0 for shift in (24, 16, 8)))
            label = self.node.getLabel()
            plain = label[:-len(_SUFFIX)] if label.endswith(_SUFFIX) else label
            self.node.setLabel(plain + _SUFFIX if values["stale"] else plain)

    def alive(self) -> bool:
        return self.node.getParam("penumbra_node") is not None

    def same(self, other: flow.Panel) -> bool:
        # Natron makes a new object for a node each time it is asked, and names repeat between groups.
        assert isinstance(other, NatronPanel)
        mine, mark = self.node.getParam("node_uuid"), uuid.uuid4().hex
        before = mine.get()
        mine.set(mark)
        try:
            return bool(other.alive() and other.node.getParam("node_uuid").get() == mark)
        finally:
            mine.set(before)

    def uuids(self) -> List[str]:
        return [str(node.getParam("node_uuid").get()) for node in _all(self.app) if is_ours(node)]

    def refuse(self) -> None:
        views = self.app.getViewNames()
        if len(views) > 1:
            raise Refused("the project has the views {}; views can't be solved yet, so solve in a project with one "
                          "view".format(", ".join(views)))

    def connected(self) -> List[str]:
        return [given.name for index, given in enumerate(self.spec.inputs) if self.node.getInput(index) is not None]

    def input_range(self) -> Tuple[int, int]:
        plate = self.node.getInput(0)
        if plate is None:
            raise Refused("nothing is connected to {}".format(self.spec.inputs[0].name))
        for node in _above(plate, self.app):
            if node.isReaderNode():
                shift = node.getParam("timeOffset").get()
                return node.getParam("firstFrame").get() + shift, node.getParam("lastFrame").get() + shift
        frames = self.app.getProjectParam("frameRange")
        return int(frames.getValue(0)), int(frames.getValue(1))

    def seen(self, frames: Tuple[int, ...]) -> List[Seen]:
        found = []
        for index, given in enumerate(self.spec.inputs):
            top = self.node.getInput(index)
            if top is not None:
                above, read = list(_above(top, self.app)), _plain_read(top, frames, self.app)
                files = (path for node in above for path in _files(node, self.app))
                sources = set(files if read is None else read.files.values())
                found.append(Seen(given.name, "\n".join(map(_text, above)), sorted(sources), read))
        return found

    def frame(self) -> int:
        return int(self.app.timelineGetTime())

    def folder(self, given: str) -> str:
        path = _expanded(given, self.app) if given else "penumbra/{}-{}".format(
            self.spec.name, self.node.getParam("node_uuid").get()[:8])
        if os.path.isabs(path):
            return path
        project = _project_folder(self.app)
        if not project:
            raise Refused("the project has no name yet; save it, or choose a whole path as output folder")
        return os.path.join(project, path)

    def colorspace(self) -> str:
        return _WORKING

    def ocio(self) -> str:
        # Natron puts its preference into the environment too late for Python to see it. The node's own Reads name it.
        read = self._inner("Read_" + self.spec.outputs[0].name)
        config = os.environ.get("OCIO", "") or _expanded(read.getParam("ocioConfigFile").get(), self.app)
        if not config:
            raise Refused("Natron does not say which OCIO config it uses; name it in the knob OCIO config")
        return config

    def write(self, routes: List[Route], done: Callable[[str], None]) -> None:
        steps = [(self._writer(route), run) for route in routes for run in staging.runs(route.frames)]
        writers = [write for write, _ in steps]

        def finish(problem: str) -> None:
            for write in writers:
                write.getParam("disableNode").set(True)
            done(problem)

        def step(aborted: bool) -> None:
            if aborted:
                finish("writing the frames was cancelled")
                return
            if not steps:
                finish("")
                return
            write, (first, last) = steps.pop(0)
            if self.interactive:
                _writers.append(step)  # Natron returns at once and tells when it is done
                self.app.render(write, first, last)
            else:
                self.app.render(write, first, last)
                step(False)

        if _writers:
            finish("another node's frames are being written; try again when it is done")
        else:
            step(False)

    def show(self, results: List[Tuple[Output, str]], frames: Tuple[int, ...], raw: bool, colorspace: str) -> None:
        reads = [(self._inner("Read_" + output.name), raw or output.data, pattern) for output, pattern in results]
        # All or none: a space that is not there must not leave Reads of two results.
        spaces = [read.getParam("ocioOutputSpace").get() if as_is else _offered(read, colorspace)
                  for read, as_is, _ in reads]
        for (read, _, pattern), space in zip(reads, spaces):
            read.getParam("ocioInputSpace").set(space)
            read.getParam("filename").set(pattern)
            read.getParam("filename").reloadFile()

    def call_main(self, call: Callable[[], None]) -> None:
        if self.interactive:
            _main.put(call)
        else:
            call()

    def _inner(self, name: str) -> Any:
        found = self.node.getNode(name)
        if found is None:
            raise Refused("the node's own {} is gone: it was edited".format(name))
        return found

    def _writer(self, route: Route) -> Any:
        write = self._inner("Stage_" + route.name)
        index, given = next((i, given) for i, given in enumerate(self.spec.inputs) if given.name == route.name)
        write.getParam("filename").set(route.pattern)
        write.getParam("ocioOutputSpace").set(write.getParam("ocioInputSpace").get())
        write.getParam("outputComponents").set(_components(given, self.node.getInput(index)))
        write.getParam("disableNode").set(False)
        return write


def _value(param: Any) -> Any:
    return param.getOption(param.get()) if param.getTypeName() == "Choice" else param.get()


def is_ours(node: Any) -> bool:
    """Whether it is a node of Penumbra."""
    return node.getParam("penumbra_node") is not None


def _all(group: Any) -> Iterator[Any]:
    """All nodes below a group, but what is inside of ours."""
    for node in group.getChildren():
        yield node
        if not is_ours(node):
            yield from _all(node)


def _above(top: Any, app: Any) -> Iterator[Any]:
    """All nodes a picture depends on. From inside a group the way out can't be seen: then all nodes of the project."""
    waiting = [top]
    met = set()
    while waiting:
        node = waiting.pop()
        if node.getPluginID() == "fr.inria.built-in.Input":
            yield from (other for other in _all(app) if not is_ours(other))
            return
        if node.getScriptName() in met:
            continue
        met.add(node.getScriptName())
        yield node
        if not is_ours(node):
            yield from _all(node)
        elif _value(node.getParam("output")) != "plate":
            continue  # a result on disk, whatever is connected
        inputs = (node.getInput(index) for index in reversed(range(node.getMaxInputCount())))
        waiting.extend(node for node in inputs if node is not None)


def _text(node: Any) -> str:
    """What a node does, as text: its kind, the values, keys and expressions of its params, its shapes and tracks."""
    if is_ours(node):
        names = ("penumbra_node", "result", "output", "stale", "use_stale")
        return "; ".join(_param_text(node.getParam(name)) for name in names)
    params = [p for p in node.getParams() if p.getScriptName() not in _LOOKS and p.getTypeName() not in _NO_VALUE]
    parts = [node.getPluginID(), *map(_param_text, params)]
    roto, tracker = node.getRotoContext(), node.getTrackerContext()
    if roto is not None and roto.getBaseLayer() is not None:
        parts.extend(_shapes(roto, roto.getBaseLayer()))
    if tracker is not None:
        parts.extend(_param_text(p) for track in tracker.getAllTracks() for p in track.getParams())
    return "; ".join(parts)


def _param_text(param: Any) -> str:
    parts = [param.getScriptName()]
    for dimension in range(param.getNumDimensions()):
        parts.append(repr(param.getValue(dimension) if param.getNumDimensions() > 1 else _value(param)))
        if hasattr(param, "getNumKeys"):
            parts.append(str(param.getExpression(dimension)))
            for key in range(param.getNumKeys(dimension)):
                time = param.getKeyTime(key, dimension)[1]
                at = (time, dimension) if param.getNumDimensions() > 1 else (time,)
                parts.append("{} {!r}".format(time, param.getValueAtTime(*at)))
    return " ".join(parts)


def _shapes(roto: Any, layer: Any) -> Iterator[str]:
    for child in layer.getChildren():
        item = roto.getItemByName(child.getScriptName())  # what the layer hands out can't tell shapes from layers
        yield "{} {}".format(type(item).__name__, item.getVisible())
        if hasattr(item, "getChildren"):
            yield from _shapes(roto, item)
        elif hasattr(item, "getNumControlPoints"):
            points = range(item.getNumControlPoints())
            for time in item.getKeyframes() or [0.0]:
                yield "{} {}".format(time, [
                    (item.getControlPointPosition(point, time), item.getFeatherPointPosition(point, time))
                    for point in points])
            for param in (item.getActivatedParam(), item.getOpacityParam(), item.getFeatherDistanceParam(),
                          item.getFeatherFallOffParam(), item.getColorParam(), item.getCompositingOperatorParam()):
                yield _param_text(param)


def _files(node: Any, app: Any) -> List[str]:
    """All files a node reads."""
    if not node.isReaderNode():
        return []
    pattern = _pattern(node, app)
    first, last = node.getParam("firstFrame").get(), node.getParam("lastFrame").get()
    return [staging.file_of(pattern, frame) for frame in range(first, last + 1)]


def _pattern(read: Any, app: Any) -> str:
    path = _expanded(read.getParam("filename").get(), app)
    staging.check_path(path, read.getScriptName())
    return path


def _plain_read(top: Any, frames: Tuple[int, ...], app: Any) -> Optional[ReadFiles]:
    """The files of an input that is a Read with only Dots below it."""
    node = top
    while node is not None and node.getPluginID() == "fr.inria.built-in.Dot":
        node = node.getInput(0)
    if node is None or not node.isReaderNode() or node.getParam("disableNode").get():
        return None
    pattern, shift = _pattern(node, app), node.getParam("timeOffset").get()
    if not pattern:
        return None
    if staging.file_of(pattern, 0) == pattern:  # one still
        files = {frame: pattern for frame in frames}
    else:
        first, last = node.getParam("firstFrame").get(), node.getParam("lastFrame").get()
        files = {f: staging.file_of(pattern, f - shift) for f in frames if first <= f - shift <= last}
    given, shown = node.getParam("ocioInputSpace"), node.getParam("ocioOutputSpace")
    if given is None or shown is None:
        return ReadFiles(files)  # a reader without colour: the host can't say
    own = node.getParam("ocioConfigFile").get().startswith("[OCIO]")
    return ReadFiles(files, str(given.get()) if own else "", own and given.get() == shown.get())


def _offered(read: Any, name: str) -> str:
    """The name of a space as this Read's OCIO config has it. Raises Refused when it has none."""
    choice = read.getParam("ocioInputSpaceIndex")
    names = [option.split("/")[-1] for option in choice.getOptions()]
    if name in names or name == _WORKING:
        return name
    raise Refused("the layers are in {}, which Natron's OCIO config does not offer; open them by hand, or solve with "
                  "Natron's own config".format(name))


def _components(given: Input, top: Any) -> str:
    """What to write of an input: of a hint its alpha if it has one, as the engine would read a file of it."""
    colour = next(layer for layer in top.getAvailableLayers(-1) if layer.getLayerName() == "Color")
    return "Alpha" if given.hint and "A" in colour.getComponentsNames() else "RGB"


def _project_folder(app: Any) -> str:
    return str(app.getProjectParam("projectPath").get())


def _expanded(path: str, app: Any) -> str:
    """A path with Natron's variables worked out: those of the project, its OCIO config's folder, its own folder."""
    for name, folder in app.getProjectParam("projectPaths").getTable():
        path = path.replace("[{}]".format(name), folder.rstrip("/"))
    return path.replace("[Project]", _project_folder(app).rstrip("/"))
