"""Event files for the tests of the reader, event by event."""

from tbc import _core
from tbc.proto import Event

NOW = 1.7e9
VERSION = Event(wall_time=NOW, file_version="brain.Event:2")


def scalar(step, tag="loss", wall_time=NOW, value=0.5):
    event = Event(step=step, wall_time=wall_time)
    event.summary.value.add(tag=tag, simple_value=value)
    return event


def histogram(step, tag="loss"):
    event = Event(step=step, wall_time=NOW)
    event.summary.value.add(tag=tag).histo.num = 1
    return event


def start(step):
    return Event(step=step, wall_time=NOW, session_log={"status": 1})


def frames(*events):
    return [_core.frame(event if isinstance(event, bytes) else event.SerializeToString()) for event in events]


def write(path, *events):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(frames(*events)))
    return path
