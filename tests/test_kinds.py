"""Decoded values: those of every writer are what was logged; invalid ones raise ValueError."""

import io
import json
import struct
import tempfile
import wave
from contextlib import suppress
from pathlib import Path

import ml_dtypes
import numpy as np
import PIL.Image
import pytest
from helpers.oracle import run_script
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorboard import data_compat
from tensorboard.compat.proto import summary_pb2, tensor_pb2
from tensorboard.plugins.histogram import summary_v2 as histogram_summary
from tensorboard.plugins.hparams import summary_v2 as hparams_summary
from tensorboard.plugins.mesh import metadata as mesh_metadata
from tensorboard.util import tensor_util

import tbc
from tbc import _core
from tbc.proto import Event, HParamsPluginData, MeshPluginData, Summary, TensorProto
from tbc.reader import find_event_files, read_events
from tbc.reader.describe import brief, to_json
from tbc.reader.events import DTYPES, STRING, Value, read_values, values_of
from tbc.reader.kinds import (
    _DECODERS,
    FILL,
    Audio,
    Experiment,
    Histogram,
    HParams,
    Image,
    PRCurve,
    SessionEnd,
    array_of,
    decode,
)
from tbc.reader.tags import KINDS, PLUGIN_KINDS

DATA = Path(__file__).parent / "data"
RNG = np.random.default_rng(17)
WRITERS = ["tbc", "torch.utils.tensorboard", "tensorboardX"]


@pytest.fixture(params=WRITERS)
def writer(request, log_dir):
    with pytest.importorskip(request.param).SummaryWriter(log_dir) as writer:
        yield writer


def values_logged(writer):
    """Close a writer, and return the values below its directory."""
    writer.close()
    log_dir = getattr(writer, "log_dir", None) or writer.logdir  # tensorboardX has logdir
    return [value for path in find_event_files(log_dir) for value in read_values(path)]


def logged(writer):
    """Close a writer, and return {tag: decoded value}."""
    return {value.tag: decode(value) for value in values_logged(writer)}


def a_value(**fields):
    return Summary(value=[fields]).value[0]


def value_of(kind, tensor=None, content=b"", **fields):
    """Return a value of a kind that is stored as a tensor. content: the plugin's"""
    plugin = {"plugin_name": next((name for name, its in PLUGIN_KINDS.items() if its == kind), ""), "content": content}
    fields |= {"metadata": {"plugin_data": plugin}, "tensor": tensor or {}}
    (value,) = values_of(Event(summary={"value": [fields]}))
    assert value.kind == kind
    return value


def strings(*elements, shape=None):
    shape = [len(elements)] if shape is None else shape
    return {"dtype": STRING, "string_val": elements, "tensor_shape": {"dim": [{"size": size} for size in shape]}}


def ours(message):
    """Return TensorBoard's message as tbc's."""
    classes = {tensor_pb2.TensorProto: TensorProto, summary_pb2.Summary: Summary}
    return classes[type(message)].FromString(message.SerializeToString())


def theirs(tensor):
    return tensor_pb2.TensorProto.FromString(tensor.SerializeToString())


def assert_same(array, expected):
    assert array.dtype == expected.dtype
    assert array.shape == expected.shape
    np.testing.assert_array_equal(array, expected)


# --- tensors ---

NUMBERS = [name for name, _, _ in DTYPES.values() if name not in ("string", "bfloat16")]
shapes = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
any_array = st.sampled_from(NUMBERS).flatmap(lambda name: arrays.arrays(name, shapes))


@given(any_array)
def test_any_tensor_in_either_style_is_the_array(array):
    """The styles: numbers as bytes, or one by one in the field of their type."""
    number, field = next((number, field) for number, (name, _, field) in DTYPES.items() if name == array.dtype.name)
    tensor = TensorProto(dtype=number, tensor_shape={"dim": [{"size": size} for size in array.shape]})
    flat = array.ravel()
    if array.dtype == np.float16:
        flat = flat.view(np.uint16)
    elif array.dtype.kind == "c":
        flat = flat.view(f"f{array.dtype.itemsize // 2}")
    getattr(tensor, field).extend(flat.tolist())
    assert_same(array_of(tensor), array)
    tensor.ClearField(field)
    tensor.tensor_content = array.tobytes()
    found = array_of(tensor)
    assert found.flags.writeable
    assert_same(found, array)


@given(arrays.arrays(np.uint16, shapes))
def test_bfloat16_becomes_float32(bits):
    expected = bits.view(ml_dtypes.bfloat16).astype(np.float32)
    tensor = TensorProto(dtype=14, tensor_shape={"dim": [{"size": size} for size in bits.shape]})
    tensor.half_val.extend(bits.ravel().tolist())
    assert_same(array_of(tensor), expected)
    tensor.ClearField("half_val")
    tensor.tensor_content = bits.tobytes()
    assert_same(array_of(tensor), expected)


@pytest.mark.parametrize("name", ["half", "bfloat16", "float", "double", "int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)])
def test_tensors_of_torchs_writer(log_dir, name, shape):
    """torch's writer stores halves as the bits of 32-bit floats, and uint8 in a field of its own."""
    torch = pytest.importorskip("torch")
    summaries = pytest.importorskip("torch.utils.tensorboard.summary")
    tensor = (torch.rand(shape) * 100).to(getattr(torch, name))
    summary = ours(summaries.tensor_proto("tag", tensor))
    (value,) = values_of(Event(summary=summary))
    assert_same(decode(value), (tensor.float() if name == "bfloat16" else tensor).numpy())


@given(any_array)
def test_tensors_of_tbcs_writer(array):
    with tempfile.TemporaryDirectory() as log_dir:
        writer = tbc.SummaryWriter(log_dir)
        writer.add_tensor("tag", array)
        assert_same(logged(writer)["tag"], array)


@given(st.lists(st.binary(max_size=5), max_size=6))
def test_strings_are_objects(elements):
    array = array_of(TensorProto(**strings(*elements)))
    assert_same(array, np.array([*elements, None], object)[:-1])


@st.composite
def any_tensor(draw):
    """Draw a TensorProto, of which a field or two may be wrong."""
    number = draw(st.sampled_from([*DTYPES, 0, 99]))
    sizes = st.integers(0, 3) | st.sampled_from([-1, 2**40, 2**62])
    dims = [{"size": size} for size in draw(st.lists(sizes, max_size=3))]
    tensor = TensorProto(dtype=number, tensor_shape={"dim": dims, "unknown_rank": draw(st.booleans())})
    names = {field for _, _, field in DTYPES.values()} | {"uint32_val"}
    usual = DTYPES[number][2] if number in DTYPES else "float_val"
    for name in [draw(st.just(usual) | st.sampled_from(sorted(names)))]:
        integers = st.integers(0, 255) | st.integers(-(2**31), 2**31 - 1)
        elements = {
            "string_val": st.binary(max_size=3),
            "bool_val": st.booleans(),
            "half_val": st.integers(0, 2**16 - 1) | integers,
            "uint32_val": st.integers(0, 2**32 - 1),
            "uint64_val": st.integers(0, 2**64 - 1),
        }.get(name, integers if "int" in name else st.floats(width=32))
        getattr(tensor, name).extend(draw(st.lists(elements, max_size=10)))
    if draw(st.integers(0, 3)) == 0:
        tensor.tensor_content = draw(st.binary(max_size=16))
    return tensor


@pytest.mark.filterwarnings("ignore:Setting the dtype on a NumPy array:DeprecationWarning")  # by TensorBoard
@given(any_tensor())
def test_what_tensorboard_makes_an_array_is_that_array(tensor):
    number = tensor.dtype
    if number == 14:  # TensorBoard's stub of TensorFlow does not know bfloat16
        return
    try:
        with np.errstate(all="ignore"):
            expected = tensor_util.make_ndarray(theirs(tensor))
    except (TypeError, ValueError, OverflowError, MemoryError):
        return
    if any(dim.size < 1 for dim in tensor.tensor_shape.dim) or len(tensor.scomplex_val or tensor.dcomplex_val) % 2:
        return  # TensorBoard has other rules for sizes of 0 and -1, and for half a complex number
    if expected.dtype == bool:
        expected = expected.view(np.uint8) != 0  # TensorBoard keeps bytes above 1 in bools
    assert_same(array_of(tensor), expected)


@given(any_tensor())
def test_any_tensor_is_an_array_or_a_value_error(tensor):
    """For each kind, decoding gives a value or raises ValueError."""
    for kind in PLUGIN_KINDS.values():
        exercise(value_of(kind, tensor))
    exercise(Value(0, 0.0, "", "tensor", a_value(tensor=tensor)))


def exercise(value):
    """Use everything a value offers; only ValueError may be raised."""
    with suppress(ValueError):
        data = decode(value)
        if isinstance(data, Histogram):
            assert len(data.edges) == len(data.counts) + 1
        elif isinstance(data, PRCurve):
            assert len(data.thresholds) == len(data.recall)
        elif isinstance(data, Image) and data.files:
            data.image()
        elif isinstance(data, Audio) and data.files:
            data.samples()


def test_the_last_element_stands_for_the_rest():
    """TensorFlow's make_ndarray pads so; TensorBoard's repeats only a single element."""
    tensor = TensorProto(dtype=1, float_val=[1.0, 2.0], tensor_shape={"dim": [{"size": 2}, {"size": 3}]})
    assert_same(array_of(tensor), np.array([[1, 2, 2], [2, 2, 2]], np.float32))
    tensor.ClearField("float_val")
    assert_same(array_of(tensor), np.zeros((2, 3), np.float32))
    tensor = TensorProto(dtype=18, dcomplex_val=[1.0, 2.0], tensor_shape={"dim": [{"size": 2}]})
    assert_same(array_of(tensor), np.array([1 + 2j] * 2))
    assert array_of(TensorProto(**strings(b"a", b"b", shape=[4]))).tolist() == [b"a", b"b", b"b", b"b"]
    assert array_of(TensorProto(**strings(shape=[2]))).tolist() == [b"", b""]
    assert decode(value_of("text", strings(b"a", b"b", shape=[3]))).tolist() == ["a", "b", "b"]


def shaped(*shape, **fields):
    return TensorProto(tensor_shape={"dim": [{"size": size} for size in shape]}, **fields)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (shaped(), "unknown type 0"),
        (shaped(dtype=99, tensor_content=b"1"), "unknown type 99"),
        (shaped(2**40, dtype=1, float_val=[1]), "1 elements in a tensor of shape"),
        (shaped(2**40, dtype=STRING, string_val=[b"x"]), "1 elements"),
        (shaped(*[2**62] * 60, dtype=1), "0 elements"),
        (shaped(FILL + 2, dtype=1, float_val=[1]), "1 elements"),
        (shaped(-1, dtype=1, float_val=[1]), "impossible shape"),
        (shaped(-1, -1, dtype=1, float_val=[1]), "impossible shape"),
        (shaped(*[1] * 65, dtype=1, float_val=[1]), "impossible shape"),
        (shaped(0, 2**62, 2**62, dtype=1), "too big"),
        (shaped(1, dtype=1, float_val=[1, 2]), r"2 elements in a tensor of shape \[1\]"),
        (shaped(0, dtype=1, float_val=[1]), "1 elements"),
        (shaped(1, dtype=2, tensor_content=b"1234567"), "multiple"),
        (shaped(1, dtype=8, scomplex_val=[1]), "half a complex"),
        (shaped(1, dtype=4, int_val=[300]), "300"),
    ],
)
def test_invalid_tensors(tensor, words):
    with pytest.raises(ValueError, match=words):
        decode(Value(0, 0.0, "", "tensor", a_value(tensor=tensor)))


# --- scalars ---


def test_scalars(writer):
    writer.add_scalar("loss", 0.25)
    assert logged(writer)["loss"] == 0.25


def test_scalars_of_the_new_style(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalar("precise", 0.1, new_style=True, double_precision=True)
    assert logged(writer)["precise"] == 0.1
    with pytest.raises(ValueError, match="expected numbers, got string"):
        decode(value_of("scalar", strings(b"1")))


# --- histograms ---


def buckets_of_tensorboard(histo):
    """Return (lower, upper, count) of each bucket that TensorBoard draws: the first to the last that is not empty."""
    value = summary_pb2.Summary.Value()
    value.histo.MergeFromString(histo.SerializeToString())
    return tensor_util.make_ndarray(data_compat.migrate_value(value).tensor)


def buckets(histogram):
    rows = np.stack([histogram.edges[:-1], histogram.edges[1:], histogram.counts], axis=1).astype(np.float32)
    full = np.flatnonzero(histogram.counts)
    return rows[full[0] : full[-1] + 1] if len(full) else rows[:0]


@pytest.mark.parametrize("bins", ["tensorflow", "auto", [-1.0, 0.0, 0.5, 4.0]])
def test_histograms(writer, bins):
    values = RNG.normal(size=1000).clip(-0.9, 3.9)
    writer.add_histogram("weights", values, bins=np.array(bins) if isinstance(bins, list) else bins)
    histogram = logged(writer)["weights"]
    assert (histogram.min, histogram.max, histogram.num) == (values.min(), values.max(), 1000)
    assert (histogram.sum, histogram.sum_squares) == pytest.approx((values.sum(), (values**2).sum()))
    assert (histogram.limits.dtype, histogram.counts.dtype) == (np.float64, np.float64)
    expected = np.histogram(values, histogram.edges)[0]  # a bucket excludes its upper limit, except the last
    np.testing.assert_array_equal(histogram.counts, expected)


@given(arrays.arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e30, 1e30)))
def test_histograms_have_the_edges_that_tensorboard_draws(values):
    with tempfile.TemporaryDirectory() as log_dir:
        writer = tbc.SummaryWriter(log_dir)
        writer.add_histogram("weights", values)
        _, value = values_logged(writer)
    histogram = decode(value)
    assert histogram.counts.sum() == histogram.num == len(values)
    np.testing.assert_array_equal(buckets(histogram), buckets_of_tensorboard(value.content.histo))


def test_a_histogram_without_ends_can_be_drawn():
    largest = np.finfo(float).max
    histo = {"min": 0.5, "max": 7, "num": 3, "bucket_limit": [-largest, 1, 2, largest], "bucket": [0, 1, 0, 2]}
    (value,) = values_of(Event(summary={"value": [{"histo": histo}]}))
    assert decode(value).edges.tolist() == [0.5, 0.5, 1, 2, 7]
    np.testing.assert_array_equal(buckets(decode(value)), buckets_of_tensorboard(value.content.histo))


@given(arrays.arrays(np.float64, st.integers(0, 50), elements=st.floats(-1e3, 1e3)), st.integers(0, 6))
def test_histograms_of_the_new_style(values, n):
    summary = histogram_summary.histogram_pb("weights", values, n)
    rows = tensor_util.make_ndarray(summary.value[0].tensor)
    (value,) = values_of(Event(summary=ours(summary)))
    histogram = decode(value)
    np.testing.assert_array_equal(np.stack([histogram.limits, histogram.counts]), rows.T[1:])
    assert histogram.num == rows[:, 2].sum()
    assert (histogram.sum, histogram.sum_squares) == (None, None)
    if len(rows):
        assert (histogram.min, histogram.max) == (rows[0, 0], rows[-1, 1])
        np.testing.assert_allclose(histogram.edges, [*rows[:, 0], rows[-1, 1]], atol=1e-9)
    assert to_json(value)["bucket"] == rows[:, 2].tolist()


def test_empty_buckets_at_the_ends_have_no_width():
    rows = np.array([[0, 1, 0], [1, 2, 5], [2, 4, 0], [4, 5, 1], [5, 6, 0]], np.float32)
    histogram = decode(value_of("histogram", ours(tensor_util.make_tensor_proto(rows))))
    assert (histogram.min, histogram.max, histogram.num) == (1, 5, 6)
    assert histogram.edges.tolist() == [1, 1, 2, 4, 5, 5]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (a_value(histo={"bucket_limit": [1, 2], "bucket": [1]}), "2 limits and 1 counts"),
        (a_value(tensor=strings(b"1", b"2", b"3", shape=[1, 3])), "expected numbers, got string"),
        (a_value(tensor=shaped(1, 3, dtype=8, scomplex_val=[1, 2])), "expected numbers, got complex64"),
        (a_value(tensor=shaped(3, dtype=1, float_val=[1, 2, 3])), r"must have shape \(n, 3\), got \(3,\)"),
        (a_value(tensor=shaped(3, 2, dtype=1)), r"must have shape \(n, 3\), got \(3, 2\)"),
    ],
)
def test_invalid_histograms(value, words):
    with pytest.raises(ValueError, match=words):
        decode(Value(0, 0.0, "", "histogram", value))


# --- PR curves ---


def test_pr_curves(writer):
    labels, scores = RNG.integers(2, size=200), RNG.integers(0, 9, 200) / 8
    writer.add_pr_curve("pr", labels, scores, num_thresholds=17)
    curve = logged(writer)["pr"]
    assert curve.thresholds.tolist() == [i / 16 for i in range(17)]
    above = scores >= curve.thresholds[:, np.newaxis]
    tp, fp = (above & (labels == 1)).sum(1), (above & (labels == 0)).sum(1)
    np.testing.assert_array_equal([curve.tp, curve.fp], [tp, fp])
    np.testing.assert_array_equal([curve.tn, curve.fn], [(labels == 0).sum() - fp, labels.sum() - tp])
    np.testing.assert_allclose(curve.precision, tp / np.maximum(tp + fp, 1e-7), rtol=1e-6)
    np.testing.assert_allclose(curve.recall, tp / labels.sum(), rtol=1e-6)
    assert {getattr(curve, name).dtype for name in vars(curve)} == {np.dtype(np.float64)}


@pytest.mark.parametrize("tensor", [shaped(6, dtype=1), shaped(5, 6, dtype=1), strings(b"1", shape=[6, 1]), {}])
def test_invalid_pr_curves(tensor):
    with pytest.raises(ValueError, match=r"must have shape \(6, n\)|expected numbers|unknown type"):
        decode(value_of("pr_curve", tensor))


# --- images ---

PIXELS = RNG.integers(0, 256, (5, 7, 3), np.uint8)


def encoded(kind, pixels=PIXELS, **options):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def test_images(writer):
    writer.add_image("image", PIXELS, dataformats="HWC")
    writer.add_images("batch", np.stack([PIXELS, PIXELS[::-1]]), dataformats="NHWC")
    found = logged(writer)
    image = found["image"]
    assert (image.width, image.height, len(image.files), image.format) == (7, 5, 1, "PNG")
    np.testing.assert_array_equal(image.image(), PIXELS)
    grid = found["batch"]
    assert grid.image().size == (grid.width, grid.height)


def test_images_without_a_grid(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_images("batch", np.stack([PIXELS, PIXELS[::-1]]), dataformats="NHWC", grid=False)
    image = logged(writer)["batch"]
    assert (image.width, image.height, len(image.files), image.format) == (7, 5, 2, "PNG")
    np.testing.assert_array_equal(image.image(1), PIXELS[::-1])
    with pytest.raises(IndexError):
        image.image(2)


@pytest.mark.parametrize("format", ["gif", "apng"])
def test_animations(log_dir, format):
    frames = np.zeros((1, 3, 3, 8, 8), np.uint8)
    frames[0, 1], frames[0, 2] = 128, 255
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_video("video", frames, format=format)
    image = logged(writer)["video"].image()
    assert image.n_frames == 3
    for i, shade in enumerate((0, 128, 255)):
        image.seek(i)
        assert np.unique(image.convert("RGB")).tolist() == [shade]


@pytest.mark.parametrize("kind", ["PNG", "GIF", "JPEG", "WebP", "BMP"])
def test_formats_of_images(kind):
    image = decode(value_of("image", strings(b"7", b"5", encoded(kind))))
    assert image.format == kind
    assert image.image().size == (image.width, image.height) == (7, 5)


@pytest.mark.parametrize("file", [b"", b"no image", encoded("PNG")[:70], encoded("GIF")[:40], encoded("PPM"), b"BM"])
def test_files_that_are_no_images(file):
    """Formats that no writer logs are refused, too."""
    with pytest.raises(ValueError, match="Pillow cannot read"):
        Image(7, 5, [file]).image()


def test_no_program_is_run_for_an_image(monkeypatch):
    """Pillow runs Ghostscript for EPS, so EPS must be refused."""
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(ValueError, match="UnidentifiedImageError"):
        Image(7, 5, [encoded("EPS")]).image()


@given(st.sampled_from(["PNG", "GIF", "JPEG", "WebP", "BMP"]).map(encoded), st.data())
def test_damaged_images_are_images_or_a_value_error(file, data):
    damaged = bytearray(file)
    for at in data.draw(st.lists(st.integers(0, len(file) - 1), max_size=4)):
        damaged[at] = data.draw(st.integers(0, 255))
    exercise(value_of("image", strings(b"7", b"5", bytes(damaged))))


@pytest.mark.parametrize(
    "tensor",
    [{}, strings(), strings(b"7"), strings(b"x", b"5", b"PNG"), strings(b"9" * 5000, b"5"), {"dtype": 1}],
)
def test_invalid_images(tensor):
    value = value_of("image", tensor)
    with pytest.raises(ValueError, match=r"expected strings|without width and height"):
        decode(value)
    assert to_json(value).keys() == {"unreadable"}


# --- sounds ---


def test_sounds(writer):
    samples = (RNG.integers(-100, 100, 441) / 100).astype(np.float32)
    if type(writer).__module__.startswith("tensorboardX"):
        pytest.importorskip("soundfile")
        samples = samples[:, np.newaxis]
    elif not isinstance(writer, tbc.SummaryWriter):
        samples = pytest.importorskip("torch").tensor(samples)[np.newaxis]
    writer.add_audio("sound", samples, sample_rate=8000)
    audio = logged(writer)["sound"]
    assert (audio.sample_rate, audio.channels, audio.frames, audio.content_type) == (8000, 1, 441, "audio/wav")
    found = audio.samples()
    assert (found.dtype, found.shape) == (np.int16, (441, 1))
    np.testing.assert_allclose(found, np.asarray(samples).reshape(-1, 1) * 32767, atol=2)  # or times 32768, rounded


def wav(samples, width):
    """Return a WAV file of integers (frames, channels), `width` bytes each."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(samples.shape[1])
        writer.setsampwidth(width)
        writer.setframerate(8000)
        writer.writeframes(b"".join(int(x).to_bytes(width, "little", signed=width > 1) for x in samples.flat))
    return file.getvalue()


@given(st.integers(1, 4), st.integers(1, 3), st.data())
def test_samples_of_every_width(width, channels, data):
    least, greatest = (0, 255) if width == 1 else (-(1 << 8 * width - 1), (1 << 8 * width - 1) - 1)
    frames = st.tuples(st.integers(0, 5), st.just(channels))
    samples = data.draw(arrays.arrays(np.int64, frames, elements=st.integers(least, greatest)))
    audio = decode(value_of("audio", strings(wav(samples, width))))
    assert_same(audio.samples(), samples.astype({1: "u1", 2: "i2", 3: "i4", 4: "i4"}[width]))
    assert (audio.sample_rate, audio.channels, audio.frames) == (8000, channels, len(samples))


def test_sounds_of_the_new_style():
    files = [wav(np.full((3, 2), i), 2) for i in range(2)]
    plain = decode(value_of("audio", strings(*files)))
    labelled = decode(value_of("audio", strings(files[0], b"first", files[1], b"second", shape=[2, 2])))
    assert plain == labelled == Audio(8000, 2, 3, "audio/wav", files)
    assert plain.samples(1).tolist() == [[1, 1]] * 3
    with pytest.raises(IndexError):
        plain.samples(2)
    assert decode(value_of("audio", strings())).files == []


FLOATS = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 3, 1, 8000, 32000, 4, 32) + b"data\4\0\0\0" + struct.pack("<f", 0.5)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", "it ends early"),
        (b"no sound", "does not start with RIFF"),
        (b"RIFF" + struct.pack("<I", len(FLOATS)) + FLOATS, "unknown format: 3"),
        (wav(np.zeros((1, 1)), 4)[:34] + b"\x28\0data\0\0\0\0", "40 bits a sample"),
    ],
)
def test_files_that_are_no_sounds_of_integers(file, words):
    audio = decode(value_of("audio", strings(file)))
    assert audio.files == [file]
    with pytest.raises(ValueError, match=words):
        audio.samples()


def test_a_sound_that_was_cut():
    whole = wav(np.arange(10).reshape(5, 2), 2)
    assert Audio(8000, 2, 5, "audio/wav", [whole[:-3]]).samples().tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


@given(st.sampled_from([wav(np.ones((4, 2)), width) for width in (1, 2, 3, 4)]), st.data())
def test_damaged_sounds_are_sounds_or_a_value_error(file, data):
    damaged = bytearray(file)
    for at in data.draw(st.lists(st.integers(0, len(file) - 1), max_size=4)):
        damaged[at] = data.draw(st.integers(0, 255))
    exercise(value_of("audio", strings(bytes(damaged))))


# --- texts ---


def test_texts(writer):
    writer.add_text("note", "losses: потери 🔥\n| a | b |")
    assert logged(writer)["note/text_summary"] == "losses: потери 🔥\n| a | b |"


def test_texts_of_any_shape():
    assert decode(value_of("text", strings(b"alone", shape=[]))) == "alone"
    assert decode(value_of("text", strings(b"alone", shape=[1, 1]))) == "alone"
    array = decode(value_of("text", strings(b"a", b"b", b"c", b"d", shape=[2, 2])))
    assert (array.tolist(), array.dtype) == ([["a", "b"], ["c", "d"]], object)
    assert decode(value_of("text", strings())).shape == (0,)
    assert decode(value_of("text", strings(b"\xff"))) == "\\xff"
    with pytest.raises(ValueError, match="expected strings"):
        decode(value_of("text", {"dtype": 1, "float_val": [1]}))


def test_texts_keep_their_shape_in_json():
    def texts(n, shape):
        return to_json(value_of("text", strings(*[b"a", b"b", b"c", b"d"][:n], shape=shape)))

    assert texts(1, [1, 1]) == "a"
    assert texts(4, [4]) == ["a", "b", "c", "d"]
    assert texts(4, [2, 2]) == [["a", "b"], ["c", "d"]]
    assert texts(2, [2, 1, 1]) == [[["a"]], [["b"]]]
    for odd in ([3, 2], [-2, -2], [4] + 1000 * [1]):  # the shape does not fit, or nests too deep
        assert texts(4, odd) == ["a", "b", "c", "d"]
    assert brief(value_of("text", strings(b"a", b"b", shape=[1, 2]))) == '[["a", "b"]]'


def test_a_long_text_for_many_takes_the_memory_of_one():
    array = decode(value_of("text", strings(b"x" * (1 << 20), shape=[FILL])))
    assert array[0] is array[-1]


# --- one line for each value ---


def test_sizes_in_a_few_words():
    histogram = [0, 1, 1]
    one = value_of(
        "histogram", {"dtype": 1, "float_val": histogram, "tensor_shape": {"dim": [{"size": 1}, {"size": 3}]}}
    )
    assert brief(one) == "1 value, 0 to 1"
    assert repr(decode(one)) == "Histogram(1 value, 0 to 1, 1 bucket)"
    assert brief(value_of("audio", strings(wav(np.zeros((20, 1)), 2)))).startswith("0.0025 s, 8000 Hz, 1 channel, ")
    assert repr(decode(value_of("audio", strings(wav(np.zeros((1, 1)), 1))))).startswith(
        "Audio(1 frame of 8000 Hz, 1 channel, "
    )
    traced = value_of("run_metadata", strings(b"x" * 1234))
    assert brief(traced) == "1,234 bytes"


# --- meshes ---

VERTICES = RNG.random((2, 4, 3), np.float32)
COLORS = RNG.integers(0, 256, (2, 4, 3)).astype(np.float32)
FACES = RNG.integers(0, 4, (2, 5, 3)).astype(np.float32)


def test_meshes(writer):
    parts = [VERTICES, COLORS, FACES]
    config = {"camera": {"fov": 75}, "lights": ["тег"]}
    if not isinstance(writer, tbc.SummaryWriter):
        torch = pytest.importorskip("torch")
        parts = [torch.tensor(part) for part in parts]
    writer.add_mesh("m", *parts, config_dict=config)
    writer.add_mesh("m", parts[0])
    *meshes, plain = (decode(value) for value in values_logged(writer) if value.kind == "mesh")
    assert {mesh.part for mesh in meshes} == {"vertex", "color", "face"}
    for mesh in meshes:
        assert mesh.config == config
        np.testing.assert_array_equal(mesh.data, {"vertex": VERTICES, "color": COLORS, "face": FACES}[mesh.part])
    assert (plain.part, plain.config) == ("vertex", {})


def test_meshes_of_tensorboards():
    """The metadata is made by TensorBoard's code; a writer may omit it after the first value."""
    tensor = ours(tensor_util.make_tensor_proto(FACES))
    content = mesh_metadata.create_summary_metadata("m", "", 2, 6, FACES.shape, "", '{"a": 1}').plugin_data.content
    first = decode(value_of("mesh", tensor, content, tag="m_FACE"))
    later = decode(Value(1, 0.0, "m_FACE", "mesh", a_value(tag="m_FACE", tensor=tensor)))
    assert (first.part, first.config, later.part, later.config) == ("face", {"a": 1}, "face", {})
    np.testing.assert_array_equal([first.data, later.data], [FACES, FACES])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "unknown part"),
        ({"content_type": 7}, "unknown part"),
        ({"content_type": 1, "json_config": "[]"}, "not a JSON object"),
        ({"content_type": 1, "json_config": "{"}, "config of a mesh is not JSON"),
        ({"content_type": 1, "json_config": "[" * 100_000}, "recursion|Stack overflow"),
        ({"content_type": 1}, "unknown type"),
    ],
)
def test_invalid_meshes(fields, words):
    with pytest.raises(ValueError, match=words):
        decode(value_of("mesh", {}, MeshPluginData(**fields).SerializeToString()))


# --- hyperparameters ---


def test_hparams(writer):
    hparams = {"lr": 0.1, "layers": 3, "name": "x", "bias": True}
    domains = {} if type(writer).__module__.startswith("tensorboardX") else {"name": ["x", "y"]}
    writer.add_hparams(hparams, {"accuracy": 0.5}, **({"hparam_domain_discrete": domains} if domains else {}))
    found = list(map(decode, values_logged(writer)))
    (start,) = (data for data in found if isinstance(data, HParams))
    (end,) = (data for data in found if isinstance(data, SessionEnd))
    (experiment,) = (data for data in found if isinstance(data, Experiment))
    assert start.hparams == hparams
    assert list(start.hparams) == sorted(hparams)
    assert end.status == "success"
    assert experiment.metrics == ["accuracy"]
    assert experiment.hparams == dict.fromkeys(hparams) | domains


def test_hparams_of_tensorboards():
    summary = hparams_summary
    domain = summary.RealInterval(0.5, 2.0)
    hparams = [summary.HParam("lr", domain), summary.HParam("opt", summary.Discrete(["adam", "sgd"]))]
    experiment = ours(summary.hparams_config_pb(hparams, [summary.Metric("loss"), summary.Metric("acc", "eval")]))
    start = ours(summary.hparams_pb({"lr": 1.0, "opt": "sgd"}, "trial", 12.5))
    first, second = (decode(value) for part in (experiment, start) for value in values_of(Event(summary=part)))
    assert first == Experiment({"lr": (0.5, 2.0), "opt": ["adam", "sgd"]}, ["loss", "acc"])
    assert (second.hparams, second.start_time) == ({"lr": 1.0, "opt": "sgd"}, 12.5)
    assert second.group_name
    end = HParamsPluginData(session_end_info={"status": 2, "end_time_secs": 99})
    assert decode(value_of("hparams", {}, end.SerializeToString())) == SessionEnd("failure", 99)


@pytest.mark.parametrize("content", [b"", b"\xff", b"\x22\x00\xff"])
def test_invalid_hparams(content):
    with pytest.raises(ValueError, match=r"neither|pars|Truncated"):
        decode(value_of("hparams", {}, content))


# --- the rest ---


def test_layouts(writer):
    layout = {"category": {"lines": ["Multiline", ["loss", "acc.*"]], "band": ["Margin", ["mean", "low", "high"]]}}
    writer.add_custom_scalars(layout)
    expected = {"category": {"lines": ["loss", "acc.*"], "band": ["mean", "low", "high"]}}
    assert logged(writer)["custom_scalars__config__"] == expected


@pytest.mark.parametrize("tensor", [{}, strings(), strings(b"\xff")])
def test_invalid_layouts(tensor):
    with pytest.raises(ValueError, match=r"expected strings|without a string|pars|Truncated"):
        decode(value_of("custom_scalars", tensor))


def test_events_without_a_summary():
    events = {
        "file_version": ("brain.Event:2", "brain.Event:2"),
        "session_log": ({"status": 1}, "START"),
        "graph_def": (b"graph", b"graph"),
        "meta_graph_def": (b"meta", b"meta"),
        "tagged_run_metadata": ({"tag": "step", "run_metadata": b"data"}, b"data"),
    }
    for field, (content, expected) in events.items():
        (value,) = values_of(Event(**{field: content}))
        assert decode(value) == expected
    (value,) = values_of(Event(summary={"value": [{"tag": "empty"}]}))
    assert decode(value) is None


def test_every_kind_is_decoded():
    assert _DECODERS.keys() == set(KINDS)


@pytest.mark.parametrize("name", ["pytorch.tfevents", "tensorflow.tfevents.v2"])
def test_files_of_torch_and_tensorflow(name):
    found = {}
    for value in read_values(DATA / name):
        found.setdefault(value.tag.removesuffix("/text_summary"), []).append(decode(value))
    assert found["loss"] == [0.25, 0.125]
    assert found["note"] == ["hello from PyTorch" if name.startswith("py") else "hello from TensorFlow"]
    (histogram,) = found["weights"]
    assert (histogram.min, histogram.max, histogram.counts.sum()) == (0.5, 2.5, 3)
    (image,) = found["dot"]
    assert image.image().size == (image.width, image.height) == ((2, 1) if name.startswith("py") else (3, 2))


@given(
    st.sampled_from(sorted((DATA / "corpus").iterdir()) + [DATA / "pytorch.tfevents"]),
    st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=8),
)
def test_bytes_changed_at_random(tmp_path_factory, source, changes):
    path = tmp_path_factory.mktemp("changed") / "events.out.tfevents"
    records = [event.SerializeToString() for event in read_events(source, lambda error: None)]
    for position, byte in changes:
        i = position % len(records) if records else 0
        if records and records[i]:
            at = position // len(records) % len(records[i])
            records[i] = records[i][:at] + bytes([byte]) + records[i][at + 1 :]
    path.write_bytes(b"".join(map(_core.frame, records)))
    for value in read_values(path, lambda error: None):
        exercise(value)


def test_numpy_and_pillow_are_loaded_by_what_needs_them(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalar("loss", 0.5)
        writer.add_text("note", "text")
        writer.add_image("image", PIXELS, dataformats="HWC")
        writer.add_audio("sound", np.zeros(10))
        writer.add_hparams({"lr": 0.1}, {})
    script = """
        import sys
        from tbc.reader.describe import brief
        from tbc.reader.events import read_values
        print(*[brief(value) for path in sys.argv[1:] for value in read_values(path)], sep="\\n")
        assert not {"numpy", "PIL"} & sys.modules.keys()
    """
    assert "7x5 PNG" in run_script(script, *find_event_files(log_dir)).stdout


def test_what_is_described_is_what_is_decoded(log_dir):
    writer = tbc.SummaryWriter(log_dir)
    writer.add_histogram("weights", np.arange(5.0))
    writer.add_audio("sound", np.zeros(4410))
    _, histogram, audio = values_logged(writer)
    data = decode(histogram)
    moments = {"min": 0.0, "max": 4.0, "num": 5.0, "sum": 10.0, "sum_squares": 30.0}
    assert to_json(histogram) == moments | {"bucket_limit": [*data.limits], "bucket": [*data.counts]}
    json.dumps(to_json(histogram))
    assert brief(histogram) == "5 values, 0 to 4, mean 2, std 1.414"
    assert brief(audio) == "0.10 s, 44100 Hz, 1 channel, 8,864 bytes"


def test_what_a_notebook_shows(tmp_path):
    """A notebook shows a line, and for an image the image."""
    with tbc.SummaryWriter(tmp_path) as writer:
        writer.add_image("image", np.zeros((3, 4, 6)), 1)
        writer.add_images("images", np.zeros((2, 3, 4, 6)), 1, grid=False)
        writer.add_histogram("histogram", np.arange(5.0), 1)
        writer.add_audio("audio", np.zeros((2, 100)), 1, sample_rate=8000)
        writer.add_pr_curve("curve", np.ones(5), np.ones(5), 1, num_thresholds=9)
    found = {value.tag: decode(value) for path in find_event_files(tmp_path) for value in read_values(path)}
    png = found["image"].files[0]
    assert repr(found["image"]) == f"Image(6x4 PNG, {len(png)} bytes)"
    assert found["image"]._repr_png_() == png
    assert repr(found["images"]).startswith("Image(2 images, 6x4 PNG, ")
    assert repr(found["histogram"]).startswith("Histogram(5 values, 0 to 4, ")
    assert repr(found["audio"]) == "Audio(100 frames of 8000 Hz, 2 channels, 444 bytes)"
    assert repr(found["curve"]) == "PRCurve(9 thresholds)"
