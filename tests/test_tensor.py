"""add_tensor: every type and layout comes back as it was."""

import tempfile
import warnings

import ml_dtypes
import numpy as np
import pytest
from helpers.oracle import log_one, only_value, steps, tags
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorboard.util.tensor_util import make_ndarray

import tbc

RNG = np.random.default_rng(11)
DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "c8", "c16"]
any_dtype = st.builds("".join, st.tuples(st.sampled_from("<>"), st.sampled_from(DTYPES)))


def log_tensor(log_dir, tensor):
    value = log_one(log_dir, tbc.SummaryWriter.add_tensor, tensor)
    assert value.metadata.plugin_data.plugin_name == "tensor"
    return value.tensor


def assert_same_array(ours, theirs):
    """Check that arrays are equal bit by bit, NaN included; the byte order of the types may differ."""
    assert ours.dtype == theirs.dtype.newbyteorder("<")
    assert ours.shape == theirs.shape
    assert ours.tobytes() == theirs.astype(ours.dtype).tobytes()


@given(
    tags,
    steps,
    any_dtype.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, max_side=4))),
)
def test_any_array_is_read_back(tag, step, array):
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_tensor(tag, array, step, 2.5)
        event, value = only_value(log_dir)
    assert (event.step, event.wall_time, value.tag) == (step, 2.5, tag)
    assert_same_array(make_ndarray(value.tensor), array)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 0, 2)])
def test_arrays_without_elements(log_dir, dtype, shape):
    tensor = log_tensor(log_dir, np.zeros(shape, dtype))
    assert [dim.size for dim in tensor.tensor_shape.dim] == list(shape)
    if dtype in ("u4", "u8", "f2"):  # TensorBoard does not decode these, or numpy warns
        assert tensor.dtype == {"u4": 22, "u8": 23, "f2": 19}[dtype]
    else:
        assert_same_array(make_ndarray(tensor), np.zeros(shape, dtype))


VIEWS = {
    "transposed": lambda array: array.T,
    "reversed": lambda array: array[::-1, ::-1],
    "slices": lambda array: array[1::2, ::3],
    "fortran": np.asfortranarray,
    "broadcast": lambda array: np.broadcast_to(array[0], (5, *array[0].shape)),
    "one column": lambda array: array[:, 2],
    "read-only": lambda array: np.frombuffer(array.tobytes(), array.dtype),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", ["f4", ">f8", "u1", "c8"])
def test_arrays_of_any_memory_layout(log_dir, view, dtype):
    array = VIEWS[view](RNG.integers(0, 100, (6, 7, 2)).astype(dtype))
    assert_same_array(make_ndarray(log_tensor(log_dir, array)), array)


@pytest.mark.parametrize("number", [3, 2.5, True, 1 - 2j, np.float32(0.1), np.uint8(7)])
def test_numbers(log_dir, number):
    stored = make_ndarray(log_tensor(log_dir, number))
    assert (stored.tolist(), stored.dtype) == ([number], np.array(number).dtype)


def test_64_dimensions(log_dir):
    array = np.arange(4.0).reshape([1] * 63 + [4])
    assert_same_array(make_ndarray(log_tensor(log_dir, array)), array)


TORCHS = ["float32", "float64", "int8", "int16", "int32", "int64", "bool", "complex64", "complex128"]


@pytest.mark.parametrize("name", TORCHS)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3, 4)])
def test_tensors_as_torch_stores_them(log_dir, name, shape):
    """The types are those that torch's writer stores and TensorBoard decodes."""
    torch = pytest.importorskip("torch")
    summary = pytest.importorskip("torch.utils.tensorboard.summary")
    tensor = (torch.randn(shape) * 3).to(getattr(torch, name))
    ours, theirs = log_tensor(log_dir, tensor), summary.tensor_proto("tensor", tensor).value[0].tensor
    assert (ours.dtype, ours.tensor_shape.SerializeToString()) == (
        theirs.dtype,
        theirs.tensor_shape.SerializeToString(),
    )
    np.testing.assert_array_equal(make_ndarray(ours), make_ndarray(theirs))
    if shape and name.startswith("float"):  # for a scalar, no shape means the same as an empty one
        assert ours.SerializeToString() == theirs.SerializeToString()


FLOAT8 = ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]


@pytest.mark.parametrize("name", [*TORCHS, "float16", "uint8", "uint16", "uint32", "uint64"])
def test_tensors_keep_their_type(log_dir, name):
    torch = pytest.importorskip("torch")
    tensor = torch.arange(12).reshape(3, 4).to(getattr(torch, name))
    stored = make_ndarray(log_tensor(log_dir, tensor.T))
    assert_same_array(stored, tensor.T.numpy())
    assert stored.dtype.name == name


@pytest.mark.parametrize("name", ["bfloat16", *FLOAT8])
def test_small_floats_of_torch_become_float32(log_dir, name):
    torch = pytest.importorskip("torch")
    tensor = torch.tensor([0.0, 1.0, 2.0, 0.25, 64.0]).to(getattr(torch, name))
    assert_same_array(make_ndarray(log_tensor(log_dir, tensor)), tensor.float().numpy())


def test_half_a_complex_becomes_complex64(log_dir):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ComplexHalf is experimental
        tensor = torch.tensor([1 + 2j, 0.5j]).to(torch.complex32)
    assert_same_array(make_ndarray(log_tensor(log_dir, tensor)), np.array([1 + 2j, 0.5j], np.complex64))


@pytest.mark.skipif(not hasattr(ml_dtypes, "complex32"), reason="older ml_dtypes have none")
def test_half_a_complex_of_ml_dtypes_becomes_complex64(log_dir):
    array = np.array([1 + 2j, 0.5j], np.complex64)
    assert_same_array(make_ndarray(log_tensor(log_dir, array.astype(ml_dtypes.complex32))), array)


@pytest.mark.parametrize("name", ["bfloat16", *FLOAT8, "float8_e3m4", "float4_e2m1fn", "int4", "uint4"])
def test_small_numbers_of_ml_dtypes_become_float32(log_dir, name):
    array = np.array([0.0, 1.0, 2.0, 4.0]).astype(getattr(ml_dtypes, name))
    assert_same_array(make_ndarray(log_tensor(log_dir, array)), array.astype(np.float32))


def test_tensors_of_every_kind(log_dir):
    torch = pytest.importorskip("torch")
    plain = torch.tensor([[0.0, 1.5], [2.5, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some kinds are deprecated
        quantized = torch.quantize_per_tensor(plain, 0.5, 0, torch.qint8)
        float8 = plain.to(torch.float8_e4m3fn).to_sparse_csr()
    tensors = [
        float8,
        plain.clone().requires_grad_(),
        torch.nn.Parameter(plain),
        plain.to_sparse(),
        plain.to(torch.bfloat16).to_sparse(),
        quantized,
        torch.complex(plain, -plain).conj().imag,
    ]
    for i, tensor in enumerate(tensors):
        assert_same_array(make_ndarray(log_tensor(f"{log_dir}{i}", tensor)), plain.numpy() + 0.0)


@pytest.mark.parametrize(
    ("tensor", "error"),
    [
        (np.array(["text"]), TypeError),
        (np.array([b"bytes"]), TypeError),
        ("text", TypeError),
        (np.array([None]), TypeError),
        (np.array([1], object), TypeError),
        (2**100, TypeError),
        (np.array(["2020-01-01"], "M8[D]"), TypeError),
        (np.zeros(3, "V4"), TypeError),
        (np.zeros(3, [("a", "f4")]), TypeError),
        (np.zeros(3, [("a", "f4"), ("b", "i4")]), TypeError),
        (np.zeros(3, np.longdouble), TypeError),
        ([1.0, 2.0], NotImplementedError),
        (None, NotImplementedError),
    ],
)
def test_other_types_are_refused(log_dir, tensor, error):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error):
            writer.add_tensor("t", tensor)
        writer.add_tensor("fine", np.ones(3))
    assert only_value(log_dir)[1].tag == "fine"


def test_a_tensor_without_data_is_refused(log_dir):
    torch = pytest.importorskip("torch")
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(ValueError, match="meta"):
        writer.add_tensor("t", torch.ones(3, device="meta"))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((7, np.ones(3)), TypeError), (("t", np.ones(3), 2**63), ValueError), (("t", np.ones(3), 0, "soon"), ValueError)],
)
def test_bad_arguments_are_told_at_once_and_write_nothing(log_dir, arguments, error):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error):
            writer.add_tensor(*arguments)
        writer.add_tensor("fine", np.ones(3))
    assert only_value(log_dir)[1].tag == "fine"
