"""The application: routes, the engine that is loaded while they answer already, and which error has which status.

`humandetect serve` runs it with deadlines for slow clients (protocol.py). Plain uvicorn runs it too, without those,
configured by the environment: `uvicorn --factory humandetect.service.app:create_app`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from humandetect import __version__
from humandetect.config import ServeConfig
from humandetect.config.settings import config_from_environment
from humandetect.detection.detector import Detector
from humandetect.engines import load_engine
from humandetect.errors import (
    Closed,
    EngineError,
    EngineTimeout,
    EngineUnavailable,
    HumanDetectError,
    Overloaded,
    SourceError,
)
from humandetect.service.bodies import ByteBudget
from humandetect.service.inference import Inference
from humandetect.service.metrics import Metrics
from humandetect.service.middleware import CLIENT_GONE, Access, ApiKey, note_refusal
from humandetect.service.refusals import ON_REFUSAL
from humandetect.service.routes import pages, readiness, recognition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

logger = logging.getLogger("humandetect.service")

BODIES_BYTES = 256_000_000
"""What all request bodies together may hold; at least two of the largest that are allowed."""
ANSWERS_BYTES = 384_000_000
"""What the annotated pictures of all answers together may hold: small files can become large ones."""
STATUSES: dict[type[HumanDetectError], int] = {
    SourceError: 400,
    Overloaded: 503,
    Closed: 503,
    EngineUnavailable: 503,
    EngineTimeout: 504,
    EngineError: 500,
    HumanDetectError: 500,
}
"""By the nearest class; a new error has the status of its parent."""


def create_app(config: ServeConfig | None = None, *, detector: Detector | None = None) -> FastAPI:
    """Make the application; without a config variables (HUMANDETECT_ENGINE and so on) and humandetect.toml make one.

    The engine is loaded while the application answers health checks already. A `detector` is used as it is, and closed.
    """
    config = config or config_from_environment(ServeConfig)
    app = FastAPI(
        title="humandetect", version=__version__, summary="Finds people in images.", lifespan=_lifespan,
        docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.state.config = config
    app.state.metrics = Metrics()
    app.state.budget = ByteBudget(max(BODIES_BYTES, 2 * recognition.largest_body(config)))
    app.state.answers = ByteBudget(ANSWERS_BYTES)
    app.state.failure = None
    app.state.loaded = asyncio.Event()
    app.state.inference = None if detector is None else Inference(detector, config, app.state.metrics)
    for part in (recognition, readiness, pages):
        app.include_router(part.router)
    app.add_api_route("/metrics", _metrics, include_in_schema=False)
    for kind in (HumanDetectError, AnyHTTPException, RequestValidationError, ClientDisconnect):
        app.add_exception_handler(kind, _answer_error)
    if config.api_key is not None:
        app.add_middleware(ApiKey, key=config.api_key)
    if config.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=config.cors_origins, allow_methods=["GET", "POST"], allow_headers=["*"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )  # fmt: skip
    app.add_middleware(Access, metrics=app.state.metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    loading = asyncio.create_task(_load(app))
    try:
        yield {ON_REFUSAL: partial(note_refusal, app.state.metrics)}
    finally:
        loading.cancel()
        inference: Inference | None = app.state.inference
        if inference is not None:
            await asyncio.to_thread(inference.close)


async def _load(app: FastAPI) -> None:
    """Load and warm the engine, unless there is one; note in `app.state` what came of it."""
    config: ServeConfig = app.state.config
    try:
        if app.state.inference is None:
            detector = await asyncio.to_thread(_warm_detector, config)
            app.state.inference = Inference(detector, config, app.state.metrics)
    except HumanDetectError as error:
        logger.error("the model could not be loaded: %s", error)  # noqa: TRY400  the message says it all
        app.state.failure = error
    except Exception as error:
        logger.exception("the model could not be loaded")
        app.state.failure = EngineError(f"the model could not be loaded: {error}")
    finally:
        app.state.loaded.set()


def _warm_detector(config: ServeConfig) -> Detector:
    """Load the engine, which runs it once, and what the first answer would otherwise wait for."""
    import numpy as np

    detector = Detector(load_engine(config.engine), score=config.score)
    detector.detect(np.zeros((300, 300, 3), np.uint8))
    return detector


async def _metrics(request: Request) -> Response:
    body, kind = request.app.state.metrics.exposition()
    return Response(body, media_type=kind)


async def _answer_error(request: Request, error: Exception) -> Response:
    """Turn whatever a route raised into a status and a JSON message; never a traceback or a path."""
    if isinstance(error, AnyHTTPException):
        headers = dict(error.headers or {})
        if error.detail == "Not Found":
            return _problem(404, "nothing is here: POST /request or POST /v1/detect; /docs tells how")
        if error.status_code == 405:
            return _problem(405, f"{request.method} is not answered here: use {headers.get('Allow')}", headers)
        return _problem(error.status_code, str(error.detail), headers)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return _problem(422, f"{first['loc'][-1]}: {first['msg']}")
    if isinstance(error, ClientDisconnect):
        return Response(status_code=CLIENT_GONE)
    status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    if isinstance(error, EngineError) and not isinstance(error, EngineTimeout):
        logger.error("request %s: the engine failed: %s", request.state.request_id, error)
        what = "the engine's server is away" if isinstance(error, EngineUnavailable) else "the engine failed"
        return _problem(status, f"{what}; the server's log says why, under request id {request.state.request_id}")
    return _problem(status, str(error))


def _problem(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    headers = headers or {}
    if status == 503:
        headers.setdefault("Retry-After", "1")
    return JSONResponse({"message": message}, status_code=status, headers=headers)
