"""What a request for a job may say, and how each slip is answered."""

import json
from pathlib import Path
from typing import Any

import pytest

from penumbra.protocol import to_wire
from serving import Served, job, served, shared_engine

RIGHT = to_wire(job(Path("/fake/out")))


engine = shared_engine()


def refused(engine: Served, body: Any) -> dict[str, Any]:
    status, failure = engine.ask("POST", "/v1/jobs", body)
    assert status == 422
    assert set(failure) == {"code", "message", "argument"}
    assert failure["code"] == 2
    assert engine.client.jobs() == [], "nothing was queued"
    return failure


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in RIGHT.items() if name != field}


@pytest.mark.parametrize(
    ("body", "argument", "says"),
    [
        ({**RIGHT, "qualty": "draft"}, "qualty", "did you mean 'quality'?"),
        ({**without("frames"), "frame": "1-3"}, "frame", "did you mean 'frames'?"),
        ({**RIGHT, "extra": 1}, "extra", "the fields are plate, frames"),
        ({**RIGHT, "masks": [{"name": "a", "pattren": "/a"}]}, "masks[0].pattren", "did you mean 'pattern'?"),
        ({**RIGHT, "kind": "omnimate"}, "kind", "did you mean 'omnimatte'?"),
        ({**RIGHT, "kind": "upscale"}, "kind", "the kinds are omnimatte"),
        ({**RIGHT, "kind": 1}, "kind", "unknown kind 1"),
        (without("kind"), "kind", "'kind' is missing"),
        (without("plate"), "plate", "'plate' is missing"),
        ({**RIGHT, "masks": [{"name": "a"}]}, "masks[0].pattern", "is missing"),
        ({**RIGHT, "seed": "7"}, "seed", "integer"),
        ({**RIGHT, "seed": True}, "seed", "integer"),
        ({**RIGHT, "seed": 1.5}, "seed", "integer"),
        ({**RIGHT, "cold": 1}, "cold", "boolean"),
        ({**RIGHT, "plate": None}, "plate", "string"),
        ({**RIGHT, "masks": {"name": "a", "pattern": "/a"}}, "masks", "array"),
    ],
)
def test_a_wrong_field_is_named(engine: Served, body: Any, argument: str, says: str) -> None:
    failure = refused(engine, body)
    assert failure["argument"] == argument
    assert says in failure["message"]


@pytest.mark.parametrize(
    ("changed", "argument"),
    [
        ({"frames": "1010-1001"}, "--frames"),
        ({"frames": "1001-"}, "--frames"),
        ({"frames": "1-999999999"}, "--frames"),
        ({"write": "1000"}, "--write"),
        ({"masks": []}, "--mask"),
        ({"masks": [{"name": "background", "pattern": "/a"}]}, "--mask"),
        ({"masks": [{"name": "a", "pattern": "/a"}, {"name": "a", "pattern": "/b"}]}, "--mask"),
        ({"masks": [{"name": "a", "pattern": "relative/a"}]}, "--mask"),
        ({"quality": "best"}, "--quality"),
        ({"mask_missing": "skip"}, "--mask-missing"),
        ({"plate": "plate.exr"}, "--plate"),
        ({"out": "out"}, "--out"),
        ({"colorspace": ""}, "--colorspace"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_a_wrong_word_is_named_as_the_command_line_spells_it(
    engine: Served, changed: dict[str, Any], argument: str
) -> None:
    assert refused(engine, {**RIGHT, **changed})["argument"] == argument


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"3", b'"job"', b"null", b"[" * 100_000])
def test_what_is_no_job_at_all_is_refused(engine: Served, body: bytes) -> None:
    assert "/docs" in refused(engine, body)["message"]


def test_a_key_that_came_with_another_job_is_409(tmp_path: Path) -> None:
    with served(tmp_path / "home") as engine:
        first, again, other = (
            engine.ask("POST", "/v1/jobs", to_wire(job(tmp_path, seed=seed)), Idempotency_Key="k") for seed in (1, 1, 2)
        )
    assert (first[0], again[0], other[0]) == (201, 201, 409)
    assert first[1]["id"] == again[1]["id"]
    assert other[1]["argument"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/jobs/nobody"), ("DELETE", "/v1/jobs/nobody"), ("GET", "/v1/jobs/nobody/events")]
)
def test_an_unknown_job_is_404(engine: Served, method: str, path: str) -> None:
    status, failure = engine.ask(method, path)
    assert status == 404
    assert "'nobody'" in failure["message"]


def test_paths_with_spaces_and_other_letters_arrive_as_they_are(tmp_path: Path) -> None:
    out = tmp_path / "shot 010 – Prüfung ☂"
    with served(tmp_path / "home") as engine:
        assert engine.result(job(out)).out == str(out)
        assert json.loads(json.dumps(to_wire(job(out))))["out"] == str(out)
