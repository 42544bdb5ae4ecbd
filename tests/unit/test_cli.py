"""The command line: what it sends, what it prints where, and the code it ends with."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from penumbra import launcher
from penumbra.protocol import JobState
from penumbra_engine.cache import Store
from penumbra_engine.cli import app, doctor, main
from penumbra_engine.cli import run as run_command
from penumbra_engine.media.colour import BUILT_IN
from penumbra_engine.service import server
from penumbra_engine.service.store import JobStore
from serving import DEADLINE, Served, job, lent, shared_engine, until

Capture = pytest.CaptureFixture[str]


shared = shared_engine(cancel_grace=0.5)


@pytest.fixture
def engine(shared: Served) -> Iterator[Served]:
    """An engine that the command line finds."""
    server.write_runtime(shared.runtime, launcher.runtime_path())
    with lent(shared) as engine:
        yield engine


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The option to run without the engine, and the fake runner for it."""
    monkeypatch.setattr(run_command, "RUNNER", "fake_runner:run")
    return ["--in-process"]


def words(out: Path, how: str = "done", *more: str) -> list[str]:
    command = ["run", "omnimatte", "--plate", f"/fake/{how}", "--frames", "1001-1010", "--colorspace", "ACEScg"]
    return [*command, "--mask", "a=/fake/a.####.png", "--out", str(out), *more]


def only_object(text: str) -> Any:
    """The one JSON object that is all of stdout."""
    assert text.count("\n") == 1
    return json.loads(text)


# run ------------------------------------------------------------------------------------------------------------------


def test_a_solve_here_says_where_its_layers_are(here: list[str], tmp_path: Path, capfd: Capture) -> None:
    assert main([*words(tmp_path / "out"), *here]) == 0
    said = capfd.readouterr()
    assert str(tmp_path / "out" / "a") in said.out
    assert "warning: grain" in said.err
    assert "50%  fit 1/2 half way" in said.err


def test_a_solve_here_keeps_its_stages_at_home(here: list[str], tmp_path: Path, own_home: Path, capfd: Capture) -> None:
    main([*words(tmp_path, "done", "--json"), *here])
    assert only_object(capfd.readouterr().out)["overview"] == str(own_home / "cache")


def test_a_solve_by_the_engine_is_the_same(engine: Served, tmp_path: Path, capfd: Capture) -> None:
    assert main(words(tmp_path / "out", "done", "--json")) == 0
    said = capfd.readouterr()
    result = only_object(said.out)
    assert result["layers"] == {"a": str(tmp_path / "out" / "a")}
    assert result["report"] != str(os.getpid()), "another process did it"
    assert "50%  fit 1/2 half way" in said.err
    assert engine.client.jobs()[0].state is JobState.DONE


def sent(engine: Served) -> dict[str, Any]:
    """The last job as it went over the wire."""
    store = JobStore(engine.home / "jobs.sqlite")
    request = store.request(engine.client.jobs()[0].id)
    store.close()
    return request


def test_every_option_reaches_the_job(engine: Served, tmp_path: Path) -> None:
    options = ["--write", "1002", "--ocio", "/c/config.ocio", "--mask-missing", "empty", "--quality", "draft"]
    flags = ["--seed", "7", "--cold", "--full-window", "--float", "--mask", "b=/fake/b.png@char.a"]
    assert main(words(tmp_path, "done", *options, *flags)) == 0
    assert sent(engine) == {
        "kind": "omnimatte",
        "plate": "/fake/done",
        "frames": "1001-1010",
        "colorspace": "ACEScg",
        "out": str(tmp_path),
        "masks": [{"name": "a", "pattern": "/fake/a.####.png"}, {"name": "b", "pattern": "/fake/b.png@char.a"}],
        "write": "1002",
        "ocio": "/c/config.ocio",
        "mask_missing": "empty",
        "quality": "draft",
        "seed": 7,
        "cold": True,
        "full_window": True,
        "float32": True,
    }


@pytest.mark.parametrize(
    ("kind", "options", "fields"),
    [
        (
            "clean-plate",
            ["--clean-plate", "/fake/clean.exr", "--mask", "a=/fake/a.png", "--effects", "merge"],
            {"clean_plate": "/fake/clean.exr", "effects": "merge", "model": "closed-form"},
        ),
        (
            "clean-plate",
            ["--clean-plate", "/fake/clean.exr", "--model", "bgm-v2", "--refine", "full"],
            {"model": "bgm-v2", "refine": "full"},
        ),
        (
            "trimap",
            ["--keyframe", "1001=/fake/t.png", "--keyframe", "hat:1004=/fake/h.exr@A", "--propagation", "flow"],
            {
                "keyframes": [
                    {"name": "matte", "frame": 1001, "pattern": "/fake/t.png"},
                    {"name": "hat", "frame": 1004, "pattern": "/fake/h.exr@A"},
                ],
                "propagation": "flow",
            },
        ),
        (
            "matte",
            ["--model", "rvm", "--downsample", "0.25", "--both-directions", "--steps", "9", "--as-mask"],
            {"model": "rvm", "downsample": 0.25, "both_directions": True, "steps": 9, "as_mask": True, "keyframes": []},
        ),
    ],
)
def test_every_node_has_its_command(
    engine: Served, tmp_path: Path, kind: str, options: list[str], fields: dict[str, Any]
) -> None:
    command = ["run", kind, "--plate", "/fake/done", "--frames", "1001-1010", "--colorspace", "ACEScg"]
    assert main([*command, "--out", str(tmp_path), *options]) == 0
    request = sent(engine)
    assert request["kind"] == kind
    assert {name: request[name] for name in fields} == fields


def test_a_keyframe_needs_a_frame(here: list[str], tmp_path: Path, capfd: Capture) -> None:
    command = ["run", "trimap", "--plate", "/fake/done", "--frames", "1001-1010", "--colorspace", "ACEScg"]
    assert main([*command, "--out", str(tmp_path), "--keyframe", "matte=/fake/t.png", *here]) == 2
    assert "FRAME=FILE or NAME:FRAME=FILE" in capfd.readouterr().err


def test_paths_go_out_whole(engine: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my config.ocio").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    command = ["run", "omnimatte", "--plate", "in dir/../done", "--frames", "1-2", "--colorspace", "x", "--out", "Ö ut"]
    assert main([*command, "--mask", "a=~/a.####.exr@char.a", "--ocio", "my config.ocio"]) == 0
    request = sent(engine)
    assert (request["plate"], request["out"]) == (str(tmp_path / "done"), str(tmp_path / "Ö ut"))
    assert request["masks"][0]["pattern"] == "/home/ann/a.####.exr@char.a"
    assert request["ocio"] == str(tmp_path / "my config.ocio")


@pytest.mark.parametrize(
    ("said", "goes"),
    [("", BUILT_IN), ("/facility/c.ocio", "/facility/c.ocio"), (f"ocio://{BUILT_IN}", f"ocio://{BUILT_IN}")],
)
def test_the_config_is_that_of_this_shell(
    engine: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, goes: str
) -> None:
    monkeypatch.setenv("OCIO", said)
    assert main(words(tmp_path)) == 0
    assert sent(engine)["ocio"] == goes


@pytest.mark.parametrize(("how", "code"), [("input", 3), ("bug", 5), ("memory", 5)])
@pytest.mark.parametrize("where", ["here", "engine"])
def test_what_goes_wrong_is_one_message_and_its_code(
    where: str, how: str, code: int, tmp_path: Path, capfd: Capture, request: pytest.FixtureRequest
) -> None:
    more = request.getfixturevalue("here") if where == "here" else []
    if where == "engine":
        request.getfixturevalue("engine")
    assert main([*words(tmp_path, how, "--json"), *more]) == code
    said = capfd.readouterr()
    failure = only_object(said.out)
    assert set(failure) == {"code", "message", "argument"}
    assert failure["code"] == code
    assert said.err.splitlines()[-1] == f"penumbra: {failure['message']}"
    assert main([*words(tmp_path, how), *more]) == code
    assert capfd.readouterr().out == ""


def test_a_worker_that_dies_is_code_5(engine: Served, tmp_path: Path, capfd: Capture) -> None:
    assert main(words(tmp_path, "die", "--json")) == 5
    assert "signal 9" in only_object(capfd.readouterr().out)["message"]


def test_what_libraries_print_stays_out_of_the_result(here: list[str], tmp_path: Path, capfd: Capture) -> None:
    assert main([*words(tmp_path, "print", "--json"), *here]) == 0
    said = capfd.readouterr()
    assert only_object(said.out)["out"] == str(tmp_path)
    assert "a library says hello" in said.err
    assert "past Python" in said.err


def without(option: str) -> list[str]:
    command = words(Path("/o"))
    at = command.index(option)
    return command[:at] + command[at + 2 :]


@pytest.mark.parametrize(
    ("command", "argument", "says"),
    [
        (without("--plate"), "--plate", "Missing option"),
        (without("--mask"), "--mask", "Missing option"),
        ([*words(Path("/o")), "--qualty", "draft"], "--qualty", "--quality"),
        ([*words(Path("/o")), "--quality", "best"], "--quality", "draft, standard, final"),
        ([*words(Path("/o")), "--seed", "x"], "--seed", "integer. See"),
        ([*words(Path("/o")), "--seed", "-1"], "--seed", "-1"),
        ([*words(Path("/o")), "--mask-missing", "skip"], "--mask-missing", "error, empty"),
        ([*words(Path("/o")), "--mask", "a=/b.png"], "--mask", "twice"),
        ([*words(Path("/o")), "--mask", "background=/b.png"], "--mask", "reserved"),
        ([*words(Path("/o")), "--mask", "b.png"], "--mask", "NAME=PATTERN"),
        ([*words(Path("/o")), "--mask", "b="], "--mask", "empty"),
        ([*words(Path("/o")), "--write", "999"], "--write", "frame 999"),
        ([*without("--frames"), "--frames", "1010-1001"], "--frames", "backwards"),
        ([*without("--colorspace"), "--colorspace", ""], "--colorspace", "empty"),
        (["run", "omnimate"], "", "Did you mean 'omnimatte'"),
    ],
)
@pytest.mark.parametrize("where", [["--in-process"], []], ids=["here", "engine"])
def test_a_slip_of_usage_is_code_2_and_names_the_argument(
    command: list[str], argument: str, says: str, where: list[str], own_home: Path, capfd: Capture
) -> None:
    assert main([*command, *where, "--json"]) == 2
    said = capfd.readouterr()
    failure = only_object(said.out)
    assert (failure["code"], failure["argument"]) == (2, argument)
    assert says in failure["message"]
    assert said.err == f"penumbra: {failure['message']}\n"
    assert not own_home.exists(), "no engine was started for it"


# Ctrl-C ---------------------------------------------------------------------------------------------------------------


def test_ctrl_c_here_stops_the_job(here: list[str], tmp_path: Path, capfd: Capture) -> None:
    assert main([*words(tmp_path, "interrupt", "--json"), *here]) == 130
    assert only_object(capfd.readouterr().out)["code"] == 130


def test_ctrl_c_while_waiting_cancels_that_job_alone(engine: Served, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "penumbra_engine.cli", *words(tmp_path / "a", "wait", "--json")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until((tmp_path / "a" / "steps").exists)
    other = engine.client.submit(job(tmp_path / "b")).id
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert only_object(out)["code"] == 130
    assert (tmp_path / "a" / "closed").exists()
    assert engine.watch(other)[-1].state is JobState.DONE


def test_a_waiting_client_that_is_killed_cancels_nothing(engine: Served, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-m", "penumbra_engine.cli", *words(tmp_path, "wait")])
    until((tmp_path / "steps").exists)
    process.kill()
    process.wait()
    (tmp_path / "go").touch()
    assert engine.watch(engine.client.jobs()[0].id)[-1].state is JobState.DONE


# The engine and its jobs ----------------------------------------------------------------------------------------------


def test_status_without_an_engine_starts_none(own_home: Path, capfd: Capture) -> None:
    assert main(["status"]) == 0
    assert "no engine runs" in capfd.readouterr().out
    assert main(["status", "--json"]) == 0
    assert only_object(capfd.readouterr().out) == {"engine": None, "jobs": []}
    assert main(["status", "some-job"]) == 5
    assert not own_home.exists()


def test_status_shows_engine_and_jobs(engine: Served, tmp_path: Path, capfd: Capture) -> None:
    done = engine.client.submit(job(tmp_path)).id
    engine.watch(done)
    failed = engine.client.submit(job(tmp_path, "input")).id
    engine.watch(failed)
    assert main(["status"]) == 0
    text = capfd.readouterr().out
    assert "engine" in text
    assert done in text
    assert failed in text
    assert main(["status", failed]) == 0
    assert "failed: frame 1003 is missing" in capfd.readouterr().out
    assert main(["status", "--json"]) == 0
    both = only_object(capfd.readouterr().out)
    assert both["engine"]["worker"] == "idle"
    assert [one["state"] for one in both["jobs"][:2]] == ["failed", "done"]
    assert main(["status", "nobody", "--json"]) == 2
    assert only_object(capfd.readouterr().out)["argument"] == "job"


def test_cancel_waits_until_the_job_has_stopped(engine: Served, tmp_path: Path, capfd: Capture) -> None:
    job_id = engine.client.submit(job(tmp_path, "wait")).id
    until((tmp_path / "steps").exists)
    assert main(["cancel", job_id, "--json"]) == 0
    assert only_object(capfd.readouterr().out)["state"] == "cancelled"
    assert (tmp_path / "closed").exists()
    assert main(["cancel", job_id]) == 0
    assert "cancelled" in capfd.readouterr().out


def test_a_job_that_somebody_else_cancels_ends_the_client_with_130(
    engine: Served, tmp_path: Path, capfd: Capture
) -> None:
    command = [sys.executable, "-m", "penumbra_engine.cli", *words(tmp_path, "wait")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until((tmp_path / "steps").exists)
    assert main(["cancel", engine.client.jobs()[0].id]) == 0
    _, error = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert "cancelled" in error


def test_serve_stop_ends_the_engine(own_home: Path, capfd: Capture) -> None:
    assert main(["serve", "--stop"]) == 0
    assert "no engine runs" in capfd.readouterr().out
    process = subprocess.Popen([*run_command.SELF, "serve"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "listens on http://127.0.0.1:" in process.stderr.readline()
    assert main(["serve"]) == 5
    assert "already runs" in capfd.readouterr().err
    assert main(["serve", "--stop"]) == 0
    assert process.wait(DEADLINE) == 0
    process.stderr.close()


def test_an_engine_can_t_have_been_idle_for_less_than_nothing(own_home: Path, capfd: Capture) -> None:
    assert main(["serve", "--idle-exit", "-1"]) == 2
    assert "--idle-exit" in capfd.readouterr().err and not own_home.exists()


# The cache ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(own_home: Path) -> Store:
    store = Store(own_home / "cache")
    for stage in ("flow", "canvas"):
        with store.entry(stage, of=1) as entry:
            (entry.partial / "pixels").write_bytes(bytes(1_000_000))
            entry.finish()
    return store


def test_the_cache_is_listed_by_stage(filled: Store, capfd: Capture) -> None:
    assert main(["cache", "list"]) == 0
    text = capfd.readouterr().out
    assert "flow" in text
    assert "canvas" in text
    assert f"2.0 MB in {filled.root}" in text
    assert main(["cache", "list", "--json"]) == 0
    assert {entry["stage"] for entry in only_object(capfd.readouterr().out)} == {"flow", "canvas"}


def test_the_cache_is_pruned_to_a_size_and_cleared(filled: Store, capfd: Capture) -> None:
    assert main(["cache", "prune", "--max-gb", "0.0015", "--json"]) == 0
    assert only_object(capfd.readouterr().out)["removed_bytes"] > 1_000_000
    assert len(filled.entries()) == 1
    assert main(["cache", "clear"]) == 0
    assert "removed 1.0 MB" in capfd.readouterr().out
    assert filled.entries() == []


def test_the_cache_is_left_alone_while_a_job_reads_it(
    engine: Served, filled: Store, tmp_path: Path, capfd: Capture
) -> None:
    job_id = engine.client.submit(job(tmp_path, "wait")).id
    until((tmp_path / "steps").exists)
    for command in (["clear"], ["prune", "--max-gb", "0"]):
        assert main(["cache", *command]) == 5
        assert job_id in capfd.readouterr().err
    assert len(filled.entries()) == 2


# The doctor -----------------------------------------------------------------------------------------------------------


def test_the_doctor_finds_this_environment_sound(own_home: Path, capfd: Capture) -> None:
    assert main(["doctor", "--json"]) == 0
    checks = {check["name"]: check for check in only_object(capfd.readouterr().out)["checks"]}
    assert list(checks) == ["torch", "OpenImageIO", "OpenCV", "OCIO config", "folder", "engine"]
    assert {check["state"] for check in checks.values()} <= {"ok", "warn"}
    assert checks["OCIO config"]["message"] == BUILT_IN
    assert "does not run" in checks["engine"]["message"]
    assert launcher.find_engine() is None, "the doctor starts no engine"


def test_the_doctor_names_what_fails(own_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture) -> None:
    monkeypatch.setenv("OCIO", "/no/such/config.ocio")
    own_home.write_text("a file where a folder should be")
    monkeypatch.setitem(doctor.CHECKS, "torch", lambda: __import__("no_such_module"))
    assert main(["doctor"]) == 5
    lines = {line[6:18].strip(): line for line in capfd.readouterr().out.splitlines()}
    assert lines["torch"].startswith("fail")
    assert "no_such_module" in lines["torch"]
    assert lines["OCIO config"].startswith("fail")
    assert "/no/such/config.ocio" in lines["OCIO config"]
    assert lines["folder"].startswith("fail")
    assert "PENUMBRA_HOME" in lines["folder"]
    assert lines["OpenCV"].startswith("ok")


def test_the_doctor_asks_a_running_engine(engine: Served, capfd: Capture) -> None:
    until(lambda: engine.client.health().state == "ready")
    assert main(["doctor"]) == 0
    assert f"process {os.getpid()} is ready, device: cpu" in capfd.readouterr().out


# Help -----------------------------------------------------------------------------------------------------------------


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if path:
        yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


@pytest.mark.parametrize(("path", "command"), list(commands(typer.main.get_command(app))), ids=str)
def test_every_command_has_a_line_of_help_and_an_example(path: tuple[str, ...], command: Any, capfd: Capture) -> None:
    first, _, rest = command.help.partition("\n")
    assert first.endswith(".")
    assert f"Example: penumbra {path[0]}" in rest
    assert main([*path, "--help"]) == 0
    assert "Usage: penumbra" in capfd.readouterr().out


@pytest.mark.parametrize("path", [[], ["run"], ["cache"]])
def test_a_group_without_a_command_shows_its_help(path: list[str], capfd: Capture) -> None:
    assert main(path) == 2
    said = capfd.readouterr()
    assert "Commands" in said.out
    assert "Name a command" in said.err


def test_the_command_line_starts_without_torch() -> None:
    code = "import sys, penumbra_engine.cli; print({'torch', 'cv2', 'fastapi'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


def test_train_writes_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture) -> None:
    from penumbra_engine.training import recipes

    monkeypatch.setattr(recipes, "_SIDE", 32)
    out = tmp_path / "new" / "small.safetensors"
    assert main(["train", "small", "--out", str(out), "--steps", "1", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["weights"] == str(out) and said["steps"] == 1 and out.stat().st_size > 1e6


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [(["big"], 2, "small"), (["small", "--steps", "0"], 2, "--steps"), (["small", "--data", "nowhere"], 3, "nowhere")],
)
def test_train_says_what_is_wrong(tmp_path: Path, words: list[str], code: int, said: str, capfd: Capture) -> None:
    assert main(["train", *words, "--out", str(tmp_path / "out")]) == code
    assert said in capfd.readouterr().err
