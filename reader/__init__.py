"""Read event files, written by tbc, torch, tensorboardX or TensorFlow. None of these needs to be installed.

    from tbc.reader import load_runs, load_scalars

    loss = load_scalars("runs/first")["loss/train"]  # the path of a run or of an event file
    loss.step, loss.wall_time, loss.value  # numpy arrays

    for name, run in load_runs("runs").items():  # all runs of a tree, in parallel
        print(name, run.scalars["loss/val"].value.min(), run.hparams)
        run.values["image"]["photo"][-1].image().show()

`to_pandas`, `to_arrow`, `write_csv`, `write_jsonl` and `write_parquet` make tables; `to_dataset` writes a dataset of
thousands of runs. `follow` yields values while they are written. `verify` finds what is wrong with files, `repair`
copies what is good. `compare` returns the differences of two trees.

These functions read one event at a time, in pure Python and bounded memory. `read_values` yields what was logged;
`value.decode()` returns the number, the text or an object (Histogram, Image, ...). `read_events` yields the Event
messages, `read_records` the data of the records. `read_frames` yields their offsets, too, and can start at any of them.
`find_event_files` lists the files of a tree. A file that ends within a record raises TruncatedRecordError there: it may
still be growing. Damaged bytes raise CorruptRecordError. Pass on_error to continue after damage:
`read_events(path, on_error=print)`.

Paths may be URLs, such as s3://bucket/runs, if fsspec is installed. `tbc-reader --help` lists the commands.

The core is files, tags, records, events, kinds, scan and tally. It is pure Python, shares no code with the writer, and
is the oracle of the writer's tests. The other modules build on it; the core imports none of them.
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

# __getattr__ imports these modules on first use, because most need more than the standard library. Importing a module
# also sets its name in this package. So no module may have the name of a function: `verify` would become a module.
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
