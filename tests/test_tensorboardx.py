"""The same calls to tensorboardX's SummaryWriter and to tbc.compat.tensorboardx's, compared as in test_torch.py.

All intended differences are in the table DIFFERENCES at the end.
"""

import inspect
import json
import logging
import os
import pickle
import re

import numpy as np
import pytest
from helpers.oracle import read_back, steps, walltimes
from helpers.same_as_torch import WALLTIME, call, log, pixels, quiet, same, same_run
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_enabled import Untouchable, call_with
from test_torch import (
    BATCH,
    BELOW,
    BOX,
    CURVE,
    IMAGE,
    LINEAR,
    MATRIX,
    POINTS,
    RNG,
    SMALL,
    boxes_calls,
    embedding_calls,
    gives,
    histogram_calls,
    hparam,
    layout_calls,
    number,
    only,
    pr_curve_calls,
    pr_curve_raw_calls,
    raises,
    text_calls,
    torch,
)

import tbc
from tbc.compat import tensorboardx
from tbc.compat.tensorboardx import SummaryWriter
from tbc.reader import find_event_files, load_runs, read_events, read_frames

tensorboardX = pytest.importorskip("tensorboardX")
from tensorboardX.proto import event_pb2, summary_pb2  # noqa: E402
from tensorboardX.summary import hparams as theirs_hparams  # noqa: E402
from tensorboardX.utils import _prepare_video, convert_to_NTCHW  # noqa: E402

logging.getLogger("tensorboardX").setLevel(logging.ERROR)  # it logs a warning for every NaN

ODD = "a b/c%é.x"  # tensorboardX writes it as a_b/c_é.x


def compare(tmp_path_factory, calls):
    ours, raised = log(SummaryWriter, tmp_path_factory.mktemp("ours"), calls)
    theirs, raised_there = log(tensorboardX.SummaryWriter, tmp_path_factory.mktemp("theirs"), calls)
    assert raised == raised_there
    same_run(ours, theirs)


# --- signatures and attributes ---

LEFT_OUT = {
    "SummaryWriter": {"add_openvino_graph"},
    "GlobalSummaryWriter": set(),
    "FileWriter": {"add_openvino_graph", "use_metadata"},
    "RecordWriter": set(),
}


def parameters(function):
    """Return the positional parameters: tbc's own are keyword-only."""
    kinds = inspect.Parameter
    found = [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]
    return [entry for entry in found if entry[1] in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]


@pytest.mark.parametrize("name", LEFT_OUT)
def test_signatures(name):
    ours, theirs = getattr(tensorboardx, name), getattr(tensorboardX, name)
    methods = [method for method, _ in inspect.getmembers(theirs, inspect.isroutine) if not method.startswith("_")] + [
        "__init__"
    ]
    assert len(methods) > 3
    for method in methods:
        if method not in LEFT_OUT[name]:
            assert parameters(getattr(ours, method)) == parameters(getattr(theirs, method)), method
    assert {method for method in methods if not hasattr(ours, method)} <= LEFT_OUT[name]
    assert tensorboardx.__all__ == sorted(LEFT_OUT)


def test_keywords():
    for writer_class in (SummaryWriter, tensorboardX.SummaryWriter):
        keywords = inspect.signature(writer_class.use_metadata).parameters
        assert [name for name, p in keywords.items() if p.kind == p.KEYWORD_ONLY] == ["global_step", "walltime"]
        for method in (writer_class.__init__, writer_class.add_image_with_boxes):
            assert list(inspect.signature(method).parameters.values())[-1].kind == inspect.Parameter.VAR_KEYWORD


def test_attributes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        quiet(),
        SummaryWriter(tmp_path / "ours", "", None, 5, 7, ".x") as ours,
        tensorboardX.SummaryWriter(tmp_path / "theirs", "", None, 5, 7, ".x") as theirs,
    ):
        for name in ("_max_queue", "_flush_secs", "_filename_suffix", "_write_to_disk", "kwargs", "purge_step"):
            assert getattr(ours, name) == getattr(theirs, name), name
        assert (ours.scalar_dict, theirs.scalar_dict) == ({}, {})
        assert ours.default_bins == theirs.default_bins
        assert ours.logdir == tmp_path / "ours"
        assert list(ours.all_writers) == [str(ours.logdir)] == [ours.file_writer.get_logdir()]
        assert ours._encode("a/b\\%") == theirs._encode("a/b\\%")
        ours.add_scalars("x", {"y": 1})
        theirs.add_scalars("x", {"y": 1})
        assert [os.path.relpath(key, ours.logdir) for key in ours.all_writers] == [
            os.path.relpath(key, theirs.logdir) for key in theirs.all_writers
        ]
    assert ours.file_writer is ours.all_writers is None
    ours.logdir = "elsewhere"
    ours._max_queue = 3
    assert (ours.log_dir, ours.max_queue) == ("elsewhere", 3)
    assert isinstance(ours, tbc.SummaryWriter)


@pytest.mark.parametrize("arguments", [{}, {"comment": "abc"}, {"log_dir": "x"}, {"logdir": "y", "log_dir": "x"}])
def test_the_directory(tmp_path, monkeypatch, arguments):
    names = []
    for kind in (SummaryWriter, tensorboardX.SummaryWriter):
        monkeypatch.chdir(tmp_path)
        with kind(**arguments) as writer:
            names.append(writer.logdir)
    assert names[0][-4:] == names[1][-4:]
    assert names[0].partition(os.sep)[0] == names[1].partition(os.sep)[0]


def test_what_is_left_out(log_dir):
    for config in ({"disabled": False}, {"api_key": "x"}):
        with pytest.raises(NotImplementedError, match="comet_ml"):
            SummaryWriter(log_dir, comet_config=config)
    with pytest.raises(TypeError):
        SummaryWriter(log_dir, unknown=1)
    with pytest.raises(ValueError, match="s3://"):
        SummaryWriter("s3://bucket/run")
    for config in ({"disabled": True}, {}, None):
        with SummaryWriter(log_dir, comet_config=config, on_disk_error="raise") as writer:
            assert writer.kwargs == {"on_disk_error": "raise"}
            assert not hasattr(writer, "add_openvino_graph")


# --- the same calls ---

SAME = [
    *(call("add_scalar", "x", 1, step) for step in (None, 7, -7, 1.9, np.int8(3), torch.tensor(4), 2**63)),
    *(call("add_scalar", tag, 1) for tag in (ODD, "/a/b", "", None, 7, b"bytes")),
    *(call("add_scalar", "x", value) for value in ([2.5], [[3]], np.ones((1, 1)), torch.ones(1), [], [1, 2], None, {})),
    *(call("add_scalar", "x", value) for value in (1e300, float("nan"), True, np.float16(0.1), (1,))),
    call("add_scalar", "x", 1, 2, 3.5, "name", "description"),
    call("add_scalar", "x", 1, 2, 3.5, "name"),
    call("add_scalar", "x", 1, summary_description="*text*"),
    call("add_scalars", "loss x/all", {"train": 1, "test y": torch.tensor(2.0), "a/b": [3]}, 5, WALLTIME),
    call("add_scalars", "loss", [1, 2]),
    call("add_scalars", "loss", {3: 1}),
    call("add_histogram", ODD, [1, 2.5, 3]),
    *(call("add_histogram", "x", values) for values in ([], [[]], None, 3, np.zeros(5), RNG.normal(size=50))),
    call("add_histogram", "x", RNG.normal(size=500), 3, 10, 5.5, 6),
    call("add_histogram_raw", ODD, 0, 2, 3, 3.5, 4.5, [1, 2], [1, 2], 9),
    *(call("add_image", ODD, IMAGE, 1, None, formats) for formats in ("CHW", "CCW", "CH", "NCHW")),
    call("add_image", "x", (IMAGE * 255).astype(np.uint8), walltime=3.5),
    call("add_image", "x", IMAGE.tolist()),
    *(call("add_image", "x", image) for image in (BELOW, torch.from_numpy(BELOW), BELOW.tolist())),
    call("add_image", "x", BELOW.astype(np.float32)),
    call("add_images", "x", BELOW[None]),
    call("add_image_with_boxes", "x", BELOW, np.zeros((0, 4))),
    call("add_image", "x", torch.from_numpy(IMAGE[0]), dataformats="HW"),
    call("add_image", "x", RNG.random((9, 5, 4, 1)), dataformats="NHWC"),
    call("add_images", ODD, RNG.random((9, 1, 4, 5))),
    call("add_images", "x", [IMAGE, IMAGE], 3, None, "CHW"),
    call("add_images", "x", [torch.from_numpy(IMAGE).permute(1, 2, 0)] * 3, dataformats="HWC"),
    call("add_image_with_boxes", ODD, IMAGE, BOX, 3, None, "CHW", ["cat"]),
    call("add_image_with_boxes", "x", IMAGE[0], BOX, dataformats="HW", labels="cat", rescale=2),
    call("add_text", ODD, "é\n| a |\n", 3, 4.5),
    call("add_pr_curve", ODD, *CURVE, 3, 11, 0.5, 6.5),
    call("add_pr_curve", "x", list(CURVE[0]), list(CURVE[1])),
    call("add_pr_curve", "x", *CURVE, weights=RNG.random(50).tolist()),
    call("add_pr_curve_raw", ODD, *np.arange(18).reshape(6, 3), 4, 3),
    call("add_custom_scalars", {"a": {"b": ["Multiline", ["x", "y.*"]], "c": ["Margin", ["x", "y", "z"]]}, "d": {}}),
    call("add_custom_scalars_multilinechart", ["x", "y"]),
    call("add_custom_scalars_marginchart", ["x", "y", "z"], "category", "title"),
    call("add_custom_scalars_marginchart", ["x", "y"]),
    call("add_hparams", {"lr": 0.1, "n": 3, "name": "x", "none": None, "flag": True}, {"accuracy": 0.5}, "run"),
    call("add_hparams", {"function": len, "class": dict}, {}, name="deep/run"),
    call("add_hparams", {"lr": 0.1}, {"accuracy": 0.5}, "run", 3),
    *(call("add_hparams", *dicts, "run") for dicts in (([], {}), ({}, None))),
    call("add_embedding", MATRIX, ["a", "b", "c"], torch.zeros(3, 3, 4, 4), 7, ODD),
    call("add_embedding", MATRIX, [["a", 1], ["b", 2], ["c", 3]], metadata_header=["name", "number"]),
    call("add_embedding", MATRIX.tolist(), ["a", "b"]),
    call("add_embedding", RNG.random((256, 2)), None, torch.from_numpy(BELOW.reshape(256, 1, 1, 1))),
    call("add_graph", LINEAR, BATCH),
]


@pytest.mark.parametrize("one", SAME, ids=lambda one: one[0])
def test_same_calls(one, tmp_path_factory):
    compare(tmp_path_factory, [one])


def test_all_together(tmp_path_factory):
    """The calls follow one another in one run; those that raise log nothing. Each method has a tag of its own, because
    only images of one tag, and all other values, keep their order."""
    compare(
        tmp_path_factory,
        [
            (method, (method, *arguments[1:]) if arguments and arguments[0] == "x" else arguments, keywords)
            for method, arguments, keywords in SAME
            if method not in ("add_embedding", "add_hparams") and ODD not in arguments[:1]
        ],
    )


@pytest.mark.parametrize(
    "drawn",
    [histogram_calls, text_calls, pr_curve_calls, pr_curve_raw_calls, boxes_calls, embedding_calls, layout_calls],
    ids=lambda drawn: drawn.__name__,
)
def test_drawn_calls(drawn, tmp_path_factory):
    @settings(max_examples=20)
    @given(drawn())
    def check(one):
        method, arguments, keywords = one
        if method == "add_histogram":
            arguments = (arguments[0], arguments[1].tolist())  # to test lists, too
        if method == "add_embedding":  # tensorboardX does not escape backslashes, and pads sprites with random bytes
            keywords = {**keywords, "tag": keywords["tag"].replace("\\", "/"), "label_img": None}
        compare(tmp_path_factory, [(method, arguments, keywords)])

    check()


@st.composite
def numbers(draw):
    value = draw(st.floats(width=32) | st.integers(-(2**40), 2**40) | st.booleans())
    return draw(st.sampled_from([value, [value], np.float64(value), np.array([[value]]), torch.tensor(value)]))


AT = st.fixed_dictionaries({}, optional={"global_step": st.none() | steps, "walltime": st.just(WALLTIME)})
TAGS = st.text(max_size=9)
LABELS = st.fixed_dictionaries({}, optional=dict.fromkeys(("display_name", "summary_description"), TAGS))


def test_drawn_scalars(tmp_path_factory):
    @settings(max_examples=40)
    @given(st.lists(st.tuples(TAGS, numbers(), AT, LABELS), max_size=5))
    def check(drawn):
        calls = [call("add_scalar", tag, value, **at, **label) for tag, value, at, label in drawn]
        compare(tmp_path_factory, calls)

    check()


def test_drawn_curves(tmp_path_factory):
    """The exported scalars are compared, too."""
    keys = st.text("abc/é ", min_size=1, max_size=5).filter(lambda key: key.strip("/") == key)
    curves = st.dictionaries(keys, st.floats(-1e9, 1e9, width=32), max_size=3)

    @settings(max_examples=30)
    @given(st.lists(st.tuples(keys, curves, st.integers(0, 9)), max_size=4))
    def check(drawn):
        calls = [call("add_scalars", tag, values, step, WALLTIME) for tag, values, step in drawn]
        found = []
        for kind in (SummaryWriter, tensorboardX.SummaryWriter):
            log_dir = tmp_path_factory.mktemp("run")
            calls_and_export = [*calls, call("export_scalars_to_json", tmp_path_factory.getbasetemp() / "scalars.json")]
            found.append(log(kind, log_dir, calls_and_export))
            with open(tmp_path_factory.getbasetemp() / "scalars.json") as file:
                exported = json.load(file)
            found[-1] += ({os.path.relpath(key, log_dir): curve for key, curve in exported.items()},)
        (ours, raised, exported), (theirs, raised_there, exported_there) = found
        assert raised == raised_there == [None] * len(raised)
        assert ours.keys() == theirs.keys()
        for where, values in theirs.items():
            same(ours[where], values)
        assert exported.keys() == exported_there.keys()
        for where, curve in exported.items():
            assert [point[:2] for point in curve] == [point[:2] for point in exported_there[where]]
            assert [np.float32(point[2]) for point in curve] == [
                np.float32(point[2]) for point in exported_there[where]
            ]

    check()


# Sequences of calls of all kinds. Calls that tensorboardX does not accept, and DIFFERENCES, are left out.

ANY_STEP = st.sampled_from([None, 7, -7, 1.9, "12", "best", [], True, np.int8(3), np.array(5), torch.tensor(4)]) | steps


def as_taken(array):
    """Draw an array in one of the forms that tensorboardX accepts."""
    ways = [array, np.asfortranarray(array), np.ma.masked_array(array), torch.from_numpy(array.copy())]
    return st.sampled_from([*ways, array.tolist(), list(array)] if array.dtype == np.float64 else ways)


@st.composite
def image_values(draw, dataformats):
    sides = {"N": draw(st.integers(1, 10)), "C": draw(st.sampled_from([1, 3])), "H": draw(SMALL), "W": draw(SMALL)}
    shape = [sides[letter] for letter in dataformats.upper()]
    levels = draw(arrays(np.uint8, shape))
    floats = levels / 256, (levels / 256).astype(np.float32), np.nextafter(levels / 255, 0)
    return draw(as_taken(draw(st.sampled_from([*floats, levels, levels > 127]))))


@st.composite
def one_image(draw):
    formats = draw(st.sampled_from(["CHW", "HWC", "HW", "WH", "NCHW", "NHWC", "chw", "WHC", "CCW", "CH"]))
    return call("add_image", img_tensor=draw(image_values(formats.replace("CC", "CH"))), dataformats=formats)


@st.composite
def several_images(draw):
    formats = draw(st.sampled_from(["NCHW", "NHWC", "CHW", "HWC"]))
    images = draw(image_values(f"N{formats}"[-4:]))
    images = list(images) if len(formats) == 3 else np.asarray(images)
    return call("add_images", img_tensor=images, dataformats=formats)


@st.composite
def sounds(draw):
    shape = draw(st.sampled_from([(5,), (5, 1), (5, 2), (5, 3)]))
    sound = draw(arrays(np.float32, shape, elements=st.just(0)))  # see test_sound
    return call("add_audio", snd_tensor=sound, sample_rate=draw(st.sampled_from([8000, 44100])))


@st.composite
def hyperparameters(draw):
    names = st.text("abc_é", min_size=1, max_size=5)
    values = st.floats(-1e9, 1e9) | st.integers(-(2**40), 2**40) | st.text("xyz", max_size=4)
    values |= st.sampled_from([None, True, False, len, dict, np.float64(0.5)])
    hparams = draw(st.dictionaries(names, values, max_size=4))
    return call("add_hparams", hparam_dict=hparams, metric_dict=draw(st.dictionaries(names, numbers(), max_size=2)))


@st.composite
def histograms(draw):
    values = draw(arrays(np.float64, draw(st.sampled_from([(0,), (1,), (50,), (3, 4)])), elements=st.floats(-9, 9)))
    bins = draw(st.sampled_from(["tensorflow", "auto", 7, [-10, 0, 0.5, 10], "x", 0]))
    return call("add_histogram", values=draw(as_taken(values)), bins=bins, max_bins=draw(st.sampled_from([None, 3])))


def others(drawn):
    """Draw a call of test_torch.py, with its positional arguments turned into keywords."""

    def named(one):
        method, arguments, keywords = one
        names = list(inspect.signature(getattr(tensorboardX.SummaryWriter, method)).parameters)[1:]
        return call(method, **dict(zip(names, arguments, strict=False)), **keywords)

    return drawn().map(named)


ANY_CALL = st.one_of(
    numbers().map(lambda value: call("add_scalar", scalar_value=value)),
    st.dictionaries(st.sampled_from(["a", "b c", "d/e", "é"]), numbers(), max_size=3).map(
        lambda values: call("add_scalars", tag_scalar_dict=values)
    ),
    st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: call("add_text", text_string=text)),
    *(drawn() for drawn in (one_image, several_images, sounds, hyperparameters, histograms)),
    *map(others, (pr_curve_calls, pr_curve_raw_calls, boxes_calls, layout_calls)),
    st.sampled_from([call("flush"), call("close")]),
)


@st.composite
def sequences(draw):
    """Draw 20 calls. Each has a tag of its own, and some of its arguments are positional."""
    calls = []
    for i, (method, _, keywords) in enumerate(draw(st.lists(ANY_CALL, min_size=20, max_size=20))):
        given = inspect.signature(getattr(tensorboardX.SummaryWriter, method)).parameters
        tag = f"{draw(TAGS)}.{i}"
        if method == "add_scalars":
            tag = f"a b/{i}"
        own = {"tag": tag, "main_tag": tag, "name": f"deep/run {i}"}
        own["global_step"] = draw(steps if method in ("add_scalars", "add_hparams") else ANY_STEP)  # may log nothing
        own |= draw(st.fixed_dictionaries({}, optional={"walltime": st.just(WALLTIME)}))
        keywords = keywords | {name: value for name, value in own.items() if name in given}
        arguments = []
        for name in draw(st.sampled_from([[], list(given)[1:], list(given)[1:4]])):
            if name not in keywords and given[name].kind == given[name].POSITIONAL_OR_KEYWORD:
                keywords[name] = given[name].default
            if name in keywords:
                arguments.append(keywords.pop(name))
        calls.append((method, tuple(arguments), keywords))
        if method == "close":  # tensorboardX gives files of one second one name
            calls.append(call("__setattr__", "_filename_suffix", f".{i}"))
    return calls


def test_drawn_sequences(tmp_path_factory):
    @settings(max_examples=20, derandomize=True, phases=[Phase.generate])  # no shrinking: it takes minutes
    @given(sequences())
    def check(calls):
        compare(tmp_path_factory, calls)

    check()


def test_a_run_of_tensorboardx_goes_on(tmp_path):
    """tbc continues the same curves in the same runs."""
    image = np.zeros((3, 4, 5))
    for start, kind in ((0, tensorboardX.SummaryWriter), (3, SummaryWriter)):
        with quiet(), kind(tmp_path) as writer:
            for step in range(start, start + 3):
                writer.add_scalar("train loss (%)", step, step)
                writer.add_scalars("all losses/x", {"train set": step, "test": step}, step)
                writer.add_histogram("weights of a", image, step)
                writer.add_image("an image", image, step)
                writer.add_images("images of a", image[None], step)
                writer.add_image_with_boxes("boxes of", image, BOX, step)
                writer.add_text("a text", "x", step)
                writer.add_pr_curve("a curve", *CURVE, step)
    runs = load_runs(tmp_path, kinds=["scalar", "histogram", "image", "text", "pr_curve"])
    assert sorted(runs) == [".", "all losses/x/test", "all losses/x/train set"]
    assert len(runs["."].scalars) == 1
    assert {kind: len(tags) for kind, tags in runs["."].values.items()} == {
        "histogram": 1,
        "image": 3,
        "text": 1,
        "pr_curve": 1,
    }
    for run in runs.values():
        found = [*run.scalars.values(), *(values for tags in run.values.values() for values in tags.values())]
        assert found
        for values in found:
            assert values.step.tolist() == list(range(6))


# --- use_metadata ---

METHODS = {
    "add_scalar": (1.5,),
    "add_text": ("text",),
    "add_histogram": ([1.0, 2.0],),
    "add_histogram_raw": (0, 2, 3, 3.5, 4.5, [1, 2], [1, 2]),
    "add_image": (IMAGE,),
    "add_images": (IMAGE[None],),
    "add_image_with_boxes": (IMAGE, BOX),
    "add_video": (IMAGE[None, None],),
    "add_audio": ([0.5, 0.25],),
    "add_pr_curve": CURVE,
    "add_pr_curve_raw": tuple(np.arange(18).reshape(6, 3)),
    "add_mesh": (POINTS,),
    "add_tensor": (POINTS,),
}


@pytest.mark.parametrize("method", METHODS)
def test_use_metadata(method, tmp_path_factory):
    @settings(max_examples=10)
    @given(AT, st.fixed_dictionaries({}, optional={"global_step": steps, "walltime": walltimes}).filter(bool))
    def check(given, default):
        log_dir = str(tmp_path_factory.mktemp("run"))
        with SummaryWriter(log_dir) as writer:
            with writer.use_metadata(**default) as same_writer:
                assert same_writer is writer
                getattr(writer, method)("x", *METHODS[method], **given)
            writer.add_scalar("after", 1)
        event, after = sorted(read_back(log_dir), key=lambda event: event.summary.value[0].tag == "after")
        expected = {**default, **{name: value for name, value in given.items() if value is not None}}
        assert event.step == expected.get("global_step", 0)
        if "walltime" in expected:
            assert event.wall_time == expected["walltime"]
        else:
            assert abs(event.wall_time - after.wall_time) < 60
        assert (after.step, after.wall_time > 1e9) == (0, True)

    check()


def test_use_metadata_by_position(log_dir):
    with SummaryWriter(log_dir) as writer, writer.use_metadata(global_step=5, walltime=6.5):
        writer.add_scalar("x", 1, None, None, "name")
        writer.add_scalar("x", 1, 7)
        with pytest.raises(TypeError):
            writer.add_scalar("x", 1, None, None, "name", "description", "too many")
    assert [(event.step, event.wall_time) for event in read_back(log_dir)] == [(5, 6.5), (7, 6.5)]


def test_use_metadata_holds_for_every_method(tmp_path):
    with SummaryWriter(tmp_path) as writer, writer.use_metadata(global_step=5):
        writer.add_scalars("a", {"b": 1})
        writer.add_hparams({"lr": 1}, {"loss": 2}, "hparams")
        writer.add_embedding(MATRIX)
        writer.add_metrics({"m": 1})
        writer.add_custom_scalars_multilinechart(["a"])  # has no step
    assert (tmp_path / "00005" / "default" / "tensors.tsv").exists()
    runs = load_runs(tmp_path)
    assert [runs[name].scalars[tag].step for name, tag in (("a/b", "a"), ("hparams", "loss"), (".", "m"))] == [5, 5, 5]


def test_use_metadata_is_checked(log_dir):
    for kind in (SummaryWriter, tensorboardX.SummaryWriter):
        with kind(log_dir) as writer:
            with pytest.raises(AssertionError), writer.use_metadata():
                pass
            with writer.use_metadata(global_step=0), pytest.raises(AssertionError), writer.use_metadata(walltime=1):
                pass
    with SummaryWriter(log_dir) as writer:
        with pytest.raises(ZeroDivisionError), writer.use_metadata(global_step=1):
            raise ZeroDivisionError
        with writer.use_metadata(global_step=2):  # the error has ended the first use_metadata
            pass


# --- exports, copies, and a writer that does not write ---


def test_exported_scalars(tmp_path, log_dir):
    path = tmp_path / "scalars.json"
    writer = SummaryWriter(log_dir)
    writer.add_scalar("alone", 1)  # not exported, as in tensorboardX
    writer.add_scalars("loss", {"train": 0.1, "test": 1 / 3}, 4, 2.5)
    writer.add_scalars("loss", {"train": float("nan")}, 5, 3.5)
    writer.scalar_dict = {}
    writer.close()
    writer.export_scalars_to_json(path)
    found = json.loads(path.read_text())
    assert found[f"{log_dir}/loss/test"] == [[2.5, 4, 0.33333334]]
    assert found[f"{log_dir}/loss/train"][0] == [2.5, 4, 0.1]
    assert np.isnan(found[f"{log_dir}/loss/train"][1][2])
    assert len(find_event_files(log_dir)) == 3


def test_curves_stay_in_the_directory(tmp_path, log_dir):
    """An absolute name does not lead out of the directory; in tensorboardX it does."""
    with SummaryWriter(log_dir) as writer:
        writer.add_scalars(f"{tmp_path}/elsewhere", {"a": 1, "/b": 2})
    assert os.listdir(tmp_path) == ["run"]
    assert len(load_runs(log_dir, kinds="scalar")) == 2


@pytest.mark.parametrize("kind", [SummaryWriter, tensorboardX.SummaryWriter])
def test_a_second_export(tmp_path, kind):
    """The second export has all values again, and steps that were not given are 0."""
    path = tmp_path / "scalars.json"
    exported = []
    with kind(tmp_path / "run") as writer:
        for value in (1, 2):
            writer.add_scalars("loss", {"train": value}, walltime=2.5)
            writer.export_scalars_to_json(path)
            exported += json.loads(path.read_text()).values()
    steps_and_values = [[point[1:] for point in curve] for curve in exported]
    assert steps_and_values == ([[[0, 1]], [[0, 1], [0, 2]]] if kind is SummaryWriter else [[[None, 1]], [[None, 2]]])


@pytest.mark.parametrize("tag", [7, b"bytes", ("a",)])
def test_a_tag_is_text(log_dir, tag):
    with SummaryWriter(log_dir) as writer:
        for method in ("add_scalar", "add_histogram", "add_image", "add_images", "add_video"):
            with pytest.raises(TypeError, match=f"a tag must be a str, got {re.escape(repr(tag))}"):
                getattr(writer, method)(tag, *METHODS[method])
        with pytest.raises(TypeError, match=f"a key of 'loss' must be a str, got {re.escape(repr(tag))}"):
            writer.add_scalars("loss", {tag: 1})


def test_onnx_graph(tmp_path_factory):
    pytest.importorskip("onnx")
    from test_onnx_graph import MODELS, onnx

    path = str(tmp_path_factory.mktemp("model") / "model.onnx")
    onnx.save(MODELS["attributes"], path)
    compare(tmp_path_factory, [call("add_onnx_graph", path)])


def test_a_copy(log_dir):
    with SummaryWriter(log_dir, image_compression="small") as writer:
        writer.add_scalars("a", {"b": 1})
        other = pickle.loads(pickle.dumps(writer))
        other.add_scalar(ODD, [1])
        other.close()
    assert (type(other), other.logdir, other.scalar_dict) == (SummaryWriter, log_dir, {})
    assert other.kwargs == {"image_compression": "small"}
    assert list(load_runs(log_dir)["."].scalars) == ["a_b/c_é.x"]


ADDERS = sorted(name for name in dir(SummaryWriter) if name.startswith("add_"))


@pytest.mark.parametrize("name", ADDERS)
def test_no_argument_is_looked_at_if_it_does_not_write(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    writer = SummaryWriter("run", write_to_disk=False)
    with writer.use_metadata(global_step=1):
        assert call_with(getattr(writer, name), Untouchable()) is None
    writer.export_scalars_to_json("scalars.json")
    assert writer.scalar_dict == {}
    writer.close()
    assert os.listdir() == []


# --- programs that write messages ---


@pytest.mark.parametrize("kind", [SummaryWriter, tensorboardX.SummaryWriter])
def test_messages_of_tensorboardx(tmp_path, kind):
    """Ray and Lightning write messages so."""
    with kind(tmp_path, flush_secs=30) as writer:
        for message in theirs_hparams({"lr": 0.1}, {"loss": 1.0}):
            writer.file_writer.add_summary(message)
            writer._get_file_writer().add_summary(message, 3)
        writer.file_writer.add_event(event_pb2.Event(summary=summary_pb2.Summary()), 4, 5.5)
        writer.file_writer.flush()
    (run,) = load_runs(tmp_path).values()
    assert run.hparams == {"lr": 0.1}


def test_file_writers(tmp_path):
    for kind in (tensorboardx.FileWriter, tensorboardX.FileWriter):
        writer = kind(logdir=tmp_path / "run", max_queue=3, flush_secs=4, filename_suffix=".x")
        assert writer.get_logdir() == str(tmp_path / "run")
        writer.add_summary(summary_pb2.Summary(value=[{"tag": "x", "simple_value": 2}]), 3)
        writer.close()
        writer.close()
    assert load_runs(tmp_path / "run", purge=False)["."].scalars["x"].value.tolist() == [2, 2]
    assert all(path.endswith(".x") for path in find_event_files(tmp_path))


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_record_writers(tmp_path_factory, records):
    ours, theirs = (tmp_path_factory.mktemp("records") / name for name in ("ours", "theirs"))
    for kind, path in ((tensorboardx.RecordWriter, ours), (tensorboardX.RecordWriter, str(theirs))):
        writer = kind(path)
        assert writer.path == path
        for record in records:
            writer.write(record)
            writer.flush()
        writer.close()
    assert ours.read_bytes() == theirs.read_bytes()
    assert [data for _, data in read_frames(ours)] == records


# --- intended differences ---


def test_video(log_dir):
    """tensorboardX needs moviepy to encode a video, but not to arrange its frames."""
    video = RNG.integers(0, 256, (5, 4, 5, 6, 3), np.uint8)  # NTHWC
    with SummaryWriter(log_dir) as writer:
        writer.add_video(ODD, video, 3, 7, WALLTIME, "NTHWC", format="apng")
        writer.add_video("x", torch.from_numpy(video).permute(1, 0, 4, 2, 3), dataformats="tnchw")
        for wrong in ("NTCH", "NTCHH", "NTCHX", "NCHW"):
            with pytest.raises(AssertionError, match="dataformats"):
                writer.add_video("x", video, dataformats=wrong)
        with pytest.raises(AssertionError, match="dataformats"):
            writer.add_video("x", video[0])
    first, second = read_back(log_dir)
    (value,) = first.summary.value
    assert (value.tag, first.step, first.wall_time) == ("a_b/c_é.x", 3, WALLTIME)
    theirs = _prepare_video(convert_to_NTCHW(video / 255, "NTHWC"))
    np.testing.assert_allclose(pixels(value.image.encoded_image_string), theirs[0] * 255, atol=1e-3)
    assert (value.image.height, value.image.width, value.image.colorspace) == theirs.shape[1:]
    assert second.summary.value[0].image.height == value.image.height


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 2), (2, 2), (2, 1), (1, 1), (1,)])
def test_sound(shape, tmp_path_factory):
    pytest.importorskip("soundfile")
    sound = RNG.uniform(-1, 1, shape)
    runs = [
        log(kind, tmp_path_factory.mktemp("run"), [call("add_audio", ODD, values, 3, 8000, WALLTIME)])
        for kind, values in ((SummaryWriter, sound.tolist()), (tensorboardX.SummaryWriter, sound))
    ]
    ((*ours, one),), ((*theirs, other),) = (logged["", ODD] for logged, _ in runs)
    assert ours == theirs
    assert one[:-1] == other[:-1]
    np.testing.assert_allclose(
        one[-1], other[-1], atol=2
    )  # tbc: times 32767, rounded toward zero; soundfile: times 32768, to the nearest


def hparams(value):
    return call("add_hparams", {"x": value}, {}, "run")


def tagged(tag):
    return lambda logged: ("", tag) in logged


def nothing(logged):
    return ("", "x") not in logged


DIFFERENCES = [  # a call, its outcome in tensorboardX, and in tbc
    (call("add_scalar", "x", "0.5"), raises(TypeError), gives(number, 0.5)),
    (call("add_scalar", "x", torch.tensor(2, dtype=torch.bfloat16)), raises(TypeError), gives(number, 2)),
    (call("add_mesh", "x", POINTS), gives(tagged("x_1"), True), gives(tagged("x_VERTEX"), True)),
    (call("add_mesh", "x", POINTS), gives(tagged("x_VERTEX"), False), gives(tagged("x_1"), False)),
    (
        call("add_image", "x", np.full((3, 1, 1), 1.5)),
        gives(lambda logged: only(logged, -1), np.full((1, 1, 3), 126)),
        gives(lambda logged: only(logged, -1), np.full((1, 1, 3), 255)),
    ),
    (
        call("add_image", "x", np.full((3, 1, 1), 5 / 255, np.float16)),
        gives(lambda logged: only(logged, -1), np.full((1, 1, 3), 5)),
        gives(lambda logged: only(logged, -1), np.full((1, 1, 3), 4)),
    ),
    (
        call("add_images", "x", [IMAGE, IMAGE]),  # tensorboardX prints that nothing is written
        gives(nothing, True),
        gives(lambda logged: only(logged, -1).shape, (20, 60, 3)),
    ),
    (
        call("add_images", "x", RNG.random((2, 4, 4, 5))),
        gives(lambda logged: only(logged, -1).shape, (4, 10, 4)),
        raises(AssertionError),
    ),
    (
        call("add_image_with_boxes", "x", IMAGE, BOX, labels=["a", "b"]),
        gives(lambda logged: only(logged, 2), "image"),
        raises(ValueError),
    ),
    (call("add_text", "x", 3), raises(AttributeError), raises(TypeError)),
    (
        call("add_pr_curve", "x", *CURVE, num_thresholds=200),
        gives(lambda logged: only(logged, -1).shape, (6, 127)),
        gives(lambda logged: only(logged, -1).shape, (6, 200)),
    ),
    (
        hparams(torch.device("cpu")),
        gives(lambda logged: hparam(logged).WhichOneof("kind"), None),
        gives(lambda logged: hparam(logged).string_value, "cpu"),
    ),
    (
        hparams([1, "a"]),
        gives(lambda logged: hparam(logged).WhichOneof("kind"), None),
        gives(lambda logged: hparam(logged).string_value, '[1, "a"]'),
    ),
    (
        call("add_hparams", {}, {"a b": 1}, "run"),  # the HPARAMS tab needs the name of the curve
        gives(lambda logged: '"a b"' in logged["run", "_hparams_/experiment"][0][-1], True),
        gives(lambda logged: '"a_b"' in logged["run", "_hparams_/experiment"][0][-1], True),
    ),
    (
        call("add_embedding", MATRIX, label_img=torch.zeros(3, 1, 4, 6)),
        raises(AssertionError),
        gives(lambda logged: logged["00000/default/sprite.png"].shape, (8, 12, 3)),
    ),
]


@pytest.mark.parametrize(
    ("one", "theirs", "ours"), DIFFERENCES, ids=lambda value: value[0] if type(value) is tuple else ""
)
def test_differences(one, theirs, ours, tmp_path_factory):
    for writer_class, outcome in ((tensorboardX.SummaryWriter, theirs), (SummaryWriter, ours)):
        logged, raised = log(writer_class, tmp_path_factory.mktemp("run"), [one])
        assert outcome(logged, raised), (writer_class, logged, raised)


@pytest.mark.parametrize(("kind", "time"), [(tensorboardX.SummaryWriter, 0), (SummaryWriter, None)])
def test_use_metadata_without_a_time(kind, time, log_dir):
    with kind(log_dir) as writer, writer.use_metadata(global_step=1):
        writer.add_scalar("x", 1)
    (event,) = read_back(log_dir)
    assert event.wall_time == time if time is not None else event.wall_time > 1e9


@pytest.mark.parametrize(("kind", "times"), [(tensorboardX.SummaryWriter, 2), (SummaryWriter, 1)])
def test_a_purge_is_written_once(kind, times, tmp_path):
    with kind(tmp_path, purge_step=3, filename_suffix=".1") as writer:
        writer.close()
        writer._filename_suffix = ".2"  # tensorboardX gives files of one second one name
        writer.add_scalar("x", 1)
    starts = [event.HasField("session_log") for path in find_event_files(tmp_path) for event in read_events(path)]
    assert sum(starts) == times
