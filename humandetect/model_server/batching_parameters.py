"""TensorFlow Serving's BatchingParameters, a file in protocol buffers' text form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from humandetect.errors import ServerError
from humandetect.protos import config_pb2 as protos
from humandetect.protos.text_files import read_text_file

if TYPE_CHECKING:
    from pathlib import Path

_LEAST = {
    "max_batch_size": 1, "max_enqueued_batches": 1, "num_batch_threads": 1,
    "batch_timeout_micros": 0, "max_execution_batch_size": 0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BatchingParameters:
    """How requests are gathered; the defaults are TensorFlow Serving's."""

    max_batch_size: int = 1000
    """Rows of a batch, and of a request."""
    batch_timeout_micros: int = 0
    """A batch that is not full runs when its first request has waited this long and a thread is free."""
    max_enqueued_batches: int = 10
    num_batch_threads: int = 0
    """0: as many as there are CPUs."""
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0
    """Rows of a batch where requests may be split; 0: max_batch_size."""
    allowed_batch_sizes: tuple[int, ...] = ()
    """Batches are padded to one of these."""
    pad_variable_length_inputs: bool = False

    def __post_init__(self) -> None:
        if not self.num_batch_threads:
            object.__setattr__(self, "num_batch_threads", os.cpu_count() or 1)
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        sizes = self.allowed_batch_sizes
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != self.execution_batch_size or sizes[0] < 1):
            raise ValueError(
                f"allowed_batch_sizes must increase and end with {self.execution_batch_size}, "
                f"the largest batch; got {', '.join(map(str, sizes))}"
            )

    @property
    def execution_batch_size(self) -> int:
        if not self.enable_large_batch_splitting:
            return self.max_batch_size
        return min(self.max_execution_batch_size or self.max_batch_size, self.max_batch_size)

    @property
    def batch_timeout_seconds(self) -> float:
        return self.batch_timeout_micros / 1e6

    def padded_size(self, rows: int) -> int:
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)

    def warmup_sizes(self, usual: Sequence[int]) -> tuple[int, ...]:
        """Return the batch sizes that the graph will see, as far as one can know: all that are allowed, or `usual`."""
        sizes = self.allowed_batch_sizes or usual
        return tuple(size for size in sizes if size <= self.max_batch_size) or (self.max_batch_size,)


def read_batching_parameters(path: Path) -> BatchingParameters:
    """Read a file; raises ServerError with line and reason."""
    message = protos.BatchingParameters()
    read_text_file(path, message, failure=ServerError)
    known = {field.name for field in fields(BatchingParameters)}
    given = {field.name: value for field, value in message.ListFields() if field.name in known}
    try:
        return BatchingParameters(**{name: _plain(value) for name, value in given.items()})
    except ValueError as error:
        raise ServerError(f"{path}: {error}") from error


def _plain(value: Any) -> Any:
    """Return what a field holds: most stand in a wrapper, `name { value: ... }`."""
    value = getattr(value, "value", value)
    return tuple(value) if isinstance(value, Sequence) else value
