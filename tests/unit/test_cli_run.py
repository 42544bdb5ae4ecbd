"""`penumbra run`: what it sends, what it prints where, and the code it ends with."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from commands import Capture, engine_for_commands, only_object, words
from penumbra.protocol import JobState
from penumbra_engine.cli import main
from penumbra_engine.cli import run as run_command
from penumbra_engine.media.colour import BUILT_IN
from penumbra_engine.service.store import JobStore
from serving import DEADLINE, Served, job, shared_engine, until

shared = shared_engine(cancel_grace=0.5)
engine = engine_for_commands()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The option to run without the engine, and the fake runner for it."""
    monkeypatch.setattr(run_command, "RUNNER", "fake_runner:run")
    return ["--in-process"]


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
