"""A server that answers as a test tells it to, right or wrong, over a real socket."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.service.images import jpeg

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping


@dataclass
class Call:
    """One request to `POST /request` or `/v1/detect`."""

    number: int
    """Counts from 0."""
    path: str
    headers: dict[str, str]
    body: bytes
    query: str = ""

    @property
    def images(self) -> list[bytes]:
        return [base64.b64decode(entry["image"]) for entry in json.loads(self.body)["input"]]

    @property
    def ids(self) -> list[str]:
        return [entry["id"] for entry in json.loads(self.body)["input"]]


@dataclass
class Faulty:
    """An application that gives each call to `answer`, on a thread of its own."""

    answer: Callable[[Call], Response]
    calls: list[Call] = field(default_factory=list)
    most_at_once: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if request.method != "POST":
            await Response("nothing here", 404)(scope, receive, send)
            return
        body = await request.body()
        with self._lock:
            call = Call(len(self.calls), request.url.path, dict(request.headers), body, request.url.query)
            self.calls.append(call)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            response = await asyncio.to_thread(self.answer, call)
        finally:
            self._now -= 1
        await response(scope, receive, send)


PICTURE = base64.b64encode(jpeg(shade=240)).decode()
PERSON = {"box": [1.0, 2.0, 30.0, 40.0], "score": 0.9}


def out(name: str, **changes: Any) -> dict[str, Any]:
    """A good answer to one image."""
    return {"annotated_image": PICTURE, "id": name, "people": [PERSON]} | changes


def good(call: Call) -> Response:
    """Find one person in every image."""
    if call.path == "/request":
        return answers([out(name) for name in call.ids])
    timings = dict.fromkeys(("decode", "queue", "infer", "encode", "total"), 1.0)
    model = {"name": "fake", "version": "1", "engine": "fake", "score": 0.5}
    result = {"name": None, "width": 64, "height": 48, "people": [PERSON]}
    return JSONResponse({"results": [result], "model": model, "timings_ms": timings})


def answers(output: list[dict[str, Any]], reasons: list[dict[str, Any]] | None = None) -> Response:
    errors: dict[str, Any] = {}
    if reasons:
        errors = {"message": "some", "error_ids": [reason["id"] for reason in reasons], "reasons": reasons}
    return JSONResponse({"output": output, "errors": errors})


def problem(status: int, message: str = "as it was told to", **headers: str) -> Response:
    return JSONResponse({"message": message}, status, headers={k.replace("_", "-"): v for k, v in headers.items()})
