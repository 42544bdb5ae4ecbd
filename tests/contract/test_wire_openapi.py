"""The engine does what its OpenAPI page says, whatever is asked."""

import hypothesis
import pytest
import schemathesis

from penumbra.protocol import JOB_KINDS
from serving import Served, shared_engine

OPERATIONS = [
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs"),
    ("GET", "/v1/jobs/{job_id}"),
    ("GET", "/v1/jobs/{job_id}/events"),
    ("DELETE", "/v1/jobs/{job_id}"),
    ("GET", "/v1/health"),
    ("POST", "/v1/gpu/release"),
]

CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]


engine = shared_engine()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_one_the_page_tells_of(engine: Served, method: str, path: str) -> None:
    page = schemathesis.openapi.from_url(f"http://127.0.0.1:{engine.runtime.port}/openapi.json")
    statuses: set[int] = set()

    @hypothesis.settings(
        max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(case=page[path][method].as_strategy())
    def ask(case: schemathesis.Case) -> None:
        response = case.call(headers={"Authorization": f"Bearer {engine.runtime.token}"})
        case.validate_response(response, checks=CHECKS)
        statuses.add(response.status_code)

    ask()
    assert statuses
    assert 401 not in statuses, "it was the operation itself that answered"


def test_every_operation_but_the_end_is_asked(engine: Served) -> None:
    paths = engine.ask("GET", "/openapi.json")[1]["paths"]
    told = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert told == {*OPERATIONS, ("POST", "/v1/shutdown")}


def test_the_page_tells_every_kind_of_job_and_its_fields(engine: Served) -> None:
    document = engine.ask("GET", "/openapi.json")[1]
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["discriminator"]["mapping"]) == set(JOB_KINDS)
    schemas = document["components"]["schemas"]
    assert schemas["OmnimatteJob"]["additionalProperties"] is False
    assert schemas["OmnimatteJob"]["properties"]["kind"]["const"] == "omnimatte"
    assert schemas["OmnimatteJob"]["properties"]["masks"]["items"]["$ref"] == "#/components/schemas/Mask"
    assert "HTTPBearer" in document["components"]["securitySchemes"]
