"""The HTTP side: who may ask, what can be asked, and what is answered. Everything else is the engine's."""

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

import penumbra_engine
from penumbra.protocol import Answer, ErrorCode, Failure, Health, JobStatus, to_wire
from penumbra_engine.errors import PenumbraError, UsageError
from penumbra_engine.service.engine import Busy, Engine, KeyTaken, Stopping, UnknownJob
from penumbra_engine.service.intake import body_schema, job_schemas, read_job

log = logging.getLogger(__name__)

_STATUS: dict[type[PenumbraError], int] = {UsageError: 422, UnknownJob: 404, KeyTaken: 409, Busy: 409, Stopping: 503}


def create_app(engine: Engine, token: str, hosts: frozenset[str], shutdown: Callable[[], None]) -> FastAPI:
    """The application for one engine.

    `token` must come with every request under /v1; only the pages that describe the API (/docs, /openapi.json) go
    without. `hosts` are the Host headers we answer to. `shutdown` is called once the engine agreed to end.
    """
    bearer = HTTPBearer(auto_error=False, description="the token in the runtime file")

    def check_token(sent: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        if sent is None or not secrets.compare_digest(sent.credentials.encode(), token.encode()):
            what = "wrong" if sent else "missing"
            headers = {"WWW-Authenticate": "Bearer"}
            raise HTTPException(401, f"the token is {what}; send the one in the engine's runtime file", headers)

    api = APIRouter(prefix="/v1", dependencies=[Depends(check_token)], responses=_failures(401, 421, 422))

    @api.post(
        "/jobs",
        status_code=201,
        responses=_failures(409, 503),
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": body_schema()}}}},
    )
    async def submit(
        request: Request,
        idempotency_key: Annotated[str, Header(description="the same key again returns the same job")] = "",
    ) -> JobStatus:
        """Queue a job."""
        return engine.submit(read_job(await request.body()), idempotency_key)

    @api.get("/jobs")
    async def jobs() -> list[JobStatus]:
        """All jobs of the last weeks, the newest first."""
        return engine.statuses()

    async def known_job(job_id: str) -> str:
        return engine.status(job_id).id

    job = Annotated[str, Depends(known_job)]

    @api.get("/jobs/{job_id}", responses=_failures(404))
    async def status(job_id: job) -> JobStatus:
        """Where a job is."""
        return engine.status(job_id)

    @api.get("/jobs/{job_id}/events", response_class=EventSourceResponse, responses=_failures(404))
    async def events(
        job_id: job,
        after: Annotated[int, Query(ge=0, lt=2**63, description="the last event the client has seen")] = 0,
        last_event_id: Annotated[int | None, Header(ge=0, lt=2**63, description="the same, for browsers")] = None,
    ) -> AsyncIterator[ServerSentEvent]:
        """A job's events as they come, numbered by id, to the final one; a comment is a sign of life."""
        async for event in engine.events(job_id, after if last_event_id is None else last_event_id):
            if event is None:
                yield ServerSentEvent(comment="heartbeat")
            else:
                yield ServerSentEvent(data=to_wire(event), id=str(event.seq))

    @api.delete("/jobs/{job_id}", responses=_failures(404))
    async def cancel(job_id: job) -> JobStatus:
        """Cancel this job alone. It may still be stopping; its events say when it has."""
        return engine.cancel(job_id)

    @api.get("/health")
    async def health() -> Health:
        """How the engine is."""
        return engine.health()

    @api.post("/gpu/release", responses=_failures(409))
    async def release() -> Answer:
        """Free the GPU memory, by ending the idle worker. Refused while there are jobs."""
        return Answer(await engine.release())

    @api.post("/shutdown", status_code=202, responses=_failures(409))
    async def end() -> Answer:
        """End the engine. Refused while there are jobs."""
        engine.check_shutdown()
        shutdown()
        return Answer("the engine ends")

    app = FastAPI(title="Penumbra engine", version=penumbra_engine.__version__, redoc_url=None)
    app.include_router(api)
    app.add_middleware(_HostCheck, hosts=hosts, touch=engine.touch)
    app.add_exception_handler(PenumbraError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unforeseen)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


class _HostCheck:
    """Answers only under the engine's own name, so that no web page reaches it by a name of its own (DNS rebinding)."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str], touch: Callable[[], None]) -> None:
        self._app = app
        self._hosts = hosts
        self._touch = touch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            names = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
            if len(names) != 1 or names[0] not in self._hosts:
                message = f"the engine does not answer to the host {', '.join(names)!r}; call it {min(self._hosts)}"
                await _answer(421, Failure(int(ErrorCode.USAGE), message, "Host"))(scope, receive, send)
                return
            self._touch()
        await self._app(scope, receive, send)


def _failures(*codes: int) -> dict[int | str, dict[str, Any]]:
    """What the page says of these answers: they are JSON, those of the event stream too."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}
    return {code: {"description": HTTPStatus(code).phrase, "content": content} for code in codes}


def _openapi(app: FastAPI) -> dict[str, Any]:
    if not app.openapi_schema:
        app.openapi_schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        app.openapi_schema["components"]["schemas"].update(job_schemas())
    return app.openapi_schema


def _answer(status: int, failure: Failure, headers: Any = None) -> JSONResponse:
    return JSONResponse(to_wire(failure), status, headers)


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PenumbraError)
    return _answer(_STATUS.get(type(error), 500), Failure(int(error.code), str(error), error.argument))


def _malformed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problem = error.errors()[0]
    name = str(problem["loc"][-1])
    return _answer(422, Failure(int(ErrorCode.USAGE), f"{name}: {problem['msg']}", name))


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = ErrorCode.ENGINE if error.status_code == 401 else ErrorCode.USAGE
    return _answer(error.status_code, Failure(int(code), f"{request.url.path}: {error.detail}"), error.headers)


def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    message = f"internal error of the engine, {type(error).__name__}: {error}"
    return _answer(500, Failure(int(ErrorCode.ENGINE), message))
