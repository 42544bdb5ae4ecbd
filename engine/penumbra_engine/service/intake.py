"""From the bytes of a request to a job whose words are right, or to one message that says which word is not."""

import difflib
import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from penumbra import protocol
from penumbra.protocol import JOB_KINDS, WordError
from penumbra_engine.errors import UsageError

_KINDS: dict[str, TypeAdapter[Any]] = {kind: TypeAdapter(job_type) for kind, job_type in JOB_KINDS.items()}


def read_job(body: bytes | str) -> Any:
    """The job in a JSON text: its `kind` chooses the type, types are strict, unknown fields are refused.

    Raises UsageError that names the field, or the argument as the command line spells it.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the request is no JSON: {error}; send a job as /docs describes it") from error
    if not isinstance(data, dict):
        raise UsageError("the request is no JSON object; send a job as /docs describes it")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        found = f"unknown kind {kind!r}" if "kind" in data else "field 'kind' is missing"
        raise UsageError(f"{found}{_nearest(str(kind), list(_KINDS))}; the kinds are {', '.join(_KINDS)}", "kind")
    try:
        job = _KINDS[kind].validate_json(body, strict=True)
    except ValidationError as error:
        raise _refusal(error, _KINDS[kind]) from error
    check_job(job)
    return job


def check_job(job: Any) -> None:
    """Raise UsageError unless every word of the job is of its grammar."""
    try:
        protocol.validate(job)
    except WordError as error:
        raise UsageError(str(error), error.argument) from error


def job_schemas() -> dict[str, Any]:
    """The JSON schemas of all job kinds and of their parts, by name, for the components of the OpenAPI document."""
    schemas: dict[str, Any] = {}
    for kind, adapter in _KINDS.items():
        schema = adapter.json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schema["properties"]["kind"] = {"const": kind, "type": "string", "title": "Kind"}
        schema["required"] = [*schema["required"], "kind"]
        schemas[JOB_KINDS[kind].__name__] = schema
    return schemas


def body_schema() -> dict[str, Any]:
    """The request body of a new job: one of the kinds, told apart by `kind`."""
    refs = {kind: f"#/components/schemas/{job_type.__name__}" for kind, job_type in JOB_KINDS.items()}
    return {
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "kind", "mapping": refs},
    }


def _refusal(error: ValidationError, adapter: TypeAdapter[Any]) -> UsageError:
    problems = error.errors(include_url=False)
    # A misspelt field shows up as missing as well: the misspelling is what to tell.
    unknown = next((p for p in problems if p["type"] == "unexpected_keyword_argument"), None)
    problem = unknown or problems[0]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    if problem is unknown:
        known = _fields(adapter.json_schema(), problem["loc"])
        near = _nearest(str(problem["loc"][-1]), known)
        return UsageError(f"unknown field {field!r}{near}; the fields are {', '.join(known)}", field)
    if problem["type"] == "missing":
        return UsageError(f"field {field!r} is missing", field)
    return UsageError(f"field {field!r}: {problem['msg']}", field)


def _fields(schema: dict[str, Any], loc: tuple[int | str, ...]) -> list[str]:
    """The fields of the object that holds the last part of `loc`."""
    here = schema
    for part in loc[:-1]:
        here = here["items"] if isinstance(part, int) else here["properties"][part]
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rpartition("/")[2]]
    return list(here["properties"])


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
