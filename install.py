#!/usr/bin/env python3
"""Set Penumbra up: the engine's environment, the demo, the tests, and the nodes in Nuke and Natron.

Standard library only, Python 3.9 or newer. The engine gets an environment of its own, `.venv` beside this file. Outside
this folder nothing changes, except when you ask for `nuke` or `natron`: then one marked block goes into the host's
start-up file, and `uninstall` takes it out again.
"""

import sys

if sys.version_info < (3, 9):
    sys.exit("install.py needs Python 3.9 or newer to run; this is {}.{}.".format(*sys.version_info[:2]))

import argparse
import collections
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

REPO = Path(__file__).resolve().parent
sys.path.insert(0, str(REPO / "plugin"))

from penumbra import installation, launcher, startup_files  # noqa: E402

VENV = REPO / ".venv"
STATE = VENV / "penumbra-install.json"  # there as soon as the folder is ours; says "ready" once all is installed
LOG = VENV / "penumbra-install.log"
TORCH = "torch==2.13.0"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")  # those that torch and OpenEXR are built for
SHOT = REPO / "tests" / "data" / "sun_wall_small"
DEMO = REPO / "demo-out"


class Stop(Exception):
    """The command can't go on. The message says what is wrong and what to do about it."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="install.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Examples:\n  python3 install.py demo\n  python3 install.py nuke\n  python3 install.py doctor",
    )
    builds = argparse.ArgumentParser(add_help=False)
    builds.add_argument("--python", metavar="PATH", help="build the environment with this interpreter")
    builds.add_argument("--torch-index", metavar="URL", help="take torch from this index: another CUDA, the CPU build")
    hosts = argparse.ArgumentParser(add_help=False)
    hosts.add_argument("--home", metavar="DIR", help="act on this home folder instead of yours")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, parent, what in (
        ("demo", builds, "make the environment if need be and run Omnimatte Layers on the bundled shot"),
        ("test", builds, "make the environment if need be and run lint, types, import floors and all tests"),
        ("nuke", hosts, "add Penumbra to this user's Nuke"),
        ("natron", hosts, "add Penumbra to this user's Natron"),
        ("uninstall", hosts, "take Penumbra out of this user's Nuke and Natron"),
        ("doctor", hosts, "check the engine, its surroundings and the hosts"),
    ):
        commands.add_parser(name, parents=[parent], help=what, description=what[0].upper() + what[1:] + ".")
    arguments = parser.parse_args()
    try:
        if getattr(arguments, "home", None):
            move_home(arguments.home)
        if arguments.command in ("demo", "test"):
            prepare(arguments.python, arguments.torch_index, with_tests=arguments.command == "test")
        return {
            "demo": demo,
            "test": test,
            "nuke": lambda: install("nuke"),
            "natron": lambda: install("natron"),
            "uninstall": uninstall,
            "doctor": doctor,
        }[arguments.command]()
    except (Stop, startup_files.NotOurs, OSError) as stop:
        print("install.py: {}".format(stop), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninstall.py: stopped. Run the same command again; what is half done is done anew.", file=sys.stderr)
        return 130


# An interpreter for the engine ----------------------------------------------------------------------------------------

PROBE = """\
import struct, sys, venv, ensurepip
print("%d.%d" % sys.version_info[:2], 8 * struct.calcsize("P"), sys.executable)
"""


def find_python(asked: Optional[str]) -> str:
    """Path of the interpreter asked for, else of the first that fits and really runs. Raises Stop without one."""
    turned_down = []
    for command in [[asked]] if asked else candidates():
        path, why_not = probe(command)
        if path:
            return path
        turned_down.append("  {}: {}".format(" ".join(command), why_not))
    if asked:
        raise Stop("--python{}. Name a Python {} to {}.".format(turned_down[0], PYTHONS[0], PYTHONS[-1]))
    raise Stop(
        "the engine needs Python {} to {} (64-bit), and there is none here. Install one, for example from python.org\n"
        "or with your package manager, then run this again; or name it with --python PATH. Looked at:\n{}".format(
            PYTHONS[0], PYTHONS[-1], "\n".join(turned_down)
        )
    )


def candidates() -> Iterator[list[str]]:
    """Commands that may start a fitting interpreter, best first, each once."""
    windows = os.name == "nt"
    found = [Path(sys.executable)]
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for name in [*("python" + version for version in PYTHONS), "python3", "python"]:
        found += [folder / (name + ".exe" if windows else name) for folder in folders]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in PYTHONS:
        found += [folder / ("python.exe" if windows else "bin/python") for folder in sorted(pyenv.glob(version + ".*"))]
    # Not the environment's own interpreter: it may be about to be replaced.
    yield from ([str(path)] for path in dict.fromkeys(found) if VENV not in path.parents and path.is_file())
    if windows and shutil.which("py"):
        yield from (["py", "-" + version] for version in PYTHONS)


def probe(command: list[str]) -> tuple[str, str]:
    """Run an interpreter: (its path, "") when it fits, else ("", why not). What exists may be a dead pyenv shim."""
    try:
        answer = subprocess.run(
            [*command, "-c", PROBE], capture_output=True, text=True, env=child_environment(), timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", "does not run ({})".format(error)
    if answer.returncode:
        said = answer.stderr.strip().splitlines() or ["exit code {}".format(answer.returncode)]
        if "No module named" in said[-1]:
            return "", "can't make environments (Debian and Ubuntu: install python3-venv)"
        return "", "does not run ({})".format(said[0])
    version, bits, path = answer.stdout.strip().split(" ", 2)
    if version not in PYTHONS:
        return "", "is Python {}".format(version)
    return (path, "") if bits == "64" else ("", "is a 32-bit Python")


def child_environment() -> dict[str, str]:
    """This process's environment without what would lead Python or pip out of `.venv`."""
    leads_out = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    leads_out |= {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV"}
    kept = {name: value for name, value in os.environ.items() if name not in leads_out}
    return {**kept, "PYTHONNOUSERSITE": "1", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


# The environment ------------------------------------------------------------------------------------------------------


def prepare(asked_python: Optional[str], torch_index: Optional[str], with_tests: bool) -> None:
    """Make `.venv` fit what is asked; nothing when it does. Half done, moved or dead, it is made anew."""
    state = read_state()
    packages = hashlib.sha256(b"".join((REPO / side / "pyproject.toml").read_bytes() for side in ("plugin", "engine")))
    base = {"where": str(REPO), "torch": TORCH}
    if asked_python:
        base["python"] = find_python(asked_python)
    if torch_index:
        base["torch_index"] = torch_index
    keep = state.get("ready") and all(state.get(key) == value for key, value in base.items()) and alive()
    with_tests = with_tests or bool(keep and state["tests"])
    wanted = {"packages": packages.hexdigest(), "tests": with_tests}
    if keep and all(state[key] == value for key, value in wanted.items()):
        return
    if not keep:
        state = {"python": base.get("python") or find_python(None), "torch_index": "", **base, **wanted}
        make_environment(state)
    write_state({**state, **wanted, "ready": False})
    print("Installing Penumbra and the libraries it needs")
    pip("-e", "./plugin", "-e", "./engine[test]" if with_tests else "./engine")
    write_state({**state, **wanted, "ready": True})


def make_environment(state: dict) -> None:
    """An environment with torch alone. torch goes first: no later requirement may pull in another build of it."""
    if VENV.exists() and not STATE.exists() and any(VENV.iterdir()):
        raise Stop("{} was not made by install.py and is left alone. Move it away, then run this again.".format(VENV))
    VENV.mkdir(exist_ok=True)
    write_state({**state, "ready": False})
    for entry in VENV.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry != STATE:
            entry.unlink()
    free = shutil.disk_usage(VENV).free / 1e9
    if free < 3:
        raise Stop("{} needs about 3 GB (with CUDA about 8) and only {:.1f} GB are free there.".format(VENV, free))
    print("Making the engine's environment in {} with {}".format(VENV, state["python"]))
    logged([state["python"], "-m", "venv", str(VENV)])
    print("Installing torch; the first time this downloads a lot")
    pip(TORCH, *(["--index-url", state["torch_index"]] if state["torch_index"] else []))


def program(name: str) -> str:
    """Path of a program of the environment."""
    return str(VENV / "Scripts" / (name + ".exe") if os.name == "nt" else VENV / "bin" / name)


def alive() -> bool:
    """Whether the environment's interpreter runs; it does not when the one it was made from has gone."""
    try:
        return subprocess.run([program("python"), "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def read_state() -> dict:
    try:
        return json.loads(STATE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:  # written half: the install was interrupted
        return {"ready": False}


def write_state(state: dict) -> None:
    STATE.write_text(json.dumps(state, indent=1), encoding="utf-8")


def pip(*arguments: str) -> None:
    logged([program("python"), "-m", "pip", "install", *arguments])


OFFLINE = ("establish a new connection", "name resolution", "getaddrinfo", "timed out", "ProxyError", "SSLError")
CAUSES = (
    (("No space left on device", "Errno 28"), "The disk is full; free some GB here and for temporary files (TMPDIR)."),
    (OFFLINE, "The package index can't be reached; check the network, or proxy and index in pip's settings."),
    (("distribution found for torch",), "No such torch for this Python and machine; try another --torch-index."),
    (("(from versions: none)",), "The package index lacks that, or can't be reached; check network and proxy."),
)


def logged(command: list[str]) -> None:
    """Run a step of the install; what it says goes to the log, large downloads to the screen too. Raises Stop."""
    tail: collections.deque[str] = collections.deque(maxlen=400)
    with LOG.open("a", encoding="utf-8") as log, subprocess.Popen(
        command, cwd=REPO, env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout
        log.write("$ {}\n".format(" ".join(command)))
        for line in process.stdout:
            log.write(line)
            tail.append(line)
            if line.lstrip().startswith("Downloading") and "MB)" in line:
                print("  " + line.strip(), flush=True)
    if process.returncode:
        text = "".join(tail)
        cause = next((advice for signs, advice in CAUSES if any(sign in text for sign in signs)), "")
        raise Stop(
            "the install stopped at: {}\n{}\n{}\nAll of it is in {}. Run this again to start over.".format(
                " ".join(command), "".join(list(tail)[-8:]).rstrip(), cause, LOG
            )
        )


# demo and test --------------------------------------------------------------------------------------------------------


def demo() -> int:
    """Omnimatte Layers on the bundled shot, without a running engine and with its cache beside the result."""
    surroundings = {**child_environment(), "PENUMBRA_HOME": str(DEMO / "engine")}
    surroundings.pop("OCIO", None)  # the shot's space is one of the built-in config, perhaps not of the facility's
    command = [program("penumbra"), "run", "omnimatte", "--in-process", "--json", "--out", str(DEMO)]
    command += ["--plate", str(SHOT / "plate.####.exr"), "--mask", "cart=" + str(SHOT / "mask1.####.png")]
    command += ["--frames", "1001-1024", "--colorspace", "lin_rec709_scene"]
    print("Solving {} (24 frames): the cart and its long shadow become one layer".format(SHOT.name), flush=True)
    answer = subprocess.run(command, env=surroundings, stdout=subprocess.PIPE, check=False)
    if answer.returncode:
        raise Stop("the demo did not finish; the message above says why. `install.py doctor` checks the rest.")
    result = json.loads(answer.stdout)
    pictures = {
        "cart with its shadow": DEMO / "cart" / "cart.####.exr",
        "clean background": DEMO / "background" / "background.####.exr",
        "overview picture": DEMO / "overview.png",
        "report": DEMO / "report.json",
    }
    missing = [str(path) for path in pictures.values() if not Path(str(path).replace("####", "1024")).is_file()]
    if missing:
        raise Stop("the solve ended but did not write {}. Please report this.".format(", ".join(missing)))
    print("Solved in {:.0f} s; the layers are in {}:".format(result["seconds"], result["colorspace"]))
    for what, path in pictures.items():
        print("  {:<20}  {}".format(what, path))
    for warning in result["warnings"]:
        print("  warning: {}".format(warning))
    return 0


STEPS = (
    ("lint", ["ruff", "check", "."]),
    ("types", ["mypy"]),
    ("import floors", ["lint-imports"]),
    ("host side is 3.7", ["vermin", "--target=3.7-", "--no-tips", "--quiet", "plugin", "gizmos"]),
    ("unit tests", ["pytest", "-m", "not slow"]),
    ("slow tests", ["pytest", "-m", "slow"]),
)


def test() -> int:
    """Every check in turn, the quick ones first; stops at the first that fails."""
    summary = []
    for name, command in STEPS:
        print("\n== {}: {}".format(name, " ".join(command)), flush=True)
        start = time.monotonic()
        code, closing = shown([program(command[0]), *command[1:]])
        verdict = "FAILED" if code else "ok"
        summary.append("{:<18} {:<6} {:>5.0f} s  {}".format(name, verdict, time.monotonic() - start, closing))
        if code:
            break
    print("\n== summary\n" + "\n".join(summary), flush=True)
    if code:
        raise Stop("stopped at {!r}; fix that, then run `install.py test` again.".format(name))
    return 0


def shown(command: list[str]) -> tuple[int, str]:
    """Run a command with its output shown as it comes. Returns its exit code and the last line it said."""
    tail = b""
    with subprocess.Popen(
        command, cwd=REPO, env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout
        stream = process.stdout.fileno()
        for chunk in iter(lambda: os.read(stream, 65536), b""):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            tail = (tail + chunk)[-4096:]
    lines = tail.decode("utf-8", "replace").strip().splitlines()
    return process.returncode, lines[-1].strip("= ") if lines else ""


# The hosts ------------------------------------------------------------------------------------------------------------


def move_home(folder: str) -> None:
    """Let this process and its children take `folder` for the user's home."""
    home = Path(folder).expanduser().absolute()
    if not home.is_dir():
        raise Stop("--home {}: no such folder. Make it first, or leave --home out for your own.".format(folder))
    os.environ.update(HOME=str(home), USERPROFILE=str(home), LOCALAPPDATA=str(home / "AppData" / "Local"))
    os.environ.pop("PENUMBRA_HOME", None)


def pieces(host: str) -> list:
    return installation.pieces(host, REPO, [program("penumbra")])


def install(host: str) -> int:
    """Put all pieces in place, or none when one of them would touch what is not ours."""
    for piece in pieces(host):
        piece.check()
    for piece in pieces(host):
        print("{:<10} {}".format(piece.put(), piece))
    print("Restart {} to see the nodes. `install.py uninstall` takes them out again.".format(host.capitalize()))
    if not alive():
        print("The engine is not installed yet: `install.py demo` does that.")
    return 0


def uninstall() -> int:
    """Take all pieces out of both hosts, or none when one of them is no longer ours."""
    everything = [piece for host in installation.HOSTS for piece in pieces(host)]
    for piece in everything:
        piece.check()
    removed = [piece for piece in everything if piece.remove()]
    for piece in removed:
        print("{:<10} {}".format("removed", piece))
    if not removed:
        print("Penumbra is in no host of {}; nothing changed.".format(Path.home()))
    print("Left: {} (delete it when you like) and {} (cache, logs).".format(REPO, launcher.home()))
    return 0


def doctor() -> int:
    """The engine's own checks, then whether the hosts' pieces are whole and lead here."""
    if read_state().get("ready") and alive():
        command = [program("penumbra"), "doctor"]
        healthy = subprocess.run(command, env=child_environment(), check=False).returncode == 0
    else:
        healthy = False
        print("engine: not installed; `install.py demo` does that")
    for host in installation.HOSTS:
        problems = installation.problems(pieces(host))
        if problems is None:
            print("{}: nodes not installed; `install.py {}` does that".format(host, host))
            continue
        healthy = healthy and not problems
        for line in problems or ["nodes installed from {}".format(REPO)]:
            print("{}: {}".format(host, line))
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
