"""add_pr_curve: counts compared to torch's, for any types and layouts."""

import math
import tempfile

import numpy as np
import pytest
from helpers.oracle import bytes_of, only_value, read_back, steps, tags
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData

import tbc
from tbc import _core, convert
from tbc.kinds import pr_curves

RNG = np.random.default_rng(13)
FLOATS = ["f2", "f4", "f8"]
INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"]

# Labels are quarters and weights eighths, so that sums are exact in any order.
quarters = st.integers(0, 4).map(lambda n: n / 4)
eighths = st.integers(-8, 80).map(lambda n: n / 8)
thresholds = st.one_of(st.integers(1, 1000), st.sampled_from([1, 2, 127, 128, 255, 256, 257, 1000]))


def in_layouts(array):
    """Yield the same array in several memory layouts."""
    yield array
    yield np.asfortranarray(array)
    yield array[::-1].copy()[::-1]
    yield np.repeat(array, 2, axis=-1)[..., ::2]
    yield array.astype(array.dtype.newbyteorder())


@st.composite
def examples(draw, elements=None):
    """Draw labels, predictions, and weights or None, of one shape, of any types and layouts."""
    shape = draw(arrays.array_shapes(max_dims=3, max_side=6))
    dtype = np.dtype(draw(st.sampled_from(FLOATS + INTEGERS)))
    if elements is None:
        elements = arrays.from_dtype(dtype)
        if dtype.kind == "f":
            elements = st.one_of(elements, st.floats(0, 1, width=8 * dtype.itemsize), st.sampled_from([0.0, 0.5, 1.0]))
    predictions = draw(arrays.arrays(dtype, shape, elements=elements, fill=st.nothing()))
    label_dtype = draw(st.sampled_from(FLOATS + INTEGERS))
    label = quarters if label_dtype in FLOATS else st.integers(0, 1)
    labels = draw(arrays.arrays(label_dtype, shape, elements=label, fill=st.nothing()))
    weights = draw(st.sampled_from([None, "number", "array"]))
    if weights == "number":
        weights = draw(eighths)
    elif weights == "array":
        weights = draw(arrays.arrays(st.sampled_from(FLOATS), shape, elements=eighths, fill=st.nothing()))
    pick = draw(st.lists(st.integers(0, 4), min_size=3, max_size=3))
    labels, predictions = list(in_layouts(labels))[pick[0]], list(in_layouts(predictions))[pick[1]]
    return labels, predictions, list(in_layouts(weights))[pick[2]] if isinstance(weights, np.ndarray) else weights


def torch_curve(labels, predictions, num_thresholds, weights=None):
    """Return torch's curve of predictions as the kernel reads them: 16-bit floats as float32, integers as float64."""
    compute_curve = pytest.importorskip("torch.utils.tensorboard.summary").compute_curve
    narrow = predictions.dtype.kind == "f" and predictions.dtype.itemsize < 8
    with np.errstate(invalid="ignore", over="ignore"):  # predictions may be out of range
        return compute_curve(labels, predictions.astype("f4" if narrow else "f8"), num_thresholds, weights)


def naive_counts(labels, predictions, num_thresholds, weights):
    """Return the counts that the kernel must find, how many examples it leaves out, and how many are above 1."""
    positives, negatives, left_out, above = [0.0] * num_thresholds, [0.0] * num_thresholds, 0, 0
    real = np.float32 if predictions.dtype.kind == "f" and predictions.dtype.itemsize < 8 else np.float64
    weights = np.broadcast_to(1.0 if weights is None else weights, labels.shape)
    for label, prediction, weight in zip(labels.flat, predictions.flat, weights.flat, strict=True):
        label, weight = float(label), float(weight)
        with np.errstate(over="ignore", invalid="ignore"):
            product = float(real(prediction) * real(num_thresholds - 1))
        if 0 <= product < num_thresholds and 0 <= label <= 1 and math.isfinite(weight):
            positives[math.floor(product)] += label * weight
            negatives[math.floor(product)] += (1 - label) * weight
        else:
            left_out += 1
        above += prediction > 1
    return positives, negatives, left_out, above


def counts(labels, predictions, num_thresholds, weights=None):
    flat = [(array.reshape(-1), dtype) for array, dtype in map(convert.kernel_array, (predictions, labels))]
    if weights is not None:
        factors, dtype = convert.kernel_array(weights)
        weights = np.broadcast_to(factors.reshape(-1), labels.size), dtype
    positives, negatives, *odd = _core.count_pr_curve(*flat, weights, num_thresholds)
    return np.frombuffer(positives).tolist(), np.frombuffer(negatives).tolist(), *odd


@given(examples(), thresholds)
def test_any_examples_as_a_loop_counts_them(example, num_thresholds):
    labels, predictions, weights = example
    want = naive_counts(labels, predictions, num_thresholds, weights)
    assert counts(labels, predictions, num_thresholds, weights) == want


@pytest.mark.parametrize("dtype", ["b1", "u1", "i1", "i8", "f4"])
@pytest.mark.parametrize("num_thresholds", [127, 300])
def test_labels_out_of_range_in_some_blocks(dtype, num_thresholds):
    labels = RNG.integers(0, 2, 2000).astype(dtype)
    if dtype != "b1":
        labels[[300, 301, 1999]] = np.array([2, -1 if dtype != "u1" else 255, 3], dtype)
    predictions = RNG.normal(0.5, 0.3, labels.size).astype("f4")
    want = naive_counts(labels, predictions, num_thresholds, None)
    assert counts(labels, predictions, num_thresholds) == want


@given(examples(), thresholds)
def test_any_curve_is_torchs(example, num_thresholds):
    labels, predictions, weights = example
    ours, *_ = pr_curves.curve(labels, predictions, num_thresholds, weights)
    np.testing.assert_array_equal(ours, torch_curve(labels, predictions, num_thresholds, weights))


@pytest.mark.parametrize("num_thresholds", [2, 127, 200, 256, 257, 5000])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("weighted", [False, True])
def test_many_predictions_as_torch_counts_them(num_thresholds, dtype, weighted):
    predictions = RNG.beta(0.3, 0.3, 100_001).astype(dtype)
    labels = RNG.random(predictions.size) < predictions
    weights = RNG.random(predictions.size) if weighted else None
    ours, left_out, _ = pr_curves.curve(labels, predictions, num_thresholds, weights)
    assert left_out == 0
    np.testing.assert_allclose(ours, torch_curve(labels, predictions, num_thresholds, weights), rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("num_thresholds", [1, 127, 256, 257])
@pytest.mark.parametrize("prediction", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n", [1, 3, 511, 512, 513, 10_000])
def test_crowded_predictions(num_thresholds, prediction, n):
    labels = np.arange(n) % 3 == 0
    positives, negatives, left_out, _ = counts(labels, np.full(n, prediction, "f4"), num_thresholds)
    bucket = int(prediction * (num_thresholds - 1))
    assert (positives.pop(bucket), negatives.pop(bucket), left_out) == (labels.sum(), n - labels.sum(), 0)
    assert not any(positives + negatives)


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32", "float64", "float8_e4m3fn", "int64", "bool"])
def test_tensors(name):
    torch = pytest.importorskip("torch")
    predictions = torch.rand(30, 40).round(decimals=0 if name in ("int64", "bool") else 3).to(getattr(torch, name))
    labels = torch.rand(30, 40, requires_grad=True) < 0.4
    ours, left_out, _ = pr_curves.curve(labels.T, predictions.T, 50)
    wide = predictions.float() if name in ("bfloat16", "float8_e4m3fn") else predictions
    assert left_out == 0
    np.testing.assert_array_equal(ours, torch_curve(labels.T.numpy(), wide.T.numpy(), 50))


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_sparse_tensors(name):
    torch = pytest.importorskip("torch")
    predictions = torch.tensor([[0, 0.25, 1], [0.5, 0, 0]], dtype=getattr(torch, name))
    labels = torch.tensor([[0, 0, 1], [1, 0, 0]], dtype=getattr(torch, name))
    ours, left_out, _ = pr_curves.curve(labels.to_sparse(), predictions.to_sparse(), 9)
    assert left_out == 0
    np.testing.assert_array_equal(ours, pr_curves.curve(labels, predictions, 9)[0])


@pytest.mark.parametrize("which", ["labels", "weights"])
def test_labels_and_weights_of_bfloat16(which):
    torch = pytest.importorskip("torch")
    arguments = {"labels": torch.tensor([1, 0, 0.5]), "weights": torch.tensor([3.0, 0.5, 2.0])}
    want, *_ = pr_curves.curve(predictions=np.array([0.1, 0.5, 0.9]), num_thresholds=9, **arguments)
    arguments[which] = arguments[which].bfloat16()
    ours, *_ = pr_curves.curve(predictions=np.array([0.1, 0.5, 0.9]), num_thresholds=9, **arguments)
    np.testing.assert_array_equal(ours, want)


@pytest.mark.parametrize("bad", [1.1, -0.1, 1e300, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", ["labels", "predictions", "weights"])
def test_what_is_left_out_is_warned_of_once(log_dir, bad, which):
    good = {"labels": [1.0, 0, 1, 0], "predictions": [0.1, 0.5, 0.9, 0.6], "weights": [1.0, 2, 3, 4]}
    arguments = {name: np.array(values) for name, values in good.items()}
    expected, *_ = pr_curves.curve(**{name: values[::2] for name, values in arguments.items()}, num_thresholds=127)
    arguments[which][1::2] = bad
    if which == "weights" and math.isfinite(bad):  # any finite weight is valid
        assert pr_curves.curve(**arguments, num_thresholds=127)[1] == 0
        return
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.warns(UserWarning, match="'curve': 2 examples are out of range and were skipped") as caught:
            writer.add_pr_curve("curve", **arguments)
        assert (len(caught), caught[0].filename) == (1, __file__)
        writer.add_pr_curve("curve", **arguments)
    for event in read_back(log_dir):
        rows = np.array(event.summary.value[0].tensor.float_val).reshape(6, 127)
        np.testing.assert_array_equal(rows, expected.astype(np.float32))


def test_no_examples_make_a_curve_of_zeros(log_dir):
    for weights in (None, 2, np.array([])):
        rows, left_out, _ = pr_curves.curve(np.array([]), np.array([]), 5, weights)
        assert (rows.any(), left_out) == (False, 0)


def test_weights_that_no_float_holds_warn_of_nothing(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_pr_curve("curve", np.array([1, 1, 0]), np.array([0.5, 0.5, 0.1]), weights=1e308)
    assert only_value(log_dir)[1].tensor.float_val[0] == math.inf


@given(tags, steps, examples(elements=st.integers(0, 1)), st.integers(1, 127))
def test_the_event_is_torchs(tag, step, example, num_thresholds):
    """The bytes are equal. Above 127 thresholds they differ: torch's metadata says 127."""
    summary = pytest.importorskip("torch.utils.tensorboard.summary")
    labels, predictions, weights = example
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_pr_curve(tag, labels, predictions, step, num_thresholds, weights, 2.5)
        event, value = only_value(log_dir)
    assert (event.step, event.wall_time) == (step, 2.5)
    theirs = summary.pr_curve(tag, labels, predictions.astype("f8"), num_thresholds, weights).value[0]
    assert bytes_of(value) == bytes_of(theirs)


@pytest.mark.parametrize("num_thresholds", [1, 127, 128, 1000, 20_000])
def test_the_metadata_tells_how_many_thresholds_there_are(log_dir, num_thresholds):
    labels, predictions = RNG.random(50) < 0.5, RNG.random(50)
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_pr_curve("curve", labels, predictions, 3, num_thresholds)
    _, value = only_value(log_dir)
    plugin = value.metadata.plugin_data
    data = PrCurvePluginData.FromString(plugin.content)
    assert (plugin.plugin_name, data.version, data.num_thresholds) == ("pr_curves", 0, num_thresholds)
    assert [dim.size for dim in value.tensor.tensor_shape.dim] == [6, num_thresholds]
    rows = np.array(value.tensor.float_val).reshape(6, num_thresholds)
    np.testing.assert_array_equal(rows, pr_curves.curve(labels, predictions, num_thresholds)[0].astype(np.float32))


raw_rows = st.integers(1, 200).flatmap(lambda n: arrays.arrays(np.float64, (6, n)))


@given(tags, steps, raw_rows)
def test_a_raw_curve_is_stored_as_it_is(tag, step, rows):
    """The number of thresholds is the length of the rows, not num_thresholds."""
    as_given = [rows[0], rows[1].tolist(), tuple(rows[2]), rows[3][::-1].copy()[::-1], rows[4].astype(">f8"), rows[5]]
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_pr_curve_raw(tag, *as_given, step, walltime=2.5)
        event, value = only_value(log_dir)
    assert (event.step, event.wall_time, value.tag) == (step, 2.5, tag)
    data = PrCurvePluginData.FromString(value.metadata.plugin_data.content)
    assert (value.metadata.plugin_data.plugin_name, data.num_thresholds) == ("pr_curves", rows.shape[1])
    assert [dim.size for dim in value.tensor.tensor_shape.dim] == list(rows.shape)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(np.array(value.tensor.float_val), rows.ravel().astype(np.float32))


def test_a_raw_curve_is_torchs(log_dir):
    summary = pytest.importorskip("torch.utils.tensorboard.summary")
    rows = RNG.integers(0, 100, (6, 127)) / 2
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_pr_curve_raw("curve", *rows)
    assert bytes_of(only_value(log_dir)[1]) == bytes_of(summary.pr_curve_raw("curve", *rows).value[0])


ONES = np.ones(3)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("c", np.ones(3), np.ones(4)), ValueError, r"\(3,\) and \(4,\)"),
        (("c", np.ones((2, 3)), np.ones((3, 2))), ValueError, "one shape"),
        (("c", np.ones(6), np.ones((3, 2))), ValueError, "one shape"),
        (("c", ONES, ONES, 0, 127, np.ones(2)), ValueError, "weights"),
        (("c", ONES, ONES, 0, 127, np.ones((3, 1))), ValueError, "weights"),
        (("c", ONES, ONES, 0, 0), ValueError, "num_thresholds"),
        (("c", ONES, ONES, 0, -1), ValueError, "num_thresholds"),
        (("c", ONES, ONES, 0, 2**31), ValueError, "num_thresholds"),
        (("c", ONES, ONES, 0, None), TypeError, "None"),
        (("c", [1.0], [1.0]), NotImplementedError, "list"),
        (("c", ONES, None), NotImplementedError, "NoneType"),
        (("c", ONES * 1j, ONES), TypeError, "complex"),
        (("c", ONES, np.array(["a"] * 3)), TypeError, "U1"),
        (("c", ONES, ONES, 0, 127, np.array([1j])), TypeError, "complex"),
        ((7, ONES, ONES), TypeError, "tag"),
        (("c", ONES, ONES, 2**63), ValueError, "64-bit"),
        (("c", ONES, ONES, 0, 127, None, math.nan), ValueError, "walltime"),
    ],
)
def test_bad_input_is_told_at_once_and_writes_nothing(log_dir, arguments, error, words):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error, match=words):
            writer.add_pr_curve(*arguments)
        writer.add_pr_curve("fine", ONES, ONES)
    assert only_value(log_dir)[1].tag == "fine"


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ([ONES] * 5 + [np.ones(4)], ValueError, r"recall \(4,\)"),
        ([np.ones((3, 1))] * 6, ValueError, "one length"),
        ([[]] * 6, ValueError, "one length"),
        ([1.0] * 5 + [ONES], ValueError, "one length"),
        ([ONES * 1j] * 6, TypeError, "complex"),
        ([ONES] * 5 + [["1", "1", "1"]], TypeError, "recall"),
        ([[None]] * 6, TypeError, "object"),
        ([ONES] * 5 + [None], NotImplementedError, "NoneType"),
    ],
)
def test_bad_raw_curves_are_told_at_once_and_write_nothing(log_dir, rows, error, words):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error, match=words):
            writer.add_pr_curve_raw("c", *rows)
        writer.add_pr_curve("fine", ONES, ONES)
    assert only_value(log_dir)[1].tag == "fine"


def test_the_kernel_needs_as_many_of_each():
    one, two = (np.ones(1), "f8"), (np.ones(2), "f8")
    for arrays_ in [(two, one, None), (two, two, one), (one, two, two)]:
        with pytest.raises(ValueError, match="of one length, got"):
            _core.count_pr_curve(*arrays_, 5)


def test_predictions_a_little_above_1_count_and_are_told(log_dir):
    """They count in the last bucket, as in torch."""
    with (
        tbc.SummaryWriter(log_dir) as writer,
        pytest.warns(UserWarning, match="0 examples .* 1 predictions are above 1"),
    ):
        writer.add_pr_curve("curve", np.array([1, 0]), np.array([1.005, 0.5]))
    rows = np.array(only_value(log_dir)[1].tensor.float_val).reshape(6, 127)
    assert rows[0].tolist() == [1] * 127
