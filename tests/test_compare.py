"""compare() and the command diff: which values of two trees differ, for every kind."""

import io
import math
import os
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from helpers.eventfiles import VERSION, scalar, start, write
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard import data_compat
from tensorboard.compat.proto import event_pb2

import tbc
from tbc.proto import Event, GraphDef, HParamsPluginData
from tbc.reader import KINDS, find_event_files, read_events
from tbc.reader.comparing import Difference, compare, comparison
from tbc.reader.load import load_runs
from tbc.reader.pairs import Tolerance, elements_apart
from tbc.reader.series import Run, Scalars
from tbc.testing import event_files

PIXELS = np.arange(3 * 4 * 8, dtype=np.uint8).reshape(3, 4, 8)
SOUND = np.linspace(-0.5, 0.5, 80)


def run_with(name="r", **tags):
    """Return {name: run}, a run with the scalars `tags`: each tag is a list of (step, value)."""
    scalars = {}
    for tag, points in tags.items():
        step, value = zip(*points, strict=True)
        scalars[tag] = Scalars(np.array(step), np.zeros(len(step)), np.array(value, float), 0)
    return {name: Run(name, scalars, {})}


def brief(differences):
    """Return the differences as tuples, without kind and text."""
    assert isinstance(differences, list)
    return [(d.run, d.tag, d.what, d.count, d.step, d.a, d.b) for d in differences]


def logged(path, log, **options):
    with tbc.SummaryWriter(path, **options) as writer:
        log(writer)
    return path


def only(differences):
    """Return the only difference, and check the fields that every difference has."""
    (found,) = differences
    assert found.text
    assert found.kind in KINDS
    assert found.count >= 1
    return found


# --- scalars ---


def test_what_is_the_same():
    points = [(0, 1.0), (1, math.nan), (2, math.inf), (3, -math.inf)]
    assert compare(run_with(loss=points), run_with(loss=points)) == []
    assert compare({}, {}) == []


def test_what_is_missing():
    a, b = run_with(loss=[(3, 1.0), (4, 2.0)]), run_with(accuracy=[(0, 0.5)])
    assert brief(compare(a, b)) == [
        ("r", "accuracy", "missing", 1, 0, None, 0.5),
        ("r", "loss", "missing", 2, 3, 1.0, None),
    ]
    assert [difference.run for difference in compare(a, run_with("other", loss=[(3, 1.0)]))] == ["other", "r"]


def test_steps_of_one_side():
    a, b = run_with(loss=[(1, 1.0), (2, 2.0)]), run_with(loss=[(2, 2.0), (5, 5.0), (9, 9.0)])
    assert compare(a, b) == [Difference("r", "loss", "scalar", "steps", 3, 1, 1.0, None, "1")]
    assert brief(compare(b, a)) == [("r", "loss", "steps", 3, 1, None, 1.0)]


def test_the_worst_value_is_told():
    a = run_with(loss=[(1, 1.0), (2, 2.0), (3, 3.0)])
    b = run_with(loss=[(1, 1.1), (2, 2.5), (3, 3.0)])
    assert compare(a, b) == [Difference("r", "loss", "scalar", "values", 2, 2, 2.0, 2.5, "2 and 2.5, by 0.5")]
    assert brief(compare(a, b, atol=0.2)) == [("r", "loss", "values", 1, 2, 2.0, 2.5)]
    assert compare(a, b, rtol=0.25) == []


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_far_from_every_number(odd):
    a, b = run_with(loss=[(1, 1.0), (2, 0.0)]), run_with(loss=[(1, 2.0), (2, odd)])
    for first, second in ((a, b), (b, a)):
        difference = only(compare(first, second, atol=0.5))
        assert (difference.what, difference.count, difference.step) == ("values", 2, 2)


def test_a_step_that_was_logged_several_times():
    a = run_with(loss=[(5, 1.0), (1, 7.0), (5, 2.0), (5, 2.0)])
    assert compare(a, run_with(loss=[(1, 7.0), (5, 1.0), (5, 2.0), (5, 2.0)])) == []
    assert brief(compare(a, run_with(loss=[(5, 2.0), (1, 7.0), (5, 1.0), (5, 2.0)]))) == [
        ("r", "loss", "values", 2, 5, 1.0, 2.0)
    ]
    assert brief(compare(a, run_with(loss=[(1, 7.0), (5, 1.0)]))) == [("r", "loss", "steps", 2, 5, 2.0, None)]


def test_a_run_that_was_logged_without_steps(tmp_path):
    for name, factor in (("a", 1), ("b", 2)):
        with tbc.SummaryWriter(tmp_path / name) as writer:
            for value in range(5):
                writer.add_scalar("loss", value * factor if value < 4 else 9)
    a, b = (load_runs(tmp_path / name, purge=False) for name in "ab")
    assert brief(compare(a, b)) == [(".", "loss", "values", 3, 0, 3.0, 6.0)]


def test_two_numbers_that_are_spelled_the_same_are_distinguished():
    found = only(compare(run_with(x=[(1, np.float32(0.1))]), run_with(x=[(1, 0.1)])))
    assert found.text == "0.10000000149011612 and 0.1, by 1.49e-09"


POINTS = st.dictionaries(st.integers(0, 6), st.floats(-2, 2, width=16), min_size=1)


@given(POINTS, POINTS, st.sampled_from([0, 0.1, 0.5]), st.sampled_from([0, 0.1, 0.5]))
def test_as_a_loop_has_it(a, b, rtol, atol):
    found = {d.what: d.count for d in compare(run_with(x=a.items()), run_with(x=b.items()), rtol=rtol, atol=atol)}
    expected = {
        "steps": len(a.keys() ^ b.keys()),
        "values": sum(abs(a[step] - b[step]) > atol + rtol * abs(b[step]) for step in a.keys() & b.keys()),
    }
    assert found == {what: n for what, n in expected.items() if n}


STEPS = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 4), max_size=12)


@given(STEPS, STEPS)
def test_pairs_are_the_nth_of_a_step_with_the_nth(a, b):
    """The oracle pairs by dicts with keys (step, n). Equal lists of steps are tested too: compare() has a shortcut."""

    def keys(steps):
        return [(step, steps[:i].count(step)) for i, step in enumerate(steps)]

    for other in (a, b):
        points_a, points_b = ({key: i for i, key in enumerate(keys(steps))} for steps in (a, other))
        series = [run_with(x=[(step, i) for i, step in enumerate(steps)]) if steps else {} for steps in (a, other)]
        found = {d.what: d.count for d in compare(*series)}
        alone = len(points_a.keys() ^ points_b.keys())
        moved = sum(points_a[key] != points_b[key] for key in points_a.keys() & points_b.keys())
        what = "steps" if a and other else "missing"
        assert found == {name: n for name, n in ((what, alone), ("values", moved)) if n}


# --- arguments ---


def test_invalid_tolerances():
    for tolerance in (-1, math.nan):
        with pytest.raises(ValueError, match=f"rtol must be 0 or more, got {tolerance}"):
            compare({}, {}, rtol=tolerance)
    for tolerance in ("0.1", None, [1]):
        with pytest.raises(TypeError, match="atol must be a number, got "):
            compare({}, {}, atol=tolerance)


def test_paths(tmp_path):
    logged(tmp_path / "a", lambda writer: writer.add_scalar("loss", 1, 1))
    logged(tmp_path / "b", lambda writer: writer.add_scalar("loss", 2, 1))
    assert compare(tmp_path / "a", str(tmp_path / "a")) == []
    assert brief(compare(tmp_path / "a", load_runs(tmp_path / "b"))) == [(".", "loss", "values", 1, 1, 1.0, 2.0)]
    with pytest.raises(FileNotFoundError):
        compare(tmp_path / "none", tmp_path / "a")


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (None, "NoneType"),
        (3, "int"),
        ([], "list"),
        (Run("r", {}, {}), "Run"),
        (run_with(loss=[(1, 1.0)])["r"].scalars, "dict of Scalars"),  # what load_scalars returns
    ],
)
def test_what_is_no_tree(wrong, got):
    message = f"must be a path or what load_runs returns, a dict of Run; got a {got}$"
    with pytest.raises(TypeError, match=f"^a {message}"):
        compare(wrong, {})
    with pytest.raises(TypeError, match=f"^b {message}"):
        compare({}, wrong)


def test_what_is_excluded():
    a = run_with("x/1", loss=[(1, 1.0)], lr=[(1, 1.0)]) | run_with("y", loss=[(1, 1.0)])
    b = run_with("x/1", loss=[(1, 2.0)], lr=[(1, 2.0)]) | run_with("y", loss=[(1, 2.0)])
    assert [(d.run, d.tag) for d in compare(a, b, exclude_runs="x*")] == [("y", "loss")]
    assert [(d.run, d.tag) for d in compare(a, b, exclude_tags=["loss"])] == [("x/1", "lr")]
    assert compare(a, b, exclude_kinds="scalar") == []
    done = comparison(a, b, exclude_runs="y", exclude_tags="l?")
    assert (done.runs, done.tags, done.values) == (1, {"scalar": 1}, 1)
    assert (done.excluded_runs, done.excluded_tags) == (1, 1)
    with pytest.raises(ValueError, match="a kind must be one of"):
        compare(a, b, exclude_kinds="scalars")
    with pytest.raises(TypeError, match="a pattern must be"):
        compare(a, b, exclude_tags=[1])


# --- every kind ---


def png(pixels, **options):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels.transpose(1, 2, 0)).save(file, "PNG", **options)
    return file.getvalue()


def log_everything(writer):
    """Log two values of every kind, where a kind can have two."""
    rng = np.random.default_rng(1)
    for step in range(2):
        writer.add_scalar("scalar", rng.random(), step)
        writer.add_histogram("histogram", rng.normal(size=50), step)
        writer.add_image("image", PIL.Image.fromarray(PIXELS.transpose(1, 2, 0) + step), step)
        writer.add_audio("audio", SOUND * (step + 1), step, sample_rate=8000)
        writer.add_text("text", f"step {step}", step)
        writer.add_tensor("tensor", rng.random((2, 3)), step)
        writer.add_pr_curve("pr_curve", rng.random(20) > 0.5, rng.random(20), step)
        writer.add_mesh("mesh", rng.random((1, 4, 3)), faces=np.array([[[0, 1, 2]]]), global_step=step)
        writer.add_video("video", rng.integers(0, 255, (1, 3, 3, 4, 5), np.uint8), step)
    writer.add_custom_scalars({"category": {"chart": ["Multiline", ["scalar"]]}})
    writer.add_hparams({"lr": 0.1, "name": "adam", "bias": True}, {"loss": 0.5})
    graph = GraphDef(node=[{"name": "x", "op": "Placeholder"}, {"name": "y", "op": "Add", "input": ["x"]}])
    writer.file_writer.add_event(Event(graph_def=graph.SerializeToString()))
    writer.file_writer.add_event(Event(meta_graph_def=b"meta"))
    writer.file_writer.add_event(Event(tagged_run_metadata={"tag": "step", "run_metadata": b"data"}))
    writer.file_writer.add_event(Event(session_log={"status": 3, "checkpoint_path": "x"}))
    writer.file_writer.add_event(Event(summary={"value": [{"tag": "empty"}]}))
    keras = {"dtype": 7, "string_val": [b"{}"]}
    writer.file_writer.add_event(an_event("graph_keras_model", "keras", tensor=keras))


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    return logged(tmp_path_factory.mktemp("everything") / "a", log_everything)


def test_every_kind_against_itself_and_logged_again(everything, tmp_path):
    done = comparison(everything, everything)
    assert done.differences == []
    assert done.tags.keys() == set(KINDS)
    again = logged(tmp_path / "again", log_everything)
    done = comparison(everything, again)
    assert done.differences == []
    assert done.tags.keys() == set(KINDS)
    assert done.values == 33


def test_the_times_of_hyperparameters_do_not_count(tmp_path):
    for name, now in (("a", 1.5e9), ("b", 1.6e9)):
        parts = {
            "start": {"session_start_info": {"group_name": f"runs/x/{now}", "start_time_secs": now}},
            "end": {"session_end_info": {"status": 1, "end_time_secs": now}},
            "experiment": {"experiment": {"time_created_secs": now}},
        }
        events = [an_event("hparams", tag, content=HParamsPluginData(**part)) for tag, part in parts.items()]
        write(tmp_path / name / "events.out.tfevents.1", VERSION, *events)
    assert compare(tmp_path / "a", tmp_path / "b") == []


def an_event(plugin, tag="x", step=0, content=None, **fields):
    content = b"" if content is None else content.SerializeToString()
    plugin = {"plugin_name": plugin, "content": content}
    return Event(step=step, summary={"value": [{"tag": tag, "metadata": {"plugin_data": plugin}, **fields}]})


def add_graph(nodes, **fields):
    graph = GraphDef(node=[{"name": name, "op": op} for name, op in nodes], **fields).SerializeToString()
    return lambda writer: writer.file_writer.add_event(Event(graph_def=graph))


def add_event(**fields):
    return lambda writer: writer.file_writer.add_event(Event(**fields))


def changed(array, *index, by=1):
    array = array.copy()
    array[index] += by
    return array


def frames(*shades):
    return np.stack([np.full((3, 4, 4), shade, np.uint8) for shade in shades])[None]


HUGE = np.array([2**53, 2**63 - 1, -(2**63)])
CASES = [  # kind, how a and b are logged, how they differ
    (
        "histogram",
        lambda w: w.add_histogram("x", np.array([1, 2.5])),
        lambda w: w.add_histogram("x", np.array([1, 2.25])),
        "max: 2.5 and 2.25",
    ),
    (
        "pr_curve",
        lambda w: w.add_pr_curve("x", np.array([0, 1]), np.array([0, 1])),
        lambda w: w.add_pr_curve("x", np.array([1, 0]), np.array([0, 1])),
        "tp: ",
    ),
    (
        "image",
        lambda w: w.add_image("x", PIXELS),
        lambda w: w.add_image("x", changed(PIXELS, 1, 2, 3, by=3)),
        "1 of 32 pixels, by up to 3",
    ),
    ("image", lambda w: w.add_image("x", PIXELS), lambda w: w.add_image("x", PIXELS[:, :2]), "8x4 and 8x2 pixels"),
    (
        "image",
        lambda w: w.add_video("x", frames(1, 2, 3)),
        lambda w: w.add_video("x", frames(1, 2, 9)),
        "frame 3: 16 of 16 pixels, by up to 6",
    ),
    ("image", lambda w: w.add_video("x", frames(1, 2, 3)), lambda w: w.add_video("x", frames(1, 2)), "3 and 2 frames"),
    (
        "image",
        lambda w: w.add_video("x", frames(1, 2), fps=2),
        lambda w: w.add_video("x", frames(1, 2), fps=4),
        "frame 1: lasts 500 and 250 ms",
    ),
    (
        "audio",
        lambda w: w.add_audio("x", np.array([0, 5, 7], np.int16)),
        lambda w: w.add_audio("x", np.array([0, 5, 9], np.int16)),
        "1 of 3 samples, by up to 2",
    ),
    (
        "audio",
        lambda w: w.add_audio("x", SOUND, sample_rate=8000),
        lambda w: w.add_audio("x", SOUND, sample_rate=16000),
        "sample_rate: 8000 and 16000, by 8,000",
    ),
    ("text", lambda w: w.add_text("x", "good"), lambda w: w.add_text("x", "bad"), "'good' and 'bad'"),
    (
        "text",
        lambda w: w.add_text("x", "a" * 1200 + "b" + "c" * 99),
        lambda w: w.add_text("x", "a" * 1200 + "B" + "c" * 99),
        "'aaaaaaaabccccccccccccccc' and 'aaaaaaaaBccccccccccccccc', different from character 1,200 on",
    ),
    (
        "tensor",
        lambda w: w.add_tensor("x", np.zeros((2, 3))),
        lambda w: w.add_tensor("x", changed(np.zeros((2, 3)), 1, 1, by=0.25)),
        "1 of 6 elements, by up to 0.25",
    ),
    (
        "tensor",
        lambda w: w.add_tensor("x", np.zeros((2, 3))),
        lambda w: w.add_tensor("x", np.zeros((3, 2))),
        "shape (2, 3) and (3, 2)",
    ),
    (
        "tensor",
        lambda w: w.add_tensor("x", np.zeros(3, "f4")),
        lambda w: w.add_tensor("x", np.zeros(3, "f8")),
        "dtype float32 and float64",
    ),
    (
        "tensor",
        lambda w: w.add_tensor("x", HUGE),
        lambda w: w.add_tensor("x", HUGE + [1, -1, 1]),
        "3 of 3 elements, by up to 1",
    ),
    (
        "tensor",
        lambda w: w.add_tensor("x", np.array([True, False])),
        lambda w: w.add_tensor("x", np.array([True, True])),
        "1 of 2 elements",
    ),
    (
        "tensor",
        lambda w: w.add_tensor("x", np.array([1, math.nan])),
        lambda w: w.add_tensor("x", np.array([math.nan, math.nan])),
        "1 of 2 elements",
    ),
    (
        "mesh",
        lambda w: w.add_mesh("x", np.zeros((1, 2, 3))),
        lambda w: w.add_mesh("x", changed(np.zeros((1, 2, 3)), 0, 1, 1, by=0.5)),
        "data: 1 of 6 elements, by up to 0.5",
    ),
    (
        "hparams",
        lambda w: w.add_hparams({"lr": 0.25, "name": "x"}, {}, run_name="."),
        lambda w: w.add_hparams({"lr": 0.5, "name": "x"}, {}, run_name="."),
        "lr: 0.25 and 0.5, by 0.25",
    ),
    (
        "hparams",
        lambda w: w.add_hparams({"flag": True}, {}, {"flag": [True]}, run_name="."),
        lambda w: w.add_hparams({"flag": True}, {}, {"flag": [True, False]}, run_name="."),
        "only in the second, False",
    ),
    (
        "custom_scalars",
        lambda w: w.add_custom_scalars({"c": {"chart": ["Multiline", ["x"]]}}),
        lambda w: w.add_custom_scalars({"c": {"chart": ["Multiline", ["y"]]}}),
        "category[0].chart[0].multiline.tag[0]: 'x' and 'y'",
    ),
    (
        "graph",
        add_graph([("a", "Add"), ("b", "Sub"), ("c", "Mul")]),
        add_graph([("d", "Add"), ("c", "Mul"), ("b", "Div")]),
        "1 node changed, such as 'b'; 1 node only in the first, such as 'a'; 1 node only in the second, such as 'd'",
    ),
    ("graph", add_graph([]), add_graph([], versions={"producer": 1}), "other versions or functions"),
    (
        "graph",
        add_event(graph_def=b"\xff"),
        add_event(graph_def=b"\xff\xff"),
        "1 and 2 bytes, different from byte 1 on",
    ),
    (
        "meta_graph",
        add_event(meta_graph_def=b"abc"),
        add_event(meta_graph_def=b"abd"),
        "3 bytes, different from byte 2 on",
    ),
    (
        "run_metadata",
        add_event(tagged_run_metadata={"tag": "t", "run_metadata": b"abc"}),
        add_event(tagged_run_metadata={"tag": "t", "run_metadata": b"abcd"}),
        "3 and 4 bytes, different from byte 3 on",
    ),
    (
        "session_log",
        add_event(session_log={"status": 3, "checkpoint_path": "x"}),
        add_event(session_log={"status": 3, "checkpoint_path": "y"}),
        "checkpoint_path: 'x' and 'y'",
    ),
]


@pytest.mark.parametrize(("kind", "log", "log_other", "text"), CASES, ids=lambda part: part if part in KINDS else "")
def test_what_differs_is_found_and_said(tmp_path, kind, log, log_other, text):
    a, b = logged(tmp_path / "a", log), logged(tmp_path / "b", log_other)
    assert compare(a, a) == compare(b, b) == []
    found = [difference for difference in compare(a, b) if text in difference.text]
    found = only(found)
    assert (found.kind, found.what, found.count) == (kind, "values", 1)
    assert isinstance(found.a, str)
    assert [d.kind for d in compare(b, a)] == [d.kind for d in compare(a, b)]


def test_a_version_that_differs_is_found_and_the_number_of_files_does_not_count(tmp_path):
    for name, versions in (("a", [2]), ("b", [2, 2, 2]), ("c", [2, 1])):
        for number, version in enumerate(versions):
            event = Event(wall_time=1, file_version=f"brain.Event:{version}")
            write(tmp_path / name / f"events.out.tfevents.{number}", event)
    assert compare(tmp_path / "a", tmp_path / "b") == compare(tmp_path / "b", tmp_path / "a") == []
    found = only(compare(tmp_path / "a", tmp_path / "c"))
    assert (found.kind, found.what, found.text) == ("file_version", "values", "'brain.Event:2' and 'brain.Event:1'")


def test_fields_of_no_known_name_are_compared(tmp_path):
    for name, number in (("a", b"\x01"), ("b", b"\x02")):
        event = Event()
        event.summary.value.add(tag="new").MergeFromString(b"\xa0\x06" + number)  # field 100
        write(tmp_path / name / "events.out.tfevents.1", VERSION, event)
    assert compare(tmp_path / "a", tmp_path / "a") == []
    assert only(compare(tmp_path / "a", tmp_path / "b")).kind == "empty"


def test_strings_are_compared_by_their_bytes(tmp_path):
    for name, data in (("a", b"\xff"), ("b", rb"\xff")):
        tensor = {"dtype": 7, "string_val": [data]}
        write(
            tmp_path / name / "events.out.tfevents.1", an_event("text", tensor=tensor), an_event("", "y", tensor=tensor)
        )
    assert [d.text for d in compare(tmp_path / "a", tmp_path / "b")] == [r"b'\xff' and b'\\xff'"] * 2


def test_tolerances_hold_for_every_number(everything, tmp_path):
    log = lambda writer, by: [  # noqa: E731
        writer.add_histogram_raw("h", 0, 4, 8, 16 + by, 32, [2, 4], [4 + by, 4]),
        writer.add_image("i", changed(PIXELS, 1, 2, 3, by=int(by))),
        writer.add_audio("s", np.array([0, 5, 7 + by], np.int16)),
        writer.add_tensor("t", np.array([4, 8 + by])),
        writer.add_tensor("n", np.array([2**60, 2**60 + int(by)])),
        writer.add_mesh("m", np.full((1, 2, 3), 5 + by)),
        writer.add_hparams({"lr": 5 + by}, {}, run_name="."),
    ]
    a, b = (logged(tmp_path / str(by), lambda writer: log(writer, by)) for by in (0.0, 1.0))  # noqa: B023
    assert len(compare(a, b)) == 7
    assert len(compare(a, b, atol=0.5)) == 7
    assert compare(a, b, atol=1) == []
    assert compare(a, b, rtol=0.25) == []


def test_a_value_is_said_where_one_side_lacks_it(tmp_path):
    def log(writer, steps):
        for step in range(1, steps + 1):
            writer.add_text("x", "hello", step)

    a, b, c = (logged(tmp_path / str(n), lambda writer: log(writer, n)) for n in (3, 1, 0))  # noqa: B023
    assert compare(a, b) == [
        Difference(".", "x/text_summary", "text", "steps", 2, 2, "hello", None, "hello"),
    ]
    assert compare(c, a) == [
        Difference(".", "x/text_summary", "text", "missing", 3, 1, None, "hello", "hello"),
    ]


# --- the same, stored in another way ---


def test_images_are_compared_by_pixels(tmp_path):
    palette = PIL.Image.fromarray(PIXELS.transpose(1, 2, 0)).quantize()
    same = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    for name, image in (("a", palette), ("b", same), ("c", png(same, compress_level=0)), ("d", png(same))):
        logged(tmp_path / name, lambda writer: writer.add_image("x", image))  # noqa: B023
    for name in "bcd":
        assert compare(tmp_path / "a", tmp_path / name) == []


@pytest.mark.parametrize("color", [2, 4, 6])
def test_pixels_of_16_bits_that_pillow_does_not_read_are_compared_by_bytes(tmp_path, color):
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    for name, low in (("a", 1), ("b", 2)):
        row = bytes([0, *[7, low] * {2: 3, 4: 2, 6: 4}[color]])
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, color, 0, 0, 0))
        file = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
        event = Event(
            summary={"value": [{"tag": "x", "image": {"width": 1, "height": 1, "encoded_image_string": file}}]}
        )
        write(tmp_path / name / "events.out.tfevents.1", event)
    assert "bytes, different from byte" in only(compare(tmp_path / "a", tmp_path / "b")).text


def test_files_that_cannot_be_decoded_are_compared_by_bytes(tmp_path):
    for name, last in (("a", b"1"), ("b", b"2")):
        image = {"width": 1, "height": 1, "encoded_image_string": b"no image " + last}
        sound = {"sample_rate": 8000, "encoded_audio_string": b"no sound " + last, "content_type": "audio/mp3"}
        values = [{"tag": "i", "image": image}, {"tag": "s", "audio": sound}]
        write(tmp_path / name / "events.out.tfevents.1", Event(summary={"value": values}))
    assert compare(tmp_path / "a", tmp_path / "a") == []
    found = compare(tmp_path / "a", tmp_path / "b")
    assert [(d.tag, d.what, d.text) for d in found] == [
        (tag, "values", "10 bytes, different from byte 9 on") for tag in "is"
    ]


def test_without_pillow_images_are_compared_by_bytes(tmp_path, monkeypatch):
    for name, level in (("a", 0), ("b", 9)):
        logged(tmp_path / name, lambda writer: writer.add_image("x", png(PIXELS, compress_level=level)))  # noqa: B023
    assert compare(tmp_path / "a", tmp_path / "b") == []
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    assert "bytes" in only(compare(tmp_path / "a", tmp_path / "b")).text
    assert compare(tmp_path / "a", tmp_path / "a") == []


def test_scalars_of_either_style(tmp_path):
    for name, new_style in (("a", False), ("b", True)):
        logged(tmp_path / name, lambda writer: writer.add_scalar("x", 0.1, 1, new_style=new_style))  # noqa: B023
    assert compare(tmp_path / "a", tmp_path / "b") == []


def test_values_that_tensorboard_turns_into_the_new_style(everything, tmp_path):
    """TensorBoard's own migration is the oracle. It turns a histogram into float32 and drops its sums."""
    migrated = 0
    for path in find_event_files(everything):
        events = []
        for event in read_events(path):
            old = event_pb2.Event.FromString(event.SerializeToString())
            new = data_compat.migrate_event(old)
            migrated += new != old
            events.append(new.SerializeToString())
        write(tmp_path / "new" / os.path.relpath(path, everything), *events)
    assert migrated >= 8
    assert compare(everything, tmp_path / "new") == []
    assert compare(tmp_path / "new", everything) == []


def test_a_graph_in_another_order(tmp_path):
    a = logged(tmp_path / "a", add_graph([("x", "Add"), ("y", "Sub")]))
    b = logged(tmp_path / "b", add_graph([("y", "Sub"), ("x", "Add")]))
    assert compare(a, b) == []


def test_hyperparameters_in_another_order(tmp_path):
    for name, hparams in (("a", {"lr": 1, "x": "y"}), ("b", {"x": "y", "lr": 1})):
        metrics = dict.fromkeys(sorted(["p", "q"], reverse=name == "b"), 1)
        logged(tmp_path / name, lambda writer: writer.add_hparams(hparams, metrics, run_name="."))  # noqa: B023
    assert compare(tmp_path / "a", tmp_path / "b") == []


# --- child runs that are named by the time ---


def child(parent, name, lr, n=1):
    return {f"{parent}/{name}" if parent else name: run_with(lr=[(0, lr)] * n)["r"]}


@pytest.mark.parametrize("parent", ["", "runs/a"])
def test_child_runs_are_matched_in_the_order_of_time(parent):
    a = child(parent, "1700000000.5", 1) | child(parent, "1700000000.123456", 2) | child(parent, "1700000001.0", 3)
    b = child(parent, "999999999.5", 2) | child(parent, "1000000000.1", 1) | child(parent, "1800000000.0", 3)
    assert compare(a, b) == []
    assert compare(b, a) == []
    b = child(parent, "1800000000.0", 1)
    prefix = f"{parent}/" if parent else ""
    found = compare(a, b)
    assert [(d.run, d.run_b, d.what, d.a, d.b) for d in found] == [
        (f"{prefix}1700000000.123456", f"{prefix}1800000000.0", "values", 2.0, 1.0),
        (f"{prefix}1700000000.5", None, "missing", 1.0, None),
        (f"{prefix}1700000001.0", None, "missing", 3.0, None),
    ]
    assert next((d.run, d.run_b) for d in compare(b, a)) == (f"{prefix}1700000000.5", None)
    assert {d.what for d in compare(a, {})} == {"missing"}


def test_child_runs_of_the_same_name_are_matched_by_it():
    """So a tree and a part of it have no difference in that part."""
    a = child("x", "1700000000.1", 1) | child("x", "1700000000.2", 2) | child("x", "1700000000.3", 3)
    b = {name: run for name, run in a.items() if not name.endswith(".1")}
    assert [(d.run, d.what) for d in compare(a, b)] == [("x/1700000000.1", "missing")]


@pytest.mark.parametrize(
    "names", [("x/1700000000.1", "y/1700000000.2"), ("x/5.0", "x/6.0"), ("1", "2"), ("x/v1.5", "x/v1.6")]
)
def test_other_runs_are_not_matched(names):
    a, b = (child("", name, 1) for name in names)
    assert [d.what for d in compare(a, b)] == ["missing", "missing"]


def test_child_runs_of_add_hparams(tmp_path):
    def log(writer, lrs):
        for lr in lrs:
            writer.add_hparams({"lr": lr}, {"loss": lr})
            time.sleep(0.002)

    a = logged(tmp_path / "a", lambda writer: log(writer, [1, 2]))
    b = logged(tmp_path / "b", lambda writer: log(writer, [1, 2]))
    c = logged(tmp_path / "c", lambda writer: log(writer, [1, 3]))
    assert len(load_runs(a)) == 3
    assert compare(a, b) == []
    found = compare(a, c)
    assert {(d.tag, d.kind) for d in found} == {("loss", "scalar"), ("_hparams_/session_start_info", "hparams")}
    assert {(d.run in load_runs(a), d.run_b in load_runs(c)) for d in found} == {(True, True)}


# --- restarts ---


def test_a_run_that_was_resumed_is_the_run_that_was_not(tmp_path):
    first = [scalar(step, value=step) for step in range(6)]
    write(tmp_path / "a" / "events.out.tfevents.1", VERSION, *first[:4])
    write(tmp_path / "a" / "events.out.tfevents.2", VERSION, start(2), *first[2:])
    write(tmp_path / "b" / "events.out.tfevents.1", VERSION, *first)
    assert [d.kind for d in compare(load_runs(tmp_path / "a", purge=True), tmp_path / "b")] == ["session_log"]
    assert compare(load_runs(tmp_path / "a", purge=True), tmp_path / "b", exclude_kinds="session_log") == []
    assert [
        d.what for d in compare(load_runs(tmp_path / "a", purge=False), tmp_path / "b", exclude_kinds="session_log")
    ] == ["steps"]


# --- damage ---


def test_values_that_do_not_hold_what_their_kind_holds(tmp_path):
    broken = {"dtype": 1, "tensor_shape": {"dim": [{"size": 5}, {"size": -1}]}}
    good = {"dtype": 1, "float_val": [1]}
    other = {"dtype": 1, "tensor_shape": {"dim": [{"size": 6}, {"size": -1}]}}
    for name, tensor in (("good", good), ("broken", broken), ("other", other)):
        write(tmp_path / name / "events.out.tfevents.1", an_event("", tensor=tensor), an_event("", tensor=tensor))
    assert compare(tmp_path / "broken", tmp_path / "broken") == []
    for a, b, text in (
        ("good", "broken", "unreadable in the second: a tensor of an impossible shape"),
        ("broken", "good", "unreadable in the first: a tensor of an impossible shape"),
        ("broken", "other", "unreadable in both: a tensor of an impossible shape"),
    ):
        found = only(compare(load_runs(tmp_path / a, purge=False), load_runs(tmp_path / b, purge=False)))
        assert (found.what, found.count, found.text) == ("unreadable", 2, text)


def test_a_file_that_changes_after_it_was_loaded(tmp_path):
    a = logged(tmp_path / "a", lambda writer: writer.add_text("x", "hello", 1))
    b = logged(tmp_path / "b", lambda writer: writer.add_text("x", "hello", 1))
    runs_a, runs_b = load_runs(a), load_runs(b)
    (path,) = map(Path, find_event_files(a))
    path.write_bytes(path.read_bytes()[:-9] + b"oh, no!!!")
    found = only(compare(runs_a, runs_b))
    assert (found.kind, found.what) == ("text", "unreadable")
    assert found.text.startswith("unreadable in the first: ")
    path.unlink()
    assert {d.what for d in compare(runs_a, runs_b)} == {"unreadable"}


@settings(max_examples=30)
@given(event_files(), event_files())
def test_any_files(tmp_path_factory, a, b):
    """Nothing raises, a file equals itself, and swapping a and b finds the same differences."""
    folder = tmp_path_factory.mktemp("any")
    for name, data in (("a", a), ("b", b)):
        (folder / name).mkdir()
        (folder / name / "events.out.tfevents.1").write_bytes(data)
    runs_a, runs_b = (load_runs(folder / name, purge=False, on_error=lambda error: None) for name in "ab")
    assert compare(runs_a, runs_a) == []
    assert compare(runs_b, runs_b) == []
    there, back = compare(runs_a, runs_b), compare(runs_b, runs_a)
    assert [(d.run, d.tag, d.kind, d.what, d.count) for d in there] == [
        (d.run, d.tag, d.kind, d.what, d.count) for d in back
    ]
    assert len({(d.run, d.tag, d.kind, d.what) for d in there}) == len(there)


def leaves(message, path=()):
    """Yield the path of each number and each bytes field in a message, except in the metadata."""
    for field, content in message.ListFields():
        if field.name in ("tag", "metadata"):
            continue
        several = enumerate(content) if hasattr(content, "append") or hasattr(content, "add") else [(None, content)]
        for i, one in several:
            here = (*path, (field.name, i))
            yield from leaves(one, here) if hasattr(one, "ListFields") else [here]


def change_leaf(message, path, at):
    """Change one number or one byte; return whether there was one to change."""
    *parents, (name, i) = path
    for parent, index in parents:
        message = getattr(message, parent) if index is None else getattr(message, parent)[index]
    old = getattr(message, name) if i is None else getattr(message, name)[i]
    if isinstance(old, float):
        new = float(np.nextafter(np.float32(old), np.float32(math.inf)))
    elif isinstance(old, int):
        new = old + 1 if old < 100 else old - 1
    elif old:
        data = bytearray(old if isinstance(old, bytes) else old.encode())
        data[at % len(data)] ^= 1
        new = bytes(data) if isinstance(old, bytes) else data.decode()
    else:
        return False
    if i is None:
        setattr(message, name, new)
    else:
        getattr(message, name)[i] = new
    return True


FILES = ("image", "audio")  # not every byte of a PNG or WAV matters


@settings(max_examples=80)
@given(st.data())
def test_one_changed_byte_of_one_value_is_found(everything, tmp_path_factory, data):
    (path,) = find_event_files(everything / "")[:1]
    events = [event for event in read_events(path) if event.WhichOneof("what") not in (None, "file_version")]
    places = [
        (number, leaf)
        for number, event in enumerate(events)
        for leaf in leaves(event)
        if leaf[0][0] not in ("wall_time", "step")
        and not (len(leaf) > 1 and leaf[1][0] in FILES)
        and leaf[-1][0] != "tag"
    ]
    number, leaf = data.draw(st.sampled_from(places))
    at = data.draw(st.integers(0, 1 << 20))
    changed_event = Event.FromString(events[number].SerializeToString())
    if not change_leaf(changed_event, leaf, at):
        return
    folder = tmp_path_factory.mktemp("byte")
    write(folder / "a" / "events.out.tfevents.1", VERSION, *events)
    write(folder / "b" / "events.out.tfevents.1", VERSION, *events[:number], changed_event, *events[number + 1 :])
    runs = [load_runs(folder / name, purge=False) for name in "ab"]
    found = only(compare(*runs)) if leaf[-1][0] != "dtype" else compare(*runs)[0]
    assert found.count == 1


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
@settings(max_examples=8)
@given(data=st.data())
def test_one_changed_pixel_or_sample_is_found(tmp_path_factory, kind, data):
    shape = {"image": (3, 4, 8), "video": (1, 3, 3, 4, 5), "audio": (80,)}[kind]
    dtype = np.int16 if kind == "audio" else np.uint8
    values = np.random.default_rng(2).integers(0, 200, shape).astype(dtype)
    index = tuple(data.draw(st.integers(0, size - 1)) for size in shape)
    by = data.draw(st.integers(1, 50))
    folder = tmp_path_factory.mktemp(kind)
    for name, array in (("a", values), ("b", changed(values, *index, by=by))):
        logged(folder / name, lambda writer: getattr(writer, f"add_{kind}")("x", array))  # noqa: B023
    found = only(compare(folder / "a", folder / "b"))
    assert f"1 of {80 if kind == 'audio' else values.shape[-1] * values.shape[-2]} " in found.text
    assert found.text.endswith(f"by up to {by}")


# --- memory ---


def test_one_pair_of_values_is_in_memory_at_a_time(tmp_path):
    def log(writer, last):
        for step in range(40):
            writer.add_text("x", chr(ord("a") + step) * 5_000 + last, step)

    a, b = (load_runs(logged(tmp_path / last, lambda writer: log(writer, last))) for last in "ab")  # noqa: B023
    compare(a, b)  # so that imports and caches are not measured
    tracemalloc.start()
    try:
        found = only(compare(a, b))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.count == 40
    assert peak < 150_000  # all values together are 400,000 bytes


def test_two_trainings(tmp_path):
    for name, last in (("a", 0.5), ("b", 0.75)):
        with tbc.SummaryWriter(tmp_path / name) as writer:
            for step in range(10):
                writer.add_scalar("loss", last if step == 9 else 1.0, step)
    a, b = load_runs(tmp_path / "a"), load_runs(tmp_path / "b")
    assert not compare(a, a)
    assert brief(compare(a, b)) == [(".", "loss", "values", 1, 9, 0.5, 0.75)]


@pytest.mark.parametrize(("x", "y"), [(np.int32, np.float32), (np.float32, np.int32), (np.uint8, np.float64)])
def test_integers_and_floats_are_compared_as_numbers(x, y):
    """Two writers may store a mesh as integers and as floats."""
    a, b = np.array([1, 2, 7], x), np.array([1, 3, 9], y)
    differ, distance = elements_apart(a, b, Tolerance(0, 1.5))
    assert (differ.tolist(), distance.tolist()) == ([2], [2])
