"""A SavedModel in a TensorFlow session, run the way TensorFlow Serving runs it."""

from __future__ import annotations

import functools
import gc
import logging
import math
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import grpc
from google.protobuf.message import DecodeError

from humandetect.model_server.status import ServingError, deadline_exceeded, invalid, tensorflow_errors
from humandetect.protos.tensors_pb2 import SignatureDef
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

    signatures: Mapping[str, SignatureDef]
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

        session = self.session  # close() may forget it meanwhile; what runs here still ends well
        if session is None:
            raise ServingError(grpc.StatusCode.UNAVAILABLE, "this version is being unloaded")
        if timeout_seconds is not None and timeout_seconds <= 0:
            raise deadline_exceeded()
        milliseconds = 0 if timeout_seconds is None else math.ceil(min(timeout_seconds, 1e6) * 1000)
        options = tf.compat.v1.RunOptions(timeout_in_ms=milliseconds)
        with tensorflow_errors():
            if has_direct_run():
                return self._run_directly(session, feeds, fetches, options)
            return _run_publicly(session, feeds, fetches, options)

    def _run_directly(
        self, session: Any, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], options: Any
    ) -> list[NDArray[Any]]:
        from tensorflow.python.client import pywrap_tf_session

        wanted = [self._output(session, name) for name in fetches]
        given = {self._output(session, name): array for name, array in feeds.items()}
        buffer = pywrap_tf_session.TF_NewBufferFromString(options.SerializeToString())
        try:
            return list(pywrap_tf_session.TF_SessionRun_wrapper(session._session, buffer, given, wanted, [], None))
        finally:
            pywrap_tf_session.TF_DeleteBuffer(buffer)

    def close(self) -> None:
        """Free the model; nothing may be running any more."""
        session, self.session = self.session, None
        self._outputs.clear()
        if session is not None:
            session.close()
            del session
            gc.collect()  # a graph refers to itself: without this, memory grows by 15 MB with every version

    def _output(self, session: Any, name: str) -> Any:
        with self._lock:
            if name not in self._outputs:
                self._outputs[name] = session.graph.get_tensor_by_name(name)._as_tf_output()
            return self._outputs[name]


@functools.cache
def has_direct_run() -> bool:
    """Say whether this TensorFlow still has what its own Session.run calls; it is not part of the public API."""
    try:
        from tensorflow.python.client import pywrap_tf_session
    except ImportError:
        return False
    return all(
        hasattr(pywrap_tf_session, name)
        for name in ("TF_SessionRun_wrapper", "TF_NewBufferFromString", "TF_DeleteBuffer")
    )


def _run_publicly(
    session: Any, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], options: Any
) -> list[NDArray[Any]]:
    for index, (name, array) in enumerate(feeds.items()):
        expected = session.graph.get_tensor_by_name(name).dtype
        if array.dtype != expected.as_numpy_dtype:
            raise invalid(f"Expects arg[{index}] to be {expected.name} but {array.dtype.name} is provided")
    return list(session.run(list(fetches), dict(feeds), options=options))


def import_tensorflow() -> Any:
    """Import TensorFlow without the words it has for the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet("TensorFlow while starting"):
        import tensorflow as tf

        tf.get_logger().setLevel(logging.ERROR)  # it calls the session loader deprecated, three lines long
        tf.config.list_physical_devices("GPU")  # complains where there is none, once
    return tf


def load_session(path: Path) -> tuple[Session, dict[str, SignatureDef]]:
    """Load a SavedModel; return its session and its signatures. Raises ServingError."""
    tf = import_tensorflow()
    options = tf.compat.v1.ConfigProto(gpu_options=tf.compat.v1.GPUOptions(allow_growth=True))
    session = tf.compat.v1.Session(graph=tf.Graph(), config=options)
    try:
        with tensorflow_errors():
            meta_graph = tf.compat.v1.saved_model.load(session, TAGS, str(path))
            # A first run hands the graph to the runtime; later ones go there directly.
            session.graph.finalize()
            if has_direct_run():
                session._extend_graph()
    except ServingError:
        session.close()
        raise
    except (OSError, RuntimeError, ValueError, KeyError, DecodeError) as error:
        session.close()
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        code = grpc.StatusCode.NOT_FOUND if isinstance(error, OSError) else grpc.StatusCode.INVALID_ARGUMENT
        raise ServingError(code, reason) from error
    given = meta_graph.signature_def.items()
    return Session(session), {name: SignatureDef.FromString(one.SerializeToString()) for name, one in given}
