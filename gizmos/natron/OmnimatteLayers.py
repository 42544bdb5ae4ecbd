# Natron PyPlug
# Written by `python -m penumbra.generate` from plugin/penumbra/nodes.py; changes here are lost.

from penumbra_pyplug import build, tell, tell_staged

LABEL = "Omnimatte Layers"
VERSION = 1
HELP = (
    "Splits a plate into one premultiplied layer for each object, with the shadows, reflections and dust that "
    "belong to it, and a clean background. Connect the plate and a rough mask of each object, the front one first, "
    "name the objects and press Solve. The layers over each other over the background give the plate back."
)
COLOUR = (0.30, 0.35, 0.43)
INPUTS = ("plate", "mask1", "mask2", "mask3", "mask4")
KNOBS = (
    # kind, name, label, tooltip, default, choices, hidden, on the line of the one before
    ("choice", "output", "output",
     "What the node shows and renders.",
     "object 1", ("object 1", "object 2", "object 3", "object 4", "all layers", "background",
      "background with grain", "canvas", "removal", "confidence", "plate",), False, False),
    ("bool", "use_stale", "use stale result",
     "Show and render the result although inputs or knobs changed since the solve.",
     False, (), False, False),
    ("string", "mask1_name", "name of mask 1",
     "Name of this object's layer: a letter, then letters, digits or underscores.",
     "object1", (), False, False),
    ("string", "mask2_name", "name of mask 2",
     "Name of this object's layer: a letter, then letters, digits or underscores.",
     "object2", (), False, False),
    ("string", "mask3_name", "name of mask 3",
     "Name of this object's layer: a letter, then letters, digits or underscores.",
     "object3", (), False, False),
    ("string", "mask4_name", "name of mask 4",
     "Name of this object's layer: a letter, then letters, digits or underscores.",
     "object4", (), False, False),
    ("choice", "mask_missing", "missing mask file",
     "A frame without a mask file: an error, or an object that is off screen there.",
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
     "draft is the closed form alone; standard and final also learn which object an effect belongs to.",
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
     "OmnimatteLayers", (), True, False),
)
SOURCES = (
    # what the output shows by number: a Read and its file, or an input
    ("Read_object_1",
     "/penumbra-no-result/press Solve on this Omnimatte Layers node/frame.####.exr"),
    ("Read_object_2",
     "/penumbra-no-result/press Solve on this Omnimatte Layers node/frame.####.exr"),
    ("Read_object_3",
     "/penumbra-no-result/press Solve on this Omnimatte Layers node/frame.####.exr"),
    ("Read_object_4",
     "/penumbra-no-result/press Solve on this Omnimatte Layers node/frame.####.exr"),
    ("Read_all_layers",
     "/penumbra-no-result/press Solve on this Omnimatte Layers node/frame.####.exr"),
    ("Read_background",
     "/penumbra-no-result/press Solve on this Omnimatte Layers node/frame.####.exr"),
    ("Read_background_with_grain",
     "/penumbra-no-result/press Solve on this Omnimatte Layers node/frame.####.exr"),
    ("Read_canvas",
     "/penumbra-no-result/press Solve on this Omnimatte Layers node/frame.####.exr"),
    ("Read_removal",
     "/penumbra-no-result/press Solve on this Omnimatte Layers node/frame.####.exr"),
    ("Read_confidence",
     "/penumbra-no-result/press Solve on this Omnimatte Layers node/frame.####.exr"),
    ("Read_plate",
     "plate"),
)
FAILURES = (
    # the numbers behind them: what fails and says why
    ("Stale",
     "/penumbra-stale-result/press Solve on this Omnimatte Layers node or tick use stale result/frame.%d.exr"),
    ("Nothing",
     "/penumbra-no-result/press Solve on this Omnimatte Layers node/frame.%d.exr"),
)
CHOICE = (
    "10 if thisGroup.output.get() == 10 else 11 if thisGroup.stale.get() and not thisGroup.use_stale.get() else 12 "
    "if frame < thisGroup.solved_first.get() or frame > thisGroup.solved_last.get() or not thisGroup.shown.get() >> "
    "thisGroup.output.get() & 1 else thisGroup.output.get()"
)
PLANES = "Read_all_layers"  # the Read whose planes are to be had beside RGBA


def getPluginID():
    return "org.penumbra.OmnimatteLayers"


def getLabel():
    return LABEL


def getVersion():
    return VERSION


def getGrouping():
    return "Penumbra"


def getPluginDescription():
    return HELP


def createInstance(app, group):
    build(app, group, "OmnimatteLayers", LABEL, COLOUR, INPUTS, KNOBS, SOURCES, FAILURES, CHOICE, PLANES)


def changed(thisParam, thisNode, thisGroup, app, userEdited):
    tell(thisParam, thisNode, app, userEdited)


def staged(aborted, thisNode, app):
    tell_staged(aborted)
