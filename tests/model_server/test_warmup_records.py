"""Exported warm-up requests are what TensorFlow Serving reads, written without TensorFlow."""

from __future__ import annotations

import io
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from humandetect.config import DEFAULT_MODEL
from humandetect.errors import ModelError, SinkError
from humandetect.model_server.warmup_records import BATCH_SIZES, WARMUP_NAME, export_warmup, write_records
from humandetect.models.find import bundled
from tests.command_line import invoke
from tests.engines.models import Kind, saved_model
from tests.model_server.started import config_text, serving


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the default model, with requests of 1 and 3 pictures."""
    folder = tmp_path_factory.mktemp("models") / DEFAULT_MODEL / "2"
    shutil.copytree(bundled(f"models/{DEFAULT_MODEL}/2"), folder, ignore=shutil.ignore_patterns(Path(WARMUP_NAME).name))
    export_warmup(str(folder), batch_sizes=(1, 3))
    return folder


def requests(path: Path) -> list[prediction_log_pb2.PredictionLog]:
    """Read a file with nothing but the official code."""
    records = tf.compat.v1.io.tf_record_iterator(str(path))
    return [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]


def test_the_official_code_reads_the_requests(version: Path) -> None:
    found = requests(version / WARMUP_NAME)
    assert [tuple(size.size for size in one.inputs["inputs"].tensor_shape.dim) for one in found] == [
        (1, 384, 512, 3), (3, 384, 512, 3),
    ]  # fmt: skip
    for request in found:
        assert (request.model_spec.name, request.model_spec.signature_name) == (DEFAULT_MODEL, "serving_default")
        assert tf.make_ndarray(request.inputs["inputs"]).std() > 10  # a picture, nothing blank


def test_the_model_server_warms_up_with_them_and_says_so(version: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = version.parents[1] / "models.config"
    config.write_text(config_text({DEFAULT_MODEL: version.parent}))
    caplog.set_level(logging.INFO, "humandetect")
    with serving(config) as client:
        assert client.states(DEFAULT_MODEL) == {2: "AVAILABLE"}
    assert f"{version}: warmed up with 2 requests in" in caplog.text


def test_records_are_those_that_tensorflow_writes(tmp_path: Path) -> None:
    records = [b"", b"a", np.random.default_rng(0).bytes(10_000)]
    with tf.io.TFRecordWriter(str(tmp_path / "official")) as writer:
        for record in records:
            writer.write(record)
    ours = io.BytesIO()
    write_records(ours, records)
    assert ours.getvalue() == (tmp_path / "official").read_bytes()


def test_the_command_names_file_and_sizes(tmp_path: Path) -> None:
    parameters = tmp_path / "batching.txt"
    parameters.write_text("max_batch_size { value: 4 } allowed_batch_sizes: 2 allowed_batch_sizes: 4")
    output = tmp_path / "requests"
    run = invoke("models", "export-warmup", "-o", output, "--batching-parameters", parameters)
    assert run.returncode == 0, run.stderr
    assert f"written {output}: requests of 2, 4 images" in run.stdout + run.stderr
    assert len(requests(output)) == 2


def test_nothing_imports_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from humandetect.model_server.warmup_records import export_warmup; "
        f"export_warmup({DEFAULT_MODEL!r}, Path({str(tmp_path / 'requests')!r}), batch_sizes=(1,)); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_model_with_a_fixed_batch_gets_that_one(tmp_path: Path) -> None:
    written = export_warmup(str(saved_model(tmp_path / "pairs" / "1", Kind(batch=2, hw=(40, 60))).path))
    assert written.batch_sizes == (2,)
    (request,) = requests(written.path)
    assert tf.make_ndarray(request.inputs["inputs"]).shape == (2, 40, 60, 3)


def test_the_usual_sizes_are_those_that_the_client_sends(tmp_path: Path) -> None:
    written = export_warmup(str(saved_model(tmp_path / "open" / "1", Kind(hw=(20, 20))).path))
    assert written.batch_sizes == BATCH_SIZES
    assert written.size_bytes == written.path.stat().st_size


def test_sizes_beyond_the_sample_repeat_its_pictures(tmp_path: Path) -> None:
    model = saved_model(tmp_path / "open" / "1", Kind(hw=(20, 20))).path
    (request,) = requests(export_warmup(str(model), batch_sizes=(40,)).path)
    pictures = tf.make_ndarray(request.inputs["inputs"])
    assert (pictures[:16] == pictures[16:32]).all()


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    model = saved_model(tmp_path / "open" / "1", Kind(hw=(20, 20))).path
    (model / "assets.extra").write_text("a file where a folder should be")
    with pytest.raises(SinkError, match=r"cannot write .*assets\.extra"):
        export_warmup(str(model))


def test_a_frozen_graph_is_refused(tmp_path: Path) -> None:
    graph = tmp_path / "frozen.pb"
    graph.write_bytes(b"")
    with pytest.raises(ModelError, match="SavedModels only"):
        export_warmup(str(graph))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\x12\xff", "cannot be read"), (b"", "no graph for serving")],
    ids=["damaged", "empty"],
)
def test_a_graph_that_is_none_is_an_error(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(content)
    with pytest.raises(ModelError, match=reason):
        export_warmup(str(tmp_path / "1"))
