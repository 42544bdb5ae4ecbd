"""From a node to a job: which inputs the engine reads as they are, which are written for it, and what is stale.

Knows no host. A host tells what it sees at each input (`Seen`), is told what to write (`Route`), and keeps the folder.
"""

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterable, List, Optional, Tuple

from .nodes import CUSTOM, PLATE_OUTPUT, NodeSpec, Output
from .protocol import JOB_KINDS, Keyframe, Mask, WordError, format_frames, parse_frames, validate

#: What the engine reads by itself; anything else is written for it.
READABLE = (".exr", ".dpx", ".tif", ".tiff", ".png", ".jpg", ".jpeg")

MANIFEST = "manifest.json"
_STAGED = "staged.json"
_TOKEN = re.compile(r"#+|%0?(\d*)d")
_VIEW = re.compile(r"%[vV]")


class Refused(Exception):
    """The node can't be solved as it stands. The message says why and what to do."""


@dataclass
class ReadFiles:
    """The files of an input that is a Read and nothing else: file by the host's frame number."""

    files: Dict[int, str]
    colorspace: str = ""  # the files' space, "" when the host can't say
    raw: bool = False  # the host shows the files' numbers as they are


@dataclass
class Seen:
    """A connected input as the host sees it, without looking at a pixel."""

    name: str
    tree: str  # a text that changes with anything above the input
    sources: List[str]  # the files that are read there
    read: Optional[ReadFiles] = None


@dataclass
class Route:
    """How an input reaches the engine: the pattern it reads, and what has to be there first."""

    name: str
    pattern: str
    read: Optional[ReadFiles] = None  # passed or linked; None: the host writes it
    links: Optional[Dict[int, str]] = None  # file to link by frame
    frames: Tuple[int, ...] = ()  # still to be written by the host

    @property
    def staged(self) -> bool:
        return self.read is None


def file_of(pattern: str, frame: int) -> str:
    """The file of a frame: `####` or `%04d` in the name of `pattern` replaced; a still is its own file."""
    folder, name = os.path.split(pattern)
    matches = list(_TOKEN.finditer(name))
    if not matches:
        return pattern
    last = matches[-1]
    padding = len(last.group(0)) if last.group(0).startswith("#") else int(last.group(1) or 1)
    return os.path.join(folder, name[:last.start()] + "%0*d" % (padding, frame) + name[last.end():])


def pattern_of(files: Dict[int, str]) -> Optional[str]:
    """The pattern whose file_of() gives all of `files`, or None: other numbers, or frames that share files."""
    paths = set(files.values())
    if len(paths) == 1 and len(files) > 1:
        return paths.pop()
    frame, path = min(files.items())
    folder, name = os.path.split(path)
    for number in reversed(list(re.finditer(r"-?\d+", name))):
        text = number.group(0)
        for spelled in (text, text.lstrip("-")):  # plate-1001 may be frame -1001 or 1001
            if int(spelled) == frame:
                start = number.end() - len(spelled)
                pattern = os.path.join(folder, name[:start] + "#" * len(spelled) + name[number.end():])
                if all(file_of(pattern, f) == p for f, p in files.items()):
                    return pattern
    return None


def check_path(path: str, where: str) -> None:
    """Raise Refused when the path holds a place for a stereo view."""
    if _VIEW.search(path):
        raise Refused("{}: {} has a place for a stereo view; views can't be solved yet, so read one view by its own "
                      "path".format(where, path))


def frames_of(first: int, last: int) -> Tuple[int, ...]:
    """All frames from first to last. Raises Refused when they run backwards."""
    if last < first:
        raise Refused("the frames run backwards, {} to {}; set first to the smaller number".format(first, last))
    return tuple(range(first, last + 1))


def chosen_range(values: Dict[str, Any], of_input: Tuple[int, int]) -> Tuple[int, int]:
    """First and last frame that the range knobs ask for."""
    if values["range"] == CUSTOM:
        return int(values["first"]), int(values["last"])
    return of_input


def stamp(path: str) -> Optional[List[int]]:
    """Size and time of a file, None when there is none. Cheap, and enough to see that a file was written again."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return [info.st_size, info.st_mtime_ns]


def route(seen: Seen, frames: Tuple[int, ...], folder: str, colour: bool) -> Route:
    """How an input reaches the engine. Touches nothing.

    An unmodified Read is passed by its path; with other frame numbers than its files have it is passed as links; all
    else is written to `folder`, one folder for each state of the input, where frames that are there already are kept.
    `colour`: it is a picture, whose colour space must be known to pass it.
    """
    read = seen.read
    if read is not None and all(frame in read.files for frame in frames):
        files = {frame: read.files[frame] for frame in frames}
        readable = all(path.lower().endswith(READABLE) for path in files.values())
        if readable and (read.raw or read.colorspace or not colour):
            pattern = pattern_of(files)
            if pattern is not None:
                return Route(seen.name, pattern, read)
            ends = {os.path.splitext(path)[1].lower() for path in files.values()}
            if len(ends) == 1:
                key = _digest("\n".join("{} {}".format(*item) for item in sorted(files.items())))
                place = os.path.join(folder, "{}-{}".format(seen.name, key), "{}.####{}".format(seen.name, ends.pop()))
                return Route(seen.name, place, read, files)
    key = _digest(json.dumps([seen.tree, [[path, stamp(path)] for path in sorted(seen.sources)]]))
    place = os.path.join(folder, "{}-{}".format(seen.name, key), "{}.####.exr".format(seen.name))
    written = _read_json(os.path.join(os.path.dirname(place), _STAGED))
    missing = tuple(f for f in frames if not written.get(str(f)) or written[str(f)] != stamp(file_of(place, f)))
    return Route(seen.name, place, frames=missing)


def route_all(spec: NodeSpec, seen: List[Seen], frames: Dict[str, Tuple[int, ...]], folder: str) -> List[Route]:
    """The routes of all inputs; `frames` by name. Touches nothing.

    A job has one colour space for all its pictures: where their files differ in it, the host writes them all.
    """
    pictures = {given.name for given in spec.inputs if not given.hint}
    routes = [route(s, frames[s.name], folder, s.name in pictures) for s in seen]
    spaces = {(r.read.raw or r.read.colorspace) if r.read else "" for r in routes if r.name in pictures}
    if len(spaces) < 2:
        return routes
    return [route(replace(s, read=None), frames[s.name], folder, True) if s.name in pictures else r
            for s, r in zip(seen, routes)]


def prepare(route: Route) -> None:
    """Make the folder the host writes to, or the links. Raises Refused when that is not possible."""
    if route.links is None and not route.staged:
        return
    folder = os.path.dirname(route.pattern)
    try:
        os.makedirs(folder, exist_ok=True)
        for frame, source in (route.links or {}).items():
            if not os.path.isfile(source):
                raise Refused("{}: there is no file for frame {}, expected {}".format(route.name, frame, source))
            _link(source, file_of(route.pattern, frame))
    except OSError as error:
        raise Refused("{}: {} can't be written ({}); choose another output folder".format(
            route.name, folder, error.strerror)) from error


def record(route: Route) -> None:
    """Note the frames the host wrote, so that the next solve keeps them. Raises Refused when one is not there."""
    path = os.path.join(os.path.dirname(route.pattern), _STAGED)
    written = _read_json(path)
    for frame in route.frames:
        mark = stamp(file_of(route.pattern, frame))
        if not mark or not mark[0]:
            raise Refused("{}: frame {} was not written to {}; look at the host's messages for the reason (a missing "
                          "file above the node, a full disk)".format(route.name, frame, route.pattern))
        written[str(frame)] = mark
    _write_json(path, written)


def runs(frames: Iterable[int]) -> List[Tuple[int, int]]:
    """Frames as (first, last) of each unbroken run, for hosts that write ranges."""
    found: List[Tuple[int, int]] = []
    for frame in frames:
        if found and found[-1][1] == frame - 1:
            found[-1] = (found[-1][0], frame)
        else:
            found.append((frame, frame))
    return found


def next_version(folder: str) -> str:
    """Make and return the next of v001, v002 ... in `folder`; nobody else gets the same one. Raises Refused."""
    if not os.path.isabs(folder):
        raise Refused("output folder {!r} is no whole path; write it from the root".format(folder))
    try:
        os.makedirs(folder, exist_ok=True)
        taken = [int(name[1:]) for name in os.listdir(folder) if re.match(r"v\d+\Z", name)]
        number = max([0, *taken]) + 1
        while True:
            path = os.path.join(folder, "v{:03d}".format(number))
            try:
                os.mkdir(path)
                return path
            except FileExistsError:
                number += 1
    except OSError as error:
        raise Refused("output folder {} can't be written ({}); choose another one".format(
            folder, error.strerror)) from error


def words(spec: NodeSpec, values: Dict[str, Any], inputs: Iterable[str], frames: Tuple[int, ...], colorspace: str,
          ocio: str) -> Dict[str, Any]:
    """What a job says beside its files: the part that makes a result stale when it changes.

    `values` by knob name; `inputs` are the connected ones; `colorspace` and `ocio` what empty knobs stand for.
    """
    said: Dict[str, Any] = {knob.job: values[knob.name] for knob in spec.job_knobs}
    said["colorspace"], said["ocio"] = colorspace, ocio
    said["frames"] = format_frames(frames)
    connected = set(inputs)
    there = [given for given in spec.inputs if given.name in connected]
    said["names"] = {given.name: values[given.name_knob] for given in there if given.name_knob}
    keyed = {given.name: values[given.frames_knob] for given in there if given.frames_knob}
    return {**said, "keyframes": keyed} if keyed else said


def frames_of_input(spec: NodeSpec, name: str, values: Dict[str, Any], frames: Tuple[int, ...]) -> Tuple[int, ...]:
    """The frames a solve of `frames` reads of an input: all, or its keyframes. Raises Refused."""
    knob = next(given.frames_knob for given in spec.inputs if given.name == name)
    if not knob:
        return frames
    if not str(values[knob]).strip():
        raise Refused("no keyframe is listed; go to a frame where {} is right and press Key this frame".format(name))
    try:
        return parse_frames(str(values[knob]), knob)
    except WordError as error:
        raise Refused(str(error)) from error


def keyed(text: str, frame: int) -> str:
    """A list of keyframes with a frame added, or taken out where it is in. Raises Refused."""
    try:
        frames = set(parse_frames(text, "keyframes")) if text.strip() else set()
    except WordError as error:
        raise Refused(str(error)) from error
    return ",".join(map(str, sorted(frames ^ {frame})))


def build_job(spec: NodeSpec, said: Dict[str, Any], patterns: Dict[str, str], out: str) -> Any:
    """The job of a node. Raises Refused when a word of it is wrong."""
    fields = {name: value for name, value in said.items() if name not in ("names", "keyframes")}
    fields["out"] = out
    for given in spec.inputs:
        if given.name_knob or given.object_name:
            fields.setdefault(given.job, [])
        if given.name not in patterns:
            if given.absent:
                fields[given.job] = given.absent
            continue
        pattern, name = patterns[given.name], said["names"].get(given.name, given.object_name)
        if given.frames_knob:
            frames = parse_frames(said["keyframes"][given.name], given.frames_knob)
            fields[given.job].extend(Keyframe(name, frame, file_of(pattern, frame)) for frame in frames)
        elif given.name_knob or given.object_name:
            fields[given.job].append(Mask(name, pattern))
        else:
            fields[given.job] = pattern
    job = JOB_KINDS[spec.kind](**fields)
    try:
        validate(job)
    except WordError as error:
        raise Refused(str(error)) from error
    return job


def check_inputs(spec: NodeSpec, connected: Iterable[str], values: Dict[str, Any]) -> None:
    """Raise Refused unless the inputs that a solve with these knobs needs are connected."""
    there = set(connected)
    needed = [given for given in spec.inputs if not given.optional]
    masks = [given.name for given in needed if given.name_knob and not given.frames_knob]
    for given in needed:
        if given.name not in there and given.name not in masks:
            raise Refused("nothing is connected to {}; connect it and press Solve".format(given.name))
    for given in spec.inputs:
        knob, _, value = given.unless.partition("=")
        if knob and not there.intersection((given.name, knob)) and values.get(knob) != value:
            raise Refused("nothing is connected to {}; connect it, or {}".format(
                given.name, "set {} to {}".format(knob, value) if value else knob))
    if masks and not there.intersection(masks):
        raise Refused("no mask is connected; connect a rough mask of each object, the front one to {}".format(masks[0]))


def write_manifest(folder: str, said: Dict[str, Any], seen: List[Seen], raw: bool) -> str:
    """Note what a result will be made of; returns the file. Raises Refused when it can't be written.

    `raw`: the plate's files hold the host's own numbers, and so will the result's.
    """
    path = os.path.join(folder, MANIFEST)
    inputs = {s.name: {"tree": _digest(s.tree), "files": {p: stamp(p) for p in s.sources}} for s in seen}
    _write_json(path, {"words": said, "inputs": inputs, "raw": raw})
    return path


def read_manifest(manifest: str) -> Dict[str, Any]:
    """What a result is made of: `words`, `inputs` and `raw`. Raises Refused when the file is gone."""
    made = _read_json(manifest)
    if not made:
        raise Refused("{} is gone or can't be read, so nobody knows what the result was made of; solve "
                      "again".format(manifest))
    return made


def discard(folder: str) -> None:
    """Remove the folder of a solve that failed, unless the engine has left files in it."""
    try:
        os.remove(os.path.join(folder, MANIFEST))
    except FileNotFoundError:
        pass  # it failed before there was one
    if not os.listdir(folder):
        os.rmdir(folder)


def changes(manifest: str, said: Dict[str, Any], seen: List[Seen]) -> List[str]:
    """What changed since a result was made, in the user's words; empty when it is fresh. Raises Refused."""
    made = read_manifest(manifest)
    found = []
    for word in sorted(set(made["words"]) | set(said)):
        before, now = made["words"].get(word), said.get(word)
        if before != now:
            found.append("{} was {}, is {}".format(word, _shown(before), _shown(now)))
    now_seen = {s.name: s for s in seen}
    for name in sorted(set(made["inputs"]) | set(now_seen)):
        before, after = made["inputs"].get(name), now_seen.get(name)
        if before is None or after is None:
            found.append("{} was {}".format(name, "disconnected" if after is None else "connected"))
        elif before["tree"] != _digest(after.tree):
            found.append("something above {} changed".format(name))
        else:
            again = [path for path, mark in sorted(before["files"].items()) if stamp(path) != mark]
            if again:
                found.append("{} was written again or removed".format(again[0]))
    return found


def results(spec: NodeSpec, folder: str, values: Dict[str, Any]) -> List[Tuple[Output, str]]:
    """The pattern of each output below `folder`; the path that fails with a message where there is none."""
    found = []
    for output in spec.outputs:
        if output is PLATE_OUTPUT:
            continue
        name = output.folder.format(**values)
        there = folder and name and os.path.isdir(os.path.join(folder, name))
        path = os.path.join(folder, name, name + ".####.exr") if there else spec.no_result
        found.append((output, path.replace("\\", "/")))
    return found


def _link(source: str, target: str) -> None:
    if os.path.lexists(target):
        os.remove(target)
    try:
        os.symlink(source, target)
    except OSError:  # a file system or an account without links
        shutil.copyfile(source, target)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(str(v) for _, v in sorted(value.items())) or "empty"
    return str(value) if value not in (None, "") else "empty"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def _read_json(path: str) -> Dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _write_json(path: str, data: Dict[str, Any]) -> None:
    temporary = "{}.{}.tmp".format(path, os.getpid())
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1, sort_keys=True)
        os.replace(temporary, path)
    except OSError as error:
        raise Refused("{} can't be written ({})".format(path, error.strerror)) from error
