"""What a node of ours does, whatever the host: solve, cancel, check, show the result. Runs on the host's main thread.

Two verbs: Solve is asked for; a render only reads. A host module gives one `Panel` for each node.
"""

import os
import uuid
from dataclasses import replace
from typing import Any, Callable, Dict, List, Optional, Tuple

from .. import staging
from ..client import Client, EngineError
from ..nodes import CUSTOM, NodeSpec, Output
from ..protocol import Event, JobState, parse_frames
from ..staging import Refused, Route, Seen
from .follow import Follower, Relay, any_engine, in_background, running_engine, say


class Panel:
    """One node in a host. Everything is called on the main thread, except call_main itself."""

    spec: NodeSpec
    interactive = False  # someone sits in front of it: a solve must not block

    def values(self) -> Dict[str, Any]:
        """The value of each knob that has one."""
        raise NotImplementedError

    def put(self, **values: Any) -> None:
        """Set knobs. Never enters the undo stack."""
        raise NotImplementedError

    def alive(self) -> bool:
        """False once the node was deleted."""
        raise NotImplementedError

    def same(self, other: "Panel") -> bool:
        """Whether the other one is this very node."""
        raise NotImplementedError

    def uuids(self) -> List[str]:
        """The uuids of all nodes of Penumbra in this script, this one's too."""
        raise NotImplementedError

    def refuse(self) -> None:
        """Raise Refused when the host is in a state we can't solve in."""
        raise NotImplementedError

    def connected(self) -> List[str]:
        """Names of the inputs that have something connected."""
        raise NotImplementedError

    def input_range(self) -> Tuple[int, int]:
        """First and last frame of the plate input. Raises Refused when nothing is connected."""
        raise NotImplementedError

    def seen(self, frames: Tuple[int, ...]) -> List[Seen]:
        """What is connected. Reads no pixel."""
        raise NotImplementedError

    def frame(self) -> int:
        """The frame that the host is on."""
        raise NotImplementedError

    def folder(self, given: str) -> str:
        """The output folder as a whole path; `given` is the knob's text. Raises Refused without one."""
        raise NotImplementedError

    def colorspace(self) -> str:
        """The space pictures have inside the host; that of what it writes for us."""
        raise NotImplementedError

    def ocio(self) -> str:
        """The host's OCIO config, as a file or the name of a built-in. Raises Refused when it can't be found."""
        raise NotImplementedError

    def write(self, routes: List[Route], done: Callable[[str], None]) -> None:
        """Render what each route lacks, in full size, then call done("") or done(what went wrong)."""
        raise NotImplementedError

    def show(self, results: List[Tuple[Output, str]], frames: Tuple[int, ...], raw: bool, colorspace: str) -> None:
        """Point the Read of each output at its pattern. `raw`: the files hold the host's own numbers.

        Raises Refused when the host has no such colour space.
        """
        raise NotImplementedError

    def call_main(self, call: Callable[[], None]) -> None:
        """Have the main thread make this call soon. From any thread."""
        raise NotImplementedError


#: Nodes that are being solved, by the uuid they had at the start.
_running: Dict[str, Tuple[Panel, Follower]] = {}
#: Nodes whose inputs the host is still writing.
_writing: Dict[str, Panel] = {}


def solve(panel: Panel, first: Optional[int] = None, last: Optional[int] = None) -> str:
    """Solve a node and show the result; returns the result's folder.

    `first` and `last` replace the node's frames. In a terminal it blocks until the result is there; in front of a
    user it returns once the inputs are on their way and the panel tells the rest. Raises Refused when the node can't
    be solved as it stands and, in a terminal, when the solve fails.
    """
    made = panel.values()["version"]
    if made > panel.spec.version:
        raise Refused("this node is of version {}, this Penumbra knows version {}; update Penumbra".format(
            made, panel.spec.version))
    panel.refuse()
    key = claim(panel)
    if key in _running or key in _writing:
        raise Refused("this node is being solved; press Cancel first")
    if first is not None or last is not None:
        if first is None or last is None:
            raise Refused("give both the first and the last frame, or none of them")
        panel.put(range=CUSTOM, first=first, last=last)
    values = panel.values()
    plan = _Plan(panel, values)
    folder = os.path.join(plan.folder, "stage")
    job = staging.build_job(panel.spec, plan.words, {r.name: r.pattern for r in plan.routes}, folder)
    for route in plan.routes:
        staging.prepare(route)
    out = staging.next_version(plan.folder)
    job = replace(job, out=out)
    missing = [route for route in plan.routes if route.frames]

    def written(problem: str) -> None:
        _writing.pop(key, None)
        try:
            if problem:
                raise Refused(problem)
            for route in missing:
                staging.record(route)
            staging.write_manifest(out, plan.words, plan.seen, plan.raw)
        except Refused as error:
            staging.discard(out)
            panel.put(status=str(error), badge="failed")
            if not panel.interactive:
                raise
            return
        panel.put(pending=out, status="waiting for the engine", badge="solving")
        _follow(panel, key, out, Follower(any_engine, job, "{} {}".format(key, out)))

    if missing:
        _writing[key] = panel
        count = sum(len(route.frames) for route in missing)
        panel.put(status="writing {} frames for the engine".format(count), badge="writing")
        try:
            panel.write(missing, written)
        except BaseException:
            if _writing.pop(key, None) is not None:  # else written() has seen to it
                staging.discard(out)
            raise
    else:
        written("")
    return out


def cancel(panel: Panel) -> None:
    """Cancel this node's solve, also one of an earlier session; never that of another node."""
    claim(panel)
    values = panel.values()
    if values["node_uuid"] in _writing:
        panel.put(status="frames are being written; stop that render in the host")
    elif values["node_uuid"] in _running:
        panel.put(status="cancelling")
        _running[values["node_uuid"]][1].cancel()
    elif values["pending_job"]:
        _rejoin(panel, values, cancel=True)
    else:
        panel.put(status="nothing to cancel, this node is not being solved")


def opened(panel: Panel) -> None:
    """The panel was opened or something on it changed: rejoin a solve that is under way, else see if all is fresh."""
    key = claim(panel)
    if key in _running or key in _writing:
        return
    values = panel.values()
    if values["pending_job"]:
        _rejoin(panel, values)
    else:
        check(panel)


def check(panel: Panel) -> List[str]:
    """Mark the node stale or fresh; returns what changed since the solve, nothing for a node without a result."""
    values = panel.values()
    if not values["result"]:
        return []
    if not os.path.isdir(values["result"]):
        found = ["{} is gone".format(values["result"])]
    else:
        try:
            plan = _Plan(panel, values)
            found = staging.changes(values["manifest"], plan.words, plan.seen)
        except Refused as error:
            found = [str(error)]
    if found:
        more = " and {} more".format(len(found) - 1) if len(found) > 1 else ""
        status = "stale: {}{}. Solve again, or tick use stale result".format(found[0], more)
        panel.put(stale=True, badge="stale", status=status)
    elif values["stale"]:
        panel.put(stale=False, badge=os.path.basename(values["result"]), status="the result fits the inputs again")
    return found


def claim(panel: Panel) -> str:
    """The uuid of this node; a new one when it has none yet or shares it with the node it was copied from.

    A copy keeps the result it points at. It gives up the solve of the node it was copied from.
    """
    mine = panel.values()["node_uuid"]
    if mine and panel.uuids().count(mine) == 1:
        return str(mine)
    owner = _running.get(mine, (None, None))[0] or _writing.get(mine)
    if owner is not None and owner.same(panel):
        return str(mine)
    fresh = uuid.uuid4().hex
    panel.put(node_uuid=fresh)
    if mine and panel.values()["pending"]:
        panel.put(pending="", pending_job="", status="copied while its original was being solved")
    return fresh


def press(panel: Panel, button: str) -> None:
    """A button of the panel. What goes wrong is said in its status line, and raised too in a terminal."""
    try:
        _BUTTONS[button](panel)
    except Refused as error:
        panel.put(status=str(error))
        if not panel.interactive:
            raise


def engine_status(panel: Panel) -> None:
    """Say in the status line how the engine is. Starts none."""
    _ask(panel, _health)


def release_gpu(panel: Panel) -> None:
    """Make the engine give back its GPU memory."""
    _ask(panel, lambda client: client.release_gpu())


def leave_all() -> None:
    """Stop following all solves, because the script closes. The engine goes on; reopened nodes rejoin."""
    for _, follower in list(_running.values()):
        follower.leave()
    _running.clear()
    _writing.clear()


def _solve(panel: Panel) -> None:
    solve(panel)


def _check(panel: Panel) -> None:
    values = panel.values()
    if values["pending_job"]:
        opened(panel)
    elif not check(panel):
        panel.put(status="the result fits the inputs" if values["result"] else "not solved yet")


def _key_frame(panel: Panel) -> None:
    panel.put(keyframes=staging.keyed(str(panel.values()["keyframes"]), panel.frame()))


#: What each button does. A button that a node has is here.
_BUTTONS: Dict[str, Callable[[Panel], None]] = {
    "solve": _solve,
    "key_frame": _key_frame,
    "cancel": cancel,
    "check": _check,
    "engine_status": engine_status,
    "release_gpu": release_gpu,
}


class _Plan:
    """What a solve would do. Making one touches nothing, so that checking for changes and solving mean the same."""

    def __init__(self, panel: Panel, values: Dict[str, Any]) -> None:
        spec = panel.spec
        connected = panel.connected()
        staging.check_inputs(spec, connected, values)
        frames = staging.frames_of(*staging.chosen_range(values, panel.input_range()))
        self.folder = panel.folder(str(values["folder"]))
        self.seen = panel.seen(frames)
        read = {name: staging.frames_of_input(spec, name, values, frames) for name in connected}
        self.routes = staging.route_all(spec, self.seen, read, os.path.join(self.folder, "stage"))
        plate = next(route.read for route in self.routes if route.name == spec.inputs[0].name)
        self.raw = plate is None or plate.raw
        known = plate.colorspace if plate is not None and not plate.raw else ""
        space = values["colorspace"] or known or panel.colorspace()
        self.words = staging.words(spec, values, connected, frames, space, values["ocio"] or panel.ocio())


def _follow(panel: Panel, key: str, out: str, follower: Follower) -> None:
    problems: List[str] = []

    def made(job_id: str) -> None:
        panel.call_main(lambda: _note(panel, key, job_id))

    def show(event: Event) -> None:
        if event.state.final:
            _running.pop(key, None)
        if not panel.alive():
            return  # the node was deleted; its result stays on disk
        if event.state.final:
            problems.append(_settle(panel, out, event))
        else:
            panel.put(status=say(event), badge="solving")

    _running[key] = (panel, follower)
    relay = Relay(panel.call_main, show)
    if panel.interactive:
        in_background(lambda: follower.run(made, relay.tell))
        return
    follower.run(made, relay.tell)
    if any(problems):
        raise Refused(problems[0])


def _rejoin(panel: Panel, values: Dict[str, Any], cancel: bool = False) -> None:
    follower = Follower(running_engine, job_id=values["pending_job"])
    if cancel:
        follower.cancel()
    panel.put(status="asking the engine about the solve that was under way")
    _follow(panel, claim(panel), values["pending"], follower)


def _note(panel: Panel, key: str, job_id: str) -> None:
    if key in _running and panel.alive():
        panel.put(pending_job=job_id)


def _settle(panel: Panel, out: str, event: Event) -> str:
    """Show what a job brought; returns what went wrong, if anything did."""
    panel.put(pending="", pending_job="")
    if event.state is not JobState.DONE or event.result is None:
        cancelled = event.state is JobState.CANCELLED
        problem = "cancelled" if cancelled else say(event)
        staging.discard(out)
        panel.put(status=problem, badge="cancelled" if cancelled else "failed")
        return problem
    manifest = os.path.join(out, staging.MANIFEST)
    try:
        made = staging.read_manifest(manifest)
        said = made["words"]
        names = {g.name_knob: said["names"].get(g.name, g.object_name) for g in panel.spec.inputs if g.name_knob}
        frames = parse_frames(said["frames"])
        results = staging.results(panel.spec, out, names)
        panel.show(results, frames, made["raw"], event.result.colorspace)
    except Refused as error:
        panel.put(status=str(error), badge="failed")
        return str(error)
    there = [output for output, pattern in results if pattern != panel.spec.no_result]
    shown = sum(1 << panel.spec.outputs.index(output) for output in there)
    panel.put(result=out, manifest=manifest, stale=False, solved_first=frames[0], solved_last=frames[-1], shown=shown,
              badge=os.path.basename(out), status=say(event))
    if panel.interactive:
        check(panel)  # somebody may have turned a knob meanwhile
    return ""


def _ask(panel: Panel, question: Callable[[Client], str]) -> None:
    def ask() -> None:
        try:
            answer = question(running_engine())
        except EngineError as error:
            answer = str(error)
        panel.call_main(lambda: panel.put(status=answer))

    if panel.interactive:
        in_background(ask)
    else:
        ask()


def _health(client: Client) -> str:
    health = client.health()
    device = " on " + health.device if health.device else ""
    return "engine {} is {}, its worker {}{}, {} queued; log {}".format(
        health.version, health.state, health.worker, device, health.queued, health.log)
