"""Messages under names of our own, checked against TensorFlow Serving's own protos."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
    prediction_log_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

from humandetect.engines.tfserving.messages import (
    TensorInfo,
    metadata_request,
    model_spec,
    predict_request,
    read_metadata,
    read_prediction,
    read_statuses,
    status_request,
)
from humandetect.protos import config_pb2, serving_pb2, tensors_pb2

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor


@given(st.binary(max_size=64))
@settings(max_examples=500, deadline=None)
def test_garbage_is_refused_or_read_but_never_more_than_that(garbage: bytes) -> None:
    for message in (read_prediction, read_metadata, read_statuses):
        try:
            message(garbage)
        except DecodeError:
            continue


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_cut_or_bent_answer_is_refused_or_read_but_never_more_than_that(data: st.DataObject) -> None:
    response = predict_pb2.PredictResponse()
    response.outputs["scores"].CopyFrom(tf.make_tensor_proto(np.ones((2, 300), np.float32)))
    response.outputs["counts"].CopyFrom(tf.make_tensor_proto(np.arange(200, 203, dtype=np.uint8)))
    response.model_spec.version.value = 3
    whole = bytearray(response.SerializeToString())
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_prediction(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except DecodeError:
        return


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, object], ids=["bytes", "floats", "strings"])
@pytest.mark.parametrize("shape", [(1, 2, 4, 3), (0, 2, 4, 3), (300, 1), (1,), ()], ids=str)
def test_a_request_says_what_the_official_one_says(shape: tuple[int, ...], dtype: Any) -> None:
    values = np.arange(np.prod(shape, dtype=int)).astype("S3" if dtype is object else dtype).astype(dtype)
    request = predict_request(model_spec("mödel", version=0), "detect", "x", values.reshape(shape), ["scores", "boxes"])
    read = predict_pb2.PredictRequest.FromString(request)
    np.testing.assert_array_equal(tf.make_ndarray(read.inputs["x"]), values.reshape(shape))
    official = predict_pb2.PredictRequest(output_filter=["scores", "boxes"], inputs={"x": read.inputs["x"]})
    official.model_spec.name = "mödel"
    official.model_spec.version.value = 0
    official.model_spec.signature_name = "detect"
    assert read == official


@pytest.mark.parametrize(("version", "label"), [(None, None), (12, None), (0, None), (None, "stable")])
def test_models_are_asked_for_as_officially(version: int | None, label: str | None) -> None:
    spec = model_spec("m", version=version, label=label)
    metadata = get_model_metadata_pb2.GetModelMetadataRequest.FromString(metadata_request(spec))
    status = get_model_status_pb2.GetModelStatusRequest.FromString(status_request(spec))
    for asked in (metadata, status):
        assert asked.model_spec.name == "m"
        assert asked.model_spec.HasField("version") == (version is not None)
        assert asked.model_spec.version.value == (version or 0)
        assert asked.model_spec.version_label == (label or "")
    assert list(metadata.metadata_field) == ["signature_def"]


def test_answers_are_read_with_their_version() -> None:
    response = predict_pb2.PredictResponse()
    response.outputs["scores"].CopyFrom(tf.make_tensor_proto([[0.5, 0.25]]))
    response.outputs["names"].CopyFrom(tf.make_tensor_proto(["a", "b"]))
    response.model_spec.version.value = 7
    outputs, version = read_prediction(response.SerializeToString())
    assert version == 7
    assert outputs["scores"].tolist() == [[0.5, 0.25]]
    assert outputs["names"].tolist() == [b"a", b"b"]
    response.model_spec.version.value = 0
    assert read_prediction(response.SerializeToString())[1] == 0
    assert read_prediction(b"") == ({}, None)


def test_signatures_are_read() -> None:
    signatures = get_model_metadata_pb2.SignatureDefMap()
    signature = signatures.signature_def["serving_default"]
    image = signature.inputs["input_tensor"]
    image.dtype = tf.uint8.as_datatype_enum
    image.tensor_shape.CopyFrom(tf.TensorShape([1, None, None, 3]).as_proto())
    signature.inputs["free"].dtype = 11
    signature.inputs["free"].tensor_shape.unknown_rank = True
    signature.outputs["scalar"].dtype = tf.string.as_datatype_enum
    signature.outputs["scalar"].tensor_shape.SetInParent()
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.version.value = 3
    response.metadata["signature_def"].Pack(signatures)
    found, version = read_metadata(response.SerializeToString())
    assert version == 3
    assert found["serving_default"].inputs == {
        "input_tensor": TensorInfo("uint8", (1, None, None, 3)),
        "free": TensorInfo("data type 11", None),
    }
    assert found["serving_default"].outputs == {"scalar": TensorInfo("string", ())}


def test_statuses_are_read() -> None:
    response = get_model_status_pb2.GetModelStatusResponse()
    response.model_version_status.add(version=2, state=30)
    response.model_version_status.add(version=1, state=50, status={"error_code": 5, "error_message": "gone"})
    found = read_statuses(response.SerializeToString())
    assert [(one.version, one.state, one.status.error_message) for one in found] == [(2, 30, ""), (1, 50, "gone")]


def test_tensorflow_is_not_loaded() -> None:
    code = (
        "import sys, humandetect.engines.tfserving.messages\n"
        "print([name for name in ('tensorflow', 'tensorflow_serving') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("ours", "official"),
    [
        (serving_pb2.PredictRequest, predict_pb2.PredictRequest),
        (serving_pb2.PredictResponse, predict_pb2.PredictResponse),
        (serving_pb2.GetModelMetadataRequest, get_model_metadata_pb2.GetModelMetadataRequest),
        (serving_pb2.GetModelMetadataResponse, get_model_metadata_pb2.GetModelMetadataResponse),
        (serving_pb2.GetModelStatusRequest, get_model_status_pb2.GetModelStatusRequest),
        (serving_pb2.GetModelStatusResponse, get_model_status_pb2.GetModelStatusResponse),
        (serving_pb2.ReloadConfigRequest, model_management_pb2.ReloadConfigRequest),
        (serving_pb2.ReloadConfigResponse, model_management_pb2.ReloadConfigResponse),
        (serving_pb2.PredictionLog, prediction_log_pb2.PredictionLog),
        (tensors_pb2.SavedModel, saved_model_pb2.SavedModel),
        (tensors_pb2.SignatureDef, meta_graph_pb2.SignatureDef),
        (tensors_pb2.SignatureDefMap, get_model_metadata_pb2.SignatureDefMap),
        (config_pb2.ModelServerConfig, model_server_config_pb2.ModelServerConfig),
    ],
    ids=lambda message: message.DESCRIPTOR.full_name,
)
def test_every_field_has_the_official_name_number_and_type(ours: Any, official: Any) -> None:
    assert_alike(ours.DESCRIPTOR, official.DESCRIPTOR)


def assert_alike(ours: Descriptor, official: Descriptor) -> None:
    for field in ours.fields:
        known = official.fields_by_name[field.name]
        assert (field.number, field.is_repeated) == (known.number, known.is_repeated)
        if field.type == field.TYPE_BYTES:  # on the wire a message that is not looked into is bytes
            assert known.type in (field.TYPE_BYTES, field.TYPE_MESSAGE)
            continue
        assert field.type == known.type
        if field.message_type and known.message_type:
            assert_alike(field.message_type, known.message_type)
        if field.enum_type and known.enum_type:
            numbers = {value.name: value.number for value in known.enum_type.values}
            assert {value.name: value.number for value in field.enum_type.values}.items() <= numbers.items()


def test_every_field_of_models_config_is_known() -> None:
    for name in ("ModelServerConfig", "ModelConfigList", "ModelConfig"):
        ours, official = (getattr(module, name).DESCRIPTOR for module in (config_pb2, model_server_config_pb2))
        assert {field.name for field in ours.fields} == {field.name for field in official.fields}


def test_every_data_type_up_to_the_eight_bit_floats_is_known() -> None:
    known = {value.name: value.number for value in tensors_pb2.DESCRIPTOR.enum_types_by_name["DataType"].values}
    assert known == {name: number for name, number in types_pb2.DataType.items() if number < types_pb2.DT_FLOAT8_E5M2}
