"""A client of the endpoint for any thread: images in, what was found in them out, in order or not at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pybase64
from pydantic import BaseModel, ValidationError

from humandetect.base64_pictures import decode_base64
from humandetect.client.retrying import QUOTED_LETTERS, RetryingClient, message_of
from humandetect.client.transport import LARGEST_ANSWER_BYTES, ServerTransport, senseless
from humandetect.errors import RequestFailed, ServiceError, SourceError
from humandetect.wire import BatchAnswer, DetectAnswer, Found, ModelUsed, NoValidImage, Person

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from humandetect.client.transport import Reply
    from humandetect.wire import BatchErrors, ImageOut

Model = TypeVar("Model", bound=BaseModel)

JPEG_HEAD = b"\xff\xd8"
NO_SUCH_ROUTE = (404, 405)


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """What a server made of one image."""

    people: list[Person]
    weak: Sequence[Person] = ()
    """Boxes under the server's usual score, where they were asked for; no people."""
    annotated: bytes = b""
    """JPEG with the people drawn, from the endpoint that draws."""
    reason: str | None = None
    """Why there is no answer."""


class DetectClient:
    """Asks a server for the people in JPEGs or PNGs. May be used by many threads at once.

    While a server is overloaded, slow or away, it is asked again for `patience_seconds`; 0 asks once.
    Methods raise RequestFailed where the server does not answer this request, ServiceAway where it stays away,
    ServiceError where it cannot be used at all, and Closed once the client is closed.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout_seconds: float = 30.0,
        patience_seconds: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        server = ServerTransport(base_url, api_key=api_key, timeout_seconds=timeout_seconds, transport=transport)
        self._server = RetryingClient(server, patience_seconds=patience_seconds)
        self.where = server.where
        """The server's URL, as far as it may be shown."""

    def reach(self) -> None:
        """Make sure that there is a server, at once: only one that was there before is waited for."""
        self._server.reach()

    def request(self, images: Sequence[bytes]) -> list[ImageOutcome]:
        """Post images to /request; they come back annotated."""
        return self.request_body(batch_body(images), count=len(images))

    def request_body(self, body: bytes, *, count: int) -> list[ImageOutcome]:
        """Post what `batch_body` made of `count` images to /request."""
        headers = {"Content-Type": "application/json"}
        return self._server.ask(
            "POST", "/request", lambda reply: _read_batch(reply, count=count), content=body, headers=headers
        )

    def detect(self, image: bytes, *, score: float | None = None) -> Found:
        """Post one image to /v1/detect; `score` takes the place of the server's threshold."""
        headers = {"Content-Type": "application/octet-stream"}
        return self._detect([None], score, content=image, headers=headers)[0]

    def detect_several(self, images: Sequence[bytes], *, score: float | None = None) -> list[Found]:
        """Post images to /v1/detect as a form; each is found in, or has an `error`."""
        names = [str(index) for index in range(len(images))]
        files = [("image", (name, image)) for name, image in zip(names, images, strict=True)]
        return self._detect(names, score, files=files)

    def model(self) -> ModelUsed | None:
        """Return which model answers, and its usual score; None from a server that does not say."""
        try:
            return self._server.ask("GET", "/readyz", lambda reply: _parsed(_ReadyAnswer, reply)).model
        except ServiceError as error:
            if error.status not in NO_SUCH_ROUTE:
                raise
            return None

    def close(self) -> None:
        """Give up what is under way; may be called twice, and while other threads wait for answers."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _detect(self, names: Sequence[str | None], score: float | None, **content: Any) -> list[Found]:
        params = {} if score is None else {"score": score}
        return self._server.ask(
            "POST", "/v1/detect", lambda reply: _read_found(reply, names=names), params=params, **content
        )


class _ReadyAnswer(BaseModel):
    model: ModelUsed | None = None


def batch_body(images: Sequence[bytes]) -> bytes:
    """Return the body of a `POST /request`; the images' ids are their places."""
    # The JSON of a wire.BatchRequest, in half the time: nothing in it needs escaping.
    entries = [b'{"image":"%s","id":"%d"}' % (pybase64.b64encode(image), index) for index, image in enumerate(images)]
    return b'{"input":[%s]}' % b",".join(entries)


def _read_batch(reply: Reply, *, count: int) -> list[ImageOutcome]:
    """Check that each image has one answer or one reason, the answers in the order of the images."""
    answer = _refused_batch(reply) if reply.status == 400 else _parsed(BatchAnswer, reply)
    reasons = _reasons(answer.errors)
    wanted = [str(index) for index in range(count) if str(index) not in reasons]
    got = [image.id for image in answer.output]
    if got != wanted:
        raise senseless(f"{count} images were sent, ids {_some(wanted)} were to come back, and {_some(got)} came")
    outcomes = {image.id: _outcome(image) for image in answer.output}
    outcomes |= {name: ImageOutcome([], reason=reason) for name, reason in reasons.items()}
    return [outcomes[str(index)] for index in range(count)]


def _refused_batch(reply: Reply) -> NoValidImage:
    try:
        return NoValidImage.model_validate_json(reply.body)
    except ValidationError:
        raise RequestFailed(message_of(reply), status=reply.status) from None


def _reasons(errors: BatchErrors) -> dict[str, str]:
    """Return why images have no answer, by id; older servers give the ids alone."""
    reasons = dict.fromkeys(errors.error_ids, errors.message) | {reason.id: reason.reason for reason in errors.reasons}
    return {name: reason[:QUOTED_LETTERS] for name, reason in reasons.items()}


def _outcome(image: ImageOut) -> ImageOutcome:
    try:
        annotated = decode_base64(image.annotated_image, max_bytes=LARGEST_ANSWER_BYTES)
    except SourceError as error:
        raise senseless(f"the picture of id {image.id} is {error}") from error
    if not annotated.startswith(JPEG_HEAD):
        raise senseless(f"the picture of id {image.id} is not a JPEG")
    _check_people(image.people)
    return ImageOutcome(image.people, annotated=annotated)


def _read_found(reply: Reply, *, names: Sequence[str | None]) -> list[Found]:
    if reply.status == 400:
        raise RequestFailed(message_of(reply), status=reply.status)
    results = _parsed(DetectAnswer, reply).results
    got = [found.name for found in results]
    if got != list(names):
        raise senseless(f"{len(names)} images were sent, names {_some(names)} were to come back, and {_some(got)} came")
    for found in results:
        _check_people(found.people)
    return results


def _parsed(model: type[Model], reply: Reply) -> Model:
    try:
        return model.model_validate_json(reply.body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise senseless(f"{place}: {first['msg']}" if place else first["msg"]) from None


def _check_people(people: Sequence[Person]) -> None:
    for person in people:
        if not all(map(math.isfinite, person.box)):
            raise senseless(f"a box is {person.box}")


def _some(names: Sequence[str | None]) -> str:
    shown = ", ".join(map(str, names[:20]))
    return f"{shown} ..." if len(names) > 20 else shown or "none"
