"""How a request fails: the codes and texts of TensorFlow Serving, before they become gRPC or HTTP."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc

from humandetect.errors import HumanDetectError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TEXT = 1024
"""gRPC sends texts in a header, and a header of 8 kB already ends the call without any answer."""

BY_NUMBER: dict[int, Any] = {code.value[0]: code for code in grpc.StatusCode}


class ServingError(HumanDetectError):
    """A request, or the loading of a version, failed with one of gRPC's status codes."""

    def __init__(self, code: Any, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def invalid(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.NOT_FOUND, message)


def failed_precondition(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)


def unimplemented(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.UNIMPLEMENTED, message)


def deadline_exceeded() -> ServingError:
    return ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "Timed out waiting for notification")


def cut(message: str) -> str:
    return message if len(message) <= MAX_TEXT else f"{message[:MAX_TEXT]}...TRUNCATED"


@contextmanager
def tensorflow_errors() -> Iterator[None]:
    """Raise TensorFlow's errors as ServingError, code and text kept."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        code = BY_NUMBER.get(error.error_code, grpc.StatusCode.UNKNOWN)
        raise ServingError(code, str(error.message)) from error
