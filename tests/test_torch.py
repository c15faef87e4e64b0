"""The same calls to torch's SummaryWriter and to tbc's, read by TensorBoard's loader and compared by meaning.

All intended differences are in the table DIFFERENCES at the end.
"""

import array
import base64
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from helpers.oracle import read_back, run_script, steps, tags
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import tbc

torch = pytest.importorskip("torch")
from helpers import differences  # noqa: E402
from helpers.same_as_torch import WALLTIME, call, compare, log  # noqa: E402
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData  # noqa: E402
from torch.utils.tensorboard import SummaryWriter as TorchWriter  # noqa: E402

RNG = np.random.default_rng(0)


# --- drawn calls ---


@st.composite
def as_given(draw, array):
    """Draw an array in a form that users have: numpy's or torch's, with gradients, transposed, strided."""
    way = draw(st.sampled_from(["numpy", "torch", "gradient", "transposed", "strided"]))
    if way == "numpy" or (array.dtype.kind == "u" and array.dtype.itemsize > 1):
        return array
    tensor = torch.from_numpy(array.copy())
    if way == "gradient" and array.dtype.kind == "f":
        tensor.requires_grad_()
    if way == "transposed":
        tensor = tensor.transpose(0, -1).contiguous().transpose(0, -1) if tensor.ndim else tensor
    if way == "strided" and tensor.ndim:
        tensor = tensor.repeat_interleave(2, dim=-1)[..., ::2]
    return tensor


def floats(shape, low=0.0, high=1.0, dtypes=(np.float32, np.float64)):
    return st.sampled_from(dtypes).flatmap(lambda dtype: arrays(dtype, shape, elements=st.floats(low, high, width=32)))


STAMP = st.fixed_dictionaries({"global_step": steps, "walltime": st.just(WALLTIME)})
STEP = st.fixed_dictionaries({"global_step": steps})
SMALL = st.integers(1, 6)


@st.composite
def scalar_calls(draw):
    number = draw(st.floats(width=32) | st.integers(-(2**40), 2**40) | st.booleans())
    value = draw(
        st.sampled_from(
            [number, np.float64(number), np.float16(0.1), str(number), np.array([[number]]), torch.tensor(number)]
        )
    )
    style = draw(st.fixed_dictionaries({}, optional={"new_style": st.booleans(), "double_precision": st.booleans()}))
    return call("add_scalar", draw(tags), value, **draw(STAMP), **style)


@st.composite
def scalars_calls(draw):
    keys = st.text("abc/é", min_size=1, max_size=5).filter(lambda key: not key.endswith("/") and key[0] != "/")
    values = draw(st.dictionaries(keys, st.floats(-1e9, 1e9, width=32), max_size=3))
    return call("add_scalars", draw(st.text("ab/", min_size=1, max_size=4)), values, **draw(STAMP))


@st.composite
def histogram_calls(draw):
    shape = draw(array_shapes(max_dims=3, max_side=20))
    values = draw(floats(shape, -1e10, 1e10) | arrays(st.sampled_from([np.int64, np.uint8, np.int16]), shape))
    bins = draw(st.sampled_from(["tensorflow", "auto", 7, "fd"]))
    max_bins = draw(st.sampled_from([None, 3, 64]))
    if isinstance(bins, str) and bins != "tensorflow" and np.ptp(values.astype(float)) > 1e3:
        bins = 5  # numpy may need more memory than there is
    return call("add_histogram", draw(tags), draw(as_given(values)), bins=bins, max_bins=max_bins, **draw(STAMP))


@st.composite
def image_calls(draw):
    formats = draw(st.sampled_from(["CHW", "HWC", "HW", "WH", "NCHW", "NHWC", "chw", "CNHW", "WHC"]))
    sides = {"N": draw(st.integers(1, 10)), "C": draw(st.sampled_from([1, 3])), "H": draw(SMALL), "W": draw(SMALL)}
    shape = tuple(sides[letter] for letter in formats.upper())
    image = draw(floats(shape, -0.5, 1.5) | arrays(np.uint8, shape) | arrays(np.bool_, shape))
    method = "add_images" if len(formats) == 4 and draw(st.booleans()) else "add_image"
    return call(method, draw(tags), draw(as_given(image)), dataformats=formats, **draw(STAMP))


@st.composite
def boxes_calls(draw):
    n = draw(st.integers(0, 3))
    image = draw(floats((3, 40, 50)))
    boxes = draw(floats((n, 4), 0, 50))
    labels = draw(st.none() | st.lists(st.text("abc", max_size=5), min_size=n, max_size=n))
    scale = draw(st.sampled_from([1, 0.5, 2]))
    stamp = draw(STAMP)
    return call("add_image_with_boxes", draw(tags), draw(as_given(image)), boxes, rescale=scale, labels=labels, **stamp)


@st.composite
def audio_calls(draw):
    length = draw(st.integers(2, 300))
    sound = draw(floats(draw(st.sampled_from([(length,), (1, length), (length, 1)])), -1.5, 1.5))
    rate = draw(st.sampled_from([44100, 8000]))
    return call("add_audio", draw(tags), draw(as_given(sound)), sample_rate=rate, **draw(STAMP))


@st.composite
def text_calls(draw):
    text = draw(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
    return call("add_text", draw(tags), text, **draw(STAMP))


@st.composite
def tensor_calls(draw):
    shape = draw(array_shapes(min_dims=0, max_dims=4, max_side=4))
    dtype = draw(st.sampled_from([np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.bool_]))
    array = draw(arrays(dtype, shape))
    return call("add_tensor", draw(tags), torch.from_numpy(np.array(array)), **draw(STAMP))


@st.composite
def pr_curve_calls(draw):
    n = draw(st.integers(1, 200))
    labels = draw(arrays(st.sampled_from([np.int64, np.uint8, np.float32]), n, elements=st.integers(0, 1)))
    predictions = draw(floats(n))
    weights = draw(st.none() | st.floats(0, 4, width=32) | arrays(np.float64, n, elements=st.integers(0, 4)))
    thresholds = draw(st.sampled_from([2, 10, 127]))
    keywords = {"num_thresholds": thresholds, "weights": weights, **draw(STAMP)}
    return call("add_pr_curve", draw(tags), draw(as_given(labels)), draw(as_given(predictions)), **keywords)


@st.composite
def pr_curve_raw_calls(draw):
    n = draw(st.integers(1, 127))
    rows = [draw(floats(n, 0, 1e6)) for _ in range(6)]
    return call("add_pr_curve_raw", draw(tags), *rows, num_thresholds=n, **draw(STAMP))


@st.composite
def mesh_calls(draw):
    batch, vertices, faces = draw(st.integers(1, 2)), draw(st.integers(1, 9)), draw(st.integers(1, 5))
    keywords = {}
    if draw(st.booleans()):
        keywords["colors"] = draw(arrays(np.uint8, (batch, vertices, 3)))
    if draw(st.booleans()):
        keywords["faces"] = draw(arrays(np.int32, (batch, faces, 3), elements=st.integers(0, vertices - 1)))
    if draw(st.booleans()):
        keywords["config_dict"] = {"material": {"cls": "PointsMaterial", "size": 0.5}, "lights": []}
    points = draw(floats((batch, vertices, 3), -9, 9))
    return call("add_mesh", draw(tags), draw(as_given(points)), **keywords, **draw(STAMP))


@st.composite
def hparams_calls(draw):
    names = st.text("abc/é", min_size=1, max_size=5)
    values = st.floats(-1e9, 1e9) | st.integers(-(2**40), 2**40) | st.text("xyz", max_size=4) | st.none()
    hparams = draw(st.dictionaries(names, values, max_size=4))
    metrics = draw(st.dictionaries(names, st.floats(-1e9, 1e9, width=32), max_size=2))
    domains = {name: [value] for name, value in hparams.items() if value is not None} if draw(st.booleans()) else None
    return call("add_hparams", hparams, metrics, domains, draw(st.sampled_from(["run", "deep/run"])), **draw(STEP))


@st.composite
def embedding_calls(draw):
    n, dimensions, side = draw(st.integers(1, 10)), draw(SMALL), draw(SMALL)
    keywords = {"global_step": draw(st.none() | st.integers(0, 10**6)), "tag": draw(st.text("ab/%\\ é", min_size=1))}
    words = st.text("abc é", min_size=1).map(lambda word: word.strip() + "_")
    if draw(st.booleans()):
        keywords["metadata"] = draw(st.lists(words | st.integers(), min_size=n, max_size=n))
    elif draw(st.booleans()):
        row = st.tuples(words, st.integers(), words).map(list)
        keywords["metadata"] = draw(st.lists(row, min_size=n, max_size=n))
        keywords["metadata_header"] = ["word", "number", "other"]
    if draw(st.booleans()):
        channels = draw(st.sampled_from([1, 3]))
        keywords["label_img"] = torch.from_numpy(draw(floats((n, channels, side, side), -0.5, 1.5)))
    return call("add_embedding", draw(as_given(draw(floats((n, dimensions), -9, 9)))), **keywords)


TITLES = st.text("abc é", min_size=1, max_size=6)
CHARTS = st.tuples(st.just("Multiline"), st.lists(tags, max_size=3)) | st.tuples(
    st.just("Margin"), st.lists(tags, min_size=3, max_size=3)
)


@st.composite
def layout_calls(draw):
    method = draw(st.sampled_from(["", "_multilinechart", "_marginchart"]))
    if not method:
        layout = draw(st.dictionaries(TITLES, st.dictionaries(TITLES, CHARTS.map(list), max_size=2), max_size=2))
        return call("add_custom_scalars", layout)
    names = draw(st.lists(tags, min_size=3, max_size=3))
    return call(f"add_custom_scalars{method}", names, category=draw(TITLES), title=draw(TITLES))


@pytest.mark.parametrize(
    "drawn",
    [scalar_calls, histogram_calls, image_calls, audio_calls, text_calls, tensor_calls, pr_curve_calls]
    + [pr_curve_raw_calls, mesh_calls, boxes_calls, scalars_calls, hparams_calls, embedding_calls, layout_calls],
    ids=lambda drawn: drawn.__name__,
)
def test_drawn_calls(drawn, tmp_path_factory):
    @settings(max_examples=40)
    @given(drawn())
    def check(one):
        compare(tmp_path_factory, [one])

    check()


# --- listed calls ---

IMAGE = RNG.random((3, 20, 30))
BOX = np.array([[1.5, 2, 10, 12]])
POINTS = RNG.random((1, 4, 3))
MATRIX = RNG.random((3, 2))
CURVE = RNG.integers(0, 2, 50), RNG.random(50)
LINEAR, BATCH = torch.nn.Linear(4, 3), torch.ones(2, 4)
BELOW = np.nextafter(np.arange(256) / 255, 0).reshape(1, 16, 16)  # times 255 and rounded down, one less than as float32

LISTED = [
    *(
        call("add_scalar", "x", 1, step)
        for step in (None, 7, -7, "12", 1.9, np.int8(3), torch.tensor(4), True, 2**63 - 1)
    ),
    *(call("add_scalar", "x", 1, step) for step in (2**63, -(2**63) - 1, "x", 1e300, [], np.array([1, 2]))),
    *(call("add_scalar", tag, 1) for tag in ("", None, b"bytes", "a b/c\\d%é", "x" * 3000, 7, ["x"])),
    *(call("add_scalar", "x", value) for value in ("0.5", "nan", "x", None, [1], {}, object(), [], (1,), {1})),
    *(call("add_scalar", "x", np.zeros(shape)) for shape in ((), (1,), (1, 1, 1), (2,), (0,))),
    *(call("add_scalar", "x", value) for value in (1e300, -1e300, 5e-324, 2**70, float("nan"), float("-inf"))),
    *(call("add_scalar", "x", torch.tensor([2.5], dtype=dtype)) for dtype in (torch.half, torch.bfloat16, torch.int8)),
    call("add_scalar", "x", 1, 2, 3.5, True, True),
    call("add_scalars", "loss/all", {"train": 1, "test": torch.tensor(2.0)}, 5),
    call("add_scalars", "loss", [1, 2]),
    *(call("add_histogram", "x", values) for values in (np.array([]), [1.0], None, 3, np.float32(3), object())),
    *(
        call("add_histogram", "x", RNG.normal(size=500), 1, bins)
        for bins in ("tensorflow", "sqrt", 1, [-1, 0, 2], "x", 0)
    ),
    *(call("add_histogram", "x", values) for values in (np.zeros(5), np.full(3, 1e-13), np.array([-1e19, 1e19]))),
    call("add_histogram", "x", np.array([True, False, True])),
    call("add_histogram", "x", RNG.normal(size=500), max_bins=6),
    call("add_histogram", "x", RNG.normal(size=500), 3, 10, 5.5, 6),
    call("add_histogram_raw", "x", 0, 2, 3, 3.5, 4.5, [1, 2], [1, 2], 9),
    call("add_histogram_raw", "x", 0, 0, 0, 0, 0, [], np.ones((0, 1))),
    call("add_histogram_raw", "x", 0.5, 2, 3, 3.5, 4.5, np.array([1.0, 2.0]), np.array([1, 2])),
    call("add_histogram_raw", "x", 0, 0, 0, 0, 0, torch.tensor([[1], [2]]), torch.ones(2, 1, 1)),
    *(call("add_image", "x", IMAGE, 1, None, formats) for formats in ("CHW", "CCW", "CH", "NCHW", ("C", "H"))),
    *(call("add_image", "x", image) for image in ([[1]], None, RNG.random((4, 5, 6)), RNG.random((1, 5, 6)))),
    call("add_image", "x", np.array([[[0, 1, 2, 255]]], np.int64)),
    call("add_image", "x", np.full((3, 2, 2), np.nan)),
    call("add_images", "x", RNG.random((9, 1, 4, 5))),
    call("add_images", "x", RNG.random((2, 4, 4, 5))),
    call("add_image_with_boxes", "x", IMAGE, BOX, labels="cat"),
    call("add_image_with_boxes", "x", IMAGE, torch.from_numpy(BOX), 3, None, 2.5, "CHW", ["cat"]),
    call("add_image_with_boxes", "x", np.zeros((20, 30), np.uint8), BOX, dataformats="HW"),
    call("add_image_with_boxes", "x", IMAGE, np.array([[False, False, True, True]])),
    *(call("add_audio", "x", RNG.random(shape)) for shape in ((2, 1, 1), (1, 1, 5), (3, 5), (2, 3, 4))),
    *(call("add_text", "x", text) for text in ("", "é\n| a |\n", "x" * 100_000, np.str_("numpy"))),
    call("add_tensor", "x", torch.randn(2, 0, 3)),
    call("add_tensor", "x", torch.randn(2, 3, dtype=torch.complex64)),
    call("add_tensor", "x", torch.randn(2, 3, requires_grad=True)),
    call("add_pr_curve", "x", *CURVE),
    call("add_pr_curve", "x", CURVE[0].astype(bool), CURVE[1].astype(np.float32), 3, 11, 0.5, 6.5),
    call("add_pr_curve", "x", CURVE[0], CURVE[1] * 1.01),
    call("add_pr_curve", "x", CURVE[0], CURVE[1], weights=np.arange(50.0)),
    call("add_pr_curve", "x", CURVE[0], CURVE[1][:-1]),
    call("add_pr_curve", "x", list(CURVE[0]), list(CURVE[1])),
    call("add_pr_curve", "x", *CURVE, num_thresholds=0),
    call("add_pr_curve_raw", "x", *np.arange(18).reshape(6, 3), 4, 3),
    call("add_pr_curve_raw", "x", [1], [2], [3], [4], [0.5], [0.25], num_thresholds=1),
    call("add_pr_curve_raw", "x", [1], [2], [3], [4], [0.5], [0.25, 1], num_thresholds=1),
    call("add_custom_scalars", {"a": {"b": ["Multiline", ["x", "y.*"]], "c": ["Margin", ["x", "y", "z"]]}, "d": {}}),
    call("add_custom_scalars", {"a": {"b": ["Margin", ["x", "y"]]}}),
    call("add_custom_scalars", {"a": {5: ["Margin", ["x", "y"]]}}),
    call("add_custom_scalars", {"a": {"b": ["other", ["x", "y"]]}}),
    call("add_custom_scalars", {None: {b"b": ["Multiline", [b"x", "y"]], None: ["Margin", ["x", b"y", "z"]]}}),
    call("add_custom_scalars_multilinechart", ["x", "y"]),
    call("add_custom_scalars_multilinechart", None),
    call("add_custom_scalars_marginchart", ["x", "y", "z"], "category", "title"),
    call("add_custom_scalars_marginchart", ["x", "y"]),
    call("add_custom_scalars_marginchart", {"x", "y", "z"}),
    call(
        "add_mesh", "x", POINTS, POINTS, np.array([[[0, 1, 2]]]), {"camera": {"cls": "PerspectiveCamera", "fov": 75}}, 4
    ),
    call("add_mesh", "x", torch.zeros(2, 3, 3, dtype=torch.int16)),
    call("add_mesh", "x", POINTS.tolist()),
    call("add_mesh", "x", POINTS[0]),
    call("add_mesh", "x", POINTS, config_dict={"x": object()}),
    call("add_hparams", {"lr": 0.1, "n": 3, "name": "x", "none": None}, {"accuracy": 0.5}, None, "run", 3),
    call("add_hparams", {"lr": 0.1}, {"accuracy": torch.tensor(0.5)}, {"lr": [0.1, 0.2]}, "run"),
    call("add_hparams", {}, {}, run_name="run"),
    *(call("add_hparams", *dicts, run_name="run") for dicts in (([], {}), ({}, None), ({"x": object()}, {}))),
    *(call("add_hparams", {"x": 1}, {}, domain, "run") for domain in ({"y": [1]}, {"x": 1}, {"x": ["a"]}, [1])),
    call("add_embedding", MATRIX, ["a", "b", "c"], torch.zeros(3, 3, 4, 4), 7, "tag"),
    call("add_embedding", MATRIX, [["a", 1], ["b", 2], ["c", 3]], metadata_header=["name", "number"]),
    call("add_embedding", MATRIX, ["a", "b"]),
    call("add_embedding", MATRIX, [["a"], ["b"], ["c"]], metadata_header=["name", "number"]),
    call("add_embedding", MATRIX, label_img=torch.zeros(2, 3, 4, 4)),
    call("add_embedding", RNG.random(3)),
    call("add_embedding", np.arange(6).reshape(3, 2)),
    call("add_embedding", RNG.random((256, 2)), label_img=torch.from_numpy(BELOW.reshape(256, 1, 1, 1))),
    *(call("add_graph", LINEAR, inputs) for inputs in (BATCH, (BATCH,), [BATCH], BATCH.T, (BATCH, BATCH), ())),
    call("flush"),
]

PAIR = [1.0, 2.0]
SEQUENCES = {  # two numbers in everything that torch's writer accepts as a sequence
    "list": PAIR,
    "tuple": (1.0, 2.0),
    "range": range(1, 3),
    "deque": deque(PAIR),
    "array.array": array.array("d", PAIR),
    "memoryview": memoryview(np.array(PAIR)),
    "ndarray": np.array(PAIR),
    "objects": np.array(PAIR, object),
    "numbers of numpy": [np.float32(1), np.int8(2)],
    "numbers of torch": [torch.tensor(1.0), torch.tensor(2.0)],
    "tensor": torch.tensor(PAIR),
    "Series": pytest.importorskip("pandas").Series(PAIR),
}
VIEWS = {"values": dict(enumerate(PAIR)).values(), "keys": dict.fromkeys(PAIR).keys()}
RAW = 0, 2, 3, 3.5, 4.5


@pytest.mark.parametrize("kind", [*SEQUENCES, *VIEWS])
def test_sequences(kind, tmp_path_factory):
    """The calls are those where torch accepts sequences. tbc also accepts views, for which torch raises."""
    calls = [call("add_histogram_raw", "x", *RAW, *[(SEQUENCES | VIEWS)[kind]] * 2)]
    if kind in SEQUENCES:
        pair = SEQUENCES[kind]
        calls += [call("add_pr_curve_raw", "x", *[pair] * 6, num_thresholds=2)]
        if kind != "tensor":  # torch raises TypeError
            calls += [call("add_pr_curve", "x", np.array([0, 1]), np.array([0.5, 0.5]), weights=pair)]
    compare(tmp_path_factory, calls)


@pytest.mark.parametrize("kind", [list, tuple, deque, lambda rows: pytest.importorskip("pandas").Series(list(rows))])
def test_meshes_of_sequences(kind, tmp_path_factory):
    points, faces = kind(POINTS.tolist()), kind([[[0, 1, 2]]])
    compare(tmp_path_factory, [call("add_mesh", "x", points, points, faces)])


@pytest.mark.parametrize(
    "one",
    [
        call("add_histogram", "x", memoryview(np.arange(5.0))),
        call("add_histogram", "x", np.arange(5.0), bins=np.array([0, 2, 4], object)),
        call("add_histogram", "x", "7"),
        call("add_audio", "x", memoryview(np.array([0.5, -0.5, 0.25]))),
        call("add_audio", "x", np.array([0.5, -0.5, 0.25], object)),
        call("add_image", "x", IMAGE.astype(object)),
        call("add_images", "x", IMAGE[None].astype(object)),
        call("add_image_with_boxes", "x", IMAGE, BOX.astype(object), labels=deque(["a"])),
        call("add_scalar", "x", memoryview(np.array([2.5]))),
        call("add_custom_scalars_multilinechart", ("x", "y")),
        call("add_hparams", {"x": 1.5}, {}, [], "run"),
        call("add_hparams", {"x": None}, {}, {"x": [None]}, "run"),
    ],
    ids=lambda one: one[0],
)
def test_arrays_of_other_kinds(one, tmp_path_factory):
    compare(tmp_path_factory, [one])


@pytest.mark.parametrize("one", LISTED, ids=lambda one: one[0])
def test_listed_calls(one, tmp_path_factory):
    compare(tmp_path_factory, [one])


def test_all_together(tmp_path_factory):
    """The calls follow one another in one run; those that raise log nothing. Each method has a tag of its own, because
    only images of one tag, and all other values, keep their order."""
    calls = [
        (method, (method, *arguments[1:]) if arguments and arguments[0] == "x" else arguments, keywords)
        for method, arguments, keywords in LISTED
        if method != "add_embedding"  # a second embedding of the same name replaces the first
    ]
    compare(tmp_path_factory, calls)


@pytest.mark.parametrize("several", [False, True])
def test_figures(several, tmp_path_factory):
    figures = [draw_figure(k) for k in range(3)]
    one = call("add_figure", "x", figures if several else figures[0], 3, close=False, walltime=WALLTIME)
    compare(tmp_path_factory, [one])


def draw_figure(k):
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(2, 1))
    figure.add_subplot().plot([1, k, 3])
    return figure


# --- intended differences ---


def only(logged, *where):
    """Return the only entry of the tag "x", or its element at an index."""
    (entry,) = logged["", "x"]
    return entry[where[0]] if where else entry


def hparam(logged):
    (text,) = (entry[-1] for entry in logged["run", "_hparams_/session_start_info"])
    return text_format.Parse(text, HParamsPluginData()).session_start_info.hparams["x"]


def hparams(value):
    return call("add_hparams", {"x": value}, {}, run_name="run")


def embedding(**keywords):
    return call("add_embedding", MATRIX, **keywords)


def written(name):
    return lambda logged: logged[f"00000/default/{name}"]


def raises(error):
    return lambda logged, raised: raised == [error]


def gives(view, expected):
    return lambda logged, raised: not any(raised) and np.array_equal(view(logged), expected)


def tensor(values, dtype):
    return call("add_tensor", "x", torch.tensor(values, dtype=dtype))


def number(logged):
    return only(logged, -1)


def charted(logged):
    ((*_, layout),) = logged["", "custom_scalars__config__"]
    return layout.count("tag:")


def undecodable(logged, raised):
    return isinstance(logged, Exception)


class Branches(torch.nn.Linear):
    def forward(self, x):
        return {"y": super().forward(x)} if x.sum() > 0 else {}


def nodes(logged):
    return {node.name for *_, graph, _ in logged["", None] for node in graph.node}


def mode(logged):
    """Return whether the call left the module in training mode; set it back to evaluation."""
    was = PARTLY[0].training
    PARTLY[0].eval()
    return was


PARTLY = torch.nn.Sequential(torch.nn.BatchNorm1d(4), LINEAR)
PARTLY[0].eval()
ENCODER = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(4, 2, 4, batch_first=True), 1)
PR_LABELS = np.array([0, 1, 2]), np.array([0.5, 0.5, 0.5])
SOUND = np.array([0, 16384, -32768], np.int16)
HALVES = (np.array([0.3, 0.7, 1], np.float16).astype(np.float32) * 32767).astype(np.int16)
JUST_BELOW = next(
    float(p) for p in np.linspace(0, 1, 2001).astype(np.float16) if int(p * np.float16(126)) > float(p) * 126
)
WIDE = torch.zeros(3, 3, 4, 6)
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
LABELS = iter("abc")  # torch's writer rejects an iterator before it takes an item
GRAY = torch.full((4, 1, 2, 2), 100, dtype=torch.uint8)

DIFFERENCES = [  # the line of README's table, one call or a list, the outcome in torch, and in tbc
    (
        "bfloat16 and float8",
        call("add_scalar", "x", torch.tensor(70000.0, dtype=torch.bfloat16)),
        gives(number, np.inf),
        gives(number, 70144),
    ),
    (
        "bfloat16 and float8",
        call("add_histogram", "x", torch.full((4,), 1e-9, dtype=torch.bfloat16)),
        gives(lambda logged: only(logged, 5)[1] == 0, True),
        gives(lambda logged: only(logged, 5)[1] == float(torch.tensor(1e-9, dtype=torch.bfloat16)), True),
    ),
    (
        "bfloat16 and float8",
        call("add_scalar", "x", torch.tensor(2.0).to(torch.float8_e4m3fn)),
        raises(TypeError),
        gives(number, 2),
    ),
    (
        "a tensor on the meta device",
        call("add_scalar", "x", torch.empty(1, device="meta")),
        gives(lambda logged: len(logged["", "x"]), 1),
        raises(ValueError),
    ),
    (
        "elements that a mask of numpy.ma hides",
        call("add_histogram", "x", np.ma.array([1.0, 2, 999], mask=[0, 0, 1])),
        gives(lambda logged: only(logged, 5)[:3], [1, 2, 3]),
        gives(lambda logged: only(logged, 5)[:3], [1, 2, 2]),
    ),
    (
        "elements that a mask of numpy.ma hides",
        call("add_image", "x", np.ma.array(np.full((1, 1, 2), 200, np.uint8), mask=[[[1, 0]]])),
        gives(lambda logged: only(logged, -1), np.full((1, 2, 3), 200)),
        raises(TypeError),
    ),
    (
        "a histogram of NaN or infinities",
        call("add_histogram", "x", np.array([1, np.nan, 3])),
        gives(lambda logged: np.isnan(only(logged, 5)[[0, 1, 3, 4]]).all() and only(logged, 5)[2], 3),
        gives(lambda logged: only(logged, 5), [1, 3, 2, 4, 10]),
    ),
    (
        "a histogram of NaN or infinities",
        call("add_histogram", "x", np.array([np.nan])),
        raises(ValueError),
        gives(lambda logged: only(logged, 5), np.zeros(5)),
    ),
    (
        "a histogram of values above 1e20",
        call("add_histogram", "x", np.array([1e25])),
        raises(ValueError),
        gives(lambda logged: only(logged, -1), [0, 1]),
    ),
    (
        "a histogram of complex numbers, text or times",
        call("add_histogram", "x", np.array([1 + 2j])),
        gives(lambda logged: only(logged, 5)[0], 1),
        raises(TypeError),
    ),
    (
        "boxes and labels of different number",
        call("add_image_with_boxes", "x", IMAGE, BOX, labels=["a", "b"]),
        gives(lambda logged: only(logged, 2), "image"),
        raises(ValueError),
    ),
    (
        "video",
        call("add_video", "x", torch.zeros(1, 3, 3, 4, 5)),
        gives(lambda logged: only(logged, 2) is None, True),
        gives(lambda logged: only(logged, 2), "image"),
    ),
    (
        "sound of integers",
        call("add_audio", "x", SOUND),
        gives(lambda logged: only(logged, -1)[-1], [0, 32767, -32767]),
        gives(lambda logged: only(logged, -1)[-1], SOUND),
    ),
    (
        "sound of float16",
        call("add_audio", "x", np.array([0.3, 0.7, 1], np.float16)),
        gives(lambda logged: only(logged, -1)[-1], [9832, 22944, -32768]),
        gives(lambda logged: only(logged, -1)[-1], HALVES),
    ),
    (
        "stereo sound",
        call("add_audio", "x", np.zeros((2, 5))),
        raises(AssertionError),
        gives(lambda logged: only(logged, -1)[0], 2),
    ),
    (
        "a PR curve of more than 127 thresholds",
        call("add_pr_curve", "x", *CURVE, num_thresholds=200),
        gives(lambda logged: only(logged, -1).shape, (6, 127)),
        gives(lambda logged: only(logged, -1).shape, (6, 200)),
    ),
    (
        "a PR curve of more than 127 thresholds",
        call("add_pr_curve_raw", "x", *np.zeros((6, 200)), num_thresholds=200),
        gives(lambda logged: only(logged, 4), "num_thresholds: 127\n"),
        gives(lambda logged: only(logged, 4), "num_thresholds: 200\n"),
    ),
    (
        "a PR curve of float16",
        call("add_pr_curve", "x", np.array([1]), np.array([JUST_BELOW], np.float16)),
        gives(lambda logged: only(logged, -1)[0].sum(), 2 + int(JUST_BELOW * 126)),
        gives(lambda logged: only(logged, -1)[0].sum(), 1 + int(JUST_BELOW * 126)),
    ),
    (
        "weights of a PR curve that are a tensor",
        call("add_pr_curve", "x", np.ones(1), np.ones(1), weights=torch.ones(1)),
        raises(TypeError),
        gives(lambda logged: only(logged, -1)[0, 0], 1),
    ),
    (
        "a PR curve whose labels and predictions differ in shape",
        call("add_pr_curve", "x", np.ones(1), np.array([0.5, 0.75]), weights=np.ones(2)),
        gives(lambda logged: only(logged, -1)[0, 0], 2),
        raises(ValueError),
    ),
    (
        "a PR curve of labels out of range",
        call("add_pr_curve", "x", *PR_LABELS),
        gives(lambda logged: only(logged, -1)[:2, 0], [3, 0]),
        gives(lambda logged: only(logged, -1)[:2, 0], [1, 1]),
    ),
    (
        "a raw PR curve of matrices, or without points",
        call("add_pr_curve_raw", "x", *np.zeros((6, 2, 3))),
        undecodable,
        raises(ValueError),
    ),
    (
        "a hyperparameter that is a bool",
        hparams(True),
        gives(lambda logged: hparam(logged).number_value, 1),
        gives(lambda logged: hparam(logged).bool_value, True),
    ),
    (
        "a hyperparameter of numpy, or a tensor",
        hparams(np.int64(3)),
        raises(ValueError),
        gives(lambda logged: hparam(logged).number_value, 3),
    ),
    (
        "a hyperparameter of numpy, or a tensor",
        hparams(torch.tensor(3)),
        raises(IndexError),
        gives(lambda logged: hparam(logged).number_value, 3),
    ),
    (
        "a hyperparameter that is a list or a dict",
        hparams([1, "a"]),
        raises(ValueError),
        gives(lambda logged: hparam(logged).string_value, '[1, "a"]'),
    ),
    (
        "a hyperparameter that is an Enum, a dtype, a date, ...",
        hparams(torch.float32),
        raises(ValueError),
        gives(lambda logged: hparam(logged).string_value, "torch.float32"),
    ),
    (
        "a hyperparameter beyond the range of a float",
        hparams(10**400),
        raises(OverflowError),
        gives(lambda logged: hparam(logged).string_value, "1" + 400 * "0"),
    ),
    (
        "a hyperparameter that is NaN or infinite",
        hparams(float("nan")),
        gives(lambda logged: np.isnan(hparam(logged).number_value), True),
        gives(lambda logged: hparam(logged).string_value, "nan"),
    ),
    (
        "an embedding whose step is a tensor or an array",
        embedding(global_step=torch.tensor(4)),
        gives(lambda logged: "tensor(4)/default/tensors.tsv" in logged, True),
        gives(lambda logged: "00004/default/tensors.tsv" in logged, True),
    ),
    (
        "a domain of a hyperparameter that is empty, or of other numbers",
        call("add_hparams", {"x": 1e-5}, {}, {"x": [1, True]}, "run"),
        raises(TypeError),
        gives(lambda logged: hparam(logged).number_value, 1e-5),
    ),
    (
        "buckets of a raw histogram that are a set or a dict",
        call("add_histogram_raw", "x", *RAW, {1, 2}, {1: 1, 2: 2}),
        gives(lambda logged: len(only(logged, 6)), 2),
        raises(NotImplementedError),
    ),
    (
        "a moment of a raw histogram that is None",
        call("add_histogram_raw", "x", None, 1, 1, 1, 1, [1.0], [1.0]),
        gives(lambda logged: only(logged, 5)[0], 0),
        raises(NotImplementedError),
    ),
    (
        "images of an embedding that are not square",
        embedding(label_img=WIDE),
        gives(lambda logged: logged["00000/default/sprite.png"].shape, (12, 12, 3)),
        gives(lambda logged: logged["00000/default/sprite.png"].shape, (8, 12, 3)),
    ),
    (
        "images of an embedding that are not square",
        call("add_embedding", MATRIX, label_img=WIDE.transpose(2, 3)),
        raises(ValueError),
        gives(lambda logged: logged["00000/default/sprite.png"].shape, (12, 8, 3)),
    ),
    (
        "images of an embedding in numpy, or of uint8",
        embedding(label_img=WIDE.numpy()),
        raises(TypeError),
        gives(lambda logged: logged["00000/default/sprite.png"].shape, (8, 12, 3)),
    ),
    (
        "images of an embedding in numpy, or of uint8",
        call("add_embedding", RNG.random((4, 2)), label_img=GRAY),
        gives(written("sprite.png"), np.full((4, 4, 3), 255)),
        gives(written("sprite.png"), np.full((4, 4, 3), 100)),
    ),
    (
        "metadata of an embedding with tabs, newlines or nothing",
        embedding(metadata=["a\tb", "", "c"]),
        gives(written("metadata.tsv"), "a\tb\n\nc\n"),
        gives(written("metadata.tsv"), "a\\tb\n\u200b\nc\n"),
    ),
    (
        "metadata of an embedding with one column",
        embedding(metadata=[["a"], ["b"], ["c"]], metadata_header=["name"]),
        gives(written("metadata.tsv"), "name\na\nb\nc\n"),
        gives(written("metadata.tsv"), "a\nb\nc\n"),
    ),
    (
        "an embedding without points",
        call("add_embedding", np.zeros((0, 3))),
        gives(lambda logged: "projector_config.pbtxt" in logged, True),
        raises(ValueError),
    ),
    ("a tensor of float16, bfloat16 or uint8", tensor([1.5], torch.half), undecodable, gives(number, [1.5])),
    ("a tensor of float16, bfloat16 or uint8", tensor([1.5], torch.bfloat16), undecodable, gives(number, [1.5])),
    ("a tensor of float16, bfloat16 or uint8", tensor([1, 2], torch.uint8), undecodable, gives(number, [1, 2])),
    (
        "a tensor that is numpy's",
        call("add_tensor", "x", np.ones(2)),
        raises(AttributeError),
        gives(number, [1, 1]),
    ),
    (
        "a tag of text that is an array",
        call("add_text", np.array("x"), "text"),
        gives(lambda logged: len(logged["", "x/text_summary"]), 1),
        raises(TypeError),
    ),
    ("text that is not a str", call("add_text", "x", 3), raises(AttributeError), raises(TypeError)),
    (
        "a mesh whose parts do not fit",
        call("add_mesh", "x", POINTS, POINTS[:, :2]),
        gives(lambda logged: logged["", "x_COLOR"][0][-1].shape, (1, 2, 3)),
        raises(ValueError),
    ),
    (
        "the graph of a model that cannot be traced",
        call("add_graph", Branches(4, 3), BATCH),
        raises(RuntimeError),
        gives(lambda logged: {"Branches/weight", "Branches/linear", "output/output.y"} <= nodes(logged), True),
    ),
    (
        "the graph of a model that is traced differently again",
        call("add_graph", ENCODER, BATCH[None]),
        raises(torch.jit._trace.TracingCheckError),
        gives(lambda logged: any(name.startswith("TransformerEncoder/") for name in nodes(logged)), True),
    ),
    (
        "the graph of a model without an input",
        call("add_graph", LINEAR),
        raises(RuntimeError),
        gives(nodes, {"Linear/weight", "Linear/bias", "Linear/Linear"}),
    ),
    (
        "modules in evaluation, after the graph of a model in training",
        call("add_graph", PARTLY, BATCH),
        gives(mode, True),
        gives(mode, False),
    ),
    (
        "tensors of other layouts, lists of tensors, numpy.matrix",
        call("add_scalar", "x", torch.tensor([2.5]).to_sparse()),
        raises(TypeError),
        gives(number, 2.5),
    ),
    (
        "tensors of other layouts, lists of tensors, numpy.matrix",
        call("add_scalar", "x", torch._neg_view(torch.tensor(2.5))),
        raises(RuntimeError),
        gives(number, -2.5),
    ),
    (
        "tensors of other layouts, lists of tensors, numpy.matrix",
        call("add_mesh", "x", [torch.zeros(2, 3)]),
        raises(ValueError),
        gives(lambda logged: logged["", "x_VERTEX"][0][-1].shape, (1, 2, 3)),
    ),
    (
        "tensors of other layouts, lists of tensors, numpy.matrix",
        call("add_scalar", "x", np.array([[2.5]]).view(np.matrix)),
        raises(AssertionError),
        gives(number, 2.5),
    ),
    (
        "a walltime of NaN or infinity",
        call("add_scalar", "x", 1, walltime=float("inf")),
        gives(lambda logged: only(logged, 1), np.inf),
        raises(ValueError),
    ),
    (
        "numbers that protobuf refuses: text, bools, arrays of one element",
        call("add_scalar", "x", 1, walltime=np.array(2.5)),
        raises(TypeError),
        gives(lambda logged: only(logged, 1), 2.5),
    ),
    (
        "numbers that protobuf refuses: text, bools, arrays of one element",
        call("add_histogram_raw", "x", "0.5", 2, 3, 3.5, 4.5, [1, 2], [1, 2]),
        raises(TypeError),
        gives(lambda logged: only(logged, 5)[0], 0.5),
    ),
    (
        "a call that raises half-way",
        call("add_scalars", "x", {"a": 1, "b": None}),
        lambda logged, raised: raised == [NotImplementedError] and ("x_a", "x") in logged,
        lambda logged, raised: raised == [NotImplementedError] and not logged,
    ),
    (
        "a call that raises half-way",
        call("add_embedding", MATRIX, ["a", "b", "c"], torch.zeros(2, 3, 4, 4)),
        lambda logged, raised: raised == [AssertionError] and "00000/default/metadata.tsv" in logged,
        lambda logged, raised: raised == [AssertionError] and not logged,
    ),
    (
        "a max_bins or num_thresholds that is not an integer",
        call("add_histogram", "x", np.ones(3), max_bins=5000.5),
        gives(lambda logged: only(logged, 2), "histo"),
        raises(TypeError),
    ),
    (
        "pixels, samples and embeddings that are complex or times",
        call("add_image", "x", np.full((1, 2, 2), 0.5j)),
        gives(number, np.zeros((2, 2, 3))),
        raises(TypeError),
    ),
    (
        "sound of NaN",
        call("add_audio", "x", np.array([np.nan, 2])),
        gives(lambda logged: only(logged, -1)[-1], [0, 32767 * 2 % 65536 - 65536]),
        gives(lambda logged: only(logged, -1)[-1], [0, 32767]),
    ),
    (
        "sound of one sample",
        call("add_audio", "x", np.ones(1)),
        raises(AssertionError),
        gives(lambda logged: only(logged, -1)[-1], [32767]),
    ),
    (
        "hyperparameters in log_dir itself",
        [call("add_text", "x", "text"), call("add_hparams", {"x": 1}, {}, run_name=".")],
        gives(lambda logged: len(logged["", None]), 2),
        gives(lambda logged: len(logged["", None]), 1),
    ),
    (
        "a graph or a summary that is another message, or None",
        call("file_writer.add_summary", None, 3),
        gives(lambda logged: [entry[0] for entry in logged["", None]], [0, 3]),
        raises(TypeError),
    ),
    (
        "an image that is the bytes of a file",
        call("add_image", "x", PNG),
        raises(AssertionError),
        gives(lambda logged: only(logged, -1).shape, (1, 1)),
    ),
    (
        "a mesh whose config_dict holds NaN",
        call("add_mesh", "x", POINTS, config_dict={"x": float("nan")}),
        gives(lambda logged: "NaN" in logged["", "x_VERTEX"][0][4], True),
        raises(ValueError),
    ),
    (
        "unknown dataformats",
        call("add_image", "x", np.zeros((2, 3)), dataformats="HX"),
        gives(lambda logged: only(logged, -1).shape, (2, 3, 3)),
        raises(ValueError),
    ),
    (
        "a chart that is a str",
        call("add_custom_scalars", {"a": {"b": "xyz"}}),
        gives(lambda logged: charted(logged), 1),
        raises(TypeError),
    ),
    (
        "a chart of one tag that is a str",
        call("add_custom_scalars_multilinechart", "xy"),
        gives(lambda logged: charted(logged), 2),
        gives(lambda logged: charted(logged), 1),
    ),
    (
        "a tensor of float8, uint16, uint32 or uint64",
        tensor([1, 2], torch.uint16),
        raises(ValueError),
        gives(number, [1, 2]),
    ),
    (
        "a histogram whose bins hold no value or are NaN",
        call("add_histogram", "x", np.array([5.0]), bins=[0, 1]),
        gives(lambda logged: only(logged, -1).any(), False),
        raises(ValueError),
    ),
    (
        "boxes that are not finite or far away",
        call("add_image_with_boxes", "x", IMAGE, np.array([[1, 2, np.inf, 3]])),
        gives(lambda logged: only(logged, 2), "image"),
        raises(ValueError),
    ),
    (
        "labels that are not text, and labels of boxes of uint8",
        call("add_image_with_boxes", "x", IMAGE, BOX, labels=[1]),
        raises(TypeError),
        gives(lambda logged: only(logged, 2), "image"),
    ),
    (
        "labels that are not text, and labels of boxes of uint8",
        call("add_image_with_boxes", "x", IMAGE, BOX.astype(np.uint8)[:, [0, 1, 1, 1]], labels=["a"]),
        raises(ValueError),
        gives(lambda logged: only(logged, 2), "image"),
    ),
    (
        "boxes and embeddings that are lists or hold objects",
        call("add_image_with_boxes", "x", IMAGE, BOX.tolist()),
        raises(NotImplementedError),
        gives(lambda logged: only(logged, 2), "image"),
    ),
    (
        "boxes and embeddings that are lists or hold objects",
        call("add_embedding", MATRIX.tolist()),
        raises(NotImplementedError),
        gives(lambda logged: logged["00000/default/tensors.tsv"], MATRIX.astype(np.float32)),
    ),
    (
        "an embedding of bools",
        call("add_embedding", np.array([[True, False]])),
        undecodable,
        gives(written("tensors.tsv"), [[1, 0]]),
    ),
    (
        "metadata of an embedding with lone surrogates",
        embedding(metadata=["a", "\ud800", "c"]),
        raises(UnicodeEncodeError),
        gives(written("metadata.tsv"), "a\n\\ud800\nc\n"),
    ),
    (
        "metadata of an embedding that is a tensor",
        embedding(metadata=torch.arange(3)),
        gives(written("metadata.tsv"), "tensor(0)\ntensor(1)\ntensor(2)\n"),
        gives(written("metadata.tsv"), "0\n1\n2\n"),
    ),
    (
        "metadata of an embedding without a length",
        embedding(metadata=LABELS),
        raises(TypeError),
        gives(written("metadata.tsv"), "a\nb\nc\n"),
    ),
    (
        "an embedding whose tag is dots",
        embedding(tag=".."),
        gives(lambda logged: "tensors.tsv" in logged, True),
        gives(lambda logged: "00000/%../tensors.tsv" in logged, True),
    ),
]


@pytest.mark.parametrize(
    ("title", "one", "theirs", "ours"), DIFFERENCES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_differences(title, one, theirs, ours, tmp_path_factory):
    for writer_class, outcome in ((TorchWriter, theirs), (tbc.SummaryWriter, ours)):
        try:
            logged, raised = log(writer_class, tmp_path_factory.mktemp("run"), one if isinstance(one, list) else [one])
        except (OverflowError, ValueError) as error:  # raised by TensorBoard's loader
            logged, raised = error, [None]
        assert outcome(logged, raised), (writer_class, logged, raised)


HANGS = "an event of time 0 and step 0 that is empty"


@pytest.mark.parametrize(
    ("module", "hangs"), [("torch.utils.tensorboard", True), ("tbc", False)], ids=["theirs", "ours"]
)
def test_an_empty_event(module, hangs, tmp_path):
    """torch's writer never counts an event without bytes as written, so flush() waits for ever."""
    script = """
        import importlib, os, sys, threading
        from tensorboard.compat.proto.event_pb2 import Event
        writer = importlib.import_module(sys.argv[1]).SummaryWriter(sys.argv[2])
        writer.file_writer.add_event(Event(), walltime=0)
        flush = threading.Thread(target=writer.flush, daemon=True)
        flush.start()
        flush.join(1 if sys.argv[3] == "True" else None)  # seconds
        print(flush.is_alive(), flush=True)
        os._exit(0)
    """
    assert run_script(script, module, tmp_path, hangs).stdout == f"{hangs}\n"


def test_what_is_different_is_told():
    """README's table has one line for each difference, and differences.py has how to recognise it."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    table = readme.partition("| | torch 2.13 | tbc |\n| --- | --- | --- |\n")[2].partition("\n\n")[0]
    proved = {title for title, *_ in DIFFERENCES} | {HANGS}
    assert {line.split(" | ")[0] for line in table.splitlines()} == {f"| {title}" for title in proved}
    assert {difference.line for difference in differences.DIFFERENCES} == proved


@pytest.mark.parametrize(
    "one",
    [
        call("add_scalar", "x", 1, np.inf),
        call("add_image", "x", np.zeros((5, 4, 4))),
        call("add_audio", "x", np.zeros(5), sample_rate=0),
        call("add_histogram", "x", np.zeros(5), bins=[]),
        call("add_tensor", "x", [1, 2]),
    ],
    ids=lambda one: one[0],
)
def test_exceptions_of_other_types(one, tmp_path_factory):
    """Both raise, with other messages, as README says."""
    (_, (ours,)), (_, (theirs,)) = (
        log(kind, tmp_path_factory.mktemp("x"), [one]) for kind in (tbc.SummaryWriter, TorchWriter)
    )
    assert ours in (ValueError, TypeError, NotImplementedError)
    assert theirs not in (ours, None)


def test_wall_times_while_time_is_mocked(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 7.0)
    for kind, mocked in ((TorchWriter, True), (tbc.SummaryWriter, False)):
        log(kind, tmp_path / str(mocked), [call("add_scalar", "x", 1)])
        (event,) = read_back(tmp_path / str(mocked))
        assert (event.wall_time == 7) is mocked


def test_a_log_dir_of_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, name in ((TorchWriter, "b'x'"), (tbc.SummaryWriter, "x")):
        kind(b"x").close()
        assert Path(name).is_dir()
