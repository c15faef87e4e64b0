"""display_name and description: every add_* that takes them stores them, and nothing else changes."""

import inspect

import numpy as np
import pytest
from helpers.oracle import only_value, read_back
from tensorboard import data_compat
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

import tbc
from tbc.reader import find_event_files

ROW, PIXELS = np.array([0.0, 1.0, 1.0]), np.zeros((2, 3, 4, 5))
CALLS = {  # the arguments after the tag, of each method that takes display_name and description
    "add_scalar": (1,),
    "add_tensor": (ROW,),
    "add_histogram": (ROW,),
    "add_histogram_raw": (0, 1, 3, 2, 2, [0.5, 1.0], [1, 2]),
    "add_image": (PIXELS[0],),
    "add_images": (PIXELS,),
    "add_image_with_boxes": (PIXELS[0], [[0, 0, 2, 2]]),
    "add_video": (PIXELS[np.newaxis],),
    "add_audio": (ROW,),
    "add_text": ("text",),
    "add_pr_curve": (ROW, ROW),
    "add_pr_curve_raw": (ROW,) * 6,
    "add_mesh": (np.zeros((1, 4, 3)), np.zeros((1, 4, 3)), np.zeros((1, 2, 3))),
}
OPTIONS = {  # options that change how the event is stored
    "add_scalar": [{"new_style": True}, {"new_style": True, "double_precision": True}],
    "add_histogram": [{"bins": "auto"}],
    "add_images": [{"grid": False}],
    "add_video": [{"format": "apng"}],
}
CASES = [(name, options) for name in CALLS for options in [{}, *OPTIONS.get(name, [])]]
ALL = [*CALLS, "add_figure", "add_scalars"]  # the last two have tests of their own
WITHOUT = {"add_metrics", "add_hparams", "add_embedding", "add_custom_scalars"} | {
    "add_custom_scalars_multilinechart",
    "add_custom_scalars_marginchart",
    "add_graph",
    "add_onnx_graph",
}
LABEL = {"display_name": "Ein Name ✓", "description": "*Markdown* of\nmore lines"}


def log(log_dir, name, **keywords):
    with tbc.SummaryWriter(log_dir) as writer:
        getattr(writer, name)("the tag", *CALLS[name], global_step=3, **keywords)


def metadata_of(log_dir):
    """Return {tag: (display name, description)} of a run, as TensorBoard loads it."""
    accumulator = EventAccumulator(str(log_dir)).Reload()
    tags = [tag for tags in accumulator.Tags().values() if isinstance(tags, list) for tag in tags]
    found = {tag: accumulator.SummaryMetadata(tag) for tag in tags}
    return {tag: (metadata.display_name, metadata.summary_description) for tag, metadata in found.items()}


def test_these_are_all_methods():
    adders = {name for name in dir(tbc.SummaryWriter) if name.startswith("add_")}
    assert adders == {*ALL} | WITHOUT
    for name in adders:
        parameters = inspect.signature(getattr(tbc.SummaryWriter, name)).parameters
        assert ("label" in parameters or "display_name" in parameters) == (name in ALL), name


@pytest.mark.parametrize(("name", "options"), CASES)
def test_tensorboard_reads_both(log_dir, name, options):
    log(log_dir, name, **LABEL, **options)
    found = metadata_of(log_dir)
    assert len(found) == (3 if name == "add_mesh" else 1)
    assert set(found.values()) == {(LABEL["display_name"], LABEL["description"])}


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("given", LABEL)
def test_one_of_them(log_dir, name, options, given):
    log(log_dir, name, **{given: LABEL[given]}, **options)
    for event in read_back(log_dir):
        for value in event.summary.value:
            metadata = value.metadata
            found = {"display_name": metadata.display_name, "description": metadata.summary_description}
            assert found == {"display_name": "", "description": "", given: LABEL[given]}


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_label_changes_nothing_else(log_dir, name, options):
    log(log_dir + "/with", name, walltime=1.5, **LABEL, **options)
    log(log_dir + "/without", name, walltime=1.5, **options)
    log(log_dir + "/none", name, walltime=1.5, display_name=None, description=None, **options)
    log(log_dir + "/empty", name, walltime=1.5, display_name="", description="", **options)
    labelled, *plain = (read_back(f"{log_dir}/{run}") for run in ("with", "without", "none", "empty"))
    for event in labelled:
        for value in event.summary.value:
            value.metadata.display_name = value.metadata.summary_description = ""
            if not value.metadata.HasField("plugin_data"):
                value.ClearField("metadata")
    for events in plain:
        assert events == labelled


@pytest.mark.parametrize(("name", "options"), CASES)
def test_what_tensorboard_makes_of_the_old_styles_keeps_them(log_dir, name, options):
    log(log_dir, name, **LABEL, **options)
    (path,) = find_event_files(log_dir)
    values = [value for event in EventFileLoader(path).Load() for value in event.summary.value]
    assert values
    for value in map(data_compat.migrate_value, values):
        assert value.metadata.plugin_data.plugin_name
        found = value.metadata.display_name, value.metadata.summary_description
        assert found == (LABEL["display_name"], LABEL["description"])


def test_scalars_of_several_runs(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalars("the tag", {"a": 1, "b": 2}, **LABEL)
    for key in "ab":
        assert metadata_of(f"{log_dir}/the tag_{key}") == {"the tag": tuple(LABEL.values())}


def test_figures(log_dir):
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(1, 1), dpi=20)
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_figure("the tag", figure, **LABEL)
        with pytest.raises(TypeError, match="colour"):
            writer.add_figure("the tag", figure, colour="red")
    assert metadata_of(log_dir) == {"the tag": tuple(LABEL.values())}


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"display_name": 7}, TypeError, "display_name"),
        ({"description": ["x"]}, TypeError, "description"),
        ({"description": "\ud800"}, UnicodeEncodeError, "surrogates"),
        ({"display_name": b"\xff"}, UnicodeDecodeError, "utf-8"),
        ({"colour": "red"}, TypeError, "colour"),
        ({"display_name": "fine", "step": 3}, TypeError, "step"),
        ({"summary_description": "as in tensorboardX"}, TypeError, "summary_description"),
    ],
)
def test_what_is_wrong_is_told_at_once_and_writes_nothing(log_dir, name, options, wrong, error, words):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error, match=words):
            getattr(writer, name)("the tag", *CALLS[name], **options, **wrong)
        writer.add_scalar("fine", 1)
    assert only_value(log_dir)[1].tag == "fine"


@pytest.mark.parametrize("wrong", [{"display_name": 7}, {"colour": "red"}, {"new_style": True}])
def test_wrong_labels_of_several_runs_make_none(log_dir, wrong):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(TypeError):
            writer.add_scalars("the tag", {"a": 1}, **wrong)
        assert list(writer.all_writers) == [log_dir]
    assert len(find_event_files(log_dir)) == 1


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_methods_without_refuse_them(log_dir, name):
    arguments = {"add_embedding": (np.ones((2, 2)),), "add_hparams": ({}, {})}.get(name, ({"a": 1},))
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(TypeError, match="display_name"):
        getattr(writer, name)(*arguments, display_name="x")
    assert read_back(log_dir) == []
