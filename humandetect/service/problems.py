"""How a refusal is told: by a status and a JSON message, never a traceback or a path."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from humandetect.errors import EngineError, EngineTimeout, EngineUnavailable, HumanDetectError
from humandetect.service.refusals import Cause, cause_of
from humandetect.wire import Problem

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

logger = logging.getLogger("humandetect.service")


class Refused(HTTPException):
    """A request is not answered; the message says why, and what would be."""

    def __init__(self, cause: Cause, message: str, *, retry_seconds: int | None = None) -> None:
        super().__init__(cause, message, {"Retry-After": str(retry_seconds)} if retry_seconds else None)


def described(*causes: Cause) -> dict[int | str, dict[str, Any]]:
    """Describe a route's refusals for FastAPI's `responses`: those of the causes that are worth a word."""
    return {int(cause): {"model": Problem, "description": cause.meaning} for cause in causes if cause.meaning}


def answer_errors(app: FastAPI) -> None:
    """Let `app` answer whatever a route raises by the table of causes."""
    for kind in (HTTPException, RequestValidationError, ClientDisconnect, HumanDetectError):
        app.add_exception_handler(kind, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    match error:
        case HTTPException():
            return _refused(request, error)
        case RequestValidationError():
            first = error.errors()[0]
            return _problem(Cause.NOT_UNDERSTOOD, f"{first['loc'][-1]}: {first['msg']}")
        case ClientDisconnect():
            return Response(status_code=Cause.CLIENT_GONE)
        case HumanDetectError():
            return _failed(request, error)
    raise error


def _refused(request: Request, error: HTTPException) -> Response:
    headers = dict(error.headers or {})
    if error.detail == "Not Found":  # the router's own word
        return _problem(Cause.NOTHING_HERE, "nothing is here: POST /request or POST /v1/detect; /docs tells how")
    if error.status_code == Cause.OTHER_METHOD:
        return _problem(
            Cause.OTHER_METHOD, f"{request.method} is not answered here: use {headers.get('Allow')}", headers
        )
    return _problem(error.status_code, error.detail, headers)


def _failed(request: Request, error: HumanDetectError) -> Response:
    if not isinstance(error, EngineError) or isinstance(error, EngineTimeout):
        return _problem(cause_of(error), str(error))
    logger.error("request %s: the engine failed: %s", request.state.request_id, error)
    what = "the engine's server is away" if isinstance(error, EngineUnavailable) else "the engine failed"
    return _problem(cause_of(error), f"{what}; the server's log says why, under request id {request.state.request_id}")


def _problem(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    headers = headers or {}
    if status == Cause.UNAVAILABLE:
        headers.setdefault("Retry-After", "1")
    return JSONResponse({"message": message}, status_code=status, headers=headers)
