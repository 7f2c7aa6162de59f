"""Tensors are read as TensorFlow itself reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.types_pb2 import DataType

from humandetect.model_server.status import ServingError
from humandetect.model_server.tensors import KINDS, to_array, to_proto


def proto(dtype: str, shape: tuple[int, ...], **fields: Any) -> Any:
    tensor = TensorProto(dtype=DataType.Value(dtype), **fields)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


LONG = b"x" * 300


@pytest.mark.parametrize(
    "tensor",
    [
        *(proto(dtype, (2, 2)) for dtype in KINDS),
        proto("DT_UINT8", (3,), int_val=[300, -1]),
        proto("DT_INT8", (2,), int_val=[200, 128]),
        proto("DT_INT64", (3,), int64_val=[-(2**60), 5]),
        proto("DT_UINT32", (2,), uint32_val=[2**32 - 1]),
        proto("DT_HALF", (3,), half_val=[0x3C00, 0xFBFF]),
        proto("DT_BFLOAT16", (2,), half_val=[0x3F80, 0xC000]),
        proto("DT_BOOL", (3,), bool_val=[True, False]),
        proto("DT_STRING", (3,), string_val=[b"a", b"\0b"]),
        proto("DT_STRING", (2,), tensor_content=b"\xac\x02\x01" + LONG + b"y"),
        proto("DT_STRING", (), tensor_content=b"\x02ok"),
        proto("DT_INT32", (2,), tensor_content=np.array([1, -1], np.int32).tobytes()),
    ],
    ids=lambda tensor: DataType.Name(tensor.dtype),
)
def test_a_tensor_is_what_tensorflow_makes_of_it(tensor: Any) -> None:
    expected = tf.io.parse_tensor(tensor.SerializeToString(), tensor.dtype).numpy()
    found = to_array(tensor, "x")
    assert found.shape == np.shape(expected)
    assert found.tolist() == np.asarray(expected).tolist()


@pytest.mark.parametrize("content", [b"\x02", b"\x02abc", b"\xff"])
def test_strings_that_do_not_add_up_are_refused(content: bytes) -> None:
    with pytest.raises(ServingError, match="tensor parsing error: x"):
        to_array(proto("DT_STRING", (1,), tensor_content=content), "x")


def test_text_is_written_as_bytes() -> None:
    assert list(to_proto(np.array(["ä", "b"]), as_content=True).string_val) == ["ä".encode(), b"b"]


def test_an_output_that_has_no_place_in_a_message_is_refused() -> None:
    with pytest.raises(ServingError, match="outputs of type complex64 are not supported"):
        to_proto(np.zeros(1, np.complex64), as_content=False)
