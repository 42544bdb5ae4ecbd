"""`penumbra doctor`: whether everything is there, and what is not."""

import os
from pathlib import Path

import pytest

from commands import Capture, engine_for_commands, only_object
from penumbra import launcher
from penumbra_engine.cli import doctor, main
from penumbra_engine.media.colour import BUILT_IN
from serving import Served, shared_engine, until

shared = shared_engine(cancel_grace=0.5)
engine = engine_for_commands()


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
