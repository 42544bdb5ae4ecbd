"""A real Natron finds the nodes after `install.py natron`, and finds nothing after `install.py uninstall`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
NATRON = shutil.which("NatronRenderer")

pytestmark = [
    pytest.mark.natron,
    pytest.mark.skipif(NATRON is None, reason="no NatronRenderer on PATH"),
]

SCRIPT = """\
import NatronEngine, sys
ours = [name for name in NatronEngine.natron.getPluginIDs() if "penumbra" in name.lower()]
print("OURS", *ours)
sys.exit(0)
"""


def nodes_in_natron(home: Path) -> list[str]:
    """Ids of our nodes in a Natron that this user starts now."""
    (home / "list.py").write_text(SCRIPT)
    answer = subprocess.run(
        [str(NATRON), "-t", str(home / "list.py")],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("OURS")]
    return line.split()[1:]


def test_the_nodes_come_with_the_installation_and_go_with_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    install = [sys.executable, str(REPO / "install.py")]
    subprocess.run([*install, "natron", "--home", str(home)], check=True)
    assert nodes_in_natron(home)
    subprocess.run([*install, "uninstall", "--home", str(home)], check=True)
    assert nodes_in_natron(home) == []
