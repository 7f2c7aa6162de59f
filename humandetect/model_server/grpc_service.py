"""The gRPC side: PredictionService and ModelService over one Core."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from humandetect.model_server.predict import Deadline
from humandetect.model_server.status import ServingError, cut, unimplemented
from humandetect.protos.serving_pb2 import (
    GetModelMetadataRequest,
    GetModelStatusRequest,
    PredictRequest,
    ReloadConfigRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from humandetect.model_server.core import Core

logger = logging.getLogger(__name__)

PREDICTION, MODEL = "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"
HEALTH, SERVING = "grpc.health.v1.Health", 1
HEALTH_NAMES = ("", "PredictionService", "ModelService")
"""TensorFlow Serving's own names have no package in front; here both forms are known."""
WAITING_PER_THREAD = 4
"""Calls that may wait for a thread; further ones are refused with RESOURCE_EXHAUSTED."""


def make_server(core: Core, *, threads: int, as_content: bool) -> Any:
    """Return a server without ports yet."""
    server = grpc.server(
        ThreadPoolExecutor(threads, thread_name_prefix="rpc"),
        maximum_concurrent_rpcs=threads * (1 + WAITING_PER_THREAD),
        options=[
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # or a second server on the same port would take half of the calls
        ],
    )
    services = (_prediction_service(core, as_content=as_content), _model_service(core), _health_service())
    server.add_generic_rpc_handlers(services)
    return server


def _prediction_service(core: Core, *, as_content: bool) -> Any:
    def predict(request: Any, context: Any) -> Any:
        deadline = Deadline.after(context.time_remaining())
        return core.predict(request, deadline, as_content=as_content, entrypoint="GRPC")

    return grpc.method_handlers_generic_handler(
        PREDICTION,
        {
            "Predict": _method(PredictRequest, predict),
            "GetModelMetadata": _method(GetModelMetadataRequest, lambda request, _: core.metadata(request)),
            **{name: _method(Empty, _refusal(name)) for name in ("Classify", "Regress", "MultiInference")},
        },
    )


def _model_service(core: Core) -> Any:
    return grpc.method_handlers_generic_handler(
        MODEL,
        {
            "GetModelStatus": _method(GetModelStatusRequest, lambda request, _: core.status(request)),
            "HandleReloadConfigRequest": _method(ReloadConfigRequest, lambda request, _: core.reload(request)),
        },
    )


def _health_service() -> Any:
    """Answer Check of gRPC's standard health check; whoever reaches the server reaches models that are loaded.

    Watch is not offered. The two messages have the wire format of two that protobuf brings along.
    """
    known = {*HEALTH_NAMES, *(f"tensorflow.serving.{name}" for name in HEALTH_NAMES if name)}

    def check(data: bytes, context: Any) -> bytes:
        try:
            name = StringValue.FromString(data).value
        except DecodeError:
            context.abort(grpc.StatusCode.INTERNAL, "the request is not a grpc.health.v1.HealthCheckRequest")
        if name not in known:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {name[:100]}")
        status: bytes = Int32Value(value=SERVING).SerializeToString()
        return status

    return grpc.method_handlers_generic_handler(HEALTH, {"Check": grpc.unary_unary_rpc_method_handler(check)})


def _method(request_type: Any, answer: Callable[[Any, Any], Any]) -> Any:
    """Wrap a function of request and context.

    Requests are read here and not by gRPC, which logs a traceback for every client that sends nonsense.
    """

    def handle(data: bytes, context: Any) -> bytes:
        try:
            request = request_type.FromString(data)
        except DecodeError:
            context.abort(grpc.StatusCode.INTERNAL, f"the request is not a {request_type.DESCRIPTOR.name}")
        try:
            response: bytes = answer(request, context).SerializeToString()
        except ServingError as error:
            context.abort(error.code, cut(error.message))
        except Exception as error:
            logger.exception("a request failed in an unexpected way")
            context.abort(grpc.StatusCode.INTERNAL, cut(f"{type(error).__name__}: {error}"))
        return response

    return grpc.unary_unary_rpc_method_handler(handle)


def _refusal(name: str) -> Callable[[Any, Any], Any]:
    def refuse(_request: Any, _context: Any) -> Any:
        raise unimplemented(f"{name} is not offered by this server: use Predict, or TensorFlow Serving itself")

    return refuse
