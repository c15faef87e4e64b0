"""tbc.testing, as tests of another project use it. TensorBoard reads what its strategies make."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from helpers.eventfiles import VERSION, scalar, write
from helpers.oracle import bytes_of
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

import tbc
from tbc.proto import Event
from tbc.reader import read_events
from tbc.reader.events import values_of
from tbc.reader.tags import EVENT_KINDS, KINDS
from tbc.testing import assert_logged, assert_valid, event_files, events, summary_values, tags

pytest_plugins = ["pytester"]


@pytest.fixture
def logs(tmp_path):
    with tbc.SummaryWriter(tmp_path) as writer:
        for step in range(3):
            writer.add_scalar("loss", 0.1 * step, step)
        writer.add_text("note", "hello", 7)
        writer.add_scalars("pair", {"a": 1}, 5)
    return tmp_path


def test_what_was_logged(logs):
    assert len(assert_logged(logs, "loss", steps=range(3), values=[0, 0.1, 0.2])) == 3
    assert_logged(logs, "loss", steps=np.arange(3), values=np.array([0, 0.1, 0.2]))
    assert_logged(logs, "loss", values=[0, 0.11, 0.19], atol=0.02)
    texts = assert_logged(logs, "note/text_summary", kind="text", steps=[7], values=["hello"])
    assert texts[0] == "hello"
    assert_logged(logs, "pair", run="pair_a")
    assert_valid(logs, strict=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tag": "los"}, "run '.' has no scalar 'los'; it has: 'loss'"),
        ({"tag": "loss", "run": "b"}, "there is no run 'b'; run= must be one of: '.', 'pair_a'"),
        ({"tag": "loss", "steps": [0, 1]}, r"'loss' was logged at steps \[0, 1, 2\], expected \[0, 1\]"),
        ({"tag": "loss", "values": [0.0, 0.1]}, "'loss' was logged 3 times, expected 2"),
        ({"tag": "loss", "values": [0.0, 0.1, 0.3]}, "'loss' is 0.2.* at step 2, expected 0.3"),
        ({"tag": "loss", "kind": "text"}, "run '.' has no text 'loss'; it has: 'note/text_summary'"),
        (
            {"tag": "note/text_summary", "kind": "text", "values": ["hullo"]},
            "is 'hello' at step 7, expected 'hullo'",
        ),
    ],
)
def test_what_was_not_logged(logs, arguments, message):
    with pytest.raises(AssertionError, match=message):
        assert_logged(logs, **arguments)


def test_what_is_not_valid(tmp_path):
    with pytest.raises(AssertionError, match="no event file here"):
        assert_valid(tmp_path)
    path = write(tmp_path / "events.out.tfevents.1", VERSION, scalar(2), scalar(1))
    assert_valid(tmp_path)
    with pytest.raises(AssertionError, match=r"warning: .*'loss' goes back from step 2 to 1"):
        assert_valid(tmp_path, strict=True)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AssertionError, match=r"error: .*the file ends in the record at byte"):
        assert_valid(tmp_path)


PROJECT = """
import pytest
import tbc

def train(log_dir, epochs):
    with tbc.SummaryWriter(log_dir) as writer:
        for epoch in range(epochs):
            writer.add_scalar("loss/train", 1 / (1 + epoch), epoch)

def test_training(log_dir):
    from tbc.testing import assert_logged
    train(log_dir, epochs=3)
    assert_logged(log_dir, "loss/train", steps=range(3), values=[1, 0.5, 1 / 3])

def test_damage(log_dir):
    train(log_dir, epochs=3)
    (path,) = log_dir.iterdir()
    path.write_bytes(path.read_bytes()[:-1])

def test_nothing(log_dir):
    pass
"""


def test_the_fixture_in_a_project_of_its_own(pytester):
    pytester.makeconftest('pytest_plugins = ["tbc.testing"]')
    pytester.makepyfile(PROJECT)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(["*AssertionError: event files are not valid:", "*No such file or directory"])


@given(event_files())
def test_tensorboard_reads_what_is_made_up(content):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "events.out.tfevents.1")
        path.write_bytes(content)
        ours = [bytes_of(event) for event in read_events(path)]
        theirs = [Event.FromString(event.SerializeToString()) for event in LegacyEventFileLoader(str(path)).Load()]
        assert ours == list(map(bytes_of, theirs))


@given(st.data())
def test_values_are_of_the_kinds_that_were_asked_for(data):
    kinds = data.draw(st.sets(st.sampled_from(sorted({*KINDS} - {*EVENT_KINDS.values()})), min_size=1))
    event = data.draw(events(kinds))
    for value in values_of(event):
        has_plugin = value.content.metadata.plugin_data.plugin_name
        assert value.kind in kinds or not has_plugin  # TensorFlow 1 stores the plugin only with the first value
    assert data.draw(summary_values(kinds)).DESCRIPTOR.name == "Value"
    assert isinstance(data.draw(tags()), str)


def test_a_kind_that_there_is_not():
    with pytest.raises(ValueError, match=r"a kind must be one of .*scalar.*, got 'scalars'"):
        summary_values(["scalars"])


def test_a_kind_that_there_is_not_logged(logs):
    with pytest.raises(ValueError, match=r"a kind must be one of .*scalar.*, got 'scalars'"):
        assert_logged(logs, "loss", kind="scalars")
