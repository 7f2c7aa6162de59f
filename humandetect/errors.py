"""Everything that can go wrong, as one family.

HumanDetectError
├── UsageError            the request makes no sense; nothing was started
│   └── ModelNotFound     no such model; the message lists what there is
├── SourceError           an image, video, camera or stream cannot be opened or read
├── SinkError             a result cannot be written
├── EngineError           an engine cannot start or run
│   ├── MissingExtra      the engine's package is not installed; the message has the command to run
│   ├── DeviceError       the wanted device is not there
│   ├── ModelError        the model is damaged, or this engine cannot take it
│   ├── EngineTimeout     the engine did not answer in time
│   └── EngineUnavailable the engine's server is away; try again later
├── ServerError           a server could not start
├── ServiceError          a server that was asked cannot be used
│   ├── RequestFailed     it did not answer this request, and may answer others
│   └── ServiceAway       it cannot be reached, or stayed away, overloaded or silent for too long
├── Overloaded            the queue is full; try again later
└── Closed                work was offered to something that is shutting down

Messages say what was given, what was expected and the likely fix. How an error ends a command
is decided in `commands/running.py`, what status it has over HTTP in `service/refusals.py`, never here.
"""

from __future__ import annotations


class HumanDetectError(Exception):
    """Base of every error this package raises on purpose."""


class UsageError(HumanDetectError):
    """The request contradicts itself or names something that does not exist."""


class ModelNotFound(UsageError):
    """No model has that name and no model lies at that path."""


class SourceError(HumanDetectError):
    """A source cannot be opened, or ended before its time."""


class SinkError(HumanDetectError):
    """A result cannot be written where it should go."""


class EngineError(HumanDetectError):
    """An engine failed to start or to answer."""


class MissingExtra(EngineError):
    """An optional package is not installed."""


class DeviceError(EngineError):
    """The chosen device cannot be used."""


class ModelError(EngineError):
    """The model is damaged or not one this engine can run."""


class EngineTimeout(EngineError):
    """The engine did not answer within its deadline."""


class EngineUnavailable(EngineError):
    """The server that runs the model cannot be reached."""


class ServerError(HumanDetectError):
    """A server could not start."""


class ServiceError(HumanDetectError):
    """A server that was asked over HTTP cannot be used; `status` is that of its answer, if there was one."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RequestFailed(ServiceError):
    """A server refused one request, failed at it, or gave an answer that makes no sense."""


class ServiceAway(ServiceError):
    """A server was not there for longer than one has patience."""


class Overloaded(HumanDetectError):
    """More work was offered than the bounded queue may hold."""


class Closed(HumanDetectError):
    """The batcher was closed before this work began."""
