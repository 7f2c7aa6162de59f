"""What official clients get over gRPC: answers, codes and texts."""

from __future__ import annotations

import re
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    regression_pb2,
)

from humandetect.model_server import servable
from tests.model_server import served_models as models
from tests.model_server.started import Client, config_text, metadata_request, predict_request, serving
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

CODE = grpc.StatusCode
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("models")
    models.half_plus(folder / "half" / "00000123", 2)
    models.echo(folder / "echo" / "1")
    models.weighted(folder / "weighted" / "1")
    models.slow(folder / "slow" / "1")
    served = {name: folder / name for name in ("half", "echo", "weighted", "slow")}
    config = folder / "models.config"
    text = config_text(
        {**served, "human_detection": Path("/no/such/folder")}, half='version_labels { key: "stable" value: 123 }'
    )
    config.write_text(text)
    with serving(config, models_dir=ROOT / "models") as client:
        yield client


@pytest.fixture(scope="module")
def content_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("models")
    models.echo(folder / "echo" / "1")
    (folder / "models.config").write_text(config_text({"echo": folder / "echo"}))
    with serving(folder / "models.config", tensor_content=True) as client:
        yield client


def refusal(call: Any, request: Any, timeout: float = 20) -> tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=timeout)
    error: Any = caught.value
    return error.code(), error.details()


def test_a_prediction_says_what_answered(client: Client) -> None:
    response = client.ask("half", x=[1.0, 2.0, 5.0])
    assert list(response.outputs["y"].float_val) == [2.5, 3.0, 4.5]
    assert response.outputs["y"].tensor_content == b""
    assert response.model_spec.name == "half"
    assert response.model_spec.version.value == 123
    assert response.model_spec.signature_name == "serving_default"


def test_a_version_can_be_asked_for_by_number_and_by_label(client: Client) -> None:
    request = predict_request("half", x=1.0)
    request.model_spec.version_label = "stable"
    assert client.prediction.Predict(request, timeout=20).model_spec.version.value == 123
    request.model_spec.version.value = 123
    assert client.prediction.Predict(request, timeout=20).model_spec.version.value == 123
    request.model_spec.version_label = "canary"
    code, text = refusal(client.prediction.Predict, request)
    assert (code, text) == (CODE.INVALID_ARGUMENT, "Unrecognized servable version label: canary")


def test_another_signature_is_named_in_the_answer(client: Client) -> None:
    request = predict_request("half", x=[0.0])
    request.model_spec.signature_name = "again"
    assert client.prediction.Predict(request, timeout=20).model_spec.signature_name == "again"


def test_only_the_outputs_asked_for_come_back(client: Client) -> None:
    request = predict_request("weighted", x=np.ones((3, 4)), scale=np.full((3, 1), 2.0))
    assert set(client.prediction.Predict(request, timeout=20).outputs) == {"product", "sum"}
    request.output_filter.append("sum")
    response = client.prediction.Predict(request, timeout=20)
    assert {name: list(tensor.float_val) for name, tensor in response.outputs.items()} == {"sum": [4, 4, 4]}


def test_people_are_found_by_the_default_model(client: Client) -> None:
    request = predict_request("human_detection", inputs=np.zeros((2, 384, 512, 3), np.uint8))
    response = client.prediction.Predict(request, timeout=20)
    assert tf.make_ndarray(response.outputs["detection_boxes"]).shape[::2] == (2, 4)


@pytest.mark.parametrize("kind", models.KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 2)], ids=str)
def test_every_type_and_shape_arrives_and_returns(
    client: Client, content_client: Client, kind: Any, shape: tuple[int, ...]
) -> None:
    values = np.arange(200, 200 + np.prod(shape, dtype=int)).reshape(shape)
    given = values.astype(str).astype(object) if kind == tf.string else values.astype(kind.as_numpy_dtype)
    proto = tf.make_tensor_proto(given, dtype=kind, shape=shape)
    for one in (client, content_client):
        request = predict_request("echo", x=proto)
        request.model_spec.signature_name = kind.name
        answer = one.prediction.Predict(request, timeout=20).outputs["y"]
        assert [dim.size for dim in answer.tensor_shape.dim] == list(shape)
        assert answer.dtype == kind.as_datatype_enum
        if kind != tf.string and values.size:
            assert bool(answer.tensor_content) == (one is content_client)
        np.testing.assert_array_equal(tf.make_ndarray(answer), tf.make_ndarray(proto))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"float_val": [1, 2]}, [2.5, 3, 3]),  # the last one stands for those that lack
        ({}, [2, 2, 2]),
        ({"float_val": [2, 4, 6, 8]}, [3, 4, 5]),
        ({"int_val": [7, 7, 7]}, [2, 2, 2]),  # the wrong field
        ({"float_val": [9], "tensor_content": np.array([2, 4, 6], np.float32).tobytes()}, [3, 4, 5]),
    ],
)
def test_tensors_are_read_as_tensorflow_reads_them(
    client: Client, fields: dict[str, Any], expected: list[float]
) -> None:
    proto = tf.make_tensor_proto([0.0])
    proto.ClearField("float_val")
    proto.tensor_shape.dim[0].size = 3
    proto.MergeFrom(type(proto)(**fields))
    assert list(client.ask("half", x=proto).outputs["y"].float_val) == expected


@pytest.mark.parametrize(
    "damage",
    [
        {"tensor_content": b"12345"},
        {"dtype": 0},
        {"tensor_shape": {"unknown_rank": True}},
        {"tensor_shape": {"dim": [{"size": -1}]}},
        {"tensor_shape": {"dim": [{"size": 2**40}, {"size": 2**40}]}},
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused(client: Client, damage: dict[str, Any]) -> None:
    proto = tf.make_tensor_proto([1.0, 2.0])
    for name in damage:
        proto.ClearField(name)
    proto.MergeFrom(type(proto)(**damage))
    assert refusal(client.prediction.Predict, predict_request("half", x=proto)) == (
        CODE.INVALID_ARGUMENT, "tensor parsing error: x",
    )  # fmt: skip


def _spec(**fields: Any) -> Any:
    request = predict_request("half", x=[1.0])
    version = fields.pop("version", None)
    request.model_spec.MergeFrom(type(request.model_spec)(**fields))
    if version is not None:
        request.model_spec.version.value = version
    return request


@pytest.mark.parametrize(
    ("request_made", "code", "text"),
    [
        (lambda: _spec(name="none"), CODE.NOT_FOUND, r"Servable not found for request: Latest\(none\)"),
        (lambda: _spec(version=999), CODE.NOT_FOUND, r"Servable not found for request: Specific\(half, 999\)"),
        (lambda: _spec(version=0), CODE.NOT_FOUND, r"Servable not found for request: Specific\(half, 0\)"),
        (lambda: _spec(signature_name="s"), CODE.FAILED_PRECONDITION, 'Serving signature key "s" not found.'),
        (lambda: predict_request(""), CODE.INVALID_ARGUMENT, "ModelSpec has no name specified"),
        (
            lambda: predict_request("weighted", x=[1.0]), CODE.INVALID_ARGUMENT,
            r"input size does not match signature: 1!=2 len\({x}\) != len\({scale,x}\).*Missing but required: {scale}.",
        ),
        (
            lambda: predict_request("half", x=[1.0], z=[1.0]), CODE.INVALID_ARGUMENT,
            "input size does not match signature: 2!=1.*Sent extra: {z}. Missing but required: {}.",
        ),
        (lambda: predict_request("half", z=[1.0]), CODE.INVALID_ARGUMENT, "Signature input alias: x.*not found"),
        (
            lambda: predict_request("half", x=np.array([1], np.int32)), CODE.INVALID_ARGUMENT,
            r"Expects arg\[0\] to be float but int32 is provided",
        ),
        (
            lambda: predict_request("weighted", x=np.ones((2, 3)), scale=np.ones((2, 1))), CODE.INVALID_ARGUMENT,
            r"Matrix size-incompatible: In\[0\]: \[2,3\], In\[1\]: \[4,2\]",
        ),
    ],
)  # fmt: skip
def test_refusals_have_the_codes_and_texts_of_tensorflow_serving(
    client: Client, request_made: Any, code: Any, text: str
) -> None:
    got, words = refusal(client.prediction.Predict, request_made())
    assert got == code
    assert re.search(text, words), words


def test_outputs_must_be_known_and_asked_for_once(client: Client) -> None:
    request = predict_request("half", x=[1.0])
    request.output_filter.append("n")
    assert refusal(client.prediction.Predict, request) == (
        CODE.INVALID_ARGUMENT,
        "output tensor alias not found in signature: n Outputs expected to be in the set {y}.",
    )
    request.output_filter[:] = ["y", "y"]
    assert refusal(client.prediction.Predict, request) == (
        CODE.INVALID_ARGUMENT, "duplicate output tensor alias: y",
    )  # fmt: skip


def test_a_request_without_a_model_spec_is_refused(client: Client) -> None:
    request = predict_request("half", x=[1.0])
    request.ClearField("model_spec")
    assert refusal(client.prediction.Predict, request) == (CODE.INVALID_ARGUMENT, "Missing ModelSpec")


def test_long_texts_are_cut_so_that_they_arrive(client: Client) -> None:
    code, text = refusal(client.prediction.Predict, predict_request("n" * 20_000))
    assert code == CODE.NOT_FOUND
    assert text.endswith("...TRUNCATED")
    assert len(text) == 1024 + len("...TRUNCATED")


def test_metadata_holds_every_signature(client: Client) -> None:
    response = client.prediction.GetModelMetadata(metadata_request("half", "signature_def"), timeout=20)
    assert (response.model_spec.name, response.model_spec.version.value) == ("half", 123)
    assert response.metadata["signature_def"].type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert set(signatures.signature_def) == {"serving_default", "again"}
    assert signatures.signature_def["serving_default"].inputs["x"].dtype == tf.float32.as_datatype_enum


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([], "GetModelMetadataRequest must specify at least one metadata_field"),
        (["other"], "Metadata field other is not supported"),
    ],
)
def test_metadata_is_of_one_kind(client: Client, fields: list[str], text: str) -> None:
    request = metadata_request("half", *fields)
    assert refusal(client.prediction.GetModelMetadata, request) == (CODE.INVALID_ARGUMENT, text)


def test_status_lists_versions(client: Client) -> None:
    assert client.states("half") == {123: "AVAILABLE"}


def test_status_of_the_unknown_is_not_found(client: Client) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "none"
    assert refusal(client.model.GetModelStatus, request) == (
        CODE.NOT_FOUND, "Could not find any versions of model none",
    )  # fmt: skip
    request.model_spec.name = "half"
    request.model_spec.version.value = 7
    assert refusal(client.model.GetModelStatus, request) == (
        CODE.NOT_FOUND, "Could not find version 7 of model half",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "request_type"),
    [
        ("Classify", classification_pb2.ClassificationRequest),
        ("Regress", regression_pb2.RegressionRequest),
        ("MultiInference", inference_pb2.MultiInferenceRequest),
    ],
)
def test_what_is_not_offered_says_so(client: Client, method: str, request_type: Any) -> None:
    code, text = refusal(getattr(client.prediction, method), request_type())
    assert code == CODE.UNIMPLEMENTED
    assert text == f"{method} is not offered by this server: use Predict, or TensorFlow Serving itself"


def test_nonsense_is_an_internal_error_and_harms_nobody(client: Client) -> None:
    method = client.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    assert refusal(method, b"\xff\xff\xff no protobuf")[0] == CODE.INTERNAL
    unknown = client.channel.unary_unary("/tensorflow.serving.PredictionService/Guess")
    assert refusal(unknown, b"")[0] == CODE.UNIMPLEMENTED
    assert client.predict("half", x=[2.0])["y"] == [3.0]


@pytest.mark.parametrize("seconds", [None, 3e8])
def test_a_call_may_have_no_deadline_or_a_far_one(client: Client, seconds: float | None) -> None:
    assert list(client.ask("half", timeout=seconds, x=[1.0]).outputs["y"].float_val) == [2.5]


def test_a_deadline_stops_the_graph(client: Client) -> None:
    begun = time.monotonic()
    code, _ = refusal(client.prediction.Predict, predict_request("slow", x=[1.0]), timeout=0.3)
    assert code == CODE.DEADLINE_EXCEEDED
    assert time.monotonic() - begun < 30
    deadline = time.monotonic() + 60
    while any(thread.name.startswith("rpc") and _runs(thread) for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "the graph runs on"
        time.sleep(0.05)


def _runs(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and any(entry.name == "run" and entry.filename == servable.__file__
                                     for entry in traceback.extract_stack(frame))  # fmt: skip


def test_messages_of_30_megabytes_pass(client: Client) -> None:
    x = np.zeros(7_500_000, np.float32)
    assert len(client.ask("half", x=x).outputs["y"].float_val) == len(x)


def test_64_clients_at_once_get_their_own_answers(client: Client) -> None:
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda n: client.predict("half", x=[float(n)])["y"][0], range(256)))
    assert answers == [n / 2 + 2 for n in range(256)]


def test_a_request_under_way_is_answered_before_the_server_ends(tmp_path: Path) -> None:
    models.slow(tmp_path / "slow" / "1", rounds=300_000)
    (tmp_path / "models.config").write_text(config_text({"slow": tmp_path / "slow"}))
    with ThreadPoolExecutor(1) as pool, serving(tmp_path / "models.config") as client:
        answer = pool.submit(client.predict, "slow", x=[1.0])
        eventually(lambda: any(map(_runs, threading.enumerate())))
        client.stop()
        assert answer.result() == {"y": [1.0]}


def test_more_calls_than_can_wait_are_refused(tmp_path: Path) -> None:
    models.slow(tmp_path / "slow" / "1")
    (tmp_path / "models.config").write_text(config_text({"slow": tmp_path / "slow"}))
    with serving(tmp_path / "models.config", threads=1) as client:
        calls = [client.prediction.Predict.future(predict_request("slow", x=[1.0]), timeout=1.5) for _ in range(10)]
        codes = [call.code() for call in calls]
    assert set(codes) == {CODE.DEADLINE_EXCEEDED, CODE.RESOURCE_EXHAUSTED}


def test_it_also_works_by_tensorflow_s_public_api(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servable, "has_direct_run", lambda: False)
    assert client.predict("half", x=[1.0])["y"] == [2.5]
    code, text = refusal(client.prediction.Predict, predict_request("half", x=np.array([1], np.int32)))
    assert (code, text) == (CODE.INVALID_ARGUMENT, "Expects arg[0] to be float32 but int32 is provided")
    assert refusal(client.prediction.Predict, predict_request("slow", x=[1.0]), 0.2)[0] == CODE.DEADLINE_EXCEEDED
