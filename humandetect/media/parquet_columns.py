"""The columns of results as Parquet, and how they become what lines of JSON say."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from humandetect.errors import MissingExtra, SourceError, UsageError

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ModuleNotFoundError as error:
    raise MissingExtra("Parquet needs more: pip install 'humandetect[parquet]'") from error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FRAMES", "MADE_KEY", "PART", "SIDES", "pa", "pq", "read_made", "read_records"]

SIDES = ("x1", "y1", "x2", "y2")
FRAMES = pa.schema(
    {
        "source": pa.string(),
        "frame": pa.int64(),
        "time_seconds": pa.float64(),
        "detected": pa.bool_(),
        "error": pa.string(),
        # Flat under the names of the CSV: unnested, this is that table.
        "people": pa.list_(
            pa.struct(
                {
                    **dict.fromkeys((*SIDES, "score"), pa.float64()),
                    "track_id": pa.int64(),
                    "weak": pa.bool_(),
                }
            )
        ),
    }
)
"""A row a frame. Numbers as JSON writes them: a float32 would be another one, and give other tracks."""
PART = pa.schema(
    {
        "source": pa.string(),
        "frame": pa.int64(),
        "time_seconds": pa.float64(),
        "detected": pa.bool_(),
        "people": pa.list_(pa.struct({"box": pa.list_(pa.float32(), 4), "score": pa.float32(), "weak": pa.bool_()})),
    }
)
"""A row a frame of an archive, half as large: a float32 that was rounded to 0.01 pixel is that again once rounded."""
MADE_KEY = "humandetect"
"""Of the file's metadata: how the results of each source were made, with the row of its first frame."""


def read_made(path: Path) -> list[dict[str, Any]]:
    """Return how the results of each source were made. Raises SourceError and UsageError."""
    with _opened(path) as file:
        return _made(path, file)


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what lines of JSON would say: how the results of a source were made, then its frames, and so on.

    Raises SourceError, and UsageError for a file that has no results.
    """
    with _opened(path) as file:
        made = _made(path, file)
        row = 0
        try:
            for batch in file.iter_batches(batch_size=1024, columns=FRAMES.names):
                for frame in _frames(batch):
                    while made and made[0]["first_row"] <= row:
                        yield made.pop(0)
                    yield frame
                    row += 1
        except (pa.ArrowException, OSError) as error:
            raise UsageError(f"{path} is damaged after frame {row}: {error}") from error
        except (AttributeError, KeyError, TypeError) as error:
            raise UsageError(f"{path} has no results of frames: column 'people' is not as detect writes it") from error


def _opened(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except pa.ArrowException as error:
        raise UsageError(f"{path} is no Parquet file: {error}") from error
    if missing := [name for name in FRAMES.names if name not in file.schema_arrow.names]:
        file.close()
        raise UsageError(f"{path} has no results of frames: there is no column {missing[0]!r}")
    return file


def _made(path: Path, file: pq.ParquetFile) -> list[dict[str, Any]]:
    text = (file.metadata.metadata or {}).get(MADE_KEY.encode(), b"[]")
    try:
        made = list(json.loads(text))
        if not all(isinstance(one, dict) and isinstance(one.get("first_row"), int) for one in made):
            raise ValueError("no first_row")
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{path} does not say how its results were made: {MADE_KEY} in its metadata: {error}"
        ) from error
    return made


def _frames(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    *columns, people = (batch[name] for name in FRAMES.names)
    boxes = pa.RecordBatch.from_struct_array(people.flatten())
    sides = zip(*(boxes[side].to_pylist() for side in SIDES), strict=True)
    others = (boxes[name].to_pylist() for name in ("score", "track_id", "weak"))
    found = (
        {"box": box, "score": score, "track_id": track_id, "weak": weak}
        for box, score, track_id, weak in zip(sides, *others, strict=True)
    )
    counts = people.value_lengths().to_pylist()
    for *values, count in zip(*(column.to_pylist() for column in columns), counts, strict=True):
        frame = {name: value for name, value in zip(FRAMES.names, values, strict=False) if value is not None}
        yield {**frame, "people": list(islice(found, count or 0))}
