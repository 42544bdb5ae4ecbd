"""The nodes: inputs, knobs, outputs and help. The one source of truth for Nuke, for Natron and for the generator.

A node is data. Host modules and generate.py read it and know no node by name, so a new node is one more entry of NODES.
Texts go into Nuke scripts as they are: keep them free of brackets, braces, dollar signs and backslashes.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Dict, Tuple, Union

from .protocol import (
    AUTO,
    CLEAN_PLATE_MODELS,
    EFFECTS,
    MASK_MISSING,
    MATTE_MODELS,
    PROPAGATIONS,
    QUALITIES,
    REFINE_MODES,
    TRIMAP_SOLVERS,
)


class Kind(Enum):
    """What a knob is to the user."""

    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    CHOICE = "choice"
    STRING = "string"
    FOLDER = "folder"
    FILE = "file"
    BUTTON = "button"
    STATUS = "status"  # a line of text that the node writes
    RULE = "rule"  # a line with a caption


@dataclass(frozen=True)
class Knob:
    """One control. `job` names the field of the job it fills; such knobs make a result stale when they change."""

    name: str
    kind: Kind
    label: str
    tooltip: str = ""
    default: Union[str, int, float, bool] = ""
    choices: Tuple[str, ...] = ()
    job: str = ""
    hidden: bool = False
    same_line: bool = False


@dataclass(frozen=True)
class Input:
    """One input. `job` names the field that gets its pattern.

    With a `name_knob` or an `object_name` it is one named object of a list. With a `frames_knob`, which lists frames,
    it is a keyframe of that object on each of them.
    """

    name: str
    tooltip: str
    job: str
    name_knob: str = ""
    object_name: str = ""  # where no knob gives the name
    frames_knob: str = ""
    hint: bool = True  # a rough guide, not a picture: one channel of it is used
    optional: bool = False
    unless: str = ""  # an optional input is needed after all unless this one is connected, or the knob is knob=value
    absent: str = ""  # what the job says where nothing is connected


@dataclass(frozen=True)
class Output:
    """One choice of the output knob: the folder of the result it shows, with knob names in braces."""

    label: str
    folder: str
    data: bool = False  # numbers, never colour-transformed
    planes: bool = False  # its files hold planes beside RGBA, one for each layer

    @property
    def name(self) -> str:
        """The label as a word, for names of inner nodes."""
        return self.label.replace(" ", "_")


@dataclass(frozen=True)
class NodeSpec:
    """A node of ours. `kind` is the kind of its job, `name` the name of its files and the stem of its nodes."""

    name: str
    label: str
    kind: str
    version: int
    help: str
    inputs: Tuple[Input, ...]
    knobs: Tuple[Knob, ...]
    outputs: Tuple[Output, ...]

    def knob(self, name: str) -> Knob:
        """The knob of that name. Raises KeyError when there is none."""
        for knob in self.knobs:
            if knob.name == name:
                return knob
        raise KeyError(name)

    @property
    def job_knobs(self) -> Tuple[Knob, ...]:
        """The knobs a result depends on."""
        return tuple(knob for knob in self.knobs if knob.job)

    @property
    def solve_knobs(self) -> Tuple[str, ...]:
        """Names of the knobs whose change makes a result stale."""
        named = tuple(given.name_knob for given in self.inputs if given.name_knob)
        keyed = tuple(given.frames_knob for given in self.inputs if given.frames_knob)
        return (*(knob.name for knob in self.job_knobs), *named, *keyed, "range", "first", "last")

    @property
    def no_result(self) -> str:
        """A path where no file can be: reading it fails with the frame and with what to do, plug-in or not."""
        return "/penumbra-no-result/press Solve on this {} node/frame.####.exr".format(self.label)

    @property
    def stale_result(self) -> str:
        """The same for a result whose inputs or knobs changed since the solve."""
        return "/penumbra-stale-result/press Solve on this {} node or tick use stale result/frame.####.exr".format(
            self.label)


#: Colours of a node's tile, as 0xRRGGBBAA.
TILE_COLOUR = 0x4C5A6EFF
STALE_COLOUR = 0xC8782DFF

#: The output choice that shows the plate; every other one shows a folder of the result.
PLATE_OUTPUT = Output("plate", "")

FROM_INPUT, CUSTOM = RANGES = ("from input", "custom")

_FRAMES = (
    Knob("range", Kind.CHOICE, "frames", "The frames to solve: all of the plate input, or the two numbers beside.",
         FROM_INPUT, RANGES),
    Knob("first", Kind.INT, "first", "First frame to solve, handles included. Used when frames is custom.", 1),
    Knob("last", Kind.INT, "last", "Last frame to solve, handles included. Used when frames is custom.", 1,
         same_line=True),
)

_COLOUR = (
    Knob("colorspace", Kind.STRING, "colour space",
         "Colour space of the plate, by name, alias or role of the OCIO config. Empty: what the host knows, that is "
         "the space of the plate's Read, else the working space of the project.", job="colorspace"),
    Knob("ocio", Kind.FILE, "OCIO config",
         "OCIO config file, or the name of one built into OpenColorIO. Empty: the host's own config.", job="ocio"),
)

_SOLVE = (
    Knob("seed", Kind.INT, "seed", "The same inputs and seed give the same result.", 0, job="seed"),
    Knob("cold", Kind.BOOL, "cold start", "Start from nothing, not from an earlier solve of it.", False, job="cold",
         same_line=True),
    Knob("folder", Kind.FOLDER, "output folder",
         "Results go into v001, v002 and so on of this folder and are never written over. Empty: the folder penumbra "
         "beside the script."),
    Knob("solve", Kind.BUTTON, "Solve",
         "Write what the engine can't read by itself, solve, and show the result. A render never solves."),
    Knob("cancel", Kind.BUTTON, "Cancel", "Cancel this node's solve. What was solved so far is kept for the next one.",
         same_line=True),
    Knob("check", Kind.BUTTON, "Check", "See whether the result still fits the inputs and knobs.", same_line=True),
    Knob("status", Kind.STATUS, "status", "What the node is doing, or why it could not.", "not solved yet"),
)

_ENGINE = (
    Knob("engine_rule", Kind.RULE, "engine"),
    Knob("engine_status", Kind.BUTTON, "Engine status", "Say whether the engine runs, and what it computes on."),
    Knob("release_gpu", Kind.BUTTON, "Release GPU",
         "Make the engine give back its GPU memory. Refused while a job runs.", same_line=True),
)

_RESULT = (
    Knob("use_stale", Kind.BOOL, "use stale result",
         "Show and render the result although inputs or knobs changed since the solve.", False),
)


def _state(name: str, version: int) -> Tuple[Knob, ...]:
    """What the node remembers. Hidden, and saved with the script, so that it opens without the plug-in."""
    return (
        Knob("stale", Kind.BOOL, "stale", "Inputs or knobs changed since the solve.", False, hidden=True),
        Knob("badge", Kind.STRING, "badge", "The line below the node's name.", "not solved", hidden=True),
        Knob("result", Kind.STRING, "result", "Folder of the result that is shown.", hidden=True),
        Knob("solved_first", Kind.INT, "first solved frame", "A frame before this one has no result.", 1, hidden=True),
        Knob("solved_last", Kind.INT, "last solved frame", "A frame after this one has no result.", 0, hidden=True),
        Knob("shown", Kind.INT, "shown", "Which outputs the result has: the sum of 1, 2, 4 and so on.", 0, hidden=True),
        Knob("manifest", Kind.STRING, "manifest", "What that result was made of.", hidden=True),
        Knob("pending", Kind.STRING, "pending", "Folder of the solve that is under way.", hidden=True),
        Knob("pending_job", Kind.STRING, "pending job", "The engine's id of the solve that is under way.", hidden=True),
        Knob("node_uuid", Kind.STRING, "node uuid", "Tells this node from its copies.", hidden=True),
        Knob("version", Kind.INT, "version", "Version of this node's knobs and graph.", version, hidden=True),
        Knob("penumbra_node", Kind.STRING, "penumbra node", "Which node of Penumbra this is.", name, hidden=True),
    )


def _output_knob(outputs: Tuple[Output, ...]) -> Tuple[Knob, ...]:
    labels = tuple(output.label for output in outputs)
    return (Knob("output", Kind.CHOICE, "output", "What the node shows and renders.", labels[0], labels),)


def _objects(count: int) -> Tuple[Knob, ...]:
    return tuple(
        Knob("mask{}_name".format(slot), Kind.STRING, "name of mask {}".format(slot),
             "Name of this object's layer: a letter, then letters, digits or underscores.", "object{}".format(slot))
        for slot in range(1, count + 1)
    )


_PLATE = Input("plate", "The plate, with all its handles.", "plate", hint=False)

_OBJECTS = 4

_OMNIMATTE_OUTPUTS = (
    *(Output("object {}".format(slot), "{{mask{}_name}}".format(slot)) for slot in range(1, _OBJECTS + 1)),
    Output("all layers", "layers", planes=True),
    Output("background", "background"),
    Output("background with grain", "background_grain"),
    Output("canvas", "canvas"),
    Output("removal", "removal", data=True),
    Output("confidence", "confidence", data=True),
    PLATE_OUTPUT,
)

OMNIMATTE_LAYERS = NodeSpec(
    name="OmnimatteLayers",
    label="Omnimatte Layers",
    kind="omnimatte",
    version=1,
    help="Splits a plate into one premultiplied layer for each object, with the shadows, reflections and dust that "
         "belong to it, and a clean background. Connect the plate and a rough mask of each object, the front one "
         "first, name the objects and press Solve. The layers over each other over the background give the plate back.",
    inputs=(
        _PLATE,
        *(Input("mask{}".format(slot), "Rough mask of object {}, counted from the front.".format(slot), "masks",
                "mask{}_name".format(slot)) for slot in range(1, _OBJECTS + 1)),
    ),
    knobs=(
        *_output_knob(_OMNIMATTE_OUTPUTS),
        *_RESULT,
        *_objects(_OBJECTS),
        Knob("mask_missing", Kind.CHOICE, "missing mask file",
             "A frame without a mask file: an error, or an object that is off screen there.", "error", MASK_MISSING,
             job="mask_missing"),
        *_FRAMES,
        Knob("quality", Kind.CHOICE, "quality",
             "draft is the closed form alone; standard and final also learn which object an effect belongs to.",
             "standard", QUALITIES, job="quality"),
        *_COLOUR,
        *_SOLVE,
        *_ENGINE,
        *_state("OmnimatteLayers", 1),
    ),
    outputs=_OMNIMATTE_OUTPUTS,
)

_QUALITY = Knob("quality", Kind.CHOICE, "quality", "How much time the solve may take for a better edge.", "standard",
                QUALITIES, job="quality")

_CLEAN_PLATE_OUTPUTS = (
    Output("subject", "subject"),
    Output("effects", "effects"),
    Output("background", "background"),
    Output("confidence", "confidence", data=True),
    PLATE_OUTPUT,
)

CLEAN_PLATE_MATTE = NodeSpec(
    name="CleanPlateMatte",
    label="Clean Plate Matte",
    kind="clean-plate",
    version=1,
    help="Lifts a subject from a plate by the same view without it: the subject as a premultiplied layer, its shadows "
         "and reflections as a layer of their own, and the clean plate brought onto the plate. The clean plate may be "
         "a still, moved a little and exposed a little differently. Connect both and press Solve. A rough mask helps "
         "where other things changed too.",
    inputs=(
        _PLATE,
        Input("clean", "The clean plate, a still or a sequence. Nothing connected: the background that Omnimatte "
              "Layers finds in this shot, for which a mask is needed.", "clean_plate", hint=False, optional=True,
              unless="mask", absent=AUTO),
        Input("mask", "Rough mask of the subject; everything else stays in the background.", "masks",
              object_name="subject", optional=True),
    ),
    knobs=(
        *_output_knob(_CLEAN_PLATE_OUTPUTS),
        *_RESULT,
        Knob("effects", Kind.CHOICE, "shadows", "Shadows and reflections as a layer of their own, or merged into the "
             "subject's layer.", "separate", EFFECTS, job="effects"),
        Knob("model", Kind.CHOICE, "model", "What finds the subject's alpha. closed-form needs no weights; bgm-v1 and "
             "bgm-v2, Background Matting, take a checkpoint of yours, added with the command penumbra models add.",
             "closed-form", CLEAN_PLATE_MODELS, job="model"),
        Knob("refine", Kind.CHOICE, "refine", "Of bgm-v2: which patches it looks at again at full size: a number of "
             "them, all, or all that it doubts.", "sampling", REFINE_MODES, job="refine"),
        Knob("mask_missing", Kind.CHOICE, "missing mask file",
             "A frame without a mask file: an error, or a subject that is off screen there.", "error", MASK_MISSING,
             job="mask_missing"),
        *_FRAMES,
        _QUALITY,
        *_COLOUR,
        *_SOLVE,
        *_ENGINE,
        *_state("CleanPlateMatte", 1),
    ),
    outputs=_CLEAN_PLATE_OUTPUTS,
)


def _keyframes(what: str) -> Tuple[Knob, ...]:
    return (
        Knob("layer_name", Kind.STRING, "name of the layer", "A letter, then letters, digits or underscores.", "matte"),
        Knob("keyframes", Kind.STRING, "keyframes", "The frames on which the keyframe input holds {}, such as "
             "1001,1019,1036. On all other frames it is not looked at.".format(what)),
        Knob("key_frame", Kind.BUTTON, "Key this frame",
             "Add the current frame to the keyframes, or take it out again.", same_line=True),
    )


_TRIMAP_OUTPUTS = (
    Output("matte", "{layer_name}"),
    Output("trimap", "{layer_name}_trimap", data=True),
    Output("confidence", "confidence", data=True),
    PLATE_OUTPUT,
)

TRIMAP_PROPAGATE = NodeSpec(
    name="TrimapPropagate",
    label="Trimap Propagate",
    kind="trimap",
    version=1,
    help="Carries a few trimaps, or finished mattes, through the whole shot and solves the matte of every frame. "
         "Connect the plate and a trimap, white inside, grey along the edge, black outside; list the frames on which "
         "it is right and press Solve. The report names the frame where one more keyframe would help most.",
    inputs=(
        _PLATE,
        Input("keyframe", "A trimap or a finished matte, right on the keyframes.", "keyframes", "layer_name", "matte",
              "keyframes"),
    ),
    knobs=(
        *_output_knob(_TRIMAP_OUTPUTS),
        *_RESULT,
        *_keyframes("a trimap or a finished matte"),
        Knob("propagation", Kind.CHOICE, "propagation", "What carries the trimaps: motion, likeness to the keyframes, "
             "or both.", "both", PROPAGATIONS, job="propagation"),
        Knob("solver", Kind.CHOICE, "solver", "What finds alpha inside the grey band.", "closed-form",
             TRIMAP_SOLVERS, job="solver"),
        *_FRAMES,
        _QUALITY,
        *_COLOUR,
        *_SOLVE,
        *_ENGINE,
        *_state("TrimapPropagate", 1),
    ),
    outputs=_TRIMAP_OUTPUTS,
)

_MATTE_OUTPUTS = (
    Output("matte", "{layer_name}"),
    Output("confidence", "confidence", data=True),
    PLATE_OUTPUT,
)

MATTE = NodeSpec(
    name="Matte",
    label="Matte",
    kind="matte",
    version=1,
    help="Mattes without a trimap. The small network learns the look of this shot from two to eight finished mattes in "
         "minutes and mattes every frame; rvm, Robust Video Matting with your own checkpoint, needs none and finds "
         "people. Connect the plate and, for the small network, a finished matte; list the frames on which it is right "
         "and press Solve.",
    inputs=(
        _PLATE,
        Input("keyframe", "A finished matte, right on the keyframes: roto, a key, or a result of Trimap Propagate.",
              "keyframes", "layer_name", "matte", "keyframes", optional=True, unless="model=rvm"),
    ),
    knobs=(
        *_output_knob(_MATTE_OUTPUTS),
        *_RESULT,
        *_keyframes("a finished matte"),
        Knob("model", Kind.CHOICE, "model", "small learns from the keyframes of this shot; rvm is a checkpoint of "
             "yours, added with the command penumbra models add.", "small", MATTE_MODELS, job="model"),
        Knob("steps", Kind.INT, "training steps", "0 lets the engine choose.", 0, job="steps"),
        Knob("downsample", Kind.FLOAT, "downsample ratio", "Of rvm; 0 takes the published ratio for the plate's size.",
             0.0, job="downsample"),
        Knob("both_directions", Kind.BOOL, "both directions", "Run rvm forward and backward and take the mean.", False,
             job="both_directions"),
        Knob("as_mask", Kind.BOOL, "as mask", "Write rough masks, for the mask inputs of the other nodes.", False,
             job="as_mask"),
        *_FRAMES,
        *_COLOUR,
        *_SOLVE,
        *_ENGINE,
        *_state("Matte", 1),
    ),
    outputs=_MATTE_OUTPUTS,
)

#: All nodes by name.
NODES: Dict[str, NodeSpec] = {
    node.name: node for node in (OMNIMATTE_LAYERS, CLEAN_PLATE_MATTE, TRIMAP_PROPAGATE, MATTE)
}
