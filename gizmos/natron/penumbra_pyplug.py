"""Builds the groups of our PyPlugs from their data, and passes on what happens to their knobs.

Written by hand. Natron takes the PyPlugs beside it for plug-ins, this file it leaves alone.
"""

_PARAMS = {
    "int": "createIntParam",
    "float": "createDoubleParam",
    "bool": "createBooleanParam",
    "choice": "createChoiceParam",
    "string": "createStringParam",
    "folder": "createPathParam",
    "file": "createFileParam",
    "button": "createButtonParam",
    "status": "createStringParam",
    "rule": "createSeparatorParam",
}

_NO_PLUGIN = "Penumbra is not installed on this machine. A result shows and renders without it; a button needs it."


def build(app, group, module, label, colour, inputs, knobs, sources, failures, choice, planes):
    """Fill the new group: its panel, and a graph that never changes. penumbra.generate says what the graph is.

    `module` is the PyPlug's, whose `changed` and `staged` Natron will call.
    """
    group.setColor(*colour)
    page = group.createPageParam("penumbra", label)
    before = None
    for knob in knobs:
        before = _param(group, page, before, *knob)
    group.setPagesOrder(["penumbra", "Node", "Settings"])
    group.refreshUserParamsGUI()

    nodes = {}
    for index, name in enumerate(inputs):
        nodes[name] = _node(app, group, "fr.inria.built-in.Input", name, 150 * index, 0)
        write = _node(app, group, "fr.inria.openfx.WriteOIIO", "Stage_" + name, 150 * index, 100)
        _stage(write, nodes[name], module + ".staged")
    choose = _node(app, group, "net.sf.openfx.switchPlugin", "Choose", 0, 450)
    for index, (name, path) in enumerate(sources):
        if path in nodes:
            choose.connectInput(index, nodes[path])
        else:
            read = _node(app, group, "fr.inria.openfx.ReadOIIO", name, 150 * index, 300)
            choose.connectInput(index, _read(read, path))
    for index, (name, message) in enumerate(failures, len(sources)):
        failure = _node(app, group, "fr.inria.openfx.OCIOFileTransform", name, 150 * index, 300)
        choose.connectInput(index, _fail(failure, nodes[inputs[0]], message))
    choose.getParam("which").setExpression(choice, False, 0)
    shown = _with_planes(app, group, choose, group.getNode(planes)) if planes else choose
    _node(app, group, "fr.inria.built-in.Output", "Output1", 0, 550).connectInput(0, shown)
    group.getParam("onParamChanged").set(module + ".changed")


def tell(param, node, app, by_user):
    """Pass a changed knob on to the plug-in, if it is on this machine."""
    try:
        import penumbra.hosts.natron as penumbra
    except ImportError:
        if by_user and param.getTypeName() == "Button":
            node.getParam("status").set(_NO_PLUGIN)
    else:
        penumbra.changed(param, node, app, by_user)


def tell_staged(aborted):
    """Pass on that frames for the engine were written. Only the plug-in asks for them, so it is there."""
    import penumbra.hosts.natron as penumbra

    penumbra.staged(bool(aborted))


def _param(group, page, before, kind, name, label, tooltip, default, choices, hidden, same_line):
    param = getattr(group, _PARAMS[kind])(name, label)
    if kind == "status":
        param.setType(param.TypeEnum.eStringTypeLabel)
    elif kind == "file":
        param.setSequenceEnabled(False)
    elif kind == "choice":
        param.setOptions([(option, "") for option in choices])
    if default != "":
        param.setDefaultValue(default)
        param.restoreDefaultValue()
    if kind not in ("button", "rule", "choice"):
        param.setAnimationEnabled(False)
    param.setHelp(tooltip)
    param.setVisible(not hidden)
    if same_line:
        before.setAddNewLine(False)
    page.addParam(param)
    return param


def _stage(write, source, after):
    """The writer of staged frames: the host's own numbers, the data window as it is, off until it is needed."""
    write.connectInput(0, source)
    for name, value in (("formatType", "input"), ("bitDepth", "16f"), ("compression", "zips"),
                        ("partSplitting", "single"), ("frameRange", "manual"), ("afterRender", after),
                        ("disableNode", True)):
        write.getParam(name).set(value)


def _read(read, path):
    read.getParam("filename").set(path)
    for name in ("onMissingFrame", "before", "after"):
        read.getParam(name).set("error")
    return read


def _with_planes(app, group, choose, read):
    """A Switch that always shows `choose` and offers the planes of `read`.

    Natron offers those of a Switch's first input alone, whatever it shows.
    """
    switch = _node(app, group, "net.sf.openfx.switchPlugin", "Planes", 0, 500)
    switch.connectInput(0, read)
    switch.connectInput(1, choose)
    switch.getParam("which").set(1)
    return switch


def _fail(transform, source, message):
    """A node whose render fails with this message: it asks for a table that is nowhere.

    A Read without files would not do, Natron then says 100 % and writes nothing.
    """
    transform.connectInput(0, source)
    transform.getParam("file").setExpression(f'"{message}" % frame', False, 0)
    return transform


def _node(app, group, kind, name, x, y):
    node = app.createNode(kind, -1, group)
    node.setScriptName(name)
    node.setLabel(name)
    node.setPosition(x, y)
    return node
