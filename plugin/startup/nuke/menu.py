"""Nuke runs this when it starts with windows: our entries in the Nodes menu, our callbacks. Talks to no engine."""

import traceback

import nuke


def _menu():
    import penumbra.hosts.nuke
    from penumbra.generate import GIZMOS
    from penumbra.nodes import NODES

    penumbra.hosts.nuke.install()
    menu = nuke.menu("Nodes").addMenu("Penumbra")
    for node in NODES.values():
        path = GIZMOS / "nuke" / (node.name + ".nk")
        menu.addCommand(node.label, "nuke.nodePaste({!r})".format(path.as_posix()))


try:
    _menu()
except Exception:  # a Penumbra that fails must not keep Nuke from starting
    traceback.print_exc()
    nuke.tprint("Penumbra: its nodes show and render their results, its menu and buttons are missing in this session")
