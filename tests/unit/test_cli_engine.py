"""`penumbra status`, `cancel` and `serve`: the engine and its jobs."""

import subprocess
import sys
from pathlib import Path

from commands import Capture, engine_for_commands, only_object, words
from penumbra_engine.cli import main
from penumbra_engine.cli import run as run_command
from serving import DEADLINE, Served, job, shared_engine, until

shared = shared_engine(cancel_grace=0.5)
engine = engine_for_commands()


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
