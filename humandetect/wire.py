"""What travels over HTTP, described once: the JSON of requests and answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field

Box = Annotated[
    tuple[float, float, float, float], Field(description="x1, y1, x2, y2 in pixels of the upright original image")
]
Milliseconds = Annotated[float, Field(ge=0)]


class Person(BaseModel):
    """One person in an image."""

    box: Box
    score: Annotated[float, Field(ge=0, le=1)]


class ImageIn(BaseModel):
    """An image of a batch."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": True})

    image: Annotated[str, Field(description="JPEG or PNG in base64; line breaks and a `data:` prefix do no harm")]
    id: Annotated[str, Field(description="Comes back with the answer")]


class BatchRequest(BaseModel):
    """The body of `POST /request`."""

    input: Annotated[list[ImageIn], FailFast()]


class ImageOut(BaseModel):
    """The answer to an image of a batch."""

    annotated_image: Annotated[str, Field(description="JPEG with the people drawn, in base64")]
    id: str
    people: list[Person]


class Reason(BaseModel):
    """Why an image of a batch has no answer."""

    index: Annotated[int, Field(ge=0, description="Place in `input`")]
    id: str
    reason: str


class BatchErrors(BaseModel):
    """The images of a batch that could not be used; empty when all could."""

    message: str = ""
    error_ids: list[str] = []
    reasons: list[Reason] = []


class BatchAnswer(BaseModel):
    """The answer of `POST /request`: good images in the order they came in."""

    output: list[ImageOut]
    errors: BatchErrors


class NoValidImage(BatchErrors):
    """The answer when no image of a batch could be used; what older clients read stands on top."""

    output: list[ImageOut] = []
    errors: BatchErrors


class Found(BaseModel):
    """The people in one image of `POST /v1/detect`, or why there is no answer."""

    name: Annotated[str | None, Field(description="The file's name in a form; null for a raw body")] = None
    width: int | None = None
    height: int | None = None
    people: list[Person] = []
    error: str | None = None


class ModelUsed(BaseModel):
    """Which model answered."""

    name: str
    version: str
    engine: str
    score: Annotated[float, Field(description="People below it are not reported")]
    track_scores: Annotated[
        tuple[float, float] | None,
        Field(description="From which score on a box starts a track, and is matched with tracks before weaker ones"),
    ] = None


class TimingsMs(BaseModel):
    """Where the time went: milliseconds in each stage, added up over the images; `total` is what the clock showed."""

    decode: Milliseconds
    queue: Milliseconds
    infer: Milliseconds
    encode: Milliseconds
    total: Milliseconds


class DetectAnswer(BaseModel):
    """The answer of `POST /v1/detect`."""

    results: list[Found]
    model: ModelUsed
    timings_ms: TimingsMs


class Problem(BaseModel):
    """The body of every error."""

    message: str
