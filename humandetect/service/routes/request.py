"""`POST /request`, the compatible batch endpoint: base64 images in, annotated pictures and people out."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from humandetect.base64_pictures import encode_base64
from humandetect.errors import SourceError
from humandetect.service.bodies import ENVELOPE_BYTES, Body, Held, check_content_type, unless_gone
from humandetect.service.outcomes import AnonymizeQuery, all_of, log_outcomes, outcome_of
from humandetect.service.problems import Refused, described
from humandetect.service.refusals import Cause
from humandetect.service.routes.readiness import loaded
from humandetect.wire import BatchAnswer, BatchErrors, BatchRequest, ImageIn, ImageOut, NoValidImage, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.config import Anonymize, ServeConfig
    from humandetect.service.inference import Inference
    from humandetect.service.outcomes import Outcome

router = APIRouter(tags=["detect"])

JSON_TYPES = ("application/json",)
MOST_VALUES = 100_000
"""In the JSON of a request; in memory each is a hundred times the size of an empty one in a body."""
BASE64_GROWTH = 1.4
"""4/3, and line breaks."""

_BODY = {
    "schema": {
        "type": "object",
        "required": ["input"],
        "properties": {"input": {"type": "array", "items": ImageIn.model_json_schema()}},
    }
}


@router.post(
    "/request",
    summary="Find people in a batch of images and draw them",
    response_model=BatchAnswer,
    responses=described(*Cause) | {400: {"model": NoValidImage, "description": Cause.NO_IMAGE.meaning}},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": _BODY}}},
)
async def request(request: Request, anonymize: AnonymizeQuery = None) -> Response:
    """Find people in up to 16 images and draw them. A bad image costs only itself."""
    inference: Inference = loaded(request)
    config: ServeConfig = request.app.state.config
    check_content_type(request, JSON_TYPES)
    with Body(request, limit=largest_body(config), budget=request.app.state.budget) as body:
        batch = await _parsed(inference, await body.read())
        count = len(batch.input)
        if count > config.max_images:
            raise Refused(Cause.TOO_MANY, f"{count} images in one request: at most {config.max_images} are taken")
        with inference.admitted(count), Held(request.app.state.answers) as held:
            outcomes = await unless_gone(
                request, all_of([_drawn(inference, entry, held, anonymize) for entry in batch.input])
            )
            log_outcomes(request, outcomes)
            return await inference.in_thread(lambda: _answer(batch, outcomes, config))


def largest_body(config: ServeConfig) -> int:
    """Return the bytes of the largest request that is taken."""
    return int(config.max_images * config.max_image_mb * 1e6 * BASE64_GROWTH) + ENVELOPE_BYTES


async def _parsed(inference: Inference, body: bytearray) -> BatchRequest:
    try:
        return await inference.in_thread(lambda: _parse(body))
    except ValidationError as error:
        problems = [f"{_place(problem['loc'])}{problem['msg']}" for problem in error.errors(include_input=False)[:3]]
        raise Refused(Cause.NOT_UNDERSTOOD, f"not the JSON that is read here: {'; '.join(problems)}") from None


def _parse(body: bytearray) -> BatchRequest:
    if body.startswith(BOM_UTF8):
        del body[: len(BOM_UTF8)]
    if sum(body.count(mark) for mark in b",[{") > MOST_VALUES:
        raise Refused(
            Cause.NOT_UNDERSTOOD,
            f"more than {MOST_VALUES} values of JSON: an `image` and an `id` for each image are enough",
        )
    return BatchRequest.model_validate_json(body)


def _place(location: Sequence[int | str]) -> str:
    return f"{'.'.join(map(str, location))}: " if location else ""


async def _drawn(inference: Inference, entry: ImageIn, held: Held, anonymize: Anonymize | None) -> Outcome:
    outcome = await outcome_of(inference, entry.image, annotate=True, anonymize=anonymize)
    entry.image = ""
    if not isinstance(outcome, SourceError):
        held.take(len(outcome.annotated or b"") * 4 // 3)
    return outcome


def _answer(batch: BatchRequest, outcomes: Sequence[Outcome], config: ServeConfig) -> Response:
    output: list[ImageOut] = []
    reasons: list[Reason] = []
    for index, (entry, outcome) in enumerate(zip(batch.input, outcomes, strict=True)):
        if isinstance(outcome, SourceError):
            reasons.append(Reason(index=index, id=entry.id, reason=str(outcome)))
        else:
            picture = encode_base64(outcome.annotated or b"")
            output.append(ImageOut(annotated_image=picture, id=entry.id, people=outcome.people))
    errors = _errors(reasons, count=len(outcomes), config=config)
    answer = BatchAnswer(output=output, errors=errors) if output else NoValidImage(**dict(errors), errors=errors)
    status = 200 if output else Cause.NO_IMAGE
    return Response(answer.model_dump_json(exclude_unset=True), status, media_type="application/json")


def _errors(reasons: list[Reason], *, count: int, config: ServeConfig) -> BatchErrors:
    if count == 0:
        return BatchErrors(message="no image was sent: `input` is empty")
    if not reasons:
        return BatchErrors()
    return BatchErrors(
        message=f"{len(reasons)} of {count} images could not be used: "
        f"they must be JPEG or PNG, under {config.max_image_mb:g} MB",
        error_ids=[reason.id for reason in reasons],
        reasons=reasons,
    )
