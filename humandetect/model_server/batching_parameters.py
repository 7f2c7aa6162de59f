"""TensorFlow Serving's BatchingParameters, a file in protocol buffers' text form."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from humandetect.errors import ServerError
from humandetect.textproto import Block, Scalar, TextprotoError, parse_textproto

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NUMBERS = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
OPTIONAL_NUMBERS = ("max_execution_batch_size",)
FLAGS = ("enable_large_batch_splitting",)
"""These three kinds stand in a wrapper: `name { value: ... }`."""
PLAIN_FLAGS = ("pad_variable_length_inputs",)
PLAIN_NUMBERS = ("allowed_batch_sizes",)
IGNORED = ("thread_pool_name",)


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
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
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
    try:
        block = parse_textproto(path.read_text(encoding="utf-8"))
        return BatchingParameters(**_values(block))
    except TextprotoError as error:
        raise ServerError(f"{path}, line {error.line}: {error.reason}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ServerError(f"{path} cannot be read: {error}") from error
    except ValueError as error:
        raise ServerError(f"{path}: {error}") from error


def _values(block: Block) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, found in block.fields.items():
        if name in PLAIN_NUMBERS:
            values[name] = tuple(_number(name, _plain(name, value)) for value in found)
        elif name in PLAIN_FLAGS:
            values[name] = _flag(name, _plain(name, found[-1]))
        elif name in FLAGS:
            values[name] = _flag(name, _wrapped(name, found[-1]))
        elif name in NUMBERS + OPTIONAL_NUMBERS:
            values[name] = _number(name, _wrapped(name, found[-1]))
        elif name not in IGNORED:
            known = ", ".join(sorted(NUMBERS + OPTIONAL_NUMBERS + FLAGS + PLAIN_FLAGS + PLAIN_NUMBERS + IGNORED))
            raise TextprotoError(found[0].line if found else block.line, f"unknown field {name}, expected {known}")
    return values


def _plain(name: str, value: Block | Scalar) -> Scalar:
    if isinstance(value, Block):
        raise TextprotoError(value.line, f"{name} needs a plain value, found a block")
    return value


def _wrapped(name: str, value: Block | Scalar) -> Scalar:
    inside = value.fields.get("value", []) if isinstance(value, Block) else []
    if len(inside) != 1 or isinstance(inside[0], Block):
        raise TextprotoError(value.line, f"{name} needs a block with a value: {name} {{ value: 1 }}")
    return inside[0]


def _number(name: str, value: Scalar) -> int:
    if value.quoted or not value.text.isdecimal():
        raise TextprotoError(value.line, f"{name} needs a whole number, found {value.text!r}")
    return int(value.text)


def _flag(name: str, value: Scalar) -> bool:
    if value.text not in ("true", "false", "1", "0"):
        raise TextprotoError(value.line, f"{name} needs true or false, found {value.text!r}")
    return value.text in ("true", "1")
