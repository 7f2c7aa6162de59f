"""Tensors are read and written as TensorFlow itself does it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError, EncodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorflow.core.framework import tensor_pb2

from humandetect.engines.tfserving.tensors import KINDS, STRING, Kind, read_tensor, write_tensor
from humandetect.protos.tensors_pb2 import DataType, TensorProto

NUMBERS = [kind.dtype for kind in KINDS.values() if kind.name != STRING]
HYPOTHESIS_NUMBERS = [dtype for dtype in NUMBERS if dtype.name != "bfloat16"]
SHAPES = [(), (0,), (1,), (5,), (2, 3), (1, 2, 0), (2, 1, 3, 2)]
LONG = b"x" * 300


def sample(dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Values with high bits and signs."""
    count = int(np.prod(shape))
    raw = np.random.default_rng(count).integers(0, 256, count * dtype.itemsize, np.uint8)
    if dtype == np.bool_:
        return (raw % 2).astype(bool).reshape(shape)
    if dtype.kind not in "iu":
        return ((raw[:count] - 100.0) * 1.5).astype(dtype).reshape(shape)
    return raw.view(dtype).reshape(shape)


def written(values: np.ndarray, *, as_content: bool = True) -> TensorProto:
    tensor = TensorProto()
    write_tensor(tensor, values, as_content=as_content)
    return tensor


def official(tensor: TensorProto) -> Any:
    return tensor_pb2.TensorProto.FromString(tensor.SerializeToString())


def tensor(dtype: str, shape: tuple[int, ...], **fields: Any) -> TensorProto:
    return TensorProto(dtype=dtype, tensor_shape={"dim": [{"size": size} for size in shape]}, **fields)


@pytest.mark.parametrize("as_content", [True, False], ids=["content", "typed"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_every_type_and_shape_is_written_for_tensorflow_and_read_back(
    dtype: np.dtype[Any], shape: tuple[int, ...], as_content: bool
) -> None:
    values = sample(dtype, shape)
    message = written(values, as_content=as_content)
    assert bool(message.tensor_content) == (as_content and values.size > 0)
    for again in (tf.make_ndarray(official(message)), read_tensor(message)):
        assert (again.dtype, again.shape) == (dtype, shape)
        np.testing.assert_array_equal(again, values)


@given(
    st.sampled_from(HYPOTHESIS_NUMBERS).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))
    ),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_any_tensor_survives_both_ways(values: np.ndarray, as_content: bool) -> None:
    again = read_tensor(written(values, as_content=as_content))
    assert (again.dtype, again.shape) == (values.dtype, values.shape)
    np.testing.assert_array_equal(again, values)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 2)], ids=str)
def test_strings_travel_both_ways(shape: tuple[int, ...]) -> None:
    strings = [b"", b"\xff\xd8 jpeg", b"\x00" * 300, b"x"][: int(np.prod(shape))]
    message = written(np.array(strings, object).reshape(shape))
    assert tf.make_ndarray(official(message)).tolist() == np.array(strings, object).reshape(shape).tolist()
    again = read_tensor(message)
    assert again.shape == shape
    assert again.reshape(-1).tolist() == strings


def test_text_is_written_as_bytes() -> None:
    assert list(written(np.array(["ä", "b"])).string_val) == ["ä".encode(), b"b"]


@pytest.mark.parametrize(
    "message",
    [
        *(tensor(DataType.Name(number), (2, 2)) for number in KINDS),
        tensor("DT_UINT8", (3,), int_val=[300, -1]),
        tensor("DT_INT8", (2,), int_val=[200, 128]),
        tensor("DT_INT64", (3,), int64_val=[-(2**60), 5]),
        tensor("DT_UINT32", (2,), uint32_val=[2**32 - 1]),
        tensor("DT_HALF", (3,), half_val=[0x3C00, 0xFBFF]),
        tensor("DT_BFLOAT16", (2,), half_val=[0x3F80, 0xC000]),
        tensor("DT_BOOL", (3,), bool_val=[True, False]),
        tensor("DT_STRING", (3,), string_val=[b"a", b"\0b"]),
        tensor("DT_STRING", (2,), tensor_content=b"\xac\x02\x01" + LONG + b"y"),
        tensor("DT_STRING", (), tensor_content=b"\x02ok"),
        tensor("DT_INT32", (2,), tensor_content=np.array([1, -1], np.int32).tobytes()),
        tensor("DT_FLOAT", (), int_val=[3]),  # values in the field of another type do not count
        tensor("DT_FLOAT", (1,), float_val=[3.0], tensor_content=np.float32(4).tobytes()),  # content comes first
        *(tensor("DT_FLOAT", (4,), float_val=range(count)) for count in range(6)),
        *(tensor("DT_UINT64", (4,), uint64_val=range(count)) for count in range(6)),
    ],
    ids=lambda message: DataType.Name(message.dtype),
)
def test_a_tensor_is_what_tensorflow_makes_of_it(message: TensorProto) -> None:
    expected = tf.io.parse_tensor(message.SerializeToString(), message.dtype).numpy()
    found = read_tensor(message)
    assert found.shape == np.shape(expected)
    assert found.tolist() == np.asarray(expected).tolist()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (tensor("DT_FLOAT", (), tensor_content=b"abc"), "3 bytes for 1 values of float32"),
        (tensor("DT_QINT8", ()), "data type 11, which numpy has not"),
        (TensorProto(), "data type 0"),
        (TensorProto(dtype="DT_FLOAT", tensor_shape={"unknown_rank": True}), "shape is None"),
        (tensor("DT_FLOAT", (-1,)), "shape is"),
        (tensor("DT_FLOAT", (2**62,)), "more than a message can carry"),
        (tensor("DT_FLOAT", (0, 2**62)), "more than a message can carry"),
        (tensor("DT_FLOAT", (1,) * 40), "more than a message can carry"),
        *((tensor("DT_STRING", (1,), tensor_content=one), "do not add up") for one in (b"\x02", b"\x02abc")),
        *((tensor("DT_STRING", (2,), tensor_content=one), "do not add up") for one in (b"\1", b"\1" * 2)),
        (tensor("DT_STRING", (2,), tensor_content=b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\2a"), "do not add up"),
    ],
)
def test_tensors_that_cannot_be_are_refused(message: TensorProto, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        read_tensor(message)


def test_bfloat16_is_refused_where_numpy_does_not_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, DataType.DT_BFLOAT16, Kind("a type of nobody", "half_val"))
    with pytest.raises(DecodeError, match="data type 14, which numpy has not"):
        read_tensor(tensor("DT_BFLOAT16", (1,)))


def test_an_array_that_has_no_place_in_a_message_is_refused() -> None:
    with pytest.raises(EncodeError, match="no tensor holds complex64"):
        written(np.zeros(1, np.complex64))


@given(st.binary(max_size=64))
@settings(max_examples=300, deadline=None)
def test_garbage_is_refused_or_read_but_never_more_than_that(garbage: bytes) -> None:
    try:
        read_tensor(TensorProto.FromString(garbage))
    except DecodeError:
        return


@given(st.binary(max_size=24), st.integers(0, 4))
@settings(max_examples=300, deadline=None)
def test_strings_in_any_content_are_read_as_tensorflow_reads_them(content: bytes, count: int) -> None:
    message = tensor("DT_STRING", (count,), tensor_content=content)
    try:
        expected = tf.io.parse_tensor(message.SerializeToString(), tf.string).numpy().tolist()
    except tf.errors.InvalidArgumentError:
        with pytest.raises(DecodeError):
            read_tensor(message)
    else:
        assert read_tensor(message).tolist() == expected
