"""The gRPC side: PredictionService and ModelService over one Core."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError

from humandetect.model_server.grpc_health import health_service
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
    services = (_prediction_service(core, as_content=as_content), _model_service(core), health_service())
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
