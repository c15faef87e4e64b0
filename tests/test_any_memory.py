"""Arrays of any type in any memory layout: the kernels compute what numpy computes from a plain copy.

torture/fuzz.py repeats these tests with more examples.
"""

import ml_dtypes
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tbc import _core, convert
from tbc.kinds import audio, histograms, images, pr_curves

DTYPES = ["f8", "f4", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "bfloat16"]
EDGES = np.array(_core.default_edges())


@st.composite
def memory(draw, shape=None, dtypes=DTYPES):
    """Draw an array of any type, at any address, in either byte order. Axes have any order and any stride, negative and
    0 included. The values are from 0 to 1, or random bits."""
    name = draw(st.sampled_from(dtypes))
    dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    if shape is None:
        shape = draw(
            st.lists(st.integers(1, 7) | st.sampled_from([0, 40]), max_size=5).filter(lambda s: np.prod(s) < 3000)
        )
    steps = [draw(st.sampled_from([1, 1, -1, 2, -3, 0])) for _ in shape]
    order = draw(st.permutations(range(len(shape))))
    extents = [max(side * abs(step), 1) if step or not side else 1 for side, step in zip(shape, steps, strict=True)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, at = int(np.prod(extents, dtype=int)), draw(st.integers(0, 9))
    if name == "b1" or draw(st.booleans()):
        values = (rng.integers(0, 5, n) / 4).astype(dtype)
    else:
        values = np.frombuffer(rng.bytes(n * dtype.itemsize), dtype)
    if name != "bfloat16" and draw(st.booleans()):
        values = values.astype(dtype.newbyteorder())
    extents = [extents[axis] for axis in order]  # in the order of memory, the outermost axis first
    array = np.frombuffer(bytes(at) + values.tobytes(), values.dtype, n, at).reshape(extents)
    array = array.transpose(np.argsort(order))
    cuts = [slice(None, None, step or None) if side else slice(0) for side, step in zip(shape, steps, strict=True)]
    array = np.broadcast_to(array[tuple(cuts)], shape)
    assert array.shape == tuple(shape)
    return array


def plain(array):
    """Return a contiguous copy in native byte order."""
    if array.dtype == ml_dtypes.bfloat16:
        return np.ascontiguousarray(array).astype(np.float32).reshape(array.shape)
    return array.astype(array.dtype.newbyteorder("="), order="C", copy=True)


def doubles(array):
    with np.errstate(invalid="ignore"):
        return plain(array).astype(np.float64)


def is_narrow(array):
    return array.dtype.itemsize < 8 and array.dtype.kind not in "biu"


@given(memory())
def test_counts(array):
    values = doubles(array).ravel()
    finite = values[np.isfinite(values)]
    if not values.size:
        return
    kernel_array = convert.kernel_array(array, any_order=True)
    (low, high, num, total, _), not_finite, counts = _core.count(*kernel_array)
    assert (num, not_finite) == (finite.size, values.size - finite.size)
    want = np.histogram(np.clip(finite, EDGES[0], EDGES[-1]), EDGES)[0]
    np.testing.assert_array_equal(np.frombuffer(counts), want)
    if finite.size:
        assert (low, high) == (finite.min(), finite.max())
        scale = np.abs(finite).max()
        if scale < 1e300:
            np.testing.assert_allclose(total, finite.sum(), rtol=1e-12, atol=1e-12 * scale * finite.size)
    edges = np.array([-np.inf, -1, 0, 0.25, 0.5, 1, 255, 1e9])
    counts = np.frombuffer(_core.count_between(*kernel_array, edges))
    np.testing.assert_array_equal(counts, np.histogram(finite, edges)[0])


@given(memory(), st.sampled_from([1, 2, 127, 256, 257, 1000]), st.data())
def test_pr_curves(predictions, num_thresholds, data):
    labels = data.draw(memory(predictions.shape))
    weights = data.draw(st.none() | memory(predictions.shape))
    scores = plain(predictions).ravel()
    real = np.float32 if is_narrow(predictions) else np.float64
    truth = doubles(labels).ravel()
    factors = np.ones(scores.size) if weights is None else doubles(weights).ravel()
    with np.errstate(all="ignore"):
        buckets = np.floor(scores.astype(real) * real(num_thresholds - 1)).astype(np.float64)
        counted = (buckets >= 0) & (buckets < num_thresholds) & (truth >= 0) & (truth <= 1) & np.isfinite(factors)
        counted &= np.isfinite(scores.astype(np.float64))
        places = buckets[counted].astype(np.int64)
        sums = [truth[counted] * factors[counted], (1 - truth[counted]) * factors[counted]]
        want = [np.bincount(places, part, num_thresholds) for part in sums]
        magnitude = np.bincount(places, np.abs(factors[counted]), num_thresholds)
    flat = [(bits.reshape(-1), dtype) for bits, dtype in map(convert.kernel_array, (predictions, labels))]
    third = None if weights is None else convert.kernel_array(weights)
    third = third and (third[0].reshape(-1), third[1])
    *got, left_out, above = _core.count_pr_curve(*flat, third, num_thresholds)
    assert left_out == scores.size - counted.sum()
    assert above == np.count_nonzero(scores > 1)
    for bits, expected in zip(got, want, strict=True):
        fits = magnitude < 1e300  # above that, the order of additions decides what overflows
        error = np.abs(np.frombuffer(bits)[fits] - expected[fits])
        assert (error <= 1e-12 * magnitude[fits] + 1e-300).all()


@given(st.data(), st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 40), st.sampled_from([1, 2, 3, 4])))
def test_pixels(data, shape):
    array = data.draw(memory(shape))
    tiles = images.to_nhwc(convert.array(array), "NHWC")
    for in_double, real in ((False, np.float32), (True, np.float64)):
        tiles.in_double = in_double
        with np.errstate(all="ignore"):
            scaled = np.clip(plain(array).astype(real) * real(255), 0, 255)
            pixels = np.nan_to_num(scaled, nan=0).astype(np.uint8)
        np.testing.assert_array_equal(tiles.pixels(), array if array.dtype == np.uint8 else pixels)


@given(memory())
def test_tensors(array):
    values, dtype = convert.tensor(array)
    assert values.dtype.str[1:] == dtype
    assert values.tobytes() == plain(array).astype(values.dtype).tobytes()
    encoder = _core.EventBuffer()
    encoder.tensor("x", values, dtype)
    assert values.tobytes() in bytes(encoder)


@given(st.data(), st.integers(1, 50), st.integers(1, 4))
def test_tables_of_floats(data, rows, columns):
    array = data.draw(memory((rows, columns), ["f4"]))
    lines = _core.tsv(plain(array)).decode().splitlines()
    table = np.array([[np.float32(number) for number in line.split("\t")] for line in lines])
    np.testing.assert_array_equal(table, plain(array))


@given(st.data(), st.integers(1, 100), st.sampled_from(["f8", "f4", "f2", "b1"]))
def test_sound(data, n, dtype):
    array = data.draw(memory((n,), [dtype]))
    pcm, beyond = audio.to_int16(array)
    real = np.float32 if array.dtype.itemsize < 4 else plain(array).dtype
    wide = plain(array).astype(real)
    with np.errstate(all="ignore"):
        assert beyond == np.count_nonzero(~(np.abs(wide) <= 1))
        np.testing.assert_array_equal(pcm, (np.nan_to_num(wide, nan=0).clip(-1, 1) * 32767).astype("<i2"))


@given(memory(), st.sampled_from([1, 10, "sqrt"]))
def test_histograms_and_curves_of_any_layout_are_those_of_a_copy(array, bins):
    copy = plain(array)
    with np.errstate(all="ignore"):
        if array.size and np.abs(doubles(array)).max() < 1e6:
            for ours, same in zip(histograms.count(array, bins, None), histograms.count(copy, bins, None), strict=True):
                np.testing.assert_allclose(ours, same, rtol=1e-9)
        for ours, same in zip(pr_curves.curve(array, array, 127), pr_curves.curve(copy, copy, 127), strict=True):
            np.testing.assert_allclose(ours, same, rtol=1e-9)
