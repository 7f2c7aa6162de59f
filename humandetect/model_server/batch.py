"""What happens to the rows of a batch: joined, padded, run, and cut apart again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from humandetect.model_server.status import failed_precondition, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Task:
    """One request's rows, or a part of them."""

    feeds: Mapping[str, NDArray[Any]]
    rows: int
    deadline: float | None
    """In time.monotonic()'s seconds."""
    answer: Future[list[NDArray[Any]]]
    begun: float = field(default_factory=time.monotonic)


def task_rows(feeds: Mapping[str, NDArray[Any]]) -> int:
    """Return how many rows the inputs have; raises ServingError unless all have the same number."""
    if any(array.ndim == 0 for array in feeds.values()):
        raise invalid("Batching Run() input tensors must have at least one dimension")
    rows = {len(array) for array in feeds.values()}
    if len(rows) != 1:
        raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
    return rows.pop()


def split_rows(feeds: Mapping[str, NDArray[Any]], rows: int, limit: int) -> list[dict[str, NDArray[Any]]]:
    """Cut inputs into parts of at most `limit` rows."""
    starts = range(0, rows, limit) if rows else [0]
    return [{name: array[start : start + limit] for name, array in feeds.items()} for start in starts]


def join(tasks: Sequence[Task], *, may_pad: bool) -> dict[str, NDArray[Any]]:
    """Put the tasks' rows under one another; raises ServingError where their shapes differ and padding is off."""
    if len(tasks) == 1:
        return dict(tasks[0].feeds)
    return {name: _join(name, [task.feeds[name] for task in tasks], may_pad=may_pad) for name in tasks[0].feeds}


def pad(feeds: Mapping[str, NDArray[Any]], rows: int, last: Task) -> Mapping[str, NDArray[Any]]:
    """Add rows until the batch has a size that is allowed: copies of the last task's first row."""
    if not rows:
        return feeds
    first = {name: len(array) - last.rows for name, array in feeds.items()}
    return {
        name: np.concatenate([array, np.repeat(array[first[name] : first[name] + 1], rows, axis=0)])
        for name, array in feeds.items()
    }


def split_outputs(outputs: Sequence[NDArray[Any]], tasks: Sequence[Task], rows: int) -> list[list[NDArray[Any]]]:
    """Give each task its rows of every output; raises ServingError if outputs have other rows than inputs."""
    for array in outputs:
        if np.ndim(array) == 0:
            raise failed_precondition("Batched output tensor has 0 dimensions")
        if len(array) != rows:
            raise failed_precondition(
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes "
                f"of the input tensors: {len(array)} != {rows}"
            )
    answers, start = [], 0
    for task in tasks:
        answers.append([array[start : start + task.rows] for array in outputs])
        start += task.rows
    return answers


def _join(name: str, arrays: list[NDArray[Any]], *, may_pad: bool) -> NDArray[Any]:
    if len({array.shape[1:] for array in arrays}) == 1:
        return np.concatenate(arrays)
    if not may_pad:
        raise failed_precondition(
            f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. "
            "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal "
            "dimensions starting with the first dim."
        )
    if len({array.ndim for array in arrays}) != 1:
        raise invalid(f"Tensors with name '{name}' from different tasks have different numbers of dimensions")
    largest = np.max([array.shape[1:] for array in arrays], axis=0)
    return np.concatenate([_stretch(array, largest) for array in arrays])


def _stretch(array: NDArray[Any], sizes: NDArray[Any]) -> NDArray[Any]:
    """Fill up with the tensor's first element, as TensorFlow Serving does."""
    missing = [(0, 0), *((0, int(size) - have) for size, have in zip(sizes, array.shape[1:], strict=True))]
    filling = array.flat[0] if array.size else np.zeros((), array.dtype)
    wider = np.full([have + more for have, (_, more) in zip(array.shape, missing, strict=True)], filling, array.dtype)
    wider[tuple(slice(0, have) for have in array.shape)] = array
    return wider
