"""add_histogram: counts compared to numpy's and torch's, and what TensorBoard reads."""

import re
import tempfile
import warnings

import numpy as np
import pytest
from helpers.oracle import only_value, read_back, same_float, steps, tags
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import tbc
from tbc import _core, convert
from tbc.kinds import histograms

EDGES = np.array(_core.default_edges())
DTYPES = ["f8", "f4", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"]


def expected(values):
    """Return numpy's counts of the finite values on the default edges (values beyond them count in the outer bins), the
    finite values, and how many are not finite."""
    with np.errstate(invalid="ignore"):
        doubles = np.asarray(values).astype(np.float64).ravel()
    finite = doubles[np.isfinite(doubles)]
    return np.histogram(np.clip(finite, EDGES[0], EDGES[-1]), EDGES)[0], finite, doubles.size - finite.size


def check(values, dtype):
    moments, not_finite, counts = _core.count(values, dtype)
    widened = (np.asarray(values).astype(np.uint32) << 16).view(np.float32) if dtype == "bfloat16" else values
    want_counts, finite, want_not_finite = expected(widened)
    np.testing.assert_array_equal(np.frombuffer(counts), want_counts)
    assert not_finite == want_not_finite
    low, high, num, total, squares = moments
    assert num == finite.size
    if finite.size == 0:
        assert moments == (0, 0, 0, 0, 0)
        return
    assert (low, high) == (finite.min(), finite.max())
    scale = np.abs(finite).max()
    with np.errstate(over="ignore"):
        if np.isfinite(scale * finite.size):  # above that, the order decides whether the sum overflows
            np.testing.assert_allclose(total, finite.sum(), rtol=1e-12, atol=1e-12 * scale * finite.size)
        np.testing.assert_allclose(squares, finite.dot(finite), rtol=1e-12)


def test_the_edges_are_torchs(log_dir):
    assert len(EDGES) == 1549
    edge, powers = 1e-12, []
    while edge < 1e20:
        powers.append(edge)
        edge *= 1.1
    assert list(EDGES) == [-power for power in reversed(powers)] + [0] + powers
    with tbc.SummaryWriter(log_dir) as writer:
        assert list(writer.default_bins) == list(EDGES)


RNG = np.random.default_rng(7)
NEIGHBOURS = np.concatenate([EDGES, np.nextafter(EDGES, np.inf), np.nextafter(EDGES, -np.inf)])
AWKWARD = {
    "normal": RNG.normal(size=5000),
    "one value": np.full(1000, 0.1),
    "zeros": np.zeros(513),
    "minus zero": np.array([-0.0, 0.0]),
    "exact edges": EDGES,
    "around the edges": NEIGHBOURS[np.abs(NEIGHBOURS) <= EDGES[-1]],
    "denormals": np.array([5e-324, -5e-324, 1e-310, -1e-310]),
    "tiny": RNG.normal(size=1000) * 1e-13,
    "huge": np.array([1e300, -1e300, 1.7e308, 1e20, -1e20, 3e19]),
    "all scales": RNG.normal(size=5000) * 10.0 ** RNG.integers(-320, 308, 5000),
    "not finite": np.array([np.nan, np.inf, -np.inf, 1.0, -1.0]),
    "nothing finite": np.array([np.nan, np.inf]),
    "one beyond a block": np.arange(1025.0),
    "large offset": 1e6 + RNG.normal(size=2000),
}


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
def test_awkward_distributions_as_numpy_counts_them(name, dtype):
    with np.errstate(over="ignore"):
        check(AWKWARD[name].astype(dtype), dtype)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
def test_integers_as_numpy_counts_them(dtype):
    info = np.iinfo(dtype)
    check(np.array([info.min, info.min + 1, 0, 1, info.max - 1, info.max], dtype), dtype)
    check(RNG.integers(info.min, info.max, 3000, dtype, endpoint=True), dtype)


def test_all_16_bit_floats():
    bits = np.arange(65536, dtype=np.uint16)
    check(bits.view(np.float16), "f2")
    check(bits, "bfloat16")
    for single in bits[::97]:  # one at a time, so that errors cannot cancel out
        check(np.array([single]), "bfloat16")
        check(np.array([single]).view(np.float16), "f2")


@given(arrays.arrays(st.sampled_from(DTYPES), arrays.array_shapes(max_dims=1, max_side=2000)))
def test_any_array_as_numpy_counts_it(values):
    check(values, values.dtype.str[1:])


def test_floats_next_to_an_edge():
    floats = EDGES.astype(np.float32)
    near = [np.nextafter(floats, np.float32(direction)) for direction in (-np.inf, np.inf)]
    for single in np.concatenate([floats, *near]):
        check(np.array([single]), "f4")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_values_at_odd_addresses(dtype):
    values = RNG.normal(size=100).astype(dtype)
    check(np.frombuffer(b"x" + values.tobytes(), dtype, offset=1), dtype)


@given(arrays.arrays(np.float32, st.integers(2, 1200), elements=st.floats(width=32)), st.sampled_from([-3, -1, 2, 3]))
def test_strided_arrays_are_read_in_place(values, stride):
    check(values[::stride], "f4")


# Spacings of edges: what numpy and torch make, what people type, and what is hard to search.
SPACINGS = {
    "the default": EDGES,
    "even": np.linspace(-3, 3, 101),
    "many": np.linspace(-3, 3, 20_000),
    "even, and all the rest": np.array([-np.inf, *np.linspace(-3, 3, 50), np.inf]),
    "random": np.sort(RNG.normal(size=300)),
    "powers": np.logspace(-30, 30, 200),
    "neighbours": NEIGHBOURS[::3].copy(),
    "far from 0": 1e6 + np.linspace(-3, 3, 500),
    "equal": np.array([-1.0, 0.0, 0.0, 0.1, 0.1, 0.1, 1.0, 1.0]),
    "around 0": np.array([-1e-300, -5e-324, -0.0, 5e-324, 1e-300]),
    "the largest": np.array([-np.finfo("f8").max, -1e300, 1e39, 1e300, np.finfo("f8").max]),
    "infinite": np.array([-np.inf, -np.inf, np.inf, np.inf]),
    "of no width": np.array([0.1, 0.1]),
    "one": np.array([0.0]),
    "none": np.array([]),
}


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
def test_edges_of_any_spacing_as_numpy_counts_them(spacing, dtype):
    edges = np.sort(SPACINGS[spacing])
    with np.errstate(over="ignore"):
        nearby = np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)])
    for values in (*AWKWARD.values(), nearby):
        with np.errstate(over="ignore"):
            values = values.astype(dtype)
        counts = np.frombuffer(_core.count_between(values, dtype, edges))
        np.testing.assert_array_equal(counts, np.histogram(values[np.isfinite(values)].astype("f8"), edges)[0])


def assert_counted_as_by_numpy(values, bins):
    """Check that the counts, or the exception, are numpy's for the finite values as doubles."""
    doubles = np.asarray(values).astype(np.float64).ravel()
    finite = doubles[np.isfinite(doubles)]
    try:
        want_counts, edges = np.histogram(finite, bins)
        if finite.size and not want_counts.any():
            raise ValueError("none of")
    except (ValueError, TypeError) as error:
        with pytest.raises(type(error), match=re.escape(str(error))):
            histograms.count(values, bins, None)
        return
    (_, _, num, _, _), limits, counts, not_finite = histograms.count(values, bins, None)
    assert (num, not_finite) == (finite.size, doubles.size - finite.size)
    want_limits, want_counts = histograms.trim(want_counts, edges) if num else (np.zeros(1), np.zeros(1))
    np.testing.assert_array_equal(limits, want_limits)
    np.testing.assert_array_equal(counts, want_counts)


def any_values(elements=None):
    return arrays.arrays(st.sampled_from(DTYPES), arrays.array_shapes(max_dims=3, max_side=20), elements=elements)


@st.composite
def values_and_edges(draw):
    values = draw(any_values())
    edges = st.sampled_from(np.nan_to_num(values).ravel().tolist()) | st.floats(allow_nan=False) | st.integers(-9, 9)
    edges = draw(st.lists(edges, max_size=40))
    return values, sorted(edges) if draw(st.booleans()) else edges


@given(values_and_edges())
def test_any_edges_as_numpy_counts_them(values_and_edges):
    assert_counted_as_by_numpy(*values_and_edges)


@given(any_values(), st.integers(-1, 2000))
def test_any_number_of_bins_as_numpy_counts_them(values, bins):
    finite = values[np.isfinite(values)].astype("f8")
    spread = np.ptp(finite / 2) if finite.size else 1  # numpy miscounts where the spread is denormal or overflows
    assume(spread == 0 or 1e-300 < spread < 1e300)
    assert_counted_as_by_numpy(values, bins)


eighths = st.integers(-100, 100).map(lambda n: n / 8)  # the range is small: a rule may want more bins than memory holds


@given(
    arrays.arrays(st.sampled_from(["f8", "f4", "f2"]), arrays.array_shapes(), elements=eighths)
    | arrays.arrays(st.sampled_from(["i1", "u1", "b1"]), arrays.array_shapes())
    | arrays.arrays(np.float64, 20, elements=st.just(np.nan) | eighths),
    st.sampled_from(["auto", "fd", "doane", "scott", "rice", "sturges", "sqrt", "no such rule"]),
)
def test_any_rule_as_numpy_applies_it(values, rule):
    assert_counted_as_by_numpy(values, rule)


@pytest.mark.parametrize("bins", ["auto", 20, np.linspace(-2, 2, 30)])
def test_bins_of_bfloat16_are_those_of_its_values(bins):
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(RNG.normal(size=(30, 40))).bfloat16()
    ours, theirs = histograms.count(tensor, bins, None), histograms.count(tensor.float(), bins, None)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


LAYOUTS = {  # and whether a single stride reaches all values
    "channels last": (lambda x: x.transpose(0, 3, 1, 2), True),
    "last axes swapped": (lambda x: x.transpose(0, 1, 3, 2), True),
    "every second column": (lambda x: x[..., ::2], True),
    "every second column, transposed": (lambda x: x[..., ::2].transpose(3, 1, 0, 2), True),
    "axes of length 1": (lambda x: x[:, :, None, :, ::2].swapaxes(0, 3), True),
    "a slice": (lambda x: x[:, 1:3, :, :2], False),
    "first axis backwards": (lambda x: x[::-1], False),
    "all backwards": (lambda x: x[::-1, ::-1, ::-1, ::-1], True),
    "a matrix": (lambda x: x[0, 0].view(np.matrix)[:, ::2], True),
    "repeated": (lambda x: np.broadcast_to(x[..., None], (*x.shape, 3)), False),
    "empty rows": (lambda x: x[:, :, :0, ::2], True),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bins", ["tensorflow", "auto", 9, [-1, 0, 0.5, 2]])
def test_an_array_of_any_layout_is_counted(layout, bins):
    base = RNG.normal(size=(6, 5, 8, 10)).astype("f4")
    change, in_place = LAYOUTS[layout]
    values = change(base)
    array, _ = convert.kernel_array(values, any_order=True)
    assert not in_place or values.size == 0 or np.shares_memory(array, base)
    if values.size == 0:
        return
    ours, theirs = histograms.count(values, bins, None), histograms.count(values.ravel(), bins, None)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-12, atol=1e-12)
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_array_equal(mine, other)


def torch_histogram(values, bins, max_bins=None):
    make_histogram = pytest.importorskip("torch.utils.tensorboard.summary").make_histogram
    return make_histogram(np.asarray(values).astype(float), bins, max_bins)


def assert_same_histogram(ours, theirs):
    assert list(ours.bucket_limit) == list(theirs.bucket_limit)
    assert list(ours.bucket) == list(theirs.bucket)
    assert (ours.min, ours.max, ours.num) == (theirs.min, theirs.max, theirs.num)
    np.testing.assert_allclose([ours.sum, ours.sum_squares], [theirs.sum, theirs.sum_squares], rtol=1e-9, atol=1e-9)


SHAPES = {
    "normal": RNG.normal(size=1000),
    "zeros": np.zeros(5),
    "one": np.array([3.5]),
    "matrix": RNG.normal(size=(30, 40)),
    "fortran": np.asfortranarray(RNG.normal(size=(30, 40))),
    "slices of a matrix": RNG.normal(size=(30, 40))[::2, ::-3],
    "big endian": RNG.normal(size=100).astype(">f4"),
    "scalar array": np.array(2.0),
    "bools": np.array([True, False, True]),
    "longdouble": np.arange(9, dtype=np.longdouble),
    "objects": np.array([1, 2.5], dtype=object),
    "a number": 3,
}


@pytest.mark.parametrize("bins", ["tensorflow", "auto", "fd", 7, [-1.0, 0.0, 0.5, 100.0], np.array([-10, 0, 10])])
@pytest.mark.parametrize("name", SHAPES)
def test_the_event_is_torchs(log_dir, name, bins):
    default = isinstance(bins, str) and bins == "tensorflow"
    theirs = torch_histogram(SHAPES[name], EDGES if default else bins)
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_histogram("h", SHAPES[name], 3, bins)
    event, value = only_value(log_dir)
    assert (event.step, value.tag) == (3, "h")
    assert_same_histogram(value.histo, theirs)


@pytest.mark.parametrize("bins", ["tensorflow", 10])
@pytest.mark.parametrize("max_bins", [1, 3, 6, 10, 64, 1000, 1548, 5000])
def test_max_bins_as_torch_merges(log_dir, bins, max_bins):
    values = RNG.normal(size=500)
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_histogram("h", values, bins=bins, max_bins=max_bins)
    theirs = torch_histogram(values, EDGES if bins == "tensorflow" else bins, max_bins)
    assert_same_histogram(only_value(log_dir)[1].histo, theirs)


def test_default_bins_can_be_assigned(log_dir):
    values = RNG.normal(size=100)
    with tbc.SummaryWriter(log_dir) as writer:
        writer.default_bins = 9
        writer.add_histogram("h", values)
    assert_same_histogram(only_value(log_dir)[1].histo, torch_histogram(values, 9))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64", "int64", "uint8", "bool"])
def test_tensors_keep_their_values(log_dir, dtype):
    torch = pytest.importorskip("torch")
    tensor = (torch.randn(1000) * 3).to(getattr(torch, dtype))
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_histogram("h", tensor.reshape(10, 100).T)
    assert_same_histogram(only_value(log_dir)[1].histo, torch_histogram(tensor.double().numpy(), EDGES))


def test_small_bfloat16_gradients_are_not_squeezed_through_float16(log_dir):
    torch = pytest.importorskip("torch")
    tensor = torch.full((10,), 1e-9, dtype=torch.bfloat16, requires_grad=True)  # torch's writer logs 0
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_histogram("h", tensor)
    histogram = only_value(log_dir)[1].histo
    assert histogram.min == histogram.max == tensor[0].double().item() > 0
    assert histogram.bucket_limit[-1] < 2e-9


def test_what_is_not_finite_is_left_out_and_told_once(log_dir):
    values = np.array([1.0, np.nan, 2.0, np.inf, -np.inf])
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.warns(UserWarning, match="'h': 3 values are not finite"):
            writer.add_histogram("h", values)
        for bins in ("tensorflow", "auto", 5):
            writer.add_histogram("h", values, bins=bins)
            writer.add_histogram("h", np.array([np.nan]), bins=bins)
    histograms_ = [event.summary.value[0].histo for event in read_back(log_dir)]
    assert [(h.num, h.min, h.max, h.sum) for h in histograms_] == [(2, 1, 2, 3), *[(2, 1, 2, 3), (0, 0, 0, 0)] * 3]


@given(tags, arrays.arrays(np.float64, st.integers(1, 50)), steps)
def test_any_histogram_is_read_back(tag, values, step):
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            writer.add_histogram(tag, values, step)
        event, value = only_value(log_dir)
    counts, finite, _ = expected(values)
    assert (event.step, value.tag, value.histo.num) == (step, tag, finite.size)
    assert list(filter(None, value.histo.bucket)) == list(filter(None, counts))
    assert len(value.histo.bucket) == len(value.histo.bucket_limit)


@given(tags, steps, st.lists(st.floats(), min_size=5, max_size=5), st.lists(st.tuples(st.floats(), st.floats())))
def test_a_raw_histogram_is_stored_as_it_is(tag, step, moments, buckets):
    limits, counts = [limit for limit, _ in buckets], [count for _, count in buckets]
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_histogram_raw(tag, *moments, limits, np.array(counts), step)
        event, value = only_value(log_dir)
    assert (event.step, value.tag) == (step, tag)
    stored = [getattr(value.histo, name) for name in ("min", "max", "num", "sum", "sum_squares")]
    assert all(map(same_float, stored, moments))
    assert all(map(same_float, value.histo.bucket_limit, limits))
    assert all(map(same_float, value.histo.bucket, counts))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("h", np.array([])), ValueError, "empty"),
        (("h", np.array([]), 0, "auto"), ValueError, "empty"),
        (("h", [1.0, 2.0]), NotImplementedError, "list"),
        (("h", None), NotImplementedError, "NoneType"),
        (("h", np.array([1j])), TypeError, "complex"),
        (("h", np.array(["a"])), TypeError, "U1"),
        (("h", np.array([1.0]), 0, [5.0, 6.0]), ValueError, "none of the 1 values"),
        (("h", np.array([1.0]), 0, "no such rule"), ValueError, "no such rule"),
        (("h", np.array([1.0]), 0, 0), ValueError, "bins"),
        (("h", np.array([1.0]), 0, 2.5), TypeError, "bins"),
        (("h", np.array([1.0]), 0, [1, 0, 2]), ValueError, "increase"),
        (("h", np.array([1.0]), 0, [0, 1, np.nan]), ValueError, "NaN"),
        (("h", np.array([1.0, 1.0 + 1e-15]), 0, 100), ValueError, "Too many bins"),
        (("h", np.array([1.0]), 0, 10, None, 0), ValueError, "max_bins"),
        ((1, np.array([1.0])), TypeError, "tag"),
        (("h", np.array([1.0]), 2**63), ValueError, "64-bit"),
    ],
)
def test_bad_input_is_told_at_once_and_writes_nothing(log_dir, arguments, error, words):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error, match=words):
            writer.add_histogram(*arguments)
        writer.add_histogram("fine", np.ones(3))
    assert only_value(log_dir)[1].tag == "fine"


def test_raw_limits_and_counts_must_pair_up(log_dir):
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(ValueError, match="2 bucket_limits, but 1 bucket_counts"):
        writer.add_histogram_raw("h", 0, 1, 1, 1, 1, [1.0, 2.0], [1.0])


def test_merging_keeps_every_count():
    counts, edges = histograms.merge(np.arange(10), np.arange(11), 4)
    assert (list(counts), list(edges)) == ([1, 5, 9, 13, 17], [0, 2, 4, 6, 8, 10])
