"""add_scalar: which values are numbers, and which steps and times are stored."""

import os
import struct
import tempfile
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from helpers.oracle import only_value, read_back, run_script, same_float, steps, tags, walltimes
from hypothesis import given
from hypothesis import strategies as st

import tbc


def float32(number):
    return float(np.float64(number).astype(np.float32))


@given(tags, st.floats(), steps, walltimes)
def test_what_is_logged_is_read_back(tag, number, step, walltime):
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_scalar(tag, number, step, walltime)
        event, value = only_value(log_dir)
    assert (event.step, event.wall_time) == (step, walltime)
    assert value.tag == tag
    with np.errstate(over="ignore"):
        assert same_float(value.simple_value, float32(number))
    assert not value.HasField("metadata")


@given(tags, st.floats(), steps, st.booleans())
def test_new_style_is_a_tensor_of_the_scalars_plugin(tag, number, step, double_precision):
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_scalar(tag, number, step, new_style=True, double_precision=double_precision)
        event, value = only_value(log_dir)
    assert (event.step, value.tag) == (step, tag)
    assert value.metadata.plugin_data.plugin_name == "scalars"
    assert value.metadata.plugin_data.content == b""
    assert not value.tensor.HasField("tensor_shape")
    if double_precision:
        assert value.tensor.dtype == 2
        (stored,) = value.tensor.double_val
        assert struct.pack("<d", stored) == struct.pack("<d", number) or number != number
    else:
        assert value.tensor.dtype == 1
        with np.errstate(over="ignore"):
            assert same_float(value.tensor.float_val[0], float32(number))


@given(st.lists(st.tuples(tags, st.floats(width=32), steps), max_size=50))
def test_many_keep_their_order(scalars):
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            for tag, number, step in scalars:
                writer.add_scalar(tag, number, step)
        events = read_back(log_dir)
    assert [(event.summary.value[0].tag, event.step) for event in events] == [(tag, step) for tag, _, step in scalars]
    for event, (_, number, _) in zip(events, scalars, strict=True):
        assert same_float(event.summary.value[0].simple_value, number)


@pytest.mark.parametrize(
    "number",
    [3, True, "0.5", b"2", 10**30, Decimal("0.1"), Fraction(1, 3)]
    + [np.float16(0.1), np.float32(0.1), np.longdouble(0.1), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True)]
    + [np.array(2.5), np.array([[2.5]]), np.float64("nan"), np.array([7], dtype=">i4"), np.str_("1e3")],
)
def test_all_that_torch_takes_as_a_number(log_dir, number):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalar("x", number)
    _, value = only_value(log_dir)
    assert same_float(value.simple_value, float32(float(number.item() if hasattr(number, "item") else number)))


def test_tensors(log_dir):
    torch = pytest.importorskip("torch")
    tensors = [
        torch.tensor(0.1, dtype=torch.float64, requires_grad=True),
        torch.tensor([[3]]),
        torch.tensor(True),
        torch.tensor(70000.0, dtype=torch.bfloat16),  # torch's writer logs infinity,
        torch.tensor(1e-9, dtype=torch.bfloat16),  # and this zero
        torch.tensor(0.375, dtype=torch.float8_e4m3fn),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sparse tensors are in beta state
        sparse = torch.tensor([[7.0]]).to_sparse_csr()
    with tbc.SummaryWriter(log_dir) as writer:
        for tensor in (*tensors, sparse):
            writer.add_scalar("x", tensor, torch.tensor(4))
    events = read_back(log_dir)
    want = [*(float32(tensor.item()) for tensor in tensors), 7]
    assert [event.summary.value[0].simple_value for event in events] == want
    assert {event.step for event in events} == {4}


def test_small_floats_of_jax(log_dir):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalar("x", np.array([70000], ml_dtypes.bfloat16))
    assert only_value(log_dir)[1].simple_value == 70144


class WithArray:
    def __array__(self, dtype=None, copy=None):
        return np.array([1.5])


def test_anything_with_an_array_interface(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalar("x", WithArray())
    assert only_value(log_dir)[1].simple_value == 1.5


@pytest.mark.parametrize("step", [12, 12.9, "12", True, np.int32(12), np.float32(12.5), np.array(12)])
def test_steps_that_int_takes(log_dir, step):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalar("x", 1, step)
    assert only_value(log_dir)[0].step == int(step)


@pytest.mark.parametrize("tag", [None, b"bytes", np.str_("numpy")])
def test_tags_torch_takes_beside_text(log_dir, tag):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalar(tag, 1)
    assert only_value(log_dir)[1].tag == {None: "", b"bytes": "bytes"}.get(tag, tag)


BAD = [
    (("x", object()), {}, NotImplementedError, "object"),
    (("x", None), {}, NotImplementedError, "NoneType"),
    (("x", [1.0]), {}, NotImplementedError, "list"),
    (("x", np.zeros(2)), {}, AssertionError, r"\(2,\)"),
    (("x", np.zeros(0)), {}, AssertionError, r"\(0,\)"),
    (("x", "loss"), {}, ValueError, "loss"),
    (("x", 1j), {}, TypeError, "1j"),
    (("x", np.complex64(1j)), {}, TypeError, "1j"),
    (("x", np.array([1j])), {}, TypeError, "complex"),
    ((3, 1.0), {}, TypeError, "3 of type int"),
    (("\ud800", 1.0), {}, UnicodeEncodeError, "surrogates"),
    ((b"\xff", 1.0), {}, UnicodeDecodeError, "invalid"),
    (("x", 1.0, 2**63), {}, ValueError, "64-bit"),
    (("x", 1.0, -(2**63) - 1), {}, ValueError, "64-bit"),
    (("x", 1.0, float("inf")), {}, ValueError, "inf"),
    (("x", 1.0, float("nan")), {}, ValueError, "got nan"),
    (("x", 1.0, "soon"), {}, ValueError, "soon"),
    (("x", 1.0, object()), {}, TypeError, "object"),
    (("x", 1.0, 1), {"walltime": float("nan")}, ValueError, "walltime"),
    (("x", 1.0, 1), {"walltime": float("inf")}, ValueError, "walltime"),
    (("x", 1.0, 1), {"walltime": "now"}, ValueError, "now"),
]


@pytest.mark.parametrize(("arguments", "keywords", "error", "words"), BAD)
def test_bad_input_is_told_at_once_and_writes_nothing(log_dir, arguments, keywords, error, words):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error, match=words):
            writer.add_scalar(*arguments, **keywords)
        writer.add_scalar("fine", 1)
    assert only_value(log_dir)[1].tag == "fine"


def test_a_tensor_without_data_is_told(log_dir):
    torch = pytest.importorskip("torch")
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(ValueError, match="meta"):  # torch logs a random number
        writer.add_scalar("x", torch.zeros(1, device="meta"))


def test_a_dict_that_changes_while_it_is_logged(log_dir):
    """__float__ and __index__ run code of the program, which may change the dict; so may a signal handler."""
    result = run_script(
        """
        import sys, tbc
        scalars = {}

        class Number:
            def __float__(self):
                scalars.pop(next(iter(scalars)))
                scalars["t" * 100 + str(len(added))] = Number()
                added.append(None)
                return 1.5

        class Step:
            def __index__(self):
                scalars.clear()
                return 7
            __int__ = __index__

        writer, added = tbc.FileWriter(sys.argv[1]), []
        for i in range(300):
            scalars[f"{i}" * 50] = Number()
        writer._event_file.scalars(scalars, Step())
        writer.close()
        print(len(scalars), len(added))
        """,
        log_dir,
        env={**os.environ, "MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "165", "PYTHONMALLOC": "malloc"},
    )
    assert result.stdout == "0 300\n"
    (event,) = read_back(log_dir)
    assert [(value.tag, value.simple_value) for value in event.summary.value] == [
        (f"{i}" * 50, 1.5) for i in range(300)
    ]
    assert event.step == 7


def test_a_file_that_is_taken_away_while_it_answers(log_dir):
    """_is_overridden() runs code of the FileWriter's class, which may set `file_writer` to None."""
    result = run_script(
        """
        import sys, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        taken = False

        def is_overridden():
            if taken:
                writer.file_writer = None
            return False

        file = writer._get_file_writer()
        file._is_overridden = is_overridden
        writer.add_scalar("x", 1, 0)
        taken = True
        file.note = "ask again"
        writer.add_scalar("x", 1, 1)
        file.close()
        print("closed")
        """,
        log_dir,
    )
    assert result.stdout == "closed\n"
    assert [event.step for event in read_back(log_dir)] == [0, 1]
