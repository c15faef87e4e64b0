"""add_metrics, and add_scalars(separate_runs=False): many numbers in one event."""

import os
import tempfile

import numpy as np
import pytest
from helpers.oracle import only_value, read_back, same_float, steps, tags
from hypothesis import given
from hypothesis import strategies as st

import tbc
from tbc.reader import find_event_files


def stored(event):
    return {value.tag: value.simple_value for value in event.summary.value}


@given(st.dictionaries(tags, st.floats(width=32), min_size=1, max_size=6), steps)
def test_metrics_are_one_event(metrics, step):
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_metrics(metrics, step, 2.5)
        (event,) = read_back(log_dir)
    assert (event.step, event.wall_time) == (step, 2.5)
    assert list(stored(event)) == list(metrics)
    assert all(map(same_float, stored(event).values(), metrics.values()))
    assert not any(value.HasField("metadata") for value in event.summary.value)


def test_many_metrics(log_dir):
    metrics = {f"group {i % 7}/metric {i}": i / 8 for i in range(20_000)}
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_metrics(metrics, 1)
    (event,) = read_back(log_dir)
    assert stored(event) == metrics


@pytest.mark.parametrize(
    ("number", "want"),
    [(3, 3), (True, 1), ("0.5", 0.5), (np.float16(0.25), 0.25), (np.array([[7]]), 7), (1e300, float("inf"))],
)
def test_a_metric_is_what_add_scalar_takes(log_dir, number, want):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_metrics({"a": 1, "b": number})
    (event,) = read_back(log_dir)
    assert stored(event) == {"a": 1, "b": want}


def test_tensors(log_dir):
    torch = pytest.importorskip("torch")
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_metrics({"a": torch.tensor([2.5], requires_grad=True), "b": torch.tensor(3, dtype=torch.bfloat16)})
    (event,) = read_back(log_dir)
    assert stored(event) == {"a": 2.5, "b": 3}


def test_no_metrics_write_no_event(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_metrics({})
        writer.add_scalars("main", {}, separate_runs=False)
    assert read_back(log_dir) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (({"a": 1, "b": object()},), NotImplementedError),
        (({"a": 1, "b": np.ones(2)},), AssertionError),
        (({"a": 1, "b": 1j},), TypeError),
        (({"a": 1, "b": "much"},), ValueError),
        (({"a": 1, 7: 1},), TypeError),
        (({"a": 1, "\ud800": 1},), UnicodeEncodeError),
        (({"a": 1}, 2**63), ValueError),
        (({"a": 1}, 0, float("nan")), ValueError),
        ((None,), TypeError),
        (([("a", 1)],), TypeError),
    ],
)
def test_bad_input_is_told_at_once_and_writes_nothing(log_dir, arguments, error):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error):
            writer.add_metrics(*arguments)
        writer.add_scalar("fine", 1)
    assert only_value(log_dir)[1].tag == "fine"


@given(tags, st.dictionaries(tags, st.floats(width=32), min_size=1, max_size=4), steps)
def test_scalars_of_one_run(main_tag, scalars, step):
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_scalars(main_tag, scalars, step, 2.5, separate_runs=False)
            assert list(writer.all_writers) == [log_dir]
        (event,) = read_back(log_dir)
        assert os.listdir(log_dir) == [os.path.basename(path) for path in find_event_files(log_dir)]
    assert (event.step, event.wall_time) == (step, 2.5)
    assert list(stored(event)) == [f"{main_tag}/{key}" for key in scalars]
    assert all(map(same_float, stored(event).values(), scalars.values()))


@pytest.mark.parametrize(
    ("scalars", "options", "error"),
    [
        ({"a": 1, "b": None}, {}, NotImplementedError),
        ({"a": 1}, {"display_name": "A"}, TypeError),
        ({"a": 1}, {"description": "one"}, TypeError),
        ({"a": 1}, {"global_step": 2**63}, ValueError),
        ([1], {}, AttributeError),
    ],
)
def test_bad_scalars_of_one_run_write_nothing(log_dir, scalars, options, error):
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(error):
        writer.add_scalars("main", scalars, separate_runs=False, **options)
    assert read_back(log_dir) == []
