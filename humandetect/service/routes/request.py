"""The two ways to ask: `POST /request`, the compatible batch endpoint, and `POST /v1/detect`."""

from __future__ import annotations

import time
from asyncio import TaskGroup
from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, ValidationError

from humandetect.base64_pictures import encode_base64
from humandetect.errors import SourceError
from humandetect.service.bodies import Body, Held, check_content_type, unless_gone
from humandetect.wire import (
    BatchAnswer,
    BatchErrors,
    BatchRequest,
    DetectAnswer,
    Found,
    ImageIn,
    ImageOut,
    NoValidImage,
    Problem,
    Reason,
    TimingsMs,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from humandetect.config import ServeConfig
    from humandetect.service.inference import ImageAnswer, Inference

router = APIRouter(tags=["detect"])

JSON_TYPES = ("application/json",)
IMAGE_TYPES = ("image/jpeg", "image/png", "application/octet-stream")
FORM_TYPE = "multipart/form-data"
MOST_VALUES = 100_000
"""In the JSON of a request; in memory each is a hundred times the size of an empty one in a body."""
ENVELOPE_BYTES = 1_000_000
"""What a request may hold beside its images: ids, JSON, the headers of a form's parts."""
LONGEST_NAME = 100
"""Characters of a file's name in a message."""
BASE64_GROWTH = 1.4
"""4/3, and line breaks."""

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "No image could be used"},
    401: {"model": Problem, "description": "The API key is missing or wrong"},
    406: {"model": Problem, "description": "Too many images"},
    408: {"model": Problem, "description": "The request came too slowly"},
    413: {"model": Problem, "description": "The request is too large"},
    415: {"model": Problem, "description": "Another content type or encoding"},
    422: {"model": Problem, "description": "Not what this endpoint reads"},
    500: {"model": Problem, "description": "The engine failed"},
    503: {"model": Problem, "description": "Overloaded, starting, or the backend is away; see Retry-After"},
    504: {"model": Problem, "description": "The engine was too slow"},
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
    }
}
_BATCH_BODY = {
    "schema": {
        "type": "object",
        "required": ["input"],
        "properties": {"input": {"type": "array", "items": ImageIn.model_json_schema()}},
    }
}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/request",
    summary="Find people in a batch of images and draw them",
    response_model=BatchAnswer,
    responses=_PROBLEMS | {400: {"model": NoValidImage, "description": "No image could be used"}},
    openapi_extra=_body({"application/json": _BATCH_BODY}),
)
async def request(request: Request) -> Response:
    """Find people in up to 16 images and draw them. A bad image costs only itself."""
    inference, config = ready(request), _config(request)
    check_content_type(request, JSON_TYPES)
    with Body(request, limit=largest_body(config), budget=request.app.state.budget) as body:
        batch = await _parsed(inference, await body.read())
        _check_count(len(batch.input), config)
        with inference.admitted(len(batch.input)), Held(request.app.state.answers) as held:
            outcomes = await unless_gone(request, _all([_drawn(inference, entry, held) for entry in batch.input]))
            _log(request, outcomes)
            return await inference.in_thread(lambda: _batch_answer(batch, outcomes, config))


@router.post(
    "/v1/detect",
    summary="Find people in an image, or in several",
    response_model=DetectAnswer,
    responses=_PROBLEMS
    | {200: {"content": {"image/jpeg": _BINARY}, "description": "People, or the annotated picture"}},
    openapi_extra=_body(dict.fromkeys(IMAGE_TYPES, _BINARY) | {FORM_TYPE: _FORM}),
)
async def detect(
    request: Request,
    score: Annotated[
        float | None, Query(ge=0, le=1, allow_inf_nan=False, description="Report people from this score on")
    ] = None,
) -> Response:
    """Find people in an image sent as it is, or in several sent as a form.

    With `Accept: image/jpeg` the answer to one image is the annotated picture.
    """
    inference, config = ready(request), _config(request)
    began = time.perf_counter()
    annotate = "image/jpeg" in request.headers.get("accept", "").lower()
    is_form = check_content_type(request, (*IMAGE_TYPES, FORM_TYPE)) == FORM_TYPE
    most = config.max_images if is_form else 1
    limit = int(most * config.max_image_mb * 1e6) + (ENVELOPE_BYTES if is_form else 0)
    with Body(request, limit=limit, budget=request.app.state.budget) as body:
        files = await body.read_files(max_files=most) if is_form else [(None, bytes(await body.read()))]
        if not files:
            raise HTTPException(400, "the form holds no file: send each image as a part with a filename")
        if annotate and len(files) > 1:
            raise HTTPException(406, f"an annotated picture answers one image, {len(files)} were sent")
        with inference.admitted(len(files)):
            outcomes = await unless_gone(
                request, _all([_outcome(inference, data, annotate=annotate, score=score) for _, data in files])
            )
    _log(request, outcomes)
    if not any(_answers(outcomes)):
        raise HTTPException(400, _why([name for name, _ in files], outcomes))
    if annotate:
        return Response(_answers(outcomes)[0].annotated, media_type="image/jpeg")
    names = [name for name, _ in files]
    return _json(
        DetectAnswer(
            results=[_found(name, outcome) for name, outcome in zip(names, outcomes, strict=True)],
            model=inference.model_used(score),
            timings_ms=_timings(_answers(outcomes), total_seconds=time.perf_counter() - began),
        )
    )


def largest_body(config: ServeConfig) -> int:
    """Return the bytes of the largest request that is taken."""
    return int(config.max_images * config.max_image_mb * 1e6 * BASE64_GROWTH) + ENVELOPE_BYTES


def ready(request: Request) -> Inference:
    """Return the service's core. Raises HTTPException (503) until the model is loaded."""
    inference: Inference | None = request.app.state.inference
    if inference is None:
        why = "could not be loaded; the server's log says why" if request.app.state.failure else "is being loaded"
        raise HTTPException(503, f"the model {why}", headers={"Retry-After": "2"})
    return inference


def _config(request: Request) -> ServeConfig:
    config: ServeConfig = request.app.state.config
    return config


async def _parsed(inference: Inference, body: bytearray) -> BatchRequest:
    try:
        return await inference.in_thread(lambda: _parse(body))
    except ValidationError as error:
        problems = [f"{_place(problem['loc'])}{problem['msg']}" for problem in error.errors(include_input=False)[:3]]
        raise HTTPException(422, f"not the JSON that is read here: {'; '.join(problems)}") from None


def _parse(body: bytearray) -> BatchRequest:
    if body.startswith(BOM_UTF8):
        del body[: len(BOM_UTF8)]
    if sum(body.count(mark) for mark in b",[{") > MOST_VALUES:
        raise HTTPException(
            422, f"more than {MOST_VALUES} values of JSON: an `image` and an `id` for each image are enough"
        )
    return BatchRequest.model_validate_json(body)


def _place(location: Sequence[int | str]) -> str:
    return f"{'.'.join(map(str, location))}: " if location else ""


def _check_count(count: int, config: ServeConfig) -> None:
    if count > config.max_images:
        raise HTTPException(406, f"{count} images in one request: at most {config.max_images} are taken")


async def _drawn(inference: Inference, entry: ImageIn, held: Held) -> ImageAnswer | SourceError:
    outcome = await _outcome(inference, entry.image, annotate=True)
    entry.image = ""
    if not isinstance(outcome, SourceError):
        held.take(len(outcome.annotated or b"") * 4 // 3)
    return outcome


async def _outcome(
    inference: Inference, image: bytes | str, *, annotate: bool, score: float | None = None
) -> ImageAnswer | SourceError:
    try:
        return await inference.detect(image, annotate=annotate, score=score)
    except SourceError as error:
        return error


async def _all(work: Sequence[Coroutine[Any, Any, ImageAnswer | SourceError]]) -> list[ImageAnswer | SourceError]:
    """Do all at once, in order; what fails for the whole request ends the others and is raised alone."""
    try:
        async with TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _answers(outcomes: Sequence[ImageAnswer | SourceError]) -> list[ImageAnswer]:
    return [outcome for outcome in outcomes if not isinstance(outcome, SourceError)]


def _batch_answer(batch: BatchRequest, outcomes: Sequence[ImageAnswer | SourceError], config: ServeConfig) -> Response:
    output: list[ImageOut] = []
    reasons: list[Reason] = []
    for index, (entry, outcome) in enumerate(zip(batch.input, outcomes, strict=True)):
        if isinstance(outcome, SourceError):
            reasons.append(Reason(index=index, id=entry.id, reason=str(outcome)))
        else:
            picture = encode_base64(outcome.annotated or b"")
            output.append(ImageOut(annotated_image=picture, id=entry.id, people=outcome.people))
    errors = _errors(reasons, count=len(outcomes), config=config)
    if output:
        return _json(BatchAnswer(output=output, errors=errors))
    return _json(NoValidImage(**dict(errors), errors=errors), status=400)


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


def _why(names: Sequence[str | None], outcomes: Sequence[ImageAnswer | SourceError]) -> str:
    """Say why no image could be used; of several, which is which."""
    if len(outcomes) == 1:
        return str(outcomes[0])
    reasons = zip(names, outcomes, strict=True)
    return "; ".join(
        f"image {number}{f' ({name[:LONGEST_NAME]})' if name else ''}: {reason}"
        for number, (name, reason) in enumerate(reasons, 1)
    )


def _found(name: str | None, outcome: ImageAnswer | SourceError) -> Found:
    if isinstance(outcome, SourceError):
        return Found(name=name, width=None, height=None, people=[], error=str(outcome))
    return Found(name=name, width=outcome.width, height=outcome.height, people=outcome.people)


def _timings(answers: Sequence[ImageAnswer], *, total_seconds: float) -> TimingsMs:
    spent = {
        stage: round(sum(getattr(answer.timings, stage) for answer in answers) * 1000, 3)
        for stage in ("decode", "queue", "infer", "encode")
    }
    return TimingsMs(**spent, total=round(total_seconds * 1000, 3))


def _log(request: Request, outcomes: Sequence[ImageAnswer | SourceError]) -> None:
    """Tell the access log what the request held."""
    people = sum(len(answer.people) for answer in _answers(outcomes))
    request.state.log = {"images": len(outcomes), "people": people}


def _json(answer: BaseModel, *, status: int = 200) -> Response:
    """Fields that nobody set are left out: `errors` of a good batch is {}."""
    return Response(answer.model_dump_json(exclude_unset=True), status_code=status, media_type="application/json")
