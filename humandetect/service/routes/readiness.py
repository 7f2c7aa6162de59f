"""Is the process alive, is the model ready, and does it still find the people of a picture whose answer is known?"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from humandetect import __version__
from humandetect.detection.agreement import SCORE_DRIFT, compare
from humandetect.errors import EngineError, EngineTimeout, HumanDetectError, ModelError, ModelNotFound
from humandetect.models.find import find_model
from humandetect.service.problems import Refused, described
from humandetect.service.refusals import Cause
from humandetect.wire import Milliseconds, ModelUsed, Person, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.config import ServeConfig
    from humandetect.service.inference import ImageAnswer, Inference

logger = logging.getLogger("humandetect.service")
router = APIRouter(tags=["health"])

PICTURE = Path(__file__).parents[1] / "static" / "sample.jpg"
REFERENCE = Path(__file__).parents[1] / "sample.json"
REUSED_SECONDS = 1.0
"""However often it is asked, the engine works for one deep check a second at most."""


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    version: str = __version__


class Readiness(BaseModel):
    """Whether images would be answered, and rightly."""

    status: Literal["ready", "loading", "failed", "wrong"]
    message: Annotated[str | None, Field(description="Why not")] = None
    model: ModelUsed | None = None
    people: Annotated[int | None, Field(description="How many of those expected were found")] = None
    expected: Annotated[int | None, Field(description="People without doubt in the stored picture")] = None
    unexpected: Annotated[int | None, Field(description="People found without doubt where there are none")] = None
    latency_ms: Milliseconds | None = None


class Reference(BaseModel):
    """The people of the stored picture as one model finds them."""

    sha256: str
    """The graph's, as humandetect.json has it."""
    people: list[Person]


@router.head("/healthz", include_in_schema=False)  # load balancers ask that way too
@router.get("/healthz", summary="Does the process live?")
async def healthz() -> Alive:
    """Tell that the process lives."""
    return Alive()


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Would images be answered?",
    response_model=Readiness,
    response_model_exclude_none=True,
    responses=described(Cause.NOT_UNDERSTOOD)
    | {
        401: {"model": Problem, "description": "The API key, which `deep` needs, is missing or wrong"},
        503: {"model": Readiness, "description": "Loading, failed, hanging, too slow, overloaded, or wrong"},
    },
)
async def readyz(
    request: Request,
    deep: Annotated[bool, Query(description="Detect the people of a stored picture and compare")] = False,
) -> Response:
    """Tell whether the model is loaded and does not hang; with `deep`, whether it answers, and rightly."""
    state = request.app.state
    if state.failure is not None:
        return _answer(Readiness(status="failed", message="the model could not be loaded; the server's log says why"))
    if state.inference is None:
        return _answer(Readiness(status="loading", message="the model is being loaded"))
    if not deep and state.inference.is_stuck:
        return _answer(_failed(f"the engine hangs: no batch has come back within {state.config.timeout_seconds:g} s"))
    if not deep:
        return _answer(Readiness(status="ready", model=state.inference.model_used()))
    if not hasattr(state, "deep_check"):
        state.deep_check = DeepCheck(state.inference, state.config)
    return _answer(await state.deep_check.result())


def loaded(request: Request) -> Inference:
    """Return the service's core. Raises Refused until the model is loaded."""
    inference: Inference | None = request.app.state.inference
    if inference is None:
        why = "could not be loaded; the server's log says why" if request.app.state.failure else "is being loaded"
        raise Refused(Cause.UNAVAILABLE, f"the model {why}", retry_seconds=2)
    return inference


class DeepCheck:
    """Asks the engine for the people of a stored picture: one question at a time, its answer good for a moment."""

    def __init__(self, inference: Inference, config: ServeConfig) -> None:
        self._inference = inference
        self._config = config
        # Whatever the users' threshold: it must leave people to compare.
        self._score = inference.info.preset.default_score
        self._one_at_a_time = asyncio.Lock()
        self._last: Readiness | None = None
        self._last_at = 0.0
        self._picture = b""
        self._expected: Sequence[Person] | None = None

    async def result(self) -> Readiness:
        """Return what came of a check that is no older than a moment."""
        async with self._one_at_a_time:
            if self._last is None or time.monotonic() - self._last_at > REUSED_SECONDS:
                self._last = await self._check()
                self._last_at = time.monotonic()
            return self._last

    async def _check(self) -> Readiness:
        seconds = self._config.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._compare()
        except TimeoutError:
            return _failed(f"no answer within {seconds:g} s")
        except HumanDetectError as error:
            if not isinstance(error, EngineError) or isinstance(error, EngineTimeout):
                return _failed(str(error))
            logger.error("the deep check failed: %s", error)  # noqa: TRY400  the message says it all
            return _failed("the engine failed; the server's log says why")

    async def _compare(self) -> Readiness:
        if not self._picture:
            self._picture, self._expected = await self._inference.in_thread(self._read)
        began = time.perf_counter()
        with self._inference.admitted(1):
            answer: ImageAnswer = await self._inference.detect(self._picture, annotate=False, score=self._score)
        latency_ms = round((time.perf_counter() - began) * 1000, 3)
        if self._expected is None:
            self._expected = answer.people
        found, expected, unexpected = compare(answer.people, self._expected, certain=self._score + SCORE_DRIFT)
        right = found == expected and not unexpected
        return Readiness(
            status="ready" if right else "wrong",
            message=None if right else f"{found} of {expected} people found, and {unexpected} where there are none",
            model=self._inference.model_used(), people=found, expected=expected, unexpected=unexpected,
            latency_ms=latency_ms,
        )  # fmt: skip

    def _read(self) -> tuple[bytes, list[Person] | None]:
        """Read the picture, and its people if they are known of the model that is loaded."""
        reference = Reference.model_validate_json(REFERENCE.read_bytes())
        known = reference.sha256 == _sha256(self._inference, self._config)
        return PICTURE.read_bytes(), reference.people if known else None


def _sha256(inference: Inference, config: ServeConfig) -> str | None:
    """Return what the loaded model's metadata promises of its graph; the engine was loaded only if that was true."""
    try:
        folder = find_model(config.engine.model, config.engine.models_dir)
    except (ModelNotFound, ModelError):  # it runs elsewhere
        return None
    same = (folder.name, folder.version) == (inference.info.name, inference.info.version)
    return folder.metadata.sha256 if same else None


def _failed(message: str) -> Readiness:
    return Readiness(status="failed", message=message)


def _answer(readiness: Readiness) -> Response:
    headers = {} if readiness.status == "ready" else {"Retry-After": "1"}
    return Response(
        readiness.model_dump_json(exclude_none=True), status_code=200 if readiness.status == "ready" else 503,
        headers=headers, media_type="application/json",
    )  # fmt: skip
