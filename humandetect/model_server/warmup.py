"""Warm-up records: requests stored with a version, run before it answers its first real one."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError

from humandetect.model_server.predict import Deadline, predict
from humandetect.model_server.status import ServingError, invalid, tensorflow_errors
from humandetect.model_server.warmup_records import MAX_RECORDS, WARMUP_NAME
from humandetect.protos.serving_pb2 import PredictionLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from humandetect.model_server.servable import Servable

logger = logging.getLogger(__name__)

ADVICE = "Please verify your warmup data is in TFRecord format."


def warm_up(servable: Servable, version: Path) -> float | None:
    """Run a version's records; return the seconds it took, None without records. Raises ServingError."""
    path = version / WARMUP_NAME
    if not path.is_file():
        return None
    begun, number = time.monotonic(), 0
    for number, log in enumerate(_records(path), start=1):
        if number > MAX_RECORDS:
            raise invalid(f"{path}: more than the {MAX_RECORDS} warm-up records allowed")
        kind = log.WhichOneof("log_type")
        if kind != "predict_log":  # other servers can run it: no reason to refuse the model
            logger.warning("%s: record %d is left out: %s is not offered by this server", path, number, kind)
            continue
        predict(servable, log.predict_log.request, version=0, deadline=Deadline(), as_content=False)
    elapsed = time.monotonic() - begun
    logger.info("%s: warmed up with %d requests in %.1f s", version, number, elapsed)
    return elapsed


def _records(path: Path) -> Iterator[Any]:
    import tensorflow as tf

    try:
        with tensorflow_errors():
            for record in tf.compat.v1.io.tf_record_iterator(str(path)):
                yield PredictionLog.FromString(record)
    except DecodeError as error:
        raise invalid(f"{path}: a warm-up record is not a PredictionLog") from error
    except ServingError as error:
        if error.code == grpc.StatusCode.DATA_LOSS:
            raise ServingError(error.code, f"{error.message}. {ADVICE}") from error
        raise
