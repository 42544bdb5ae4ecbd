"""A Nuke small enough to read, for tests: nodes and knobs, scripts as text, and the rules a plug-in must keep.

It refuses what a real Nuke answers with a crash or a dead lock: any call off the main thread but executeInMainThread,
and executeInMainThreadWithResult on it. It notes every change that enters the undo stack. A Write "renders" by copying
the files of the Read above it. Signatures are those of types-nuke; reset() is the test's own.
"""

import itertools
import queue
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

INPUTS, HIDDEN_INPUTS, EXPRESSIONS, WRITE_NON_DEFAULT_ONLY = 1, 2, 4, 8
EXE_PATH = "/opt/Nuke/Nuke"

_MAIN = threading.main_thread()


def _on_main() -> None:
    if threading.current_thread() is not _MAIN:
        raise RuntimeError("Nuke was called off its main thread")


class CancelledError(Exception):
    pass


class Undo:
    _disabled = False
    #: (node, knob) of every change that a user could undo.
    stack: ClassVar[list[tuple[str, str]]] = []

    @classmethod
    def disable(cls) -> None:
        _on_main()
        cls._disabled = True

    @classmethod
    def enable(cls) -> None:
        _on_main()
        cls._disabled = False

    @classmethod
    def disabled(cls) -> bool:
        _on_main()
        return cls._disabled


class Knob:
    def __init__(self, name: str, value: Any = "", node: "Node | None" = None) -> None:
        self._name, self._value, self._default, self._node = name, value, value, node

    def name(self) -> str:
        _on_main()
        return self._name

    def Class(self) -> str:
        _on_main()
        return type(self).__name__

    def value(self) -> Any:
        _on_main()
        return self._value

    def setValue(self, value: Any) -> None:
        _on_main()
        self._value = value
        if self._node is not None:
            self._node._alive()
            if not Undo.disabled():
                Undo.stack.append((self._node._name, self._name))
            _tell_knob_changed(self._node, self)

    def setExpression(self, expression: str, channel: int = -1) -> bool:
        self.setValue(f"{self._value}{{{channel} {expression}}}")
        return True

    def toScript(self) -> str:
        _on_main()
        return str(self._value)


class String_Knob(Knob):
    pass


class Text_Knob(Knob):
    pass


class Double_Knob(Knob):
    pass


class Int_Knob(Knob):
    pass


class Boolean_Knob(Knob):
    pass


class File_Knob(String_Knob):
    def getEvaluatedValue(self) -> str | None:
        _on_main()
        return re.sub(r"\[getenv (\w+)\]", lambda match: _environment[match[1]], self._value) or None


class Script_Knob(String_Knob):
    presses = 0

    def execute(self) -> None:
        _on_main()
        self.presses += 1


class PyScript_Knob(Script_Knob):
    """A button: pressing it runs its text, as Nuke does."""

    def execute(self) -> None:
        super().execute()
        assert self._node is not None
        with _context(self._node, self):
            exec(self._value, {"nuke": __import__("nuke")})


class Enumeration_Knob(Knob):
    def __init__(self, name: str, value: Any, node: "Node | None", choices: list[str]) -> None:
        super().__init__(name, value, node)
        self._choices = choices

    def values(self) -> list[str]:
        _on_main()
        return self._choices

    def setValue(self, value: Any) -> None:
        if value not in self._choices:
            raise ValueError(f"{value!r} is not an item of {self._name}")
        super().setValue(value)

    def index(self) -> int:
        return self._choices.index(self._value)


class Link_Knob(Knob):
    """A knob on the panel of a group that stands for one inside."""

    def __init__(self, name: str, target: str, group: "Group") -> None:
        self._name, self._target, self._group = name, target, group

    def _linked(self) -> Knob:
        node, knob = self._target.split(".")
        inner = self._group.node(node)
        assert inner is not None, f"{self._name} links to {self._target}, which is not there"
        return inner[knob]

    def value(self) -> Any:
        return self._linked().value()

    def setValue(self, value: Any) -> None:
        self._linked().setValue(value)


class FrameRange:
    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last

    def first(self) -> int:
        return self._first

    def last(self) -> int:
        return self._last


_SPACES = [
    "default (ACES - ACEScg)", "scene_linear (ACES - ACEScg)", "ACES/ACES - ACEScg", "Utility/sRGB - Texture", "raw",
]  # fmt: skip

#: The knobs that our scripts and host module name, of each class; a real Nuke refuses names it does not know.
_KNOBS: dict[str, dict[str, Any]] = {
    "Read": {
        "file": File_Knob, "first": 1, "last": 1, "origfirst": 1, "origlast": 1, "origset": False, "on_error": "error",
        "before": "hold", "after": "hold", "frame_mode": "expression", "frame": "", "raw": False, "disable": False,
        "colorspace": _SPACES, "reload": Script_Knob,
    },
    "Write": {
        "file": File_Knob, "channels": "rgb", "raw": False, "file_type": "", "datatype": "16 bit half",
        "disable": False, "compression": "", "metadata": "", "create_directories": False,
    },
    "Input": {"number": 0},
    "Switch": {"which": ""},
    "Grade": {"multiply": 1.0, "disable": False},
    "CheckerBoard2": {"boxsize": 64},
    "Radial": {"area": "", "softness": 1.0},
    "Root": {
        "name": "", "proxy": False, "colorManagement": "OCIO", "workingSpaceLUT": "scene_linear (ACES - ACEScg)",
        "OCIO_config": "custom", "customOCIOConfigPath": File_Knob, "project_directory": File_Knob, "format": "",
    },
}  # fmt: skip
_EVERY = {"label": "", "tile_color": 0, "help": "", "xpos": 0, "ypos": 0, "selected": False, "note_font": "Verdana"}


class Node:
    def __init__(self, kind: str, name: str = "", parent: "Group | None" = None, **knobs: Any) -> None:
        self._class, self._parent, self._deleted = kind, parent, False
        self._inputs: list[Node | None] = []
        self._knobs: dict[str, Knob] = {}
        self._name = name or kind + "1"
        for key, default in {**_EVERY, **_KNOBS.get(kind, {})}.items():
            if isinstance(default, type):
                self._knobs[key] = default(key, "", self)
            elif isinstance(default, list):
                self._knobs[key] = Enumeration_Knob(key, default[0], self, default)
            else:
                self._knobs[key] = Knob(key, default, self)
        for key, value in knobs.items():
            self[key]._value = value
        if parent is not None:
            parent._nodes.append(self)

    def __getitem__(self, name: str) -> Knob:
        self._alive()
        if name not in self._knobs:
            raise NameError(f"knob {name} does not exist on {self._class}")
        return self._knobs[name]

    def _alive(self) -> None:
        _on_main()
        if self._deleted:
            raise ValueError("A PythonObject is not attached to a node")

    def knob(self, name: str) -> Knob | None:
        self._alive()
        return self._knobs.get(name)

    def Class(self) -> str:
        self._alive()
        return self._class

    def name(self) -> str:
        self._alive()
        return self._name

    def fullName(self) -> str:
        self._alive()
        return f"{self._parent.fullName()}.{self._name}" if self._parent not in (None, root()) else self._name

    def parent(self) -> "Group | None":
        self._alive()
        return self._parent

    def inputs(self) -> int:
        self._alive()
        return len(self._inputs)

    def input(self, index: int) -> "Node | None":
        self._alive()
        return self._inputs[index] if index < len(self._inputs) else None

    def setInput(self, index: int, node: "Node | None") -> None:
        self._alive()
        self._inputs += [None] * (index + 1 - len(self._inputs))
        self._inputs[index] = node

    def dependencies(self, what: int) -> "list[Node]":
        self._alive()
        return []

    def writeKnobs(self, flags: int) -> str:
        self._alive()
        return " ".join(name for name, knob in self._knobs.items() if knob._value != knob._default)

    def knobs(self) -> dict[str, Knob]:
        self._alive()
        return dict(self._knobs)

    def setSelected(self, selected: bool) -> None:
        self["selected"]._value = selected

    def channels(self) -> list[str]:
        self._alive()
        source = _source(self, 1)
        alpha = ["rgba.alpha"] if "alpha" in source["label"].value() or source._class == "Radial" else []
        return ["rgba.red", "rgba.green", "rgba.blue", *alpha]

    def frameRange(self) -> FrameRange:
        self._alive()
        source = _source(self, 1)
        if source._class != "Read":
            return FrameRange(1, 100)
        return FrameRange(source["first"].value(), source["last"].value())

    def width(self) -> int:
        self._alive()
        return 4448

    def height(self) -> int:
        self._alive()
        return 3096


class Group(Node):
    def __init__(self, kind: str = "Group", name: str = "", parent: "Group | None" = None, **knobs: Any) -> None:
        self._nodes: list[Node] = []
        super().__init__(kind, name, parent, **knobs)

    def nodes(self) -> list[Node]:
        self._alive()
        return list(self._nodes)

    def node(self, name: str) -> Node | None:
        self._alive()
        return next((node for node in self._nodes if node._name == name), None)


class Gizmo(Group):
    pass


def reset(gui: bool = False) -> None:
    """Start anew: an empty script in a terminal, or in front of a user."""
    global GUI, _root, _executed
    GUI = gui
    _root = Group("Root", "root")
    _executed = []
    _environment.clear()
    env.clear()
    _views[:] = ["main"]
    Undo._disabled = False
    Undo.stack.clear()
    _calls.queue.clear()
    _callbacks.clear()
    messages.clear()


GUI = False
current_frame = 1001
env: dict[str, Any] = {}
messages: list[str] = []
_root: Group
_environment: dict[str, str] = {}
_views = ["main"]
_calls: "queue.Queue[tuple[Callable[..., Any], tuple[Any, ...]]]" = queue.Queue()
_callbacks: dict[str, list[tuple[str, Callable[[], None]]]] = {}
_executed: list[tuple[str, int, int, bool, str]] = []
_this: list[tuple[Node, Knob | None]] = []


class _context:
    def __init__(self, node: Node, knob: Knob | None = None) -> None:
        self._entry = (node, knob)

    def __enter__(self) -> None:
        _this.append(self._entry)

    def __exit__(self, *_: Any) -> None:
        _this.pop()


def root() -> Group:
    _on_main()
    return _root


def thisNode() -> Node:
    _on_main()
    return _this[-1][0]


def thisKnob() -> Knob | None:
    _on_main()
    return _this[-1][1]


def views() -> list[str]:
    _on_main()
    return list(_views)


def message(prompt: str) -> None:
    _on_main()
    messages.append(prompt)


def allNodes(recurseGroups: bool = False, group: Group | None = None) -> list[Node]:
    _on_main()

    def below(parent: Group) -> Iterator[Node]:
        for node in parent._nodes:
            yield node
            if recurseGroups and isinstance(node, Group):
                yield from below(node)

    return list(below(group or _root))


def delete(node: Node) -> None:
    _on_main()
    assert node._parent is not None
    node._parent._nodes.remove(node)
    node._deleted = True


def execute(node: Node, first: int, last: int, step: int = 1) -> None:
    _on_main()
    if node["disable"].value():
        raise RuntimeError(f"{node._name} is disabled")
    _executed.append((node._name, first, last, _root["proxy"].value(), node["channels"].value()))
    if "cancel" in node._inputs[0]._knobs["label"]._value:  # type: ignore[union-attr]
        raise CancelledError
    for frame in range(first, last + 1, step):
        source, target = _source(node, frame), Path(_at(node["file"].value(), frame))
        if source._class != "Read":
            target.write_text(f"{source._class} {frame}")
            continue
        file = Path(_at(source["file"].value(), frame))
        if not file.is_file():
            raise RuntimeError(f"{file}: Read error: No such file or directory")
        shutil.copyfile(file, target)


def frame() -> int:
    _on_main()
    return current_frame


def executeInMainThread(call: Callable[..., Any], args: Any = (), kwargs: Any = None) -> None:
    _calls.put((call, args if isinstance(args, tuple) else (args,)))


def executeInMainThreadWithResult(call: Callable[..., Any], args: Any = (), kwargs: Any = None) -> Any:
    raise RuntimeError("a dead lock, when the main thread is the one that waits")


def pump(seconds: float = 10.0, until: Callable[[], bool] = lambda: False) -> int:
    """What Nuke's main thread does between events: make the calls that wait. Returns how many; the test's own."""
    made, done = 0, threading.Event()
    timer = threading.Timer(seconds, done.set)
    timer.start()
    try:
        while not until():
            assert not done.is_set(), "waited in vain"
            try:
                call, args = _calls.get(timeout=0.01)
            except queue.Empty:
                continue
            call(*args)
            made += 1
    finally:
        timer.cancel()
    return made


def addOnCreate(call: Callable[[], None], nodeClass: str = "*") -> None:
    _callbacks.setdefault("create", []).append((nodeClass, call))


def addKnobChanged(call: Callable[[], None], nodeClass: str = "*") -> None:
    _callbacks.setdefault("knob", []).append((nodeClass, call))


def addOnScriptClose(call: Callable[[], None]) -> None:
    _callbacks.setdefault("close", []).append(("Root", call))


def _tell(event: str, node: Node, knob: Knob | None = None) -> None:
    for kind, call in _callbacks.get(event, []):
        if kind in ("*", node._class):
            with _context(node, knob):
                call()


def _tell_knob_changed(node: Node, knob: Knob) -> None:
    _tell("knob", node, knob)


def show_panel(node: Node) -> None:
    """The user opens the panel of a node."""
    _tell("knob", node, Knob("showPanel"))


def reopen(gizmo: Node) -> Node:
    """A gizmo after its script was saved and opened: made anew, with the knobs of its panel as they were."""
    fresh = createNode(gizmo._class)
    for name, knob in gizmo._knobs.items():
        if not isinstance(knob, Script_Knob):
            fresh[name].setValue(knob.value())
    return fresh


def close_script() -> None:
    _tell("close", _root)


def nodePaste(path: str) -> Node:
    """Paste a script, and leave its group selected."""
    _on_main()
    return scriptReadText(Path(path).read_text(encoding="utf-8"))


def createNode(kind: str, inpanel: bool = True) -> Node:
    return nodePaste(str(Path(__file__).parents[3] / "gizmos" / "nuke" / (kind + ".gizmo")))


def selectedNodes() -> list[Node]:
    return [node for node in allNodes() if node["selected"].value()]


def selectedNode() -> Node:
    return selectedNodes()[-1]


def addFormat(text: str) -> None:
    _on_main()


class nodes:
    """A node of each kind that the self-test makes."""

    @staticmethod
    def CheckerBoard2(**knobs: Any) -> Node:
        return Node("CheckerBoard2", f"CheckerBoard{len(allNodes())}", _root, **knobs)

    @staticmethod
    def Radial(**knobs: Any) -> Node:
        return Node("Radial", f"Radial{len(allNodes())}", _root, **knobs)

    @staticmethod
    def Write(**knobs: Any) -> Node:
        return Node("Write", f"Write{len(allNodes())}", _root, **knobs)


def copy_paste(node: Node) -> Node:
    """The user copies a node and pastes it: the same knobs, inner nodes too, unconnected."""
    twin = _twin(node, node._parent)
    twin._name += "_copy"
    _tell("create", twin)
    return twin


def _twin(node: Node, parent: Group | None) -> Node:
    twin = type(node)(node._class, node._name, parent)
    for name, knob in node._knobs.items():
        if isinstance(knob, Enumeration_Knob):
            twin._knobs[name] = Enumeration_Knob(name, knob._value, twin, knob._choices)
        else:
            twin._knobs[name] = type(knob)(name, knob._value, twin)
    if isinstance(node, Group):
        assert isinstance(twin, Group)
        for inner in node._nodes:
            _twin(inner, twin)
    return twin


def _at(pattern: str, frame: int) -> str:
    return re.sub(r"#+|%04d", f"{frame:04d}", pattern)


def _source(node: Node | None, frame: int) -> Node:
    """The Read or generator whose picture comes out of a node."""
    while node is not None and node._class not in ("Read", "CheckerBoard2", "Radial"):
        if node._class == "Input":
            assert node._parent is not None
            node = node._parent.input(node["number"].value())
        elif node._class == "Switch":
            assert node._parent is not None
            node = node.input(evaluate(node._parent, node["which"].value(), frame))
        elif isinstance(node, Group):
            node = node.node("Output1")
        else:
            node = node.input(0)
    assert node is not None
    return node


# Scripts as text: as much of the language as nodes are written in.

_USER_KNOBS: dict[str, Callable[[str, Any, Node], Knob]] = {
    "1": String_Knob, "2": File_Knob, "3": Int_Knob, "6": Boolean_Knob, "7": Double_Knob,
    "22": PyScript_Knob, "26": Text_Knob,
}  # fmt: skip


def words(text: str) -> list[str]:
    """The words of one command: bare, in quotes, or in braces. Raises ValueError when one has no end."""
    found, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text[at] == '"':
            match = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(text, at)
            if not match:
                raise ValueError(f"no end of quotes: {text[at:at + 60]}")
            if re.search(r"(?<!\\)[\[$]", match[1]):
                raise ValueError(f"an expression in quotes: {match[0]}")
            found.append(re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], match[1]))
            at = match.end()
        elif text[at] == "{":
            depth, start = 0, at
            while True:
                if at >= len(text):
                    raise ValueError(f"no end of braces: {text[start:start + 60]}")
                depth += {"{": 1, "}": -1}.get(text[at], 0)
                at += 1
                if depth == 0:
                    break
            found.append(text[start + 1 : at - 1])
        else:
            match = re.compile(r"\S+").match(text, at)
            assert match
            found.append(match[0])
            at = match.end()
    return found


def scriptReadText(text: str) -> Node:
    _on_main()
    stack: list[Node | None] = []
    names: dict[str, Node | None] = {"cut_paste_input": None, "0": None}
    groups: list[tuple[Group, list[Node | None]]] = []
    made: list[Node] = []
    for command in _commands(text):
        word = words(command)
        if word[0] in ("version", "#") or command.startswith("#"):
            continue
        if word[0] == "set":
            names[word[1]] = stack[-1] if stack else None
        elif word[0] == "push":
            stack.append(names[word[1].lstrip("$")])
        elif word[0] == "end_group":
            group, stack = groups.pop()
            stack.append(group)
        elif word[0] == "Root":
            _fill(_root, word[1])
        else:
            kind, body = word
            parent = groups[-1][0] if groups else _root
            node = _make(kind, body, parent, stack)
            made.append(node)
            if isinstance(node, Group):
                groups.append((node, stack))
                stack = []
            else:
                stack.append(node)
    assert not groups, "a group has no end"
    for node in made:
        _tell("create", node)
    return made[0] if isinstance(made[0], Group) else next(node for node in made if isinstance(node, Group))


def _commands(text: str) -> Iterator[str]:
    command = ""
    for line in text.splitlines():
        command += line + "\n"
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", command)
        if bare.count("{") == bare.count("}") and bare.count('"') == 0:
            if command.strip():
                yield command.strip()
            command = ""
    if command.strip():
        raise ValueError(f"no end of: {command[:60]}")


def _make(kind: str, body: str, parent: Group, stack: list[Node | None]) -> Node:
    node: Node
    if kind == "Gizmo":
        node = Gizmo("OmnimatteLayers", "", parent)
    else:
        node = Group(kind, "", parent) if kind == "Group" else Node(kind, "", parent)
    inputs = _fill(node, body)
    if inputs is None:
        inputs = 0 if isinstance(node, Group) else 1
    node._inputs = [stack.pop() if stack else None for _ in range(inputs)]
    return node


def _fill(node: Node, body: str) -> int | None:
    inputs = None
    for line in _commands(body):
        word = words(line)
        if word[0] == "inputs":
            inputs = int(word[1])
        elif word[0] == "name":
            node._name = word[1]
            if node._class == "Root":
                node["name"]._value = word[1]
        elif word[0] == "addUserKnob":
            _add_user_knob(node, words(word[1]))
        else:
            knob = node[word[0]]
            knob._value = _typed(knob, word[1])
            if not isinstance(node, Group):
                continue
            knob._default = knob._value
    return inputs


def _add_user_knob(node: Node, word: list[str]) -> None:
    kind, name, rest = word[0], word[1], word[2:]
    options = dict(itertools.pairwise(rest))
    if kind == "20" or not name:
        return
    if kind == "41":
        assert isinstance(node, Group)
        node._knobs[name] = Link_Knob(name, options["T"], node)
    elif kind == "4":
        choices = words(options["M"])
        node._knobs[name] = Enumeration_Knob(name, choices[0], node, choices)
    else:
        value = {"3": 0, "6": False, "7": 0.0, "22": options.get("T", ""), "26": options.get("T", "")}.get(kind, "")
        node._knobs[name] = _USER_KNOBS[kind](name, value, node)


def _typed(knob: Knob, text: str) -> Any:
    if isinstance(knob._value, bool):
        return text == "true"
    if isinstance(knob._value, int):
        return int(text, 0)
    if isinstance(knob._value, float):
        return float(text)
    return text


def evaluate(group: Group, expression: str, frame: int) -> int:
    """A Switch's number: Nuke's conditional expression over the knobs of the group."""

    def operand(match: re.Match[str]) -> str:
        knob = group[match[1]]
        return repr(knob.index() if isinstance(knob, Enumeration_Knob) else knob.value())

    condition, _, rest = expression.strip('{"}').partition(" ? ")
    if not rest:
        return int(eval(re.sub(r"parent\.(\w+)", operand, condition), {}, {"frame": frame}))
    value, _, other = rest.partition(" : ")
    python = re.sub(r"parent\.(\w+)", operand, condition)
    for sign, name in (("&&", " and "), ("||", " or "), ("!", " not ")):
        python = python.replace(sign, name)
    return evaluate(group, value if eval(python, {}, {"frame": frame}) else other, frame)


reset()
