"""add_custom_scalars and its shorthands: the layout message, compared to torch's."""

import json
import os
import tempfile
import warnings
from collections import OrderedDict, UserDict

import numpy as np
import pytest
from helpers.oracle import only_value, read_back, tensorboard_on
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.context import RequestContext
from tensorboard.plugins.custom_scalar import layout_pb2

import tbc


def parsed(layout):
    """Return TensorBoard's layout message as the nested dict that add_custom_scalars takes."""
    result = {}
    for category in layout.category:
        charts = result[category.title] = {}
        for chart in category.chart:
            if chart.HasField("margin"):
                (series,) = chart.margin.series
                charts[chart.title] = ["Margin", [series.value, series.lower, series.upper]]
            else:
                assert chart.HasField("multiline")
                charts[chart.title] = ["Multiline", list(chart.multiline.tag)]
    return result


def stored(log_dir):
    event, value = only_value(log_dir)
    assert (event.step, value.tag) == (0, "custom_scalars__config__")
    assert (value.metadata.plugin_data.plugin_name, value.metadata.plugin_data.content) == ("custom_scalars", b"")
    assert (value.tensor.dtype, len(value.tensor.tensor_shape.dim)) == (7, 0)
    assert value.tensor.HasField("tensor_shape")
    (content,) = value.tensor.string_val
    return layout_pb2.Layout.FromString(content)


def layout_shown(log_dir):
    """Return the layout that TensorBoard sends to the browser."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about TensorBoard's own code
        from tensorboard.plugins.custom_scalar import custom_scalars_plugin

    plugin = custom_scalars_plugin.CustomScalarsPlugin(tensorboard_on(log_dir))
    return json.loads(plugin.layout_impl(RequestContext(), ""))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
charts = st.one_of(
    st.tuples(st.just("Multiline"), st.lists(texts, max_size=4)),
    st.tuples(st.just("Margin"), st.lists(texts, min_size=3, max_size=3)),
)


@given(st.dictionaries(texts, st.dictionaries(texts, charts.map(list), max_size=4), max_size=4))
def test_any_layout_is_read_back(layout):
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_custom_scalars(layout)
        found = parsed(stored(log_dir))
    assert found == layout
    assert [list(charts) for charts in found.values()] == [list(charts) for charts in layout.values()]  # in order


LAYOUT = {"losses": {"both": ["Multiline", ["loss/train", "loss/.*"]], "band": ["Margin", ["mean", "low", "high"]]}}


def test_the_event_is_torchs(log_dir):
    custom_scalars = pytest.importorskip("torch.utils.tensorboard.summary").custom_scalars
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_custom_scalars(LAYOUT)
    _, value = only_value(log_dir)
    assert value.SerializeToString() == custom_scalars(LAYOUT).value[0].SerializeToString()


@pytest.mark.parametrize("kind", ["multiline", "margin", None])
def test_another_kind_is_multiline_as_in_torch(log_dir, kind):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_custom_scalars({"c": {"t": [kind, ["a"]]}})
    assert parsed(stored(log_dir)) == {"c": {"t": ["Multiline", ["a"]]}}


@pytest.mark.parametrize("kind", [OrderedDict, UserDict])
def test_other_mappings_and_tuples(log_dir, kind):
    layout = kind({"c": kind({"t": ("Multiline", ("a", "b"))})})
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_custom_scalars(layout)
    assert parsed(stored(log_dir)) == {"c": {"t": ["Multiline", ["a", "b"]]}}


def test_shorthand_for_several_curves(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_custom_scalars_multilinechart(["a", "b"])
        writer.add_custom_scalars_multilinechart(["a"], category="mine", title="curves")
    layouts = [event.summary.value[0].tensor.string_val[0] for event in read_back(log_dir)]
    assert [parsed(layout_pb2.Layout.FromString(layout)) for layout in layouts] == [
        {"default": {"untitled": ["Multiline", ["a", "b"]]}},
        {"mine": {"curves": ["Multiline", ["a"]]}},
    ]


def test_shorthand_for_a_margin(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_custom_scalars_marginchart(["mean", "low", "high"], category="mine")
    assert parsed(stored(log_dir)) == {"mine": {"untitled": ["Margin", ["mean", "low", "high"]]}}


def test_tensorboard_shows_the_last_layout_of_a_run(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_custom_scalars({"old": {"t": ["Multiline", ["a"]]}})
        writer.add_custom_scalars(LAYOUT)
    with tbc.SummaryWriter(os.path.join(log_dir, "other")) as writer:
        writer.add_custom_scalars({"other": {"t": ["Multiline", ["b"]]}})
    shown = layout_shown(log_dir)["category"]
    assert [category["title"] for category in shown] == ["losses", "other"]
    assert [chart["title"] for chart in shown[0]["chart"]] == ["both", "band"]
    assert shown[0]["chart"][0]["multiline"]["tag"] == ["loss/train", "loss/.*"]
    assert shown[0]["chart"][1]["margin"]["series"] == [{"value": "mean", "lower": "low", "upper": "high"}]


@pytest.mark.parametrize(
    ("layout", "error", "words"),
    [
        (None, TypeError, "a layout must be a dict"),
        ([["c", {}]], TypeError, "a layout must be a dict"),
        ({"c": ["Multiline", ["a"]]}, TypeError, "category 'c' must be a dict"),
        ({"c": {"t": "Multiline"}}, TypeError, "chart 't' must be a list of its kind and its tags"),
        ({"c": {"t": ["Multiline"]}}, TypeError, "chart 't' must be a list of its kind and its tags"),
        ({"c": {"t": {"Multiline": ["a"]}}}, TypeError, "chart 't' must be a list of its kind and its tags"),
        ({"c": {"t": ["Multiline", 7]}}, TypeError, "tags of chart 't' must be a list of str, got 7"),
        ({"c": {"t": ["Multiline", [1]]}}, TypeError, "tags of chart 't' must be a list of str"),
        ({"c": {"t": ["Margin", ["a", "b"]]}}, AssertionError, "'t' needs 3 tags"),
        ({"c": {"t": ["Margin", ["a", "b", "c", "d"]]}}, AssertionError, "'t' needs 3 tags"),
        ({1: {}}, TypeError, "titles in a layout must be str, got 1"),
        ({"c": {1: ["Multiline", ["a"]]}}, TypeError, "titles in category 'c' must be str, got 1"),
        ({"\ud800": {}}, ValueError, "surrogates|UTF-8"),
        ({"c": {"t": ["Multiline", ["\ud800"]]}}, ValueError, "surrogates|UTF-8"),
        ({"fine": {"t": ["Multiline", ["a"]]}, "c": {"t": ["Margin", ["a"]]}}, AssertionError, "'t' needs 3 tags"),
    ],
)
def test_bad_layouts_are_told_at_once_and_write_nothing(log_dir, layout, error, words):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error, match=words):
            writer.add_custom_scalars(layout)
        writer.add_custom_scalars({"fine": {}})
    assert parsed(stored(log_dir)) == {"fine": {}}


def test_bad_shorthands(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(AssertionError, match="3 tags"):
            writer.add_custom_scalars_marginchart(["a", "b"])
        with pytest.raises(TypeError, match="list of str, got 7"):
            writer.add_custom_scalars_multilinechart(7)
    assert read_back(log_dir) == []


@pytest.mark.parametrize("tags", ["loss", {"loss": 1}.keys(), iter(["loss"]), np.array(["loss"])])
def test_whatever_gives_tags_will_do(log_dir, tags):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_custom_scalars_multilinechart(tags)
    assert list(stored(log_dir).category[0].chart[0].multiline.tag) == ["loss"]
