"""A SavedModel in a TensorFlow session, run the way TensorFlow Serving runs it."""

from __future__ import annotations

import logging
import math
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import grpc

from humandetect.service.model_server.status import ServingError, deadline_exceeded, tensorflow_errors
from humandetect.stderr import quiet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TAGS = ["serve"]


class Runner(Protocol):
    """Runs a graph: a session, or what collects batches for one."""

    def run(
        self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], timeout_seconds: float | None
    ) -> list[NDArray[Any]]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Servable:
    """A version that answers."""

    signatures: Mapping[str, Any]
    """SignatureDef by name."""
    runner: Runner


@dataclass(slots=True)
class Session:
    """Runs a graph by the names of its tensors. Thread-safe.

    It calls the C API as `tf.compat.v1.Session.run` does in the end, but leaves out what that does before: casting the
    inputs to the types the graph wants, where TensorFlow Serving refuses wrong types.
    """

    session: Any
    _outputs: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(
        self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], timeout_seconds: float | None
    ) -> list[NDArray[Any]]:
        """Return the wanted tensors; raises ServingError, DEADLINE_EXCEEDED once the time is over."""
        import tensorflow as tf
        from tensorflow.python.client import pywrap_tf_session

        session = self.session
        if session is None:
            raise ServingError(grpc.StatusCode.UNAVAILABLE, "this version is being unloaded")
        if timeout_seconds is not None and timeout_seconds <= 0:
            raise deadline_exceeded()
        milliseconds = 0 if timeout_seconds is None else math.ceil(min(timeout_seconds, 1e6) * 1000)
        options = tf.compat.v1.RunOptions(timeout_in_ms=milliseconds).SerializeToString()
        buffer = pywrap_tf_session.TF_NewBufferFromString(options)
        try:
            with tensorflow_errors():
                wanted = [self._output(session, name) for name in fetches]
                given = {self._output(session, name): array for name, array in feeds.items()}
                answer = pywrap_tf_session.TF_SessionRun_wrapper(session._session, buffer, given, wanted, [], None)
        finally:
            pywrap_tf_session.TF_DeleteBuffer(buffer)
        return list(answer)

    def close(self) -> None:
        """Free the model; nothing may be running any more."""
        session, self.session = self.session, None
        self._outputs.clear()
        if session is not None:
            session.close()

    def _output(self, session: Any, name: str) -> Any:
        with self._lock:
            if name not in self._outputs:
                self._outputs[name] = session.graph.get_tensor_by_name(name)._as_tf_output()
            return self._outputs[name]


def import_tensorflow() -> Any:
    """Import TensorFlow without the words it has for the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet("TensorFlow while starting"):
        import tensorflow as tf

        tf.get_logger().setLevel(logging.ERROR)  # it calls the session loader deprecated, three lines long
        tf.config.list_physical_devices("GPU")  # complains where there is none, once
    return tf


def load_session(path: Path) -> tuple[Session, dict[str, Any]]:
    """Load a SavedModel; return its session and its signatures. Raises ServingError."""
    from google.protobuf.message import DecodeError

    tf = import_tensorflow()
    options = tf.compat.v1.ConfigProto(gpu_options=tf.compat.v1.GPUOptions(allow_growth=True))
    session = tf.compat.v1.Session(graph=tf.Graph(), config=options)
    try:
        with tensorflow_errors():
            meta_graph = tf.compat.v1.saved_model.load(session, TAGS, str(path))
            # A first run hands the graph to the runtime; later ones go there directly.
            session.graph.finalize()
            session._extend_graph()
    except ServingError:
        session.close()
        raise
    except (OSError, RuntimeError, ValueError, KeyError, DecodeError) as error:
        session.close()
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ServingError(_load_code(error), reason) from error
    return Session(session), dict(meta_graph.signature_def)


def _load_code(error: Exception) -> Any:
    return grpc.StatusCode.NOT_FOUND if isinstance(error, OSError) else grpc.StatusCode.INVALID_ARGUMENT
