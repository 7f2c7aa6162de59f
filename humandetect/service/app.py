"""The application: its routes, and the engine that is loaded while they answer already.

`humandetect serve` runs it with deadlines for slow clients (process/http/deadlines.py). Plain uvicorn runs it too,
without those, configured by the environment: `uvicorn --factory humandetect.service.app:create_app`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.middleware.cors import CORSMiddleware

from humandetect import __version__
from humandetect.config import ServeConfig
from humandetect.config.settings import config_from_environment
from humandetect.detection.detector import Detector
from humandetect.engines import load_engine
from humandetect.errors import EngineError, HumanDetectError
from humandetect.service.bodies import ByteBudget
from humandetect.service.inference import Inference
from humandetect.service.metrics import Metrics
from humandetect.service.middleware import Access, ApiKey, note_refusal
from humandetect.service.openapi import DocumentedApi
from humandetect.service.problems import answer_errors
from humandetect.service.refusals import ON_REFUSAL
from humandetect.service.routes import detect, pages, prometheus, readiness, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI

logger = logging.getLogger("humandetect.service")

BODIES_BYTES = 256_000_000
"""What all request bodies together may hold; at least two of the largest that are allowed."""
ANSWERS_BYTES = 384_000_000
"""What the annotated pictures of all answers together may hold: small files can become large ones."""


def create_app(config: ServeConfig | None = None, *, detector: Detector | None = None) -> FastAPI:
    """Make the application; without a config variables (HUMANDETECT_ENGINE and so on) and humandetect.toml make one.

    The engine is loaded while the application answers health checks already. A `detector` is used as it is, and closed.
    """
    config = config or config_from_environment(ServeConfig)
    app = DocumentedApi(
        asks_for_key=config.api_key is not None, version=__version__, lifespan=_lifespan, docs_url=None, redoc_url=None
    )
    app.state.config = config
    app.state.metrics = Metrics()
    app.state.budget = ByteBudget(max(BODIES_BYTES, 2 * request.largest_body(config)))
    app.state.answers = ByteBudget(ANSWERS_BYTES)
    app.state.failure = None
    app.state.loaded = asyncio.Event()
    app.state.inference = None if detector is None else Inference(detector, config, app.state.metrics)
    for part in (request, detect, readiness, prometheus, pages):
        app.include_router(part.router)
    answer_errors(app)
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
