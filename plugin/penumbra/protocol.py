"""The wire vocabulary: the one module that hosts and engine both import.

Standard library dataclasses only. The engine validates them with pydantic, which honours `__pydantic_config__`
and so refuses fields it does not know; the host just serialises them with `to_wire`.
"""

import dataclasses
import os
import re
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, Dict, List, Optional, Tuple, Type

PROTOCOL_VERSION = 1

QUALITIES = ("draft", "standard", "final")
MASK_MISSING = ("error", "empty")
EFFECTS = ("separate", "merge")
PROPAGATIONS = ("flow", "correlation", "both")
TRIMAP_SOLVERS = ("closed-form", "knn", "bayesian", "random-walk")
CLEAN_PLATE_MODELS = ("closed-form", "bgm-v1", "bgm-v2")
REFINE_MODES = ("sampling", "full", "thresholding")
MATTE_MODELS = ("small", "rvm")

#: The word in the place of a clean plate that takes the background of the same shot's Omnimatte Layers.
AUTO = "auto"

#: Names that would collide with a folder or channel group of the output.
RESERVED_NAMES = frozenset(
    [
        "rgb",
        "rgba",
        "background",
        "background_grain",
        "canvas",
        "layers",
        "removal",
        "confidence",
        "depth",
        "camera",
        "effects",
        "plate",
        "report",
        "overview",
    ]
)

#: More frames than any shot has; a slip of the keyboard must not fill the memory.
MAX_FRAMES = 100000

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_RANGE = re.compile(r"(-?\d{1,9})(?:-(-?\d{1,9})(?:x(\d{1,9}))?)?\Z")


class ErrorCode(IntEnum):
    """What went wrong, as the exit code of the command line."""

    USAGE = 2
    INPUT = 3
    UNSOLVABLE = 4
    ENGINE = 5
    CANCELLED = 130


class JobState(str, Enum):
    """The life of a job. The last three are final."""

    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    WRITING = "writing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class WordError(ValueError):
    """A word of the request is not of its grammar. `argument` names it as the command line spells it."""

    def __init__(self, argument: str, message: str) -> None:
        super().__init__("{}: {}".format(argument, message))
        self.argument = argument


def parse_frames(text: str, argument: str = "--frames") -> Tuple[int, ...]:
    """Frame numbers of a range such as `1001-1036`, `1001-1036x2` or `1001,1005-1010`, ascending.

    Raises WordError when the text is no range, runs backwards, or names a frame twice.
    """
    frames = []  # type: List[int]
    for part in text.replace(" ", "").split(","):
        match = _RANGE.match(part)
        if not match:
            raise WordError(
                argument, "{!r} is no frame range; write 1001-1036, 1001-1036x2 or 1001,1005-1010".format(text)
            )
        first, last, step = int(match.group(1)), match.group(2), int(match.group(3) or 1)
        end = first if last is None else int(last)
        if step < 1:
            raise WordError(argument, "{!r} has a step of 0; write a step of 1 or more".format(text))
        if end < first:
            raise WordError(argument, "{!r} runs backwards; write {}-{}".format(text, end, first))
        if len(frames) + (end - first) // step >= MAX_FRAMES:
            raise WordError(argument, "{!r} names more than {} frames; write a shorter range".format(text, MAX_FRAMES))
        frames.extend(range(first, end + 1, step))
    if len(set(frames)) != len(frames):
        twice = next(f for f in frames if frames.count(f) > 1)
        raise WordError(argument, "{!r} names frame {} twice".format(text, twice))
    return tuple(sorted(frames))


def format_frames(frames: Tuple[int, ...]) -> str:
    """The shortest range text for ascending frame numbers; parse_frames reads it back."""
    parts = []  # type: List[str]
    rest = list(frames)
    while rest:
        step = rest[1] - rest[0] if len(rest) > 1 else 1
        run = 1
        while run < len(rest) and rest[run] - rest[run - 1] == step:
            run += 1
        if run < 3 and step > 1:
            run = 1
        if run == 1:
            parts.append(str(rest[0]))
        else:
            parts.append("{}-{}{}".format(rest[0], rest[run - 1], "" if step == 1 else "x{}".format(step)))
        rest = rest[run:]
    return ",".join(parts)


def check_names(names: List[str], argument: str = "--mask") -> None:
    """Raise WordError unless every object name is well formed, free and used once."""
    for name in names:
        if not _NAME.match(name):
            raise WordError(argument, "object name {!r}: use a letter, then letters, digits or _".format(name))
        base = name[: -len("_trimap")] if name.endswith("_trimap") else name
        if name in RESERVED_NAMES or base != name:
            raise WordError(argument, "object name {!r} is reserved for the output; choose another".format(name))
        if names.count(name) > 1:
            raise WordError(argument, "object name {!r} is given twice; every object needs its own".format(name))


_STRICT = {"extra": "forbid"}


@dataclass
class Mask:
    """The rough mask of one object: its name and the pattern of its files."""

    __pydantic_config__ = _STRICT

    name: str
    pattern: str


@dataclass
class Keyframe:
    """A trimap or a finished matte that the artist gives on one frame."""

    __pydantic_config__ = _STRICT

    name: str
    frame: int
    pattern: str  # the file, with `@layer` or `@channel` behind it where that is needed


@dataclass
class Job:
    """What all requests have in common; field for field the options of `penumbra run` (see CONTRACT)."""

    __pydantic_config__ = _STRICT

    plate: str
    frames: str
    colorspace: str
    out: str
    kind: str = ""
    write: str = ""  # frames to write; "" writes all
    ocio: str = ""  # config file or pinned built-in name; "" takes the engine's $OCIO, else the pinned built-in
    seed: int = 0
    cold: bool = False
    full_window: bool = False
    float32: bool = False


@dataclass
class OmnimatteJob(Job):
    """A request for Omnimatte Layers."""

    kind: str = "omnimatte"
    masks: List[Mask] = field(default_factory=list)  # objects in front-to-back order
    mask_missing: str = "error"
    quality: str = "standard"


@dataclass
class CleanPlateJob(Job):
    """A request for Clean Plate Matte."""

    kind: str = "clean-plate"
    clean_plate: str = ""  # pattern of a still or a sequence; `auto` takes the canvas of the same shot
    masks: List[Mask] = field(default_factory=list)  # none, or the rough mask of the subject
    mask_missing: str = "error"
    effects: str = "separate"
    model: str = "closed-form"  # or a network, with weights of the user's
    refine: str = "sampling"  # of bgm-v2: which patches it looks at again at full size
    quality: str = "standard"


@dataclass
class TrimapJob(Job):
    """A request for Trimap Propagate."""

    kind: str = "trimap"
    keyframes: List[Keyframe] = field(default_factory=list)
    propagation: str = "both"
    solver: str = "closed-form"
    quality: str = "standard"


@dataclass
class MatteJob(Job):
    """A request for Matte: by a network that needs no guidance, or by one trained on the keyframes of this shot."""

    kind: str = "matte"
    keyframes: List[Keyframe] = field(default_factory=list)
    model: str = "small"
    steps: int = 0  # of the training; 0 lets the engine choose
    downsample: float = 0.0  # of rvm; 0 takes the published ratio for the plate's size
    both_directions: bool = False
    as_mask: bool = False


#: The type of a job by its `kind`. Dispatch on it; never guess the type from the fields.
JOB_KINDS: Dict[str, Type[Job]] = {
    "omnimatte": OmnimatteJob,
    "clean-plate": CleanPlateJob,
    "trimap": TrimapJob,
    "matte": MatteJob,
}


@dataclass
class Progress:
    """Where a job is: `done` of `total` units of `stage`, and `fraction` in [0, 1] of the whole job."""

    stage: str
    done: int
    total: int
    fraction: float
    message: str = ""
    eta_seconds: Optional[float] = None


@dataclass
class Failure:
    """Why a job ended: one message that names file, frame or argument, what was expected and what to do."""

    code: int
    message: str
    argument: str = ""


@dataclass
class Result:
    """What a job wrote. Paths are absolute; `layers` maps object name to folder."""

    out: str
    report: str
    overview: str
    layers: Dict[str, str]
    frames: str
    colorspace: str
    seconds: float
    warnings: List[str] = field(default_factory=list)


@dataclass
class JobStatus:
    """One job as the engine sees it."""

    id: str
    kind: str
    state: JobState
    created: float  # seconds since the epoch
    last_event: int = 0
    progress: Optional[Progress] = None
    result: Optional[Result] = None
    failure: Optional[Failure] = None


@dataclass
class Event:
    """One line of a job's event stream. `seq` grows by 1, so that a client can rejoin after the last one it saw."""

    seq: int
    state: JobState
    progress: Optional[Progress] = None
    result: Optional[Result] = None
    failure: Optional[Failure] = None


@dataclass
class Health:
    """How the engine is. `state` is `loading` until the worker has its libraries in memory, then `ready`."""

    state: str
    worker: str  # stopped, loading, idle or busy
    device: str  # what the worker computes on; "" until one has said so
    version: str
    protocol: int
    pid: int
    uptime: float  # seconds
    queued: int
    running: str  # id of the job in work, or ""
    log: str


@dataclass
class Answer:
    """What the engine did about a request that makes no job, in words for the user."""

    message: str


def to_wire(message: Any) -> Dict[str, Any]:
    """The plain dictionary that goes over the wire as JSON."""
    return dataclasses.asdict(message)


_PARTS = {"progress": Progress, "result": Result, "failure": Failure}  # type: Dict[str, type]


def from_wire(kind: type, data: Dict[str, Any]) -> Any:
    """The message of type `kind` that `to_wire` made `data` of. Fields a newer engine may have added are left out.

    Raises TypeError when a field is missing, ValueError when the state is none of JobState.
    """
    known = {f.name for f in dataclasses.fields(kind)}
    values = {name: value for name, value in data.items() if name in known}
    for name, part in _PARTS.items():
        if values.get(name) is not None:
            values[name] = from_wire(part, values[name])
    if known.issuperset(("state", "progress")):
        values["state"] = JobState(values.get("state"))
    return kind(**values)


def validate(job: Job) -> None:
    """Raise WordError, naming the argument, unless every word of the job is of its grammar and fits the others.

    Looks at words only, never at files: client, command line and engine all ask this same question.
    """
    frames = parse_frames(job.frames)
    if job.write:
        outside = sorted(set(parse_frames(job.write, "--write")) - set(frames))
        if outside:
            raise WordError(
                "--write", "frame {} is none of --frames {}; write solved frames only".format(outside[0], job.frames)
            )
    if not job.colorspace:
        raise WordError("--colorspace", "is empty; name the plate's space as the OCIO config does")
    if not 0 <= job.seed < 2**32:
        raise WordError("--seed", "seed {} is outside 0 to 4294967295".format(job.seed))
    _check_absolute(job.plate, "--plate")
    _check_absolute(job.out, "--out")
    if isinstance(job, OmnimatteJob):
        if not job.masks:
            raise WordError("--mask", "no object is named; give at least one --mask NAME=PATTERN")
        _check_masks(job.masks, job.mask_missing)
        _check_choice(job.quality, QUALITIES, "--quality")
    elif isinstance(job, CleanPlateJob):
        _check_clean_plate(job)
    elif isinstance(job, TrimapJob):
        if not job.keyframes:
            raise WordError("--keyframe", "no trimap is given; give at least one --keyframe FRAME=FILE")
        _check_keyframes(job.keyframes, frames, job.frames)
        _check_choice(job.propagation, PROPAGATIONS, "--propagation")
        _check_choice(job.solver, TRIMAP_SOLVERS, "--solver")
        _check_choice(job.quality, QUALITIES, "--quality")
    elif isinstance(job, MatteJob):
        _check_matte(job, frames)


def _check_clean_plate(job: CleanPlateJob) -> None:
    if not job.clean_plate:
        raise WordError(
            "--clean-plate",
            "no clean plate is given; give a still, a sequence, or auto for the "
            "background that Omnimatte Layers finds in this shot",
        )
    if job.clean_plate != AUTO:
        _check_absolute(job.clean_plate, "--clean-plate")
    elif not job.masks:
        raise WordError("--clean-plate", "auto finds the background around the masks; give --mask NAME=PATTERN")
    if len(job.masks) > 1:
        raise WordError("--mask", "Clean Plate Matte lifts one subject; give one mask, of all that belongs to it")
    _check_masks(job.masks, job.mask_missing)
    _check_choice(job.effects, EFFECTS, "--effects")
    _check_choice(job.model, CLEAN_PLATE_MODELS, "--model")
    _check_choice(job.refine, REFINE_MODES, "--refine")
    if job.model != "bgm-v2" and job.refine != "sampling":
        raise WordError("--refine", "belongs to --model bgm-v2; leave it out with {}".format(job.model))
    _check_choice(job.quality, QUALITIES, "--quality")


def _check_matte(job: MatteJob, frames: Tuple[int, ...]) -> None:
    _check_keyframes(job.keyframes, frames, job.frames)
    _check_choice(job.model, MATTE_MODELS, "--model")
    if job.model == "small" and not job.keyframes:
        raise WordError(
            "--keyframe",
            "the small network learns from finished mattes of this shot; give at least one "
            "--keyframe FRAME=FILE, or --model rvm, which needs none",
        )
    if not 0 <= job.steps <= 100000:
        raise WordError("--steps", "{} steps; give 1 to 100000, or 0 to let the engine choose".format(job.steps))
    if not 0 <= job.downsample <= 1:
        raise WordError("--downsample", "{:g} is outside 0 to 1; 0 takes the published ratio".format(job.downsample))


def _check_masks(masks: List[Mask], missing: str) -> None:
    check_names([mask.name for mask in masks])
    _check_choice(missing, MASK_MISSING, "--mask-missing")
    for mask in masks:
        _check_absolute(mask.pattern, "--mask")


def _check_keyframes(keyframes: List[Keyframe], frames: Tuple[int, ...], text: str) -> None:
    check_names(sorted({keyframe.name for keyframe in keyframes}), "--keyframe")
    seen = set()
    for keyframe in keyframes:
        if keyframe.frame not in frames:
            raise WordError(
                "--keyframe",
                "frame {} is none of --frames {}; a keyframe must be one of the solved frames".format(
                    keyframe.frame, text
                ),
            )
        if (keyframe.name, keyframe.frame) in seen:
            raise WordError(
                "--keyframe", "{} has two keyframes on frame {}; give one".format(keyframe.name, keyframe.frame)
            )
        seen.add((keyframe.name, keyframe.frame))
        _check_absolute(keyframe.pattern, "--keyframe")


def _check_choice(value: str, choices: Tuple[str, ...], argument: str) -> None:
    if value not in choices:
        raise WordError(argument, "{!r} is none of {}".format(value, ", ".join(choices)))


def _check_absolute(path: str, argument: str) -> None:
    if not path:
        raise WordError(argument, "is empty; name a file pattern or a folder")
    # The engine works in another folder than its client, so a relative path would name another file.
    if not os.path.isabs(path):
        raise WordError(argument, "{!r} is no absolute path; give the whole path".format(path))
