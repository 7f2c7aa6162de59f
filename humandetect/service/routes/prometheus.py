"""`GET /metrics`: the numbers of metrics.py, as Prometheus scrapes them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from humandetect.service.problems import described
from humandetect.service.refusals import Cause

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    summary="What was counted and timed",
    response_class=PlainTextResponse,
    responses=described(Cause.NO_KEY),
)
async def metrics(request: Request) -> Response:
    """Tell what was counted and timed since the start, in Prometheus' format."""
    body, kind = request.app.state.metrics.exposition()
    return Response(body, media_type=kind)
