"""Requests stored with a version are run before it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from humandetect.model_server.servable import Servable
from humandetect.model_server.status import ServingError
from humandetect.model_server.warmup import warm_up
from humandetect.model_server.warmup_records import MAX_RECORDS, WARMUP_NAME
from tests.model_server import served_models as models
from tests.model_server.started import config_text, predict_request, serving

if TYPE_CHECKING:
    from pathlib import Path


class Counter:
    def __init__(self) -> None:
        self.runs = 0

    def run(self, *_: Any) -> list[Any]:
        self.runs += 1
        return []

    def close(self) -> None: ...


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def servable(counter: Counter) -> Servable:
    signature = tf.compat.v1.MetaGraphDef().signature_def["serving_default"]
    signature.inputs["x"].name = "x:0"
    return Servable({"serving_default": signature}, counter)


def write(version: Path, *records: bytes) -> Path:
    path = version / WARMUP_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def record(**inputs: Any) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request("m", **inputs))
    content: bytes = log.SerializeToString()
    return content


def test_every_record_is_run(tmp_path: Path, servable: Servable, counter: Counter) -> None:
    write(tmp_path, *[record(x=[1.0])] * 3)
    assert warm_up(servable, tmp_path) is not None
    assert counter.runs == 3


def test_no_records_are_no_work(tmp_path: Path, servable: Servable, counter: Counter) -> None:
    assert warm_up(servable, tmp_path) is None
    assert counter.runs == 0


def test_a_damaged_file_is_data_loss(tmp_path: Path, servable: Servable) -> None:
    path = write(tmp_path, record(x=[1.0]))
    content = bytearray(path.read_bytes())
    content[20] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ServingError, match="Please verify your warmup data is in TFRecord format") as caught:
        warm_up(servable, tmp_path)
    assert caught.value.code.name == "DATA_LOSS"


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([b"\xff\xff"], "a warm-up record is not a PredictionLog"),
        ([record(z=[1.0])], "Signature input alias: x"),
        ([record(x=[1.0])] * (MAX_RECORDS + 1), "more than the 1000 warm-up records allowed"),
    ],
    ids=["nonsense", "failing", "too many"],
)
def test_records_that_cannot_be_run_are_an_error(
    tmp_path: Path, servable: Servable, records: list[bytes], reason: str
) -> None:
    write(tmp_path, *records)
    with pytest.raises(ServingError, match=reason):
        warm_up(servable, tmp_path)


def test_records_of_other_methods_are_left_out(tmp_path: Path, servable: Servable, counter: Counter) -> None:
    log = prediction_log_pb2.PredictionLog()
    log.classify_log.request.model_spec.name = "m"
    write(tmp_path, log.SerializeToString(), record(x=[1.0]))
    warm_up(servable, tmp_path)
    assert counter.runs == 1


def test_a_version_with_damaged_records_is_not_served(tmp_path: Path) -> None:
    base = tmp_path / "half"
    write(models.half_plus(base / "1", 1), record(x=[1.0]))
    write(models.half_plus(base / "2", 2), record(x=[1.0])).write_bytes(b"no records at all, but many bytes")
    (tmp_path / "models.config").write_text(config_text({"half": base}))
    with serving(tmp_path / "models.config") as client:
        assert client.states("half") == {2: "END", 1: "AVAILABLE"}
        assert client.predict("half", x=[0.0])["y"] == [1.0]
