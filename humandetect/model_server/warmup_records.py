"""Warm-up requests for TensorFlow Serving: stored with a model, run before it answers its first real request.

Without them the first requests of each batch size wait while the server prepares itself, a GPU most of all.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import google_crc32c
import numpy as np
from google.protobuf.message import DecodeError

from humandetect.config import SourceConfig
from humandetect.engines.tfserving.messages import model_spec, prediction_log, read_saved_model
from humandetect.engines.tfserving.request_plan import make_plan
from humandetect.errors import ModelError
from humandetect.media.sinks.atomic_files import PendingFile, sink_error
from humandetect.models.find import bundled, find_model
from humandetect.models.metadata import GRAPH_NAME, verify
from humandetect.models.sizes import choose_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from humandetect.engines.tfserving.request_plan import RequestPlan
    from humandetect.models.metadata import ModelFolder

WARMUP_NAME = "assets.extra/tf_serving_warmup_requests"
"""Where TensorFlow Serving looks, inside a version's folder."""
MAX_RECORDS = 1000
"""TensorFlow Serving takes no more."""
BATCH_SIZES = (1, 2, 4, 8, 16)
"""What `--engine tf-serving` sends: at most 16 images a request."""
_MASK_DELTA = 0xA282EAD8
"""Of TFRecord."""


@dataclass(frozen=True, slots=True)
class WarmupFile:
    """What was written."""

    path: Path
    batch_sizes: tuple[int, ...]
    """Of its requests, in order."""
    size_bytes: int


def export_warmup(
    model: str,
    output: Path | None = None,
    *,
    models_dir: Path | None = None,
    batch_sizes: Sequence[int] = BATCH_SIZES,
) -> WarmupFile:
    """Write a request of each batch size with pictures of the sample; without `output` beside the model's graph.

    Raises ModelNotFound, ModelError, SinkError.
    """
    folder = find_model(model, models_dir)
    verify(folder)
    plan = _plan(folder)
    sizes = (plan.batch,) if plan.batch else tuple(batch_sizes)
    pictures = _pictures(folder, plan, count=min(max(sizes), max(BATCH_SIZES)))
    spec = model_spec(folder.name)
    records = (prediction_log(plan.request(spec, _batch(pictures, size))) for size in sizes)
    path = folder.path / WARMUP_NAME if output is None else output
    try:
        if output is None:
            path.parent.mkdir(exist_ok=True)
        pending = PendingFile(path)
        try:
            with pending.path.open("wb") as file:
                write_records(file, records)
            pending.finish(complete=True)
        finally:
            pending.discard()
        return WarmupFile(path, sizes, path.stat().st_size)
    except OSError as error:
        raise sink_error(path, error) from error


def _plan(folder: ModelFolder) -> RequestPlan:
    """Find out from the model's file how it is asked."""
    if folder.path.is_file():
        raise ModelError(f"{folder.path}: TensorFlow Serving takes SavedModels only, not a frozen graph")
    graph = folder.path / GRAPH_NAME
    try:
        signatures = read_saved_model(graph.read_bytes())
    except (OSError, DecodeError) as error:
        raise ModelError(f"{graph} cannot be read: {error}") from error
    if signatures is None:
        raise ModelError(f"{graph} holds no graph for serving; export the model with the tag serve")
    return make_plan(str(folder.path), signatures)


def _pictures(folder: ModelFolder, plan: RequestPlan, *, count: int) -> NDArray[np.uint8]:
    """Read pictures with people in them, as the model wants them."""
    # What decodes video takes longer to import than the server, which reads this file's constants, to start.
    from humandetect.detection.preprocess import prepare_image
    from humandetect.media.sources import open_source

    metadata = folder.metadata
    size = None if plan.encoded else choose_size(folder.name, metadata, "default", fixed_hw=plan.sides)[0]
    input_hw = size.input_hw if size else None
    with open_source(str(bundled("examples/plaza.mp4")), SourceConfig(limit=count)) as source:
        return np.stack([prepare_image(frame.image, input_hw, metadata.resize).pixels for frame in source])


def _batch(pictures: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Take `size` pictures, the first ones again where there are too few."""
    return pictures[np.arange(size) % len(pictures)]


def write_records(file: BinaryIO, records: Iterable[bytes]) -> None:
    """Write a TFRecord: records, each with its length, and the checksums of both."""
    for record in records:
        length = struct.pack("<Q", len(record))
        file.write(length + _checksum(length))
        file.write(record)
        file.write(_checksum(record))


def _checksum(content: bytes) -> bytes:
    """Mask the checksum as TFRecord does, as a checksum of data that holds checksums is weak."""
    crc = google_crc32c.value(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFF_FFFF)
