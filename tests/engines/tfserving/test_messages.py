"""Tensors and messages written without protobuf, checked against TensorFlow Serving's own protos."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from humandetect.engines.tfserving.messages import (
    ModelSpec,
    TensorInfo,
    VersionStatus,
    metadata_request,
    predict_request,
    read_metadata,
    read_prediction,
    read_statuses,
    status_request,
)
from humandetect.engines.tfserving.tensors import DATA_TYPES, STRING, decode_tensor, encode_strings, encode_tensor
from humandetect.engines.tfserving.wire_format import WireError, read_varints, varint

NUMBERS = [entry.dtype for number, entry in DATA_TYPES.items() if number != STRING]
SHAPES = [(), (0,), (1,), (5,), (2, 3), (1, 2, 0), (2, 1, 3, 2)]
TYPED = {5: "float_val", 6: "double_val", 7: "int_val", 9: "scomplex_val", 10: "int64_val", 11: "bool_val",
         12: "dcomplex_val", 13: "half_val", 16: "uint32_val", 17: "uint64_val"}  # fmt: skip


def sample(dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Values with high bits and signs."""
    count = int(np.prod(shape))
    raw = np.random.default_rng(count).integers(0, 256, count * dtype.itemsize, np.uint8)
    if dtype == np.bool_:
        return (raw % 2).astype(bool).reshape(shape)
    if dtype.kind in "fc":
        return ((raw[:count] - 100.0) * 1.5).astype(dtype).reshape(shape)
    return raw.view(dtype).reshape(shape)


def decoded(proto: Any) -> np.ndarray:
    return decode_tensor(memoryview(proto.SerializeToString()))


def typed_proto(values: np.ndarray) -> Any:
    """The tensor with its values in the typed field, as the server sends it by default."""
    proto = tensor_pb2.TensorProto(dtype=tf.as_dtype(values.dtype).as_datatype_enum)
    proto.tensor_shape.CopyFrom(tf.TensorShape(values.shape).as_proto())
    entry = DATA_TYPES[proto.dtype]
    flat = values.reshape(-1)
    if entry.bits is not None:
        flat = flat.view(entry.bits)
    if flat.dtype.kind == "c":
        flat = flat.view(np.dtype(f"f{flat.dtype.itemsize // 2}"))
    getattr(proto, TYPED[entry.field]).extend(flat.tolist())
    return proto


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
class TestEveryType:
    def test_tensorflow_reads_what_is_written(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        values = sample(dtype, shape)
        proto = tensor_pb2.TensorProto.FromString(b"".join(encode_tensor(values)))
        again = tf.make_ndarray(proto)
        assert (again.dtype, again.shape) == (values.dtype, shape)
        np.testing.assert_array_equal(again, values)

    def test_content_is_read(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        values = sample(dtype, shape)
        proto = tf.make_tensor_proto(values)
        if values.size:
            proto.tensor_content = values.tobytes()
        again = decoded(proto)
        assert (again.dtype, again.shape) == (values.dtype, shape)
        np.testing.assert_array_equal(again, values)

    def test_typed_values_are_read(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        values = sample(dtype, shape)
        again = decoded(typed_proto(values))
        assert (again.dtype, again.shape) == (values.dtype, shape)
        np.testing.assert_array_equal(again, values)


@given(
    st.sampled_from(NUMBERS).flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0)))
)
@settings(max_examples=200, deadline=None)
def test_any_tensor_survives_both_ways(values: np.ndarray) -> None:
    for message in (b"".join(encode_tensor(values)), typed_proto(values).SerializeToString()):
        again = decode_tensor(memoryview(message))
        assert (again.dtype, again.shape) == (values.dtype, values.shape)
        np.testing.assert_array_equal(again, values)


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_rows_of_varints_are_read_as_they_were_written(numbers: list[int]) -> None:
    packed = b"".join(map(varint, numbers))
    assert read_varints(memoryview(packed)).tolist() == numbers


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 2)], ids=str)
def test_strings_travel_both_ways(shape: tuple[int, ...]) -> None:
    strings = [b"", b"\xff\xd8 jpeg", b"\x00" * 300, b"x"][: int(np.prod(shape))]
    proto = tensor_pb2.TensorProto.FromString(b"".join(encode_strings(strings, shape)))
    assert list(proto.string_val) == strings
    again = decoded(proto)
    assert again.shape == shape
    assert again.reshape(-1).tolist() == strings


def single(field: int, *values: bytes, wire: int) -> bytes:
    return b"".join(varint(field << 3 | wire) + value for value in values)


def header(number: int, count: int) -> bytes:
    proto: Any = tensor_pb2.TensorProto(dtype=number)
    proto.tensor_shape.dim.add(size=count)
    return bytes(proto.SerializeToString())


def test_values_that_come_one_by_one_are_read() -> None:
    floats = header(1, 3) + single(5, *(np.float32(value).tobytes() for value in (1.5, -2, 3)), wire=5)
    assert decode_tensor(memoryview(floats)).tolist() == [1.5, -2, 3]
    integers = header(3, 3) + single(7, varint(1), varint(-2), varint(300), wire=0)
    assert decode_tensor(memoryview(integers)).tolist() == [1, -2, 300]


@pytest.mark.parametrize("count", [1, 2, 5000])
@pytest.mark.parametrize("number", [number for number in DATA_TYPES if number not in (8, 18, STRING)])
def test_any_number_of_values_may_come_one_by_one(number: int, count: int) -> None:
    kind = DATA_TYPES[number]
    values = sample(kind.dtype, (count,))
    bits = values.view(kind.bits) if kind.bits else values
    if kind.wire == 0:
        message = single(kind.field, *(varint(int(value)) for value in bits), wire=0)
    else:
        message = single(kind.field, *(value.tobytes() for value in values), wire=kind.wire)
    again = decode_tensor(memoryview(message + header(number, count)))  # something may follow the values
    np.testing.assert_array_equal(again, values)


def test_a_value_of_another_field_between_does_not_disturb() -> None:
    message = header(1, 4)
    for value in (1, 2, 3, 4):
        message += single(5, np.float32(value).tobytes(), wire=5) + single(7, varint(300), wire=0)
    assert decode_tensor(memoryview(message)).tolist() == [1, 2, 3, 4]
    assert decode_tensor(memoryview(header(3, 4) + message[len(header(1, 4)) :])).tolist() == [300] * 4


def test_several_runs_of_values_are_joined() -> None:
    runs = [np.array([1, 2], "<f4").tobytes(), np.array([3], "<f4").tobytes()]
    message = header(1, 4) + b"".join(varint(5 << 3 | 2) + varint(len(run)) + run for run in runs)
    message += single(5, np.float32(4).tobytes(), wire=5)
    assert decode_tensor(memoryview(message)).tolist() == [1, 2, 3, 4]
    numbers = header(9, 3) + b"\x52\x02" + b"\x05\x06" + single(10, varint(-7), wire=0)
    assert decode_tensor(memoryview(numbers)).tolist() == [5, 6, -7]


@pytest.mark.parametrize("values", [[], [7], [7, 8], [7, 8, 9, 10, 11]])
def test_too_few_and_too_many_values_mean_what_they_mean_in_tensorflow(values: list[int]) -> None:
    for number, field in ((1, "float_val"), (3, "int_val"), (4, "int_val"), (23, "uint64_val")):
        proto = tensor_pb2.TensorProto(dtype=number)
        proto.tensor_shape.dim.add(size=4)
        getattr(proto, field).extend(values)
        expected = tf.io.parse_tensor(proto.SerializeToString(), tf.as_dtype(number)).numpy()
        np.testing.assert_array_equal(decoded(proto), expected)


def test_small_integers_are_cut_as_in_tensorflow() -> None:
    proto = tensor_pb2.TensorProto(dtype=4, int_val=[300, -1, 5])
    proto.tensor_shape.dim.add(size=3)
    expected = tf.io.parse_tensor(proto.SerializeToString(), tf.uint8).numpy()
    assert decoded(proto).tolist() == expected.tolist() == [44, 255, 5]


def test_values_in_the_field_of_another_type_do_not_count() -> None:
    proto = tensor_pb2.TensorProto(dtype=1, int_val=[3])
    assert decoded(proto) == 0


def test_content_comes_before_values() -> None:
    proto = tensor_pb2.TensorProto(dtype=1, float_val=[3.0], tensor_content=np.float32(4).tobytes())
    assert decoded(proto) == 4


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (tensor_pb2.TensorProto(dtype=1, tensor_content=b"abc"), "3 bytes for 1 values of float32"),
        (tensor_pb2.TensorProto(dtype=14), "data type 14"),
        (tensor_pb2.TensorProto(), "data type 0"),
        (tensor_pb2.TensorProto(dtype=1, tensor_shape={"unknown_rank": True}), "shape is None"),
        (tensor_pb2.TensorProto(dtype=1, tensor_shape={"dim": [{"size": -1}]}), "shape is"),
        (tensor_pb2.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 2**62}]}), "more than a message can carry"),
        (tensor_pb2.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 1}] * 40}), "more than a message can carry"),
    ],
)
def test_tensors_that_cannot_be_are_refused(proto: Any, message: str) -> None:
    with pytest.raises(WireError, match=message):
        decoded(proto)


@given(st.binary(max_size=64))
@settings(max_examples=500, deadline=None)
def test_garbage_is_refused_or_read_but_never_more_than_that(garbage: bytes) -> None:
    for read in (decode_tensor, read_varints):
        try:
            read(memoryview(garbage))
        except WireError:
            continue
    for message in (read_prediction, read_metadata, read_statuses):
        try:
            message(garbage)
        except WireError:
            continue


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_cut_or_bent_answer_is_refused_or_read_but_never_more_than_that(data: st.DataObject) -> None:
    response = predict_pb2.PredictResponse()
    response.outputs["scores"].CopyFrom(tf.make_tensor_proto(np.ones((2, 300), np.float32)))
    response.outputs["counts"].CopyFrom(typed_proto(np.arange(200, 203, dtype=np.uint8)))
    response.model_spec.version.value = 3
    whole = bytearray(response.SerializeToString())
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_prediction(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except WireError:
        return


def test_a_request_says_what_the_official_one_says() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    official = predict_pb2.PredictRequest()
    official.model_spec.name = "mödel"
    official.model_spec.version.value = 0
    official.model_spec.signature_name = "detect"
    official.inputs["inputs"].CopyFrom(tf.make_tensor_proto(image))
    official.output_filter.extend(["scores", "boxes"])
    spec = ModelSpec("mödel", version=0, signature="detect")
    request = predict_request(spec, {"inputs": encode_tensor(image)}, ["scores", "boxes"])
    assert predict_pb2.PredictRequest.FromString(request) == official


@pytest.mark.parametrize("spec", [ModelSpec("m"), ModelSpec("m", version=12), ModelSpec("m", label="stable")])
def test_models_are_asked_for_as_officially(spec: ModelSpec) -> None:
    for asked in (
        get_model_metadata_pb2.GetModelMetadataRequest.FromString(metadata_request(spec)),
        get_model_status_pb2.GetModelStatusRequest.FromString(status_request(spec)),
    ):
        assert asked.model_spec.name == "m"
        assert asked.model_spec.HasField("version") == (spec.version is not None)
        assert asked.model_spec.version.value == (spec.version or 0)
        assert asked.model_spec.version_label == (spec.label or "")
    assert list(get_model_metadata_pb2.GetModelMetadataRequest.FromString(metadata_request(spec)).metadata_field) == [
        "signature_def"
    ]


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
    signature.inputs["free"].dtype = 14
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
        "free": TensorInfo("data type 14", None),
    }
    assert found["serving_default"].outputs == {"scalar": TensorInfo("string", ())}


def test_statuses_are_read() -> None:
    response = get_model_status_pb2.GetModelStatusResponse()
    response.model_version_status.add(version=2, state=30)
    response.model_version_status.add(version=1, state=50, status={"error_code": 5, "error_message": "gone"})
    assert read_statuses(response.SerializeToString()) == [VersionStatus(2, 30), VersionStatus(1, 50, "gone")]


def test_neither_tensorflow_nor_protobuf_is_loaded() -> None:
    code = (
        "import sys, humandetect.engines.tfserving.messages\n"
        "print([name for name in ('tensorflow', 'google.protobuf', 'tensorflow_serving') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
