"""The event stream of a job, byte for byte: ids, where to rejoin, signs of life, its end."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving import DEADLINE, Served, job, lent, shared_engine, until

shared = shared_engine(heartbeat=0.05)


@pytest.fixture
def engine(shared: Served) -> Iterator[Served]:
    with lent(shared) as engine:
        yield engine


def open_stream(engine: Served, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(engine.runtime.host, engine.runtime.port, timeout=DEADLINE)
    connection.request("GET", path, headers={"Authorization": f"Bearer {engine.runtime.token}", **headers})
    return connection.getresponse()


def numbered(text: str) -> list[tuple[int, int]]:
    """Of each event the id line and the seq in its data."""
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    return [(int(block["id"]), json.loads(block["data"])["seq"]) for block in blocks if "id" in block]


def finished(engine: Served, out: Path) -> tuple[str, int]:
    """A job that has ended, and its last event's number."""
    job_id = engine.client.submit(job(out)).id
    return job_id, engine.watch(job_id)[-1].seq


def test_each_event_carries_its_number_and_the_stream_ends_with_the_final_one(engine: Served, tmp_path: Path) -> None:
    job_id, last = finished(engine, tmp_path)
    response = open_stream(engine, f"/v1/jobs/{job_id}/events")
    assert response.headers.get_content_type() == "text/event-stream"
    text = response.read().decode()
    assert numbered(text) == [(seq, seq) for seq in range(1, last + 1)]
    assert '"state": "done"' in text.replace('":"', '": "')


@pytest.mark.parametrize(
    ("query", "headers"), [("?after=3", {}), ("", {"Last-Event-ID": "3"}), ("?after=1", {"Last-Event-ID": "3"})]
)
def test_a_client_rejoins_after_the_last_event_it_saw(
    engine: Served, tmp_path: Path, query: str, headers: dict[str, str]
) -> None:
    job_id, last = finished(engine, tmp_path)
    text = open_stream(engine, f"/v1/jobs/{job_id}/events{query}", **headers).read().decode()
    assert numbered(text) == [(seq, seq) for seq in range(4, last + 1)]


def test_after_the_last_event_the_stream_is_empty(engine: Served, tmp_path: Path) -> None:
    job_id, last = finished(engine, tmp_path)
    for after in (last, last + 5):
        assert open_stream(engine, f"/v1/jobs/{job_id}/events?after={after}").read() == b""


@pytest.mark.parametrize("after", ["-1", "x", "1.5", str(2**70)])
def test_an_after_that_is_no_number_of_an_event_is_refused(engine: Served, tmp_path: Path, after: str) -> None:
    job_id, _ = finished(engine, tmp_path)
    status, failure = engine.ask("GET", f"/v1/jobs/{job_id}/events?after={after}")
    assert (status, failure["argument"]) == (422, "after")


def test_a_silent_stream_shows_signs_of_life(engine: Served, tmp_path: Path) -> None:
    running = engine.client.submit(job(tmp_path / "a", "wait")).id
    until((tmp_path / "a" / "steps").exists)
    response = open_stream(engine, f"/v1/jobs/{engine.client.submit(job(tmp_path / 'b')).id}/events")
    lines: list[str] = []
    while lines.count(": heartbeat") < 3:
        lines.append(response.readline().decode().rstrip())
    assert sum(line.startswith("id: ") for line in lines) == 1, "it waits in the queue, and says nothing else"
    response.close()
    engine.client.cancel(running)


def test_two_clients_see_the_same(engine: Served, tmp_path: Path) -> None:
    job_id = engine.client.submit(job(tmp_path, "wait")).id
    until((tmp_path / "steps").exists)
    first, second = (open_stream(engine, f"/v1/jobs/{job_id}/events") for _ in range(2))
    (tmp_path / "go").touch()
    seen = [numbered(response.read().decode()) for response in (first, second)]
    assert seen[0] == seen[1]
