"""gRPC's standard health check. Its two messages have the wire format of two that protobuf brings along."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

SERVICE = "grpc.health.v1.Health"
NAMES = ("", "PredictionService", "ModelService")
"""TensorFlow Serving's own names have no package in front; here both forms are known."""
SERVING = 1


def health_service() -> Any:
    """Answer Check; whoever reaches the server reaches models that are loaded. Watch is not offered."""
    known = {*NAMES, *(f"tensorflow.serving.{name}" for name in NAMES if name)}

    def check(data: bytes, context: Any) -> bytes:
        try:
            name = StringValue.FromString(data).value
        except DecodeError:
            context.abort(grpc.StatusCode.INTERNAL, "the request is not a grpc.health.v1.HealthCheckRequest")
        if name not in known:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {name[:100]}")
        status: bytes = Int32Value(value=SERVING).SerializeToString()
        return status

    return grpc.method_handlers_generic_handler(SERVICE, {"Check": grpc.unary_unary_rpc_method_handler(check)})
