"""Log values, and read the files back with two readers that must agree."""

import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from hypothesis import strategies as st
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.plugins import base_plugin

import tbc
from tbc import testing
from tbc.proto import Event
from tbc.reader import find_event_files, read_events

TESTS = Path(__file__).parent.parent
INT64 = (-(2**63), 2**63 - 1)

tags = testing.tags()
steps = testing.steps()
walltimes = st.floats(allow_nan=False, allow_infinity=False)


def read_back(log_dir):
    """Return the events of the only file in a directory, without the first. tbc.reader and TensorBoard must agree."""
    (path,) = (file for file in find_event_files(log_dir) if os.path.dirname(file) == str(log_dir))
    events = list(read_events(path))
    theirs = [Event.FromString(event.SerializeToString()) for event in LegacyEventFileLoader(path).Load()]
    assert [bytes_of(event) for event in events] == [bytes_of(event) for event in theirs]
    assert events[0].file_version == "brain.Event:2"
    return events[1:]


def steps_of_runs(log_dir, tag=None):
    """Return {directory relative to log_dir: the steps of all values in its files, or of those of a tag}."""
    found = {}
    for path in find_event_files(log_dir):
        run = found.setdefault(os.path.relpath(os.path.dirname(path), log_dir), [])
        for event in read_events(path):
            run += [event.step for value in event.summary.value if tag in (None, value.tag)]
    return found


def bytes_of(message):
    """Return the bytes of a message, to compare messages that may hold NaN."""
    return message.SerializeToString(deterministic=True)


def only_value(log_dir):
    """Return the only event in a directory's only file, and its only value."""
    (event,) = read_back(log_dir)
    (value,) = event.summary.value
    return event, value


def log_one(log_dir, add, value, **options):
    """Log a value by a method of SummaryWriter; return the Value message that is stored."""
    with tbc.SummaryWriter(log_dir) as writer:
        add(writer, "the tag", value, 5, **options)
    event, stored = only_value(log_dir)
    assert (event.step, stored.tag) == (5, "the tag")
    return stored


def tensorboard_on(log_dir):
    """Return TensorBoard's context for its plugins, with the data of a directory of runs."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(log_dir))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(log_dir))
    return base_plugin.TBContext(data_provider=provider, logdir=str(log_dir))


def same_float(a, b):
    return a == b or (math.isnan(a) and math.isnan(b))


def run_script(script, *arguments, timeout=60, check=True, **options):
    """Run Python code that could hang or exit in a new process; return the result, which has its output."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    options.setdefault("cwd", TESTS)  # in the root, Python would import tbc from the sources
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
    if check:
        assert result.returncode == 0, result.stderr
    return result
