"""Reads event files, whoever wrote them: tbc, torch, tensorboardX or TensorFlow. It needs none of those.

    from tbc.reader import load_runs, load_scalars

    loss = load_scalars("runs/first")["loss/train"]  # of a run or an event file
    loss.step, loss.wall_time, loss.value  # numpy arrays

    for name, run in load_runs("runs").items():  # all runs of a tree, in parallel
        print(name, run.scalars["loss/val"].value.min(), run.hparams)
        run.values["image"]["photo"][-1].image().show()

Into tables: `to_pandas`, `to_arrow`, `write_csv`, `write_jsonl`, `write_parquet`; of thousands of runs, `to_dataset`.
While they are written: `follow`. What is wrong with them: `verify`, `repair`. Two of them: `compare`.

Event by event, in pure Python and bounded memory: `read_values` yields what was logged (`value.decode()` is the number,
the text or an object: Histogram, Image, ...), `read_events` the Event messages, `read_records` the data of the frames,
`read_frames` also their offsets, from any of them on, and `find_event_files` the files of a tree. A file that ends
within a record raises TruncatedRecordError there (it may still be growing); bytes that were damaged raise
CorruptRecordError. To read on after damage, have it reported: `read_events(path, on_error=print)`.

Paths may be URLs, such as s3://bucket/runs, where fsspec is installed. In a terminal: `tbc-reader --help`.

The core is files, tags, records, events, kinds, scan and tally: pure Python that shares no code with the writer, and
the oracle of its tests. The other modules build on it, and none of the core imports them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .files import find_event_files
from .records import CorruptRecordError, RecordError, TruncatedRecordError, WrongFileError, read_frames, read_records
from .tags import KINDS

if TYPE_CHECKING:
    from .comparing import Difference, compare
    from .dataset import Dataset, to_dataset
    from .events import Value, read_events, read_values
    from .export import to_arrow, to_pandas, write_csv, write_jsonl, write_parquet
    from .following import ChangedFileError, follow
    from .kinds import Audio, Experiment, Histogram, HParams, Image, Mesh, PRCurve, SessionEnd, decode
    from .load import load_runs, load_scalars
    from .repairing import Repaired, repair
    from .series import Run, Scalars, Values
    from .verifying import Damage, Finding, Report, verify

__all__ = [
    "KINDS",
    "Audio",
    "ChangedFileError",
    "CorruptRecordError",
    "Damage",
    "Dataset",
    "Difference",
    "Experiment",
    "Finding",
    "HParams",
    "Histogram",
    "Image",
    "Mesh",
    "PRCurve",
    "RecordError",
    "Repaired",
    "Report",
    "Run",
    "Scalars",
    "SessionEnd",
    "TruncatedRecordError",
    "Value",
    "Values",
    "WrongFileError",
    "compare",
    "decode",
    "find_event_files",
    "follow",
    "load_runs",
    "load_scalars",
    "read_events",
    "read_frames",
    "read_records",
    "read_values",
    "repair",
    "to_arrow",
    "to_dataset",
    "to_pandas",
    "verify",
    "write_csv",
    "write_jsonl",
    "write_parquet",
]

# What needs more than the standard library is imported when it is asked for. __getattr__ keeps nothing, and importing a
# module sets its name here. So no module may have the name of a function: `verify` would become the module verify.py.
_MODULES = {
    "comparing": ["Difference", "compare"],
    "dataset": ["Dataset", "to_dataset"],
    "events": ["Value", "read_events", "read_values"],
    "export": ["to_arrow", "to_pandas", "write_csv", "write_jsonl", "write_parquet"],
    "following": ["ChangedFileError", "follow"],
    "kinds": ["Audio", "Experiment", "HParams", "Histogram", "Image", "Mesh", "PRCurve", "SessionEnd", "decode"],
    "load": ["load_runs", "load_scalars"],
    "repairing": ["Repaired", "repair"],
    "series": ["Run", "Scalars", "Values"],
    "verifying": ["Damage", "Finding", "Report", "verify"],
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
