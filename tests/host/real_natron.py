"""Runs scripts in a real NatronRenderer, each in a folder and a home of its own."""

import json
import os
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
SHOT = REPO / "tests" / "data" / "sun_wall_small"
NATRON = shutil.which("NatronRenderer")

#: Before every script: a node with a Read at each input, a writer below it, and an engine that does what it is told.
SETUP = """
import json, os, sys, time, traceback

said = {}

def placed(kind, **inputs):
    node = app.createNode("org.penumbra." + kind)
    names = [node.getInputLabel(index) for index in range(node.getMaxInputCount())]
    for name, file in inputs.items():
        node.connectInput(names.index(name), app.createReader(os.path.join(SHOT, file)))
    node.getParam("folder").set(os.path.join(FOLDER, "results"))
    write = app.createNode("fr.inria.openfx.WriteOIIO")
    write.connectInput(0, node)
    write.getParam("formatType").set("input")
    return node, write

def scene():
    return placed("OmnimatteLayers", plate="plate.####.exr", mask1="mask1.####.png")

def knobs(node, **values):
    for name, value in values.items():
        node.getParam(name).set(value)

def refusal(call):
    import penumbra.staging
    try:
        call()
    except penumbra.staging.Refused as error:
        return str(error)

def rendered(write, first, last, name="out"):
    write.getParam("filename").set(os.path.join(FOLDER, name, name + ".####.exr"))
    os.makedirs(os.path.join(FOLDER, name), exist_ok=True)
    app.render(write, first, last)
    return sorted(os.listdir(os.path.join(FOLDER, name)))

def all_outputs(node, write, first, last):
    files = {}
    for label in node.getParam("output").getOptions():
        node.getParam("output").set(label)
        files[label] = rendered(write, first, last, label)
    return files

def engine():
    sys.path.append(os.path.join(REPO, "tests", "host"))
    import fake_engine
    import penumbra.hosts.solve as flow
    made = fake_engine.Engine()
    made.by_itself = True
    made.picture = open(os.path.join(SHOT, "obj1_layer.1005.exr"), "rb").read()
    flow.any_engine = flow.running_engine = made.connect
    return made

try:
    BODY
except BaseException:
    said["error"] = traceback.format_exc()
with open(os.path.join(FOLDER, "said.json"), "w") as file:
    json.dump(said, file)
os._exit(0)  # some builds of Natron crash on the way out
"""


class Natron:
    """Natron for one test, with a home and a folder of its own."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        folder.mkdir()

    def call(self, *arguments: str, home: Path | None = None, **more: str) -> str:
        environment = {
            "HOME": str(home or self.home),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "QT_QPA_PLATFORM": "offscreen",
            "PENUMBRA_HOME": str(self.folder / "engine"),
            **more,
        }
        answer = subprocess.run(
            [str(NATRON), *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        return answer.stdout + answer.stderr

    def run(self, body: str, **more: str) -> dict[str, Any]:
        """What the script puts into `said`."""
        names = {"SHOT": str(SHOT), "FOLDER": str(self.folder), "REPO": str(REPO)}
        head = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        indented = textwrap.indent(textwrap.dedent(body), "    ").strip()
        script = self.folder / "script.py"
        script.write_text(head + SETUP.replace("BODY", indented), encoding="utf-8")
        self.log = self.call("-t", str(script), **more)
        said: dict[str, Any] = json.loads((self.folder / "said.json").read_text())
        assert "error" not in said, said["error"]
        return said

    def pixels(self, name: str) -> Any:
        import OpenImageIO as oiio

        picture = oiio.ImageBuf(str(self.folder / name))
        assert not picture.has_error, picture.geterror()
        return picture.get_pixels(oiio.FLOAT, picture.roi_full)

    def channels(self, name: str) -> dict[str, Any]:
        """Every channel of all parts of a file, by its name."""
        import OpenImageIO as oiio

        found: dict[str, Any] = {}
        for part in range(oiio.ImageBuf(str(self.folder / name)).nsubimages):
            picture = oiio.ImageBuf(str(self.folder / name), part, 0)
            values = picture.get_pixels(oiio.FLOAT, picture.roi_full)
            found.update((channel, values[..., at]) for at, channel in enumerate(picture.spec().channelnames))
        return found
