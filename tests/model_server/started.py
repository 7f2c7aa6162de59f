"""A model server in this process, on free ports, and the official client's side of it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from humandetect.config import ModelServerConfig
from humandetect.model_server import lifecycle as launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@dataclass
class Client:
    """What the official stubs offer, with less typing."""

    address: str
    rest: str | None
    channel: Any
    stop: Callable[[], None] = lambda: None
    """Tells the server to end."""

    def __post_init__(self) -> None:
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def ask(self, model: str, timeout: float | None = 20, **inputs: Any) -> Any:
        """Predict and return the whole response."""
        return self.prediction.Predict(predict_request(model, **inputs), timeout=timeout)

    def predict(self, model: str, **inputs: Any) -> dict[str, Any]:
        response = self.ask(model, **inputs)
        return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}

    def states(self, model: str) -> dict[int, str]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        response = self.model.GetModelStatus(request, timeout=20)
        state_name = get_model_status_pb2.ModelVersionStatus.State.Name
        return {entry.version: state_name(entry.state) for entry in response.model_version_status}


def predict_request(model: str, **inputs: Any) -> Any:
    """Build a PredictRequest; floats are float32, protos go as they are."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    for name, value in inputs.items():
        if not hasattr(value, "tensor_shape"):
            array = np.asarray(value)
            value = tf.make_tensor_proto(array.astype(np.float32) if array.dtype == np.float64 else array)
        request.inputs[name].CopyFrom(value)
    return request


def metadata_request(model: str, *fields: str) -> Any:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = model
    return request


def config_text(models: dict[str, Path], **more: str) -> str:
    """Write a models.config; `more` are further fields of a model, by its name."""
    entries = (
        f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {more.get(name, "")} }}'
        for name, path in models.items()
    )
    return "model_config_list {\n" + "\n".join(entries) + "\n}\n"


@contextmanager
def serving(config: Path, **options: Any) -> Iterator[Client]:
    """Serve until the block ends."""
    wanted = ModelServerConfig(config, port=0, **{"poll_seconds": 0.05, "threads": 16, **options})
    stop, ready = threading.Event(), Queue[Any]()

    def serve() -> None:
        try:
            launch.serve(wanted, on_ready=ready.put, stop=stop)
        except BaseException as error:
            ready.put(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        answer = ready.get(timeout=60)
        if isinstance(answer, BaseException):
            raise answer
        with grpc.insecure_channel(answer.address, options=OPTIONS) as channel:
            yield Client(answer.address, answer.rest_address, channel, stop.set)
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()
