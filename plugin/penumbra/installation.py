"""What the installation puts into a user's Nuke and Natron, piece by piece, and how to take each piece out again.

Every piece knows how to `check` that only our own would be changed, to `put` itself there, to `remove` itself, and to
tell its `state`. Where a user's Natron and Nuke look: docs/architecture.md.
"""

import abc
import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

from . import launcher, startup_files
from .startup_files import NotOurs

HOSTS = ("nuke", "natron")

_BODY = """\
import os
import sys

_penumbra = {repository}
if os.path.isdir(_penumbra):
{lines}
else:
    print("Penumbra is no longer in " + _penumbra + "; run install.py again in the folder where it is now.")
"""
# Natron runs its start-up files in the main module and tells them no __file__; ours are run alike.
_RUN = """    exec(compile(open(_penumbra + "/{0}", encoding="utf-8").read(), _penumbra + "/{0}", "exec"))"""
_LINES = {
    "nuke": [
        (
            ".nuke/init.py",
            [
                """    import nuke""",
                """    sys.path.append(_penumbra + "/plugin")""",
                """    nuke.pluginAddPath(_penumbra + "/plugin/startup/nuke")""",
                """    nuke.pluginAddPath(_penumbra + "/gizmos/nuke")""",
            ],
        )
    ],
    "natron": [
        (
            ".Natron/init.py",
            ["""    sys.path.append(_penumbra + "/plugin")""", _RUN.format("plugin/startup/natron/init.py")],
        ),
        (".Natron/initGui.py", [_RUN.format("plugin/startup/natron/initGui.py")]),
    ],
}


def pieces(host: str, repository: Path, engine: List[str]) -> List[Any]:
    """All that `host` needs to find the nodes in `repository`, and the command line that starts the engine."""
    found = []  # type: List[Any]
    for name, lines in _LINES[host]:
        body = _BODY.format(repository=ascii(repository.as_posix()), lines="\n".join(lines))
        found.append(StartupLines(user_home(host), name, body))
    if host == "natron":
        found.append(PyPlugs(user_home(host) / ".Natron" / "Penumbra", repository / "gizmos" / "natron"))
    found.append(EngineCommand(launcher.home() / "engine.json", engine, repository))
    return found


def problems(found: List[Any]) -> Optional[List[str]]:
    """What is wrong with the pieces of a host, one line each; None when the host has none of them."""
    states = []
    for piece in found:
        try:
            states.append(piece.state())
        except NotOurs as error:
            states.append(str(error))
    if all(state is None for state in states[:-1]):  # the last is the engine's command, which both hosts share
        return None
    return [
        "missing: {}".format(piece) if state is None else state for piece, state in zip(found, states) if state != ""
    ]


def user_home(host: str) -> Path:
    """The user's home folder as the host sees it. On Windows, Nuke asks $HOME first, Natron and Python do not."""
    return Path(os.environ["HOME"]) if host == "nuke" and os.environ.get("HOME") else Path.home()


class StartupLines:
    """Our block in a start-up file of the host."""

    def __init__(self, home: Path, name: str, body: str) -> None:
        self.path = home / name
        self._home = home
        self._body = body

    def __str__(self) -> str:
        return "lines in {}".format(self.path)

    def check(self) -> None:
        """Raise NotOurs when put() or remove() would change what is the user's."""
        startup_files.check(self.path, self._home)

    def put(self) -> str:
        """Write the block; "added", "replaced" or "unchanged"."""
        return startup_files.put(self.path, self._body, self._home)

    def remove(self) -> bool:
        """Take the block out; False when there is none."""
        return startup_files.remove(self.path, self._home)

    def state(self) -> Optional[str]:
        """What is wrong with it; "" when nothing is, None when it is not there. Raises NotOurs as check() does."""
        block = startup_files.find(self.path)
        if block is None:
            return None
        return "" if block.body == self._body else "{} start another Penumbra, or an older one".format(self)


class OfOurs(abc.ABC):
    """A file or link of its own. `_now` gives what is there, nothing when it isn't, and raises NotOurs when that is
    somebody else's."""

    path: Path

    @abc.abstractmethod
    def _now(self) -> Any:
        """What is there."""

    def check(self) -> None:
        """Raise NotOurs when put() or remove() would change what is the user's."""
        self._now()

    def remove(self) -> bool:
        """Take it away; False when it is not there."""
        if not self._now():
            return False
        self.path.unlink()
        return True


class PyPlugs(OfOurs):
    """A link in Natron's own folder to our PyPlugs, which Natron searches with all below it.

    A search path added from init.py would do nothing before the next start, and Natron would keep it in its settings.
    """

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self._target = target

    def __str__(self) -> str:
        return "link {}".format(self.path)

    def _now(self) -> str:
        """Where the link points; "" when there is none. Raises NotOurs when something else has the name."""
        try:
            now = os.readlink(str(self.path))
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise NotOurs("{} is not Penumbra's. Move it away, then run this again.".format(self.path)) from error
        if Path(now).parts[-2:] != self._target.parts[-2:]:
            raise NotOurs("{} is a link to {}. Move it away, then run this again.".format(self.path, now))
        return now[4:] if now.startswith("\\\\?\\") else now

    def put(self) -> str:
        """Make the link; "added", "replaced" or "unchanged"."""
        now = self._now()
        if now == str(self._target):
            return "unchanged"
        if now:
            self.path.unlink()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if sys.platform == "win32":
            import _winapi  # a junction needs no special right, a symbolic link does

            _winapi.CreateJunction(str(self._target), str(self.path))
        else:
            self.path.symlink_to(self._target, target_is_directory=True)
        return "replaced" if now else "added"

    def state(self) -> Optional[str]:
        """What is wrong with it; "" when nothing is, None when it is not there. Raises NotOurs as check() does."""
        now = self._now()
        if not now:
            return None
        return "" if now == str(self._target) else "{} leads to another Penumbra, {}".format(self, now)


class EngineCommand(OfOurs):
    """The file in the engine's folder that tells the hosts how to start the engine."""

    def __init__(self, path: Path, command: List[str], repository: Path) -> None:
        self.path = path
        # `repository` also says that the installation wrote the file: one written by hand lacks it.
        self._content = {"command": command, "repository": str(repository)}

    def __str__(self) -> str:
        return "file {}".format(self.path)

    def _now(self) -> Dict[str, Any]:
        """What the file says; {} when it is not there. Raises NotOurs when somebody else wrote it."""
        try:
            now = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            now = None
        if not isinstance(now, dict) or "repository" not in now:
            raise NotOurs("{} was not written by install.py. Move it away, then run this again.".format(self.path))
        return now

    def put(self) -> str:
        """Write the file; "added", "replaced" or "unchanged"."""
        now = self._now()
        if now == self._content:
            return "unchanged"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(self._content, indent=1) + "\n", encoding="utf-8")
        os.replace(str(temporary), str(self.path))
        return "replaced" if now else "added"

    def state(self) -> Optional[str]:
        """What is wrong with it; "" when nothing is, None when it is not there. Raises NotOurs as check() does."""
        now = self._now()
        if not now:
            return None
        if now != self._content:
            return "{} names the engine of another Penumbra, {}".format(self, now["repository"])
        program = self._content["command"][0]
        return "" if os.path.isfile(program) else "{} is missing; `install.py demo` makes it".format(program)
