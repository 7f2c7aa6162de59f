"""What comes of the images of one request: each has an answer, or the reason why it has none."""

from __future__ import annotations

from asyncio import TaskGroup
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query

from humandetect.config import Anonymize
from humandetect.errors import SourceError
from humandetect.service.inference import ImageAnswer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from fastapi import Request

    from humandetect.service.inference import Inference

Outcome = ImageAnswer | SourceError
AnonymizeQuery = Annotated[Anonymize | None, Query(description="Hide people in the picture")]


async def outcome_of(
    inference: Inference,
    image: bytes | str,
    *,
    annotate: bool,
    score: float | None = None,
    anonymize: Anonymize | None = None,
) -> Outcome:
    """Find the people in an image. Raises what fails for the whole request."""
    try:
        return await inference.detect(image, annotate=annotate, score=score, anonymize=anonymize)
    except SourceError as error:
        return error


async def all_of(work: Sequence[Coroutine[Any, Any, Outcome]]) -> list[Outcome]:
    """Do all at once, in order; what fails for the whole request ends the others and is raised alone."""
    try:
        async with TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def answers_of(outcomes: Sequence[Outcome]) -> list[ImageAnswer]:
    """Return the answers there are."""
    return [outcome for outcome in outcomes if not isinstance(outcome, SourceError)]


def log_outcomes(request: Request, outcomes: Sequence[Outcome]) -> None:
    """Tell the access log what the request held."""
    people = sum(len(answer.people) for answer in answers_of(outcomes))
    request.state.log = {"images": len(outcomes), "people": people}
