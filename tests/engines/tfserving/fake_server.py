"""Small gRPC servers that speak TensorFlow Serving's protocol as well, or as badly, as they are told."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import grpc
import numpy as np

from humandetect.config import EngineConfig, ServingConfig
from humandetect.engines.tfserving.engine import TFServingEngine
from humandetect.engines.tfserving.tensors import read_tensor, write_tensor
from humandetect.protos import serving_pb2 as protos
from humandetect.protos.tensors_pb2 import DataType, SignatureDefMap, TensorInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UINT8, FLOAT, STRING = DataType.DT_UINT8, DataType.DT_FLOAT, DataType.DT_STRING
OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
AVAILABLE, LOADING = protos.ModelVersionStatus.AVAILABLE, protos.ModelVersionStatus.LOADING


class Refusal(Exception):
    """Raised by a fault: the call ends with this status."""

    def __init__(self, code: str, details: str = "") -> None:
        super().__init__(code)
        self.code, self.details = grpc.StatusCode[code], details


class FakeServing:
    """Finds one person in every picture, as sure as its first pixel is red. Stops at the end of the block.

    `fault` is called for each Predict before it is answered: it may sleep, raise a Refusal or return other bytes.
    """

    def __init__(
        self,
        *,
        model: str = "people",
        shape: Sequence[int] = (-1, 24, 32, 3),
        dtype: DataType = UINT8,
        key: str = "inputs",
        outputs: Sequence[str] = OUTPUTS,
        extra: int = 0,
        fault: Callable[[], bytes | None] | None = None,
        credentials: Any = None,
        address: str = "127.0.0.1:0",
        threads: int = 32,
    ) -> None:
        self.model, self.shape, self.dtype, self.key, self.outputs = model, shape, dtype, key, outputs
        self.extra = extra
        """Bytes of an answer beyond the useful ones."""
        self.fault = fault
        self.metadata_fault: Refusal | None = None
        self.version = 1
        self.state: protos.ModelVersionStatus.State = AVAILABLE
        self.sizes: list[int] = []
        """Of the Predict requests, in images."""
        self.filters: list[list[str]] = []
        self.request_bytes: list[int] = []
        self.tokens: list[str | None] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self._credentials, self._address, self._threads = credentials, address, threads
        self._server: Any = None
        self.target = address

    def start(self) -> Self:
        handlers = {"Predict": self._predict, "GetModelMetadata": self._metadata}
        self._server = grpc.server(
            ThreadPoolExecutor(self._threads),
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ],
        )
        self._server.add_generic_rpc_handlers(
            [
                _service("tensorflow.serving.PredictionService", {n: self._guarded(h) for n, h in handlers.items()}),
                _service("tensorflow.serving.ModelService", {"GetModelStatus": self._guarded(self._status)}),
            ]
        )
        port = (
            self._server.add_secure_port(self._address, self._credentials)
            if self._credentials
            else self._server.add_insecure_port(self._address)
        )
        if not self._address.startswith("unix:"):
            self._address = self.target = f"127.0.0.1:{port}"
        self._server.start()
        return self

    def stop(self) -> None:
        """Break every connection, as a killed process does; `start` opens the same port again."""
        self._server.stop(0).wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _guarded(self, handler: Callable[[bytes], bytes]) -> Callable[[bytes, Any], bytes]:
        def guarded(request: bytes, context: Any) -> bytes:
            self.tokens.append(dict(context.invocation_metadata()).get("authorization"))
            try:
                return handler(request)
            except Refusal as refusal:
                context.abort(refusal.code, refusal.details)
                raise

        return guarded

    def _predict(self, data: bytes) -> bytes:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            request = protos.PredictRequest.FromString(data)
            if self.key not in request.inputs:
                raise Refusal("INVALID_ARGUMENT", f"input tensor alias not found in signature: {[*request.inputs]}")
            self._check(request.model_spec)
            images = read_tensor(request.inputs[self.key])
            self.sizes.append(len(images))
            self.request_bytes.append(len(data))
            self.filters.append(list(request.output_filter))
            other = self.fault() if self.fault else None
            return other if other is not None else self._answer(images)
        finally:
            with self._lock:
                self._now -= 1

    def _answer(self, images: np.ndarray) -> bytes:
        count = len(images)
        values = {
            "detection_boxes": np.tile(np.array([[[0.25, 0.0, 0.75, 0.5]]], np.float32), (count, 1, 1)),
            "detection_scores": images[:, 0, 0, :1].astype(np.float32) / np.float32(255),
            "detection_classes": np.ones((count, 1), np.float32),
            "num_detections": np.ones(count, np.float32),
        }
        if self.extra:
            values["raw"] = np.zeros(self.extra, np.uint8)
        response = protos.PredictResponse(model_spec=self._spec())
        for name, array in values.items():
            write_tensor(response.outputs[name], array)
        return response.SerializeToString()

    def _spec(self) -> protos.ModelSpec:
        return protos.ModelSpec(name=self.model, version={"value": self.version})

    def _check(self, spec: protos.ModelSpec) -> None:
        if spec.name != self.model:
            raise Refusal("NOT_FOUND", f"Servable not found for request: Latest({spec.name})")
        if spec.HasField("version") and spec.version.value != self.version:
            raise Refusal("NOT_FOUND", f"Servable not found for request: Specific({spec.name}, {spec.version.value})")
        if spec.version_label not in ("", "stable"):
            raise Refusal("INVALID_ARGUMENT", f"Unrecognized servable version label: {spec.version_label}")

    def _metadata(self, request: bytes) -> bytes:
        self._check(protos.GetModelMetadataRequest.FromString(request).model_spec)
        if self.metadata_fault is not None:
            raise self.metadata_fault
        signatures = SignatureDefMap()
        signature = signatures.signature_def["serving_default"]
        signature.inputs[self.key].CopyFrom(_tensor_info(self.dtype, self.shape))
        for name in self.outputs:
            signature.outputs[name].CopyFrom(_tensor_info(FLOAT, (-1,)))
        response = protos.GetModelMetadataResponse(model_spec=self._spec())
        response.metadata["signature_def"].value = signatures.SerializeToString()
        return response.SerializeToString()

    def _status(self, request: bytes) -> bytes:
        spec = protos.GetModelStatusRequest.FromString(request).model_spec
        if spec.name != self.model:
            raise Refusal("NOT_FOUND", f"Could not find any versions of model {spec.name}")
        if spec.HasField("version") and spec.version.value != self.version:
            raise Refusal("NOT_FOUND", f"Could not find version {spec.version.value} of model {spec.name}")
        response = protos.GetModelStatusResponse()
        response.model_version_status.add(version=self.version, state=self.state)
        return response.SerializeToString()


def engine_for(*fakes: FakeServing | str, **options: Any) -> TFServingEngine:
    """Start the engine on fakes or addresses, with short waits."""
    targets = tuple(fake if isinstance(fake, str) else fake.target for fake in fakes)
    known = {"timeout_seconds": 5.0, "patience_seconds": 5.0, "model": "people", **options}
    return TFServingEngine(EngineConfig(engine="tf-serving", serving=ServingConfig(targets=targets, **known)))


def pictures(*shades: int, hw: tuple[int, int] = (24, 32)) -> np.ndarray:
    """RGB pictures of one shade each."""
    return np.stack([np.full((*hw, 3), shade, np.uint8) for shade in shades])


def _service(name: str, handlers: dict[str, Callable[[bytes, Any], bytes]]) -> Any:
    methods = {method: grpc.unary_unary_rpc_method_handler(handler) for method, handler in handlers.items()}
    return grpc.method_handlers_generic_handler(name, methods)


def _tensor_info(dtype: DataType, shape: Sequence[int]) -> TensorInfo:
    return TensorInfo(name="x:0", dtype=dtype, tensor_shape={"dim": [{"size": size} for size in shape]})
