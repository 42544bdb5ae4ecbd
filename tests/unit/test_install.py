"""install.py: the interpreter it finds, the environment it keeps, the hosts it enters and leaves; no downloads."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

REPO = Path(__file__).resolve().parents[2]
PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"

posix_only = pytest.mark.skipif(os.name == "nt", reason="the stand-ins for interpreters are shell scripts")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """install.py as a module, with its environment, demo and pip in a folder of this test."""
    spec = importlib.util.spec_from_file_location("install", REPO / "install.py")
    assert spec and spec.loader
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    venv = tmp_path / "venv"
    for name, value in {
        "VENV": venv,
        "STATE": venv / "penumbra-install.json",
        "LOG": venv / "penumbra-install.log",
        "DEMO": tmp_path / "demo-out",
    }.items():
        monkeypatch.setattr(module, name, value)
    yield module


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(0o755)
    return path


def run(*arguments: str, python: str = sys.executable) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [python, str(REPO / "install.py"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


# The interpreter ------------------------------------------------------------------------------------------------------


@posix_only
def test_the_first_interpreter_that_fits_and_runs_is_taken(install, tmp_path, monkeypatch):
    dead = script(tmp_path / "shims" / "python3.11", "echo 'pyenv: python3.11: command not found' >&2; exit 127")
    script(tmp_path / "old" / "python3.12", "echo 3.9 64 /old")  # the name alone proves nothing
    script(tmp_path / "bare" / "python3.13", "echo \"ModuleNotFoundError: No module named 'ensurepip'\" >&2; exit 1")
    good = script(tmp_path / "good" / "python3.14", "echo 3.14 64 /opt/my python/bin/python3.14")
    monkeypatch.setattr(sys, "executable", str(dead))
    monkeypatch.setenv("PATH", os.pathsep.join(str(tmp_path / name) for name in ("shims", "old", "bare", "good")))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "no pyenv"))
    assert install.find_python(None) == "/opt/my python/bin/python3.14"
    good.unlink()
    with pytest.raises(install.Stop) as stop:
        install.find_python(None)
    message = str(stop.value)
    assert "needs Python 3.11 to 3.14" in message and "--python PATH" in message
    assert "python3.11: does not run (pyenv: python3.11: command not found)" in message
    assert "python3.12: is Python 3.9" in message
    assert "python3.13: can't make environments (Debian and Ubuntu: install python3-venv)" in message


@posix_only
def test_interpreters_under_pyenv_are_found_without_their_shims(install, tmp_path, monkeypatch):
    script(tmp_path / "pyenv" / "versions" / "3.12.1" / "bin" / "python", "echo 3.12 64 /pyenv/3.12")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert install.find_python(None) == "/pyenv/3.12"


@posix_only
@pytest.mark.parametrize(
    ("answer", "why"), [("echo 3.10 64 /x", "is Python 3.10"), ("echo 3.12 32 /x", "is a 32-bit Python")]
)
def test_an_interpreter_asked_for_is_taken_or_refused_never_swapped(install, tmp_path, answer, why):
    named = script(tmp_path / "python", answer)
    with pytest.raises(install.Stop, match=why):
        install.find_python(str(named))


def test_an_interpreter_that_is_not_there_is_named(install, tmp_path):
    with pytest.raises(install.Stop, match=r"--python .*nothing.* does not run"):
        install.find_python(str(tmp_path / "nothing"))


def test_this_interpreter_fits(install):
    path, why_not = install.probe([sys.executable])
    assert (bool(path), why_not) == (True, "")


def test_what_leads_out_of_the_environment_is_dropped(install, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PIP_TARGET", "/somewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    kept = install.child_environment()
    assert "PYTHONPATH" not in kept and "PIP_TARGET" not in kept
    assert kept["PIP_INDEX_URL"] == "https://mirror.example/simple"


@pytest.mark.parametrize("version", ["3.6", "3.7", "3.8"])
def test_an_older_python_is_told_so(version):
    old = sorted(PYENV.glob(version + ".*/bin/python"))
    if not old:
        pytest.skip(f"no Python {version} under {PYENV}")
    answer = run("demo", python=str(old[-1]))
    assert answer.returncode == 1
    assert answer.stderr.strip() == f"install.py needs Python 3.9 or newer to run; this is {version}."


def test_it_runs_on_3_9():
    found = sorted(PYENV.glob("3.9.*/bin/python"))
    if not found:
        pytest.skip(f"no Python 3.9 under {PYENV}")
    answer = run("--help", python=str(found[-1]))
    assert answer.returncode == 0 and "uninstall" in answer.stdout


# The environment ------------------------------------------------------------------------------------------------------


class FakeSteps:
    """In the place of `python -m venv` and pip: notes the steps; `fail` names the one to be interrupted."""

    def __init__(self, venv: Path) -> None:
        self.venv = venv
        self.taken: list[str] = []
        self.fail = ""

    def __call__(self, command: list[str]) -> None:
        text = " ".join(command)
        step = "venv" if "-m venv" in text else "torch" if "torch==" in text else "packages"
        self.taken.append(step + (" with tests" if "[test]" in text else ""))
        if self.fail == step:
            raise KeyboardInterrupt
        if step == "venv":
            (self.venv / "lib").mkdir()


@pytest.fixture
def steps(install, monkeypatch: pytest.MonkeyPatch) -> FakeSteps:
    fake = FakeSteps(install.VENV)
    monkeypatch.setattr(install, "logged", fake)
    monkeypatch.setattr(install, "alive", lambda: (install.VENV / "lib").is_dir())
    monkeypatch.setattr(install, "find_python", lambda asked: asked or "/usr/bin/python3.11")
    return fake


def test_the_environment_is_made_once_with_torch_first(install, steps):
    install.prepare(None, None, with_tests=False)
    assert steps.taken == ["venv", "torch", "packages"]
    install.prepare(None, None, with_tests=False)
    assert steps.taken == ["venv", "torch", "packages"]


def test_test_tools_are_added_to_it_and_never_taken_away(install, steps):
    install.prepare(None, None, with_tests=False)
    install.prepare(None, None, with_tests=True)
    install.prepare(None, None, with_tests=False)
    assert steps.taken == ["venv", "torch", "packages", "packages with tests"]


@pytest.mark.parametrize("step", ["venv", "torch", "packages"])
def test_an_interrupted_install_is_done_anew(install, steps, step):
    steps.fail = step
    with pytest.raises(KeyboardInterrupt):
        install.prepare(None, None, with_tests=False)
    steps.fail, steps.taken = "", []
    (install.VENV / "half-written").write_bytes(b"")
    install.prepare(None, None, with_tests=False)
    assert steps.taken == ["venv", "torch", "packages"]
    assert not (install.VENV / "half-written").exists()


def test_new_requirements_are_installed_into_it(install, steps):
    install.prepare(None, None, with_tests=False)
    state = json.loads(install.STATE.read_text())
    install.STATE.write_text(json.dumps({**state, "packages": "of an older checkout"}))
    install.prepare(None, None, with_tests=False)
    assert steps.taken == ["venv", "torch", "packages", "packages"]


@pytest.mark.parametrize("key", ["where", "torch"])
def test_a_moved_repository_or_another_torch_means_anew(install, steps, key):
    install.prepare(None, None, with_tests=False)
    state = json.loads(install.STATE.read_text())
    install.STATE.write_text(json.dumps({**state, key: "as it was"}))
    install.prepare(None, None, with_tests=False)
    assert steps.taken == ["venv", "torch", "packages"] * 2


def test_another_index_or_interpreter_means_anew_and_leaving_them_out_keeps_them(install, steps):
    install.prepare("/opt/python3.12", "https://index.example/cpu", with_tests=False)
    install.prepare(None, None, with_tests=False)
    assert steps.taken == ["venv", "torch", "packages"]
    install.prepare(None, "https://index.example/cu130", with_tests=False)
    assert json.loads(install.STATE.read_text())["torch_index"] == "https://index.example/cu130"
    install.prepare("/opt/python3.13", None, with_tests=False)
    assert steps.taken == ["venv", "torch", "packages"] * 3


def test_an_environment_whose_interpreter_has_gone_is_made_anew(install, steps):
    install.prepare(None, None, with_tests=False)
    shutil.rmtree(install.VENV / "lib")
    install.prepare(None, None, with_tests=False)
    assert steps.taken == ["venv", "torch", "packages"] * 2


def test_an_environment_of_somebody_else_is_left_alone(install, steps):
    install.VENV.mkdir()
    (install.VENV / "pyvenv.cfg").write_text("mine")
    with pytest.raises(install.Stop, match="was not made by install"):
        install.prepare(None, None, with_tests=False)
    assert steps.taken == [] and (install.VENV / "pyvenv.cfg").read_text() == "mine"


def test_too_little_room_is_said_before_anything_is_downloaded(install, steps, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**10, 9 * 10**9, 10**9))
    with pytest.raises(install.Stop, match=r"needs about 3 GB .* only 1\.0 GB are free"):
        install.prepare(None, None, with_tests=False)
    assert steps.taken == []


@posix_only
@pytest.mark.parametrize(
    ("pip_says", "advice"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "The disk is full"),
        ("Failed to establish a new connection: [Errno -2]", "package index can't be reached"),
        ("ERROR: No matching distribution found for torch==2.13.0", "another --torch-index"),
        ("ERROR: No matching distribution found for numpy (from versions: none)", "lacks that, or can't be reached"),
        ("ERROR: something else", "Run this again"),
    ],
)
def test_a_step_that_fails_says_why_and_where_the_log_is(install, tmp_path, pip_says, advice):
    install.VENV.mkdir()
    pip = script(tmp_path / "pip", f"echo 'Downloading torch.whl (180 MB)'; echo '{pip_says}'; exit 1")
    with pytest.raises(install.Stop) as stop:
        install.logged([str(pip)])
    assert advice in str(stop.value) and pip_says in str(stop.value) and str(install.LOG) in str(stop.value)
    assert pip_says in install.LOG.read_text()


@posix_only
def test_large_downloads_show_on_the_screen(install, tmp_path, capfd):
    install.VENV.mkdir()
    says = "echo Collecting torch; echo 'Downloading six.whl (11 kB)'; echo '  Downloading torch.whl (180 MB)'"
    install.logged([str(script(tmp_path / "pip", says))])
    assert capfd.readouterr().out == "  Downloading torch.whl (180 MB)\n"


# demo and test --------------------------------------------------------------------------------------------------------


def fake_programs(install, **texts: str) -> None:
    for name, text in texts.items():
        script(install.VENV / "bin" / name.replace("_", "-"), text)


@posix_only
def test_the_demo_says_where_its_pictures_are(install, capfd, monkeypatch):
    monkeypatch.setenv("OCIO", "/facility/config.ocio")
    files = "cart/cart.1024.exr background/background.1024.exr overview.png report.json"
    fake_programs(
        install,
        penumbra=f'echo "$@" > {install.VENV}/said; echo "$PENUMBRA_HOME $OCIO" >> {install.VENV}/said\n'
        f"cd {install.DEMO.parent}; mkdir -p demo-out/cart demo-out/background; cd demo-out; touch {files}\n"
        'echo \'{"seconds": 21.4, "colorspace": "ACEScg", "warnings": ["it rains"]}\'',
    )
    assert install.demo() == 0
    said = (install.VENV / "said").read_text().splitlines()
    assert said[0].startswith("run omnimatte --in-process") and "--frames 1001-1024" in said[0]
    assert said[1] == f"{install.DEMO / 'engine'} "  # a home of its own, and no OCIO config from outside
    shown = capfd.readouterr().out
    assert "Solved in 21 s; the layers are in ACEScg" in shown and "warning: it rains" in shown
    for path in ("cart/cart.####.exr", "background/background.####.exr", "overview.png"):
        assert str(install.DEMO / path) in shown


@posix_only
def test_a_demo_that_fails_or_writes_nothing_is_no_success(install):
    fake_programs(install, penumbra="exit 4")
    with pytest.raises(install.Stop, match="did not finish"):
        install.demo()
    fake_programs(install, penumbra="echo '{}'")
    with pytest.raises(install.Stop, match=r"did not write .*cart\.####\.exr"):
        install.demo()


@pytest.mark.slow
def test_the_demo_runs_with_the_engine_that_is_here(install, monkeypatch, capfd):
    monkeypatch.setattr(install, "VENV", Path(sys.prefix))
    assert install.demo() == 0
    said = capfd.readouterr()
    assert "Solved in" in said.out and "warning" not in said.out and "left" in said.err
    layers = [install.DEMO / name for name in ("cart/cart.1001.exr", "background/background.1024.exr")]
    assert all(path.is_file() for path in layers)


@posix_only
def test_the_checks_run_in_order_and_the_summary_ends_with_what_pytest_said(install, capfd):
    fake_programs(install, ruff="true", mypy="true", lint_imports="true", vermin="true", pytest="echo '== 7 passed =='")
    assert install.test() == 0
    out = capfd.readouterr().out
    assert [line.split(":")[0] for line in out.splitlines() if line.startswith("== ")][:2] == ["== lint", "== types"]
    assert out.splitlines()[-1].startswith("slow tests") and out.splitlines()[-1].endswith("7 passed")


@posix_only
def test_the_first_check_that_fails_ends_it(install, capfd):
    fake_programs(install, ruff="true", mypy="echo 'Found 2 errors'; exit 1", lint_imports="touch ran", pytest="true")
    with pytest.raises(install.Stop, match="stopped at 'types'"):
        install.test()
    summary = capfd.readouterr().out.split("== summary\n")[1].splitlines()
    assert [line.split()[1] for line in summary] == ["ok", "FAILED"] and summary[1].endswith("Found 2 errors")


# The hosts ------------------------------------------------------------------------------------------------------------


def snapshot(folder: Path) -> dict[str, object]:
    """Every file and link below the folder. Empty folders may stay: the hosts make them too."""
    return {
        str(path.relative_to(folder)): path.readlink() if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A home folder with the start-up files of somebody who uses both hosts."""
    home = tmp_path / "a user's höme"
    (home / ".nuke").mkdir(parents=True)
    (home / ".nuke" / "init.py").write_bytes(b"nuke.pluginAddPath('./gizmos')\r\n# no line end here")
    (home / ".Natron").mkdir()
    (home / ".Natron" / "init.py").write_bytes(b"")
    return home


@pytest.mark.parametrize("hosts", [["nuke"], ["natron"], ["nuke", "natron"]])
def test_installing_and_uninstalling_leaves_every_byte_as_it_was(user, hosts):
    before = snapshot(user)
    for host in hosts:
        assert run(host, "--home", str(user)).returncode == 0
    assert snapshot(user) != before
    answer = run("uninstall", "--home", str(user))
    assert answer.returncode == 0 and answer.stdout.count("removed") >= 2
    assert snapshot(user) == before
    again = run("uninstall", "--home", str(user))
    assert again.returncode == 0 and "nothing changed" in again.stdout


@pytest.mark.parametrize("host", ["nuke", "natron"])
def test_installing_twice_changes_nothing(user, host):
    run(host, "--home", str(user))
    once = snapshot(user)
    answer = run(host, "--home", str(user))
    assert answer.returncode == 0 and "added" not in answer.stdout and "replaced" not in answer.stdout
    assert snapshot(user) == once


def test_all_or_nothing_when_one_piece_is_not_ours(user):
    (user / ".Natron" / "Penumbra").mkdir()
    before = snapshot(user)
    answer = run("natron", "--home", str(user))
    assert answer.returncode == 1 and "Penumbra is not Penumbra's. Move it away" in answer.stderr
    assert snapshot(user) == before


def test_an_edited_block_stops_install_and_uninstall(user):
    run("nuke", "--home", str(user))
    init = user / ".nuke" / "init.py"
    init.write_bytes(init.read_bytes().replace(b"gizmos/nuke", b"gizmos/mine"))
    before = snapshot(user)
    for command in ("nuke", "uninstall"):
        answer = run(command, "--home", str(user))
        assert answer.returncode == 1 and "edited by hand" in answer.stderr
    assert snapshot(user) == before


def test_an_engine_file_written_by_hand_is_left_alone(user, monkeypatch):
    run("nuke", "--home", str(user))
    (engine,) = user.rglob("engine.json")
    engine.write_text('{"command": ["/facility/penumbra"]}')
    answer = run("nuke", "--home", str(user))
    assert answer.returncode == 1 and "engine.json was not written by install.py" in answer.stderr


def test_the_block_opens_the_way_to_this_checkout(user):
    """Run Nuke's start-up file as Nuke does, with a stand-in for its module."""
    (user / ".nuke" / "init.py").write_bytes(b"import nuke\n")
    run("nuke", "--home", str(user))
    nuke = user / "nuke.py"
    nuke.write_text("paths = []\npluginAddPath = paths.append\n")
    code = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_path(sys.argv[2])\n"
    code += "import nuke, penumbra.protocol; print(*nuke.paths, penumbra.protocol.__file__, sep='\\n')"
    answer = subprocess.run(
        [sys.executable, "-S", "-c", code, str(user), str(user / ".nuke" / "init.py")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    paths = [Path(line) for line in answer.stdout.splitlines()]
    assert paths == [REPO / "plugin/startup/nuke", REPO / "gizmos/nuke", REPO / "plugin/penumbra/protocol.py"]
    assert all(path.exists() for path in paths)


def test_a_checkout_that_has_gone_says_so_and_does_not_break_the_host(user):
    run("natron", "--home", str(user))
    init = user / ".Natron" / "init.py"
    moved = init.read_text().replace(repr(REPO.as_posix()), "'/gone/away'")
    answer = subprocess.run([sys.executable, "-c", moved], capture_output=True, text=True, check=False)
    assert answer.returncode == 0 and "Penumbra is no longer in /gone/away" in answer.stdout


def test_what_the_natron_files_run_is_there(user):
    run("natron", "--home", str(user))
    assert (user / ".Natron" / "Penumbra").resolve() == REPO / "gizmos" / "natron"
    assert list((user / ".Natron" / "Penumbra").glob("*.py"))
    for name in ("init.py", "initGui.py"):
        assert f'"/plugin/startup/natron/{name}"' in (user / ".Natron" / name).read_text()
        assert (REPO / "plugin" / "startup" / "natron" / name).is_file()


def test_doctor_tells_installed_from_missing_and_broken(install, user, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.setenv("USERPROFILE", str(user))
    assert install.doctor() == 1
    said = capsys.readouterr().out
    assert "engine: not installed" in said and "nuke: nodes not installed" in said
    install.install("natron")
    Path(install.program("penumbra")).parent.mkdir(parents=True)
    Path(install.program("penumbra")).write_text("")
    capsys.readouterr()
    install.doctor()
    assert f"natron: nodes installed from {REPO}" in capsys.readouterr().out
    (user / ".Natron" / "Penumbra").unlink()
    install.doctor()
    said = capsys.readouterr().out
    assert f"natron: missing: link {user / '.Natron' / 'Penumbra'}" in said and "nuke: nodes not installed" in said


def test_the_launcher_reads_what_the_installation_wrote(install, user, monkeypatch):
    from penumbra import launcher

    monkeypatch.setenv("HOME", str(user))
    install.install("nuke")
    assert launcher.engine_command() == [install.program("penumbra")]


def test_a_home_that_is_not_there_is_refused(tmp_path):
    answer = run("nuke", "--home", str(tmp_path / "nobody"))
    assert answer.returncode == 1 and "no such folder" in answer.stderr
    assert not (tmp_path / "nobody").exists()
