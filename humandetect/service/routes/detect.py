"""`POST /v1/detect`: images as they are in; people out, or an annotated picture."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response

from humandetect.errors import SourceError
from humandetect.service.accept import quality
from humandetect.service.bodies import ENVELOPE_BYTES, Body, check_content_type, unless_gone
from humandetect.service.outcomes import AnonymizeQuery, all_of, answers_of, log_outcomes, outcome_of
from humandetect.service.problems import Refused, described
from humandetect.service.refusals import Cause
from humandetect.service.routes.readiness import loaded
from humandetect.wire import DetectAnswer, Found, TimingsMs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.config import ServeConfig
    from humandetect.service.inference import ImageAnswer, Inference
    from humandetect.service.outcomes import Outcome

router = APIRouter(tags=["detect"])

IMAGE_TYPES = ("image/jpeg", "image/png", "application/octet-stream")
FORM_TYPE = "multipart/form-data"
LONGEST_NAME = 100
"""Characters of a file's name in a message."""

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/v1/detect",
    summary="Find people in an image, or in several",
    response_model=DetectAnswer,
    responses=described(*Cause)
    | {200: {"content": {"image/jpeg": _BINARY}, "description": "People, or the annotated picture"}},
    openapi_extra={
        "requestBody": {"required": True, "content": dict.fromkeys(IMAGE_TYPES, _BINARY) | {FORM_TYPE: _FORM}}
    },
)
async def detect(
    request: Request,
    score: Annotated[
        float | None, Query(ge=0, le=1, allow_inf_nan=False, description="Report people from this score on")
    ] = None,
    anonymize: AnonymizeQuery = None,
) -> Response:
    """Find people in an image sent as it is, or in several sent as a form.

    With `Accept: image/jpeg` the answer to one image is the annotated picture.
    """
    inference: Inference = loaded(request)
    config: ServeConfig = request.app.state.config
    began = time.perf_counter()
    is_form = check_content_type(request, (*IMAGE_TYPES, FORM_TYPE)) == FORM_TYPE
    most = config.max_images if is_form else 1
    limit = int(most * config.max_image_mb * 1e6) + (ENVELOPE_BYTES if is_form else 0)
    with Body(request, limit=limit, budget=request.app.state.budget) as body:
        files = await _read_form(body, most=most) if is_form else [(None, bytes(await body.read()))]
        annotate = _wants_picture(request.headers.get("accept", ""), images=len(files))
        with inference.admitted(len(files)):
            work = [
                outcome_of(inference, data, annotate=annotate, score=score, anonymize=anonymize) for _, data in files
            ]
            outcomes = await unless_gone(request, all_of(work))
    log_outcomes(request, outcomes)
    names, answers = [name for name, _ in files], answers_of(outcomes)
    if not answers:
        raise Refused(Cause.NO_IMAGE, _why(names, outcomes))
    if annotate:
        return Response(answers[0].annotated, media_type="image/jpeg")
    results = [_found(name, outcome) for name, outcome in zip(names, outcomes, strict=True)]
    timings_ms = _timings(answers, total_seconds=time.perf_counter() - began)
    answer = DetectAnswer(results=results, model=inference.model_used(score), timings_ms=timings_ms)
    return Response(answer.model_dump_json(exclude_unset=True), media_type="application/json")


async def _read_form(body: Body, *, most: int) -> list[tuple[str | None, bytes]]:
    files = await body.read_files(max_files=most)
    if not files:
        raise Refused(Cause.NO_IMAGE, "the form holds no file: send each image as a part with a filename")
    return files


def _wants_picture(accept: str, *, images: int) -> bool:
    """Tell whether the annotated picture is wanted more than JSON, or as much and by its name."""
    picture, json = quality(accept, "image/jpeg"), quality(accept, "application/json")
    wanted = picture.value > 0 and (picture > json or (picture == json and picture.is_named))
    if wanted and images > 1 and not json.value:
        raise Refused(Cause.TOO_MANY, f"an annotated picture answers one image, {images} were sent")
    return wanted and images == 1


def _why(names: Sequence[str | None], outcomes: Sequence[Outcome]) -> str:
    """Say why no image could be used; of several, which is which."""
    if len(outcomes) == 1:
        return str(outcomes[0])
    reasons = zip(names, outcomes, strict=True)
    return "; ".join(
        f"image {number}{f' ({name[:LONGEST_NAME]})' if name else ''}: {reason}"
        for number, (name, reason) in enumerate(reasons, 1)
    )


def _found(name: str | None, outcome: Outcome) -> Found:
    if isinstance(outcome, SourceError):
        return Found(name=name, width=None, height=None, people=[], error=str(outcome))
    return Found(name=name, width=outcome.width, height=outcome.height, people=outcome.people)


def _timings(answers: Sequence[ImageAnswer], *, total_seconds: float) -> TimingsMs:
    spent = {
        stage: round(sum(getattr(answer.timings, stage) for answer in answers) * 1000, 3)
        for stage in ("decode", "queue", "infer", "encode")
    }
    return TimingsMs(**spent, total=round(total_seconds * 1000, 3))
