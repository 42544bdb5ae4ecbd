"""Who may ask the engine: only who has the token, and only under the engine's own name."""

import pytest

from serving import Served, shared_engine

PATHS = [
    ("GET", "/v1/health"),
    ("GET", "/v1/jobs"),
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs/x"),
    ("GET", "/v1/jobs/x/events"),
    ("DELETE", "/v1/jobs/x"),
    ("POST", "/v1/gpu/release"),
    ("POST", "/v1/shutdown"),
]


engine = shared_engine()


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ("", "missing"),
        ("Bearer", "missing"),
        ("Basic {}", "missing"),
        ("Bearer wrong", "wrong"),
        ("Bearer {}x", "wrong"),
        ("Bearer \xe9", "wrong"),
    ],
)
def test_no_token_or_a_wrong_one_is_401(engine: Served, method: str, path: str, sent: str, why: str) -> None:
    status, failure = engine.ask(method, path, Authorization=sent.format(engine.runtime.token))
    assert status == 401
    assert f"the token is {why}" in failure["message"]
    assert engine.runtime.token not in str(failure)


def test_the_token_lets_in(engine: Served) -> None:
    assert engine.ask("GET", "/v1/health")[0] == 200
    assert len(engine.runtime.token) >= 32


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{}", "127.0.0.1", "localhost:1", "127.0.0.1:{}x", "[::1]:{}"]
)
@pytest.mark.parametrize("path", ["/v1/health", "/docs", "/openapi.json", "/nowhere"])
def test_a_foreign_host_is_421_whatever_else_is_right(engine: Served, host: str, path: str) -> None:
    status, failure = engine.ask("GET", path, Host=host.format(engine.runtime.port))
    assert status == 421
    assert failure["argument"] == "Host"


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "LOCALHOST:{}"])
def test_the_engine_s_own_names_are_answered(engine: Served, host: str) -> None:
    assert engine.ask("GET", "/v1/health", Host=host.format(engine.runtime.port))[0] == 200


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_description_of_the_api_needs_no_token(engine: Served, path: str) -> None:
    status, body = engine.ask("GET", path, Authorization="")
    assert status == 200
    assert engine.runtime.token not in str(body)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/nowhere", 404), ("PUT", "/v1/jobs", 405)])
def test_what_is_not_there_is_a_failure_like_any_other(engine: Served, method: str, path: str, status: int) -> None:
    answered, failure = engine.ask(method, path)
    assert answered == status
    assert set(failure) == {"code", "message", "argument"}
    assert path in failure["message"]


def test_the_engine_listens_on_this_machine_only(engine: Served) -> None:
    assert engine.runtime.host == "127.0.0.1"
