"""`penumbra cache`: what is in it, and taking it out."""

from pathlib import Path

import pytest

from commands import Capture, engine_for_commands, only_object
from penumbra_engine.cache import Store
from penumbra_engine.cli import main
from serving import Served, job, shared_engine, until

shared = shared_engine(cancel_grace=0.5)
engine = engine_for_commands()


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
