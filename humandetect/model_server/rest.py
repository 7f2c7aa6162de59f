"""The REST side: routes over the same Core as gRPC, and Prometheus' page."""

from __future__ import annotations

import json
import logging
import re
import threading
from typing import TYPE_CHECKING, Any

import grpc
import uvicorn
from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from humandetect.engines.tfserving.messages import SIGNATURES
from humandetect.model_server.predict import Deadline
from humandetect.model_server.rest_json import (
    fill_request,
    metadata_json,
    parse_body,
    response_json,
    status_json,
)
from humandetect.model_server.status import ServingError, invalid, not_found, unimplemented
from humandetect.protos.serving_pb2 import GetModelMetadataRequest, GetModelStatusRequest, PredictRequest

if TYPE_CHECKING:
    import socket

    from humandetect.model_server.core import Core

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30
"""TensorFlow Serving's own default for REST."""
END_SECONDS = 25
METRICS_PATH = "/monitoring/prometheus/metrics"
MODEL_PATH = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(?P<rest>/metadata|:predict|:classify|:regress)?",
    re.IGNORECASE,
)
CODE = grpc.StatusCode
HTTP_STATUS = {
    CODE.INVALID_ARGUMENT: 400, CODE.FAILED_PRECONDITION: 400, CODE.OUT_OF_RANGE: 400,
    CODE.NOT_FOUND: 404, CODE.RESOURCE_EXHAUSTED: 429, CODE.UNIMPLEMENTED: 501, CODE.UNAVAILABLE: 503,
    CODE.DEADLINE_EXCEEDED: 504,
}  # fmt: skip
"""All other codes are 500."""


class RestApp:
    """An ASGI application with one entrance: the paths are TensorFlow Serving's, letter case and all."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        response = await run_in_threadpool(self._respond, request.method, request.url.path, body)
        await response(scope, receive, send)

    def _respond(self, method: str, path: str, body: bytes) -> Response:
        try:
            if path == METRICS_PATH and method == "GET":
                return Response(self._core.metrics.text(), media_type="text/plain; version=0.0.4")
            return _json(200, self._answer(method, path, body))
        except ServingError as error:
            return _json(HTTP_STATUS.get(error.code, 500), {"error": error.message})
        except Exception as error:
            logger.exception("a request failed in an unexpected way")
            return _json(500, {"error": f"{type(error).__name__}: {error}"})

    def _answer(self, method: str, path: str, body: bytes) -> Any:
        found = MODEL_PATH.fullmatch(path)
        if not path.lower().startswith("/v1/"):
            raise not_found(f"Not found: {path}")
        what = (found["rest"] or "").lower() if found else ""
        if found is None or (method == "POST") != what.startswith(":") or method not in ("GET", "POST"):
            raise invalid(f"Malformed request: {method} {path}")
        if what == ":predict":
            return self._predict(found, body)
        if what.startswith(":"):
            raise unimplemented(f"{what[1:]} is not offered by this server: use predict, or TensorFlow Serving")
        return self._metadata(found) if what else self._status(found)

    def _predict(self, found: re.Match[str], body: bytes) -> Any:
        content = parse_body(body)
        request = PredictRequest()
        _name_model(request.model_spec, found)
        request.model_spec.signature_name = content.signature
        response = self._core.predict(
            request, Deadline.after(TIMEOUT_SECONDS), as_content=True, entrypoint="REST",
            complete=lambda servable: fill_request(request, servable, content),
        )  # fmt: skip
        return response_json(response, by_row=content.by_row)

    def _status(self, found: re.Match[str]) -> Any:
        request = GetModelStatusRequest()
        _name_model(request.model_spec, found)
        return status_json(self._core.status(request))

    def _metadata(self, found: re.Match[str]) -> Any:
        request = GetModelMetadataRequest(metadata_field=[SIGNATURES])
        _name_model(request.model_spec, found)
        return metadata_json(self._core.metadata(request))


class RestServer:
    """Runs the application on a thread of its own."""

    def __init__(self, core: Core, listener: socket.socket) -> None:
        config = uvicorn.Config(
            RestApp(core), lifespan="off", ws="none", log_config=None, access_log=False, server_header=False,
            timeout_graceful_shutdown=END_SECONDS,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="rest", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Answer what is under way and end."""
        self._server.should_exit = True
        self._thread.join(END_SECONDS + 1)


def _name_model(spec: Any, found: re.Match[str]) -> None:
    spec.name = found["model"]
    if found["version"] is not None:
        spec.version.value = min(int(found["version"]), 2**63 - 1)
    elif found["label"] is not None:
        spec.version_label = found["label"]


def _json(status: int, content: Any) -> Response:
    return Response(json.dumps(content, separators=(",", ":")), status, media_type="application/json")
