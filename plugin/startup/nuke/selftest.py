"""Does Penumbra work in this Nuke? Run `nuke -t selftest.py`: one line for each thing tried, then what to send us.

It was never run in a real Nuke by those who wrote it; that is what it is for. It works in a folder of its own, which it
leaves behind only when something failed, and starts the engine if none runs.
"""

import os
import shutil
import sys
import tempfile
import traceback

import nuke

FIRST, LAST = 1, 6
WIDTH, HEIGHT = 256, 144


class SelfTest(object):
    """The steps, in order. Each is a method; what it returns stands behind its name."""

    def __init__(self, folder):
        self.folder = folder
        self.node = None

    def python(self):
        edition = [name for name in ("nc", "indie", "nukex", "studio") if nuke.env.get(name)]
        return "{} in Nuke {} {}".format(sys.version.split()[0], nuke.env.get("NukeVersionString"), " ".join(edition))

    def plug_in(self):
        import penumbra
        import penumbra.hosts.nuke

        return "{} from {}".format(penumbra.__version__, os.path.dirname(penumbra.__file__))

    def group(self):
        self.node = self._paste()
        return "{}, {} knobs, inner nodes {}".format(
            self.node.name(), len(self.node.knobs()), len(self.node.nodes()))

    def gizmo(self):
        return nuke.createNode("OmnimatteLayers", inpanel=False).Class()

    def nothing_solved_nothing_rendered(self):
        return self._fails(self._paste(), "press Solve")

    def engine(self):
        from penumbra.client import Client
        from penumbra.launcher import ensure_engine

        health = Client(ensure_engine()).health()
        return "{} is {}, log {}".format(health.version, health.state, health.log)

    def frames_are_written_and_solved(self):
        import penumbra.hosts.nuke

        out = penumbra.hosts.nuke.solve(self.node, FIRST, LAST)
        return "{}: {}".format(out, self.node["status"].value())

    def result_is_fresh(self):
        return self._check(False)

    def result_renders(self):
        return self._render(self.node, "result")

    def outside_of_the_range_it_fails(self):
        return self._fails(self.node, "press Solve", LAST + 1)

    def another_knob_makes_it_stale(self):
        self.node["seed"].setValue(7)
        return self._check(True)

    def stale_is_not_rendered(self):
        return self._fails(self.node, "use stale result")

    def another_input_makes_it_stale(self):
        self.node["seed"].setValue(0)
        self._check(False)
        self.node.input(0)["boxsize"].setValue(20)
        return self._check(True)

    def _paste(self):
        from penumbra.generate import GIZMOS

        for node in nuke.selectedNodes():
            node.setSelected(False)
        nuke.nodePaste((GIZMOS / "nuke" / "OmnimatteLayers.nk").as_posix())
        node = nuke.selectedNode()
        node["folder"].setValue(os.path.join(self.folder, "results").replace("\\", "/"))
        node["quality"].setValue("draft")
        node.setInput(0, nuke.nodes.CheckerBoard2(boxsize="12"))
        radial = nuke.nodes.Radial(softness=0)
        radial["area"].setExpression("20 + 8 * frame", 0)
        radial["area"].setExpression("40", 1)
        radial["area"].setExpression("60 + 8 * frame", 2)
        radial["area"].setExpression("90", 3)
        node.setInput(1, radial)
        return node

    def _check(self, stale):
        self.node["check"].execute()
        said = self.node["status"].value()
        if self.node["stale"].value() != stale:
            raise AssertionError("stale is {}: {}".format(self.node["stale"].value(), said))
        return said

    def _render(self, node, name, first=FIRST, last=LAST):
        pattern = os.path.join(self.folder, name + ".####.exr").replace("\\", "/")
        write = nuke.nodes.Write(file=pattern, file_type="exr")
        write.setInput(0, node)
        nuke.execute(write, first, last, 1)
        found = [file for file in os.listdir(self.folder) if file.startswith(name + ".")]
        if len(found) != last - first + 1:
            raise AssertionError("{} files instead of {}".format(len(found), last - first + 1))
        return "{} frames".format(len(found))

    def _fails(self, node, text, frame=FIRST):
        try:
            self._render(node, "never", frame, frame)
        except RuntimeError as error:
            if text in str(error) and str(frame) in str(error):
                return "Nuke says: {}".format(str(error).strip())
            raise
        raise AssertionError("it was rendered")


STEPS = (
    "python", "plug_in", "group", "gizmo", "nothing_solved_nothing_rendered", "engine",
    "frames_are_written_and_solved", "result_is_fresh", "result_renders", "outside_of_the_range_it_fails",
    "another_knob_makes_it_stale", "stale_is_not_rendered", "another_input_makes_it_stale",
)


def run(folder):
    """Run all steps; returns whether all went well."""
    nuke.addFormat("{} {} 1 penumbra_selftest".format(WIDTH, HEIGHT))
    nuke.root()["format"].setValue("penumbra_selftest")
    test, well = SelfTest(folder), True
    for step in STEPS:
        try:
            line = "ok    {}: {}".format(step, getattr(test, step)())
        except Exception as error:  # one step that fails must not hide the others
            well = False
            line = "FAIL  {}: {}: {}".format(step, type(error).__name__, error)
            traceback.print_exc()
        print(line)
    return well


def main():
    """Run in a new folder; ends with 1 when something failed."""
    folder = tempfile.mkdtemp(prefix="penumbra selftest ")
    well = run(folder)
    print("-" * 72)
    if well:
        print("Penumbra works in this Nuke. Please send us the lines above all the same: nobody has tried yours.")
        shutil.rmtree(folder)
    else:
        print("Please send us everything above, and the engine's log. What was written is in {}".format(folder))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
