"""Make event files for the tests of the reader, event by event."""

from unittest import mock

from tbc import _core
from tbc.proto import Event
from tbc.reader import KINDS, loader

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


def loaded(path, kernel, purge=False, steps=None):
    """Load a file with or without the kernel; return its columns, which can be compared, and the errors."""
    errors = []
    with mock.patch.object(loader, "_scan", loader._scan if kernel else None):
        loading = loader.Loader(lambda tag: True, set(KINDS), steps, purge, errors.append)
        loading.load(str(path))
        run = loading.run(".")
    found = {(tag, "scalar"): (scalars, scalars.value) for tag, scalars in run.scalars.items()}
    for kind, tags in run.values.items():
        found |= {(tag, kind): (values, values._place) for tag, values in tags.items()}
    columns = {
        key: (
            series.step.tolist(),
            list(map(repr, series.wall_time.tolist())),
            list(map(repr, cells.tolist())),
            series.size,
        )
        for key, (series, cells) in found.items()
    }
    return columns, errors
