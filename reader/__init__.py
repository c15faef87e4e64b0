"""Reads event files back, in pure Python: no compiled code, no tensorboard.

    from tbc.reader import read_events

    for event in read_events("runs/first/events.out.tfevents..."):
        for value in event.summary.value:
            print(event.step, value.tag, value.simple_value)

`read_records` gives the payload bytes of the frames, `read_events` the Event messages, `find_event_files` the files of
a directory tree. A file that ends within a record raises TruncatedRecordError there (it may still be growing); bytes
that were damaged raise CorruptRecordError. To read on behind damage, have it told:

    read_events(path, on_error=print)

On a command line, which does that: `python -m tbc.reader dump FILE_OR_DIR`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .files import find_event_files
from .records import CorruptRecordError, RecordError, TruncatedRecordError, read_records

if TYPE_CHECKING:
    from .events import read_events

__all__ = [
    "CorruptRecordError",
    "RecordError",
    "TruncatedRecordError",
    "find_event_files",
    "read_events",
    "read_records",
]


def __getattr__(name: str) -> Any:  # protobuf is loaded with the first event
    if name == "read_events":
        return getattr(import_module(".events", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
