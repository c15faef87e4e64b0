"""Messages of exceptions: the tag, what was passed, what is expected, and often what to do."""

import inspect
import os
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.oracle import read_back

import tbc

IMAGE = np.zeros((3, 4, 5))
POINTS = np.zeros((1, 4, 3))
MATRIX = np.zeros((3, 2))
ROWS = [[1, 2]] * 6
MOMENTS = 0, 1, 2, 3, 4

TAGGED = {  # method -> good arguments after the tag, by name
    "add_scalar": {"scalar_value": 1.0},
    "add_text": {"text_string": "text"},
    "add_tensor": {"tensor": MATRIX},
    "add_histogram": {"values": MATRIX, "bins": 5, "max_bins": 3},
    "add_histogram_raw": {
        **dict(zip(("min", "max", "num", "sum", "sum_squares"), MOMENTS, strict=True)),
        **{"bucket_limits": [1, 2], "bucket_counts": [1, 2]},
    },
    "add_image": {"img_tensor": IMAGE, "dataformats": "CHW"},
    "add_images": {"img_tensor": IMAGE[None], "dataformats": "NCHW"},
    "add_image_with_boxes": {
        **{"img_tensor": IMAGE, "box_tensor": [[0, 0, 1, 1]], "rescale": 1},
        **{"dataformats": "CHW", "labels": ["a"]},
    },
    "add_figure": {"figure": None},
    "add_video": {"vid_tensor": IMAGE[None, None], "fps": 4, "format": "gif"},
    "add_audio": {"snd_tensor": np.zeros(9), "sample_rate": 44100},
    "add_embedding": {"mat": MATRIX, "metadata": ["a", "b", "c"], "label_img": np.zeros((3, 3, 2, 2))},
    "add_pr_curve": {"labels": np.ones(3), "predictions": np.ones(3), "num_thresholds": 5, "weights": [1, 2, 3]},
    "add_pr_curve_raw": {
        **dict(zip(("true_positive_counts", "false_positive_counts"), ROWS, strict=False)),
        **dict(zip(("true_negative_counts", "false_negative_counts", "precision", "recall"), ROWS, strict=False)),
    },
    "add_mesh": {"vertices": POINTS, "colors": POINTS, "faces": POINTS, "config_dict": {}},
}
WRONG = [object(), "\0x", {"a": 1}, 1j, np.zeros((2, 0)), np.array([object()]), np.zeros(2, "M8[s]"), np.float64("nan")]
INTERNAL = re.compile(
    r"not supported between|has no attribute|not enough values|is not iterable|' object is not|unhashable|ufunc|"
    r"truth value|argument must be|cannot be interpreted|codec|len\(\)|only length-1|could not convert|iteration over|"
    r"literal for int|multiple values|Can't mix"
)


def error_of(method, **arguments):
    try:
        method(**arguments)
    except Exception as error:
        return error


@pytest.mark.filterwarnings("ignore")  # about values that are left out
@pytest.mark.parametrize("method", TAGGED)
def test_a_bad_value_names_its_tag_in_words_of_the_writer(log_dir, method):
    """Each argument in turn is bad. The writer stays usable."""
    good = {"tag": "a/tag", "global_step": 1, "walltime": 2.0} | TAGGED[method]
    if method == "add_embedding":
        del good["walltime"]
    errors = []
    with tbc.SummaryWriter(log_dir) as writer:
        for argument in good.keys() - {"tag"}:
            errors += [error_of(getattr(writer, method), **good | {argument: wrong}) for wrong in WRONG]
        writer.add_scalar("after", 1)
    messages = [str(error) for error in errors if error is not None]
    assert len(messages) > 10
    assert [message for message in messages if not message.startswith("'a/tag': ") or INTERNAL.search(message)] == []
    assert "after" in [value.tag for event in read_back(log_dir) for value in event.summary.value]


@pytest.mark.parametrize("tag", [3, object(), ["x"], {"a": 1}, np.zeros(2), None])
@pytest.mark.parametrize("method", [method for method in TAGGED if method != "add_figure"])
def test_a_bad_tag_is_named(log_dir, method, tag):
    if tag is None and method not in ("add_text", "add_embedding"):
        pytest.skip("no tag is no error, as in torch")
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(TypeError, match=r"tag .*must be .*got"):
        getattr(writer, method)(tag=tag, **TAGGED[method])


def test_a_tensor_of_a_complex_number(log_dir):
    torch = pytest.importorskip("torch")
    with (
        tbc.SummaryWriter(log_dir) as writer,
        pytest.raises(TypeError, match="'x': a scalar must be a real number, got 1j"),
    ):
        writer.add_scalar("x", torch.tensor(1j))


def test_a_tag_that_is_no_unicode(log_dir):
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(UnicodeEncodeError, match="a tag must be text that UTF-8"):
        writer.add_scalar("\ud800", 1)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda w: w.add_image("m", "photo.png"),
            AssertionError,
            r"an image must be an array, got 'photo.png' of type str;.*Image.open\('photo.png'\)",
        ),
        (
            lambda w: w.add_image("m", Path("photo.png")),
            NotImplementedError,
            r"an image must be an array, got .*Path;.*Image.open\('photo",
        ),
        (lambda w: w.add_image("m", np.zeros((8, 9, 3))), ValueError, r"got 8 .*\(8, 9, 3\).*dataformats='HWC'"),
        (lambda w: w.add_image("m", np.zeros((8, 9))), AssertionError, r"\(8, 9\).*dataformats='HW'"),
        (lambda w: w.add_image("m", np.zeros((2, 8, 9, 3))), AssertionError, "dataformats='NHWC'"),
        (lambda w: w.add_images("m", np.zeros((2, 8, 9, 3))), AssertionError, r"\(2, 8, 9, 3\).*dataformats='NHWC'"),
        (lambda w: w.add_image("m", np.zeros(()), dataformats=""), ValueError, "dataformats must be a permutation"),
        (lambda w: w.add_image("m", IMAGE, dataformats=None), TypeError, "dataformats must be a str"),
        (lambda w: w.add_scalar("m", None), NotImplementedError, "got None of type NoneType"),
        (lambda w: w.add_scalar("m", "abc"), ValueError, "got 'abc' of type str"),
        (lambda w: w.add_scalar("m", 1, "x"), ValueError, "global_step must fit a signed 64-bit integer, got 'x'"),
        (lambda w: w.add_scalar("m", 1, 1, "x"), ValueError, "walltime must be a number.*got 'x'"),
        (lambda w: w.add_text("m", 3), TypeError, "text must be a str, got 3"),
        (lambda w: w.add_text("m", "x", []), TypeError, r"global_step.*got \[\]"),
        (lambda w: w.add_scalars("m", [1]), AttributeError, r"must be a dict of key -> number, got \[1\] of type list"),
        (lambda w: w.add_scalars("m", {"a": 1, "b": None}), NotImplementedError, "^'m': 'b': .*got None"),
        (lambda w: w.add_audio("m", np.zeros(3), sample_rate="x"), TypeError, "sample_rate must be a number, got 'x'"),
        (lambda w: w.add_histogram("m", IMAGE, max_bins=1.5), TypeError, "max_bins must be an integer, got 1.5"),
        (
            lambda w: w.add_histogram("m", IMAGE, bins="x"),
            ValueError,
            "bins must be .*, got 'x'",
        ),
        (lambda w: w.add_mesh("m", POINTS, config_dict={"a": {1}}), TypeError, "config_dict must be a dict that JSON"),
        (
            lambda w: w.add_histogram("m", IMAGE, step=3),
            TypeError,
            r"'step'; did you mean 'global_step'",
        ),
        (lambda w: w.add_image("m", IMAGE, display_nam="x"), TypeError, "did you mean 'display_name'"),
    ],
)
def test_what_is_said_of_the_usual_mistakes(log_dir, call, error, words):
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(error, match=words) as raised:
        call(writer)
    assert str(raised.value).startswith("'m': ")
    assert type(raised.value) is error
    assert read_back(log_dir) == []


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda w: w.add_metrics([("a", 1)]),
            TypeError,
            "metrics must be a dict of tag -> number, got",
        ),
        (lambda w: w.add_metrics({"a": 1, "b": None}), NotImplementedError, "^'b': .*got None"),
        (lambda w: w.add_hparams({}, {"b": None}), NotImplementedError, "^'b': .*got None"),
        (lambda w: w.add_hparams({}, {}, runname="x"), TypeError, "'runname'; did you mean 'run_name'"),
        (lambda w: w.add_hparams({}, {}, run_name=3), TypeError, "run_name must be a str or a path, got 3 of type int"),
        (lambda w: w.add_hparams({}, {}, start_time="x"), ValueError, "start_time must be a number.*got 'x'"),
        (
            lambda w: w.add_custom_scalars_multilinechart(["x"], category=[]),
            TypeError,
            r"category must be a str",
        ),
        (
            lambda w: w.add_custom_scalars_multilinechart(np.array("x")),
            TypeError,
            "tags of chart 'untitled' must be",
        ),
        (lambda w: w.add_scalars("m", {1: 2}), TypeError, "keys of add_scalars must be str, got 'm' and 1"),
    ],
)
def test_what_is_said_of_mistakes_without_a_tag(log_dir, call, error, words):
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(error, match=words):
        call(writer)
    assert read_back(log_dir) == []


@pytest.mark.parametrize("keyword", ["logdir", "log_dirs", "purge", "queue"])
def test_a_mistyped_keyword_of_the_writer(log_dir, keyword):
    meant = {"queue": "max_queue", "purge": "purge_step"}.get(keyword, "log_dir")
    with pytest.raises(TypeError, match=rf"unexpected keyword argument '{keyword}'; did you mean '{meant}'\?"):
        tbc.SummaryWriter(**{keyword: str(log_dir)})
    assert not os.path.exists(log_dir)


def test_a_subclass_has_keywords_of_its_own(log_dir):
    class Mine(tbc.SummaryWriter):
        def __init__(self, logdir):
            super().__init__(logdir)

    class Any(tbc.SummaryWriter):
        def __init__(self, **keywords):
            super().__init__(keywords["anything"])

    with (
        Mine(logdir=log_dir),
        Any(anything=log_dir),
        pytest.raises(TypeError, match="'log_dir'; did you mean 'logdir'"),
    ):
        Mine(log_dir=log_dir)


def test_a_purge_step_is_named():
    with pytest.raises(ValueError, match=r"^purge_step must fit a signed 64-bit integer, got 'x'"):
        tbc.SummaryWriter(purge_step="x")


def test_methods_keep_their_signatures():
    for name, method in inspect.getmembers(tbc.SummaryWriter, inspect.isfunction):
        if name.startswith("add_"):
            assert "args" not in str(inspect.signature(method)), name
            assert method.__name__ == name
