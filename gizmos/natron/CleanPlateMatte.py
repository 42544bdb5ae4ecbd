# Natron PyPlug
# Written by `python -m penumbra.generate` from plugin/penumbra/nodes.py; changes here are lost.

from penumbra_pyplug import build, tell, tell_staged

LABEL = "Clean Plate Matte"
VERSION = 1
HELP = (
    "Lifts a subject from a plate by the same view without it: the subject as a premultiplied layer, its shadows "
    "and reflections as a layer of their own, and the clean plate brought onto the plate. The clean plate may be a "
    "still, moved a little and exposed a little differently. Connect both and press Solve. A rough mask helps where "
    "other things changed too."
)
COLOUR = (0.30, 0.35, 0.43)
INPUTS = ("plate", "clean", "mask")
KNOBS = (
    # kind, name, label, tooltip, default, choices, hidden, on the line of the one before
    ("choice", "output", "output",
     "What the node shows and renders.",
     "subject", ("subject", "effects", "background", "confidence", "plate",), False, False),
    ("bool", "use_stale", "use stale result",
     "Show and render the result although inputs or knobs changed since the solve.",
     False, (), False, False),
    ("choice", "effects", "shadows",
     "Shadows and reflections as a layer of their own, or merged into the subject's layer.",
     "separate", ("separate", "merge",), False, False),
    ("choice", "model", "model",
     "What finds the subject's alpha. closed-form needs no weights; bgm-v1 and bgm-v2, Background Matting, take a "
     "checkpoint of yours, added with the command penumbra models add.",
     "closed-form", ("closed-form", "bgm-v1", "bgm-v2",), False, False),
    ("choice", "refine", "refine",
     "Of bgm-v2: which patches it looks at again at full size: a number of them, all, or all that it doubts.",
     "sampling", ("sampling", "full", "thresholding",), False, False),
    ("choice", "mask_missing", "missing mask file",
     "A frame without a mask file: an error, or a subject that is off screen there.",
     "error", ("error", "empty",), False, False),
    ("choice", "range", "frames",
     "The frames to solve: all of the plate input, or the two numbers beside.",
     "from input", ("from input", "custom",), False, False),
    ("int", "first", "first",
     "First frame to solve, handles included. Used when frames is custom.",
     1, (), False, False),
    ("int", "last", "last",
     "Last frame to solve, handles included. Used when frames is custom.",
     1, (), False, True),
    ("choice", "quality", "quality",
     "How much time the solve may take for a better edge.",
     "standard", ("draft", "standard", "final",), False, False),
    ("string", "colorspace", "colour space",
     "Colour space of the plate, by name, alias or role of the OCIO config. Empty: what the host knows, that is the "
     "space of the plate's Read, else the working space of the project.",
     "", (), False, False),
    ("file", "ocio", "OCIO config",
     "OCIO config file, or the name of one built into OpenColorIO. Empty: the host's own config.",
     "", (), False, False),
    ("int", "seed", "seed",
     "The same inputs and seed give the same result.",
     0, (), False, False),
    ("bool", "cold", "cold start",
     "Start from nothing, not from an earlier solve of it.",
     False, (), False, True),
    ("folder", "folder", "output folder",
     "Results go into v001, v002 and so on of this folder and are never written over. Empty: the folder penumbra "
     "beside the script.",
     "", (), False, False),
    ("button", "solve", "Solve",
     "Write what the engine can't read by itself, solve, and show the result. A render never solves.",
     "", (), False, False),
    ("button", "cancel", "Cancel",
     "Cancel this node's solve. What was solved so far is kept for the next one.",
     "", (), False, True),
    ("button", "check", "Check",
     "See whether the result still fits the inputs and knobs.",
     "", (), False, True),
    ("status", "status", "status",
     "What the node is doing, or why it could not.",
     "not solved yet", (), False, False),
    ("rule", "engine_rule", "engine",
     "",
     "", (), False, False),
    ("button", "engine_status", "Engine status",
     "Say whether the engine runs, and what it computes on.",
     "", (), False, False),
    ("button", "release_gpu", "Release GPU",
     "Make the engine give back its GPU memory. Refused while a job runs.",
     "", (), False, True),
    ("bool", "stale", "stale",
     "Inputs or knobs changed since the solve.",
     False, (), True, False),
    ("string", "badge", "badge",
     "The line below the node's name.",
     "not solved", (), True, False),
    ("string", "result", "result",
     "Folder of the result that is shown.",
     "", (), True, False),
    ("int", "solved_first", "first solved frame",
     "A frame before this one has no result.",
     1, (), True, False),
    ("int", "solved_last", "last solved frame",
     "A frame after this one has no result.",
     0, (), True, False),
    ("int", "shown", "shown",
     "Which outputs the result has: the sum of 1, 2, 4 and so on.",
     0, (), True, False),
    ("string", "manifest", "manifest",
     "What that result was made of.",
     "", (), True, False),
    ("string", "pending", "pending",
     "Folder of the solve that is under way.",
     "", (), True, False),
    ("string", "pending_job", "pending job",
     "The engine's id of the solve that is under way.",
     "", (), True, False),
    ("string", "node_uuid", "node uuid",
     "Tells this node from its copies.",
     "", (), True, False),
    ("int", "version", "version",
     "Version of this node's knobs and graph.",
     1, (), True, False),
    ("string", "penumbra_node", "penumbra node",
     "Which node of Penumbra this is.",
     "CleanPlateMatte", (), True, False),
)
SOURCES = (
    # what the output shows by number: a Read and its file, or an input
    ("Read_subject",
     "/penumbra-no-result/press Solve on this Clean Plate Matte node/frame.####.exr"),
    ("Read_effects",
     "/penumbra-no-result/press Solve on this Clean Plate Matte node/frame.####.exr"),
    ("Read_background",
     "/penumbra-no-result/press Solve on this Clean Plate Matte node/frame.####.exr"),
    ("Read_confidence",
     "/penumbra-no-result/press Solve on this Clean Plate Matte node/frame.####.exr"),
    ("Read_plate",
     "plate"),
)
FAILURES = (
    # the numbers behind them: what fails and says why
    ("Stale",
     "/penumbra-stale-result/press Solve on this Clean Plate Matte node or tick use stale result/frame.%d.exr"),
    ("Nothing",
     "/penumbra-no-result/press Solve on this Clean Plate Matte node/frame.%d.exr"),
)
CHOICE = (
    "4 if thisGroup.output.get() == 4 else 5 if thisGroup.stale.get() and not thisGroup.use_stale.get() else 6 if "
    "frame < thisGroup.solved_first.get() or frame > thisGroup.solved_last.get() or not thisGroup.shown.get() >> "
    "thisGroup.output.get() & 1 else thisGroup.output.get()"
)
PLANES = ""  # the Read whose planes are to be had beside RGBA


def getPluginID():
    return "org.penumbra.CleanPlateMatte"


def getLabel():
    return LABEL


def getVersion():
    return VERSION


def getGrouping():
    return "Penumbra"


def getPluginDescription():
    return HELP


def createInstance(app, group):
    build(app, group, "CleanPlateMatte", LABEL, COLOUR, INPUTS, KNOBS, SOURCES, FAILURES, CHOICE, PLANES)


def changed(thisParam, thisNode, thisGroup, app, userEdited):
    tell(thisParam, thisNode, app, userEdited)


def staged(aborted, thisNode, app):
    tell_staged(aborted)
