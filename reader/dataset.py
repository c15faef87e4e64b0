"""Write the scalars of thousands of runs as one Parquet dataset, with Dask: on this machine or on a cluster."""

from __future__ import annotations

import errno
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .export import write_parquet
from .files import by_run, bytes_in, filesystem, find_event_files, is_url
from .loader import Loader, OnError, Steps, step_range, warn_of
from .records import RecordError
from .series import Run, warn_of_hidden
from .tags import Patterns, matcher

PART_SIZE = 1 << 25  # bytes of event files for each Parquet file


@dataclass(frozen=True)
class Dataset:
    """Counts what to_dataset wrote: files, rows and runs.

    errors: how many errors it reported
    hidden: how many values are left out because a later event file of their run replaces them
    """

    files: int
    rows: int
    runs: int
    errors: int
    hidden: int


def to_dataset(
    logdir: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    runs: Patterns = None,
    tags: Patterns = None,
    steps: Steps = None,
    purge: bool | None = None,
    part_size: int = PART_SIZE,
    client: Any = None,
    on_error: OnError | None = None,
) -> Dataset:
    """Write the scalars of the runs below logdir as Parquet files into destination. Needs dask and pyarrow.

    logdir, destination: directories or URLs; destination must be empty or not exist
    runs, tags, steps, purge: as in load_runs
    part_size: bytes of event files, 32 MiB by default. Runs of up to this size together, or one larger run, become one
        Parquet file, written by one Dask task
    client: a distributed.Client of a Dask cluster, whose workers have tbc and can reach logdir and destination. By
        default the tasks run in threads of this process. dask.diagnostics.ProgressBar shows their progress
    on_error: called, when all is done, with each damaged place (RecordError) and each file or directory below logdir
        that cannot be read (OSError). The rest is written. By default it is a RuntimeWarning, except for a file that
        ends within a record: that may still be growing

    The files, part-00000.parquet and so on, have the columns of the long form: run and tag (strings), step (int64),
    wall_time and value (float64). They are in one directory, in order of runs. Each row group stores its first and last
    run. So pyarrow.dataset, dask.dataframe, polars, DuckDB and
    pandas.read_parquet(destination, filters=[("run", "==", "...")]) read one run and skip the other groups. (A
    directory for each of 10,000 runs has nine times the size, and pandas takes seconds instead of milliseconds.)

    Each file appears when it is whole; if to_dataset raises, some files may be missing. Raises FileExistsError if
    destination is not empty, OSError if logdir cannot be read or has no event files, or destination cannot be written.
    """
    try:
        dask: Any = import_module("dask")  # Any, as dask has types for some of its functions only
        import_module("pyarrow")
    except ImportError:
        raise ImportError("to_dataset needs dask and pyarrow: pip install 'tbc[dask]'") from None
    root, home = os.fsdecode(logdir), os.fsdecode(destination).rstrip("/")
    if not isinstance(tags, str | re.Pattern | None):
        tags = list(tags)  # an iterator could be read by one task only
    wants_run, _, _ = matcher(runs), matcher(tags), step_range(steps)  # raise before any task runs
    errors: list[RecordError | OSError] = []
    found = find_event_files(root, errors.append)
    if found in ([], [root]):
        raise errors[0] if errors else FileNotFoundError(errno.ENOENT, "Expected a directory with event files", root)
    files = by_run(found, root, wants_run)
    sizes = {name: bytes_in(several) for name, several in files.items()}
    _make_empty(home)
    tasks = [
        dask.delayed(_write_part)(
            f"{home}/part-{i:05}.parquet", {name: files[name] for name in names}, tags, steps, purge
        )
        for i, names in enumerate(_parts(sizes, part_size))
    ]
    parts = dask.compute(*tasks, scheduler="threads" if client is None else client)
    for part_errors, *_ in parts:
        errors += part_errors
    for error in errors:
        (on_error or warn_of)(error)
    hidden = {name: n for *_, part_hidden in parts for name, n in part_hidden.items()}
    if purge is None:
        warn_of_hidden(root, hidden)
    rows, runs_written = (sum(part[i] for part in parts) for i in (1, 2))
    return Dataset(len(parts), rows, runs_written, len(errors), sum(hidden.values()))


def _parts(sizes: dict[str, int], part_size: int) -> list[list[str]]:
    """Return the sorted runs of each part. There is at least one part, so that readers find a schema."""
    parts: list[list[str]] = [[]]
    room = part_size
    for name, size in sorted(sizes.items()):
        if size > room and parts[-1]:
            parts.append([])
            room = part_size
        parts[-1].append(name)
        room -= size
    return parts


def _make_empty(home: str) -> None:
    """Make the directory if it does not exist. Raises FileExistsError if it is not empty."""
    if is_url(home):
        there, path = filesystem(home)
        there.invalidate_cache()
        is_empty = not there.find(path)
        there.makedirs(path, exist_ok=True)
    else:
        os.makedirs(home, exist_ok=True)
        is_empty = not os.listdir(home)
    if not is_empty:
        raise FileExistsError(errno.EEXIST, "Directory not empty", home)


def _write_part(
    path: str, files: dict[str, list[str]], tags: Patterns, steps: Steps, purge: bool | None
) -> tuple[list[RecordError | OSError], int, int, dict[str, int]]:
    """Write the scalars of some runs to a Parquet file, as a task. Return the errors, the number of rows and of runs,
    and how many values of each run are left out."""
    errors: list[RecordError | OSError] = []
    wants_tag = matcher(tags)

    def load(name: str) -> Run:
        return Loader(wants_tag, {"scalar"}, steps, purge, errors.append).load_run(name, files[name])

    is_remote = any(is_url(file) for several in files.values() for file in several)
    with ThreadPoolExecutor(16 if is_remote else 1) as threads:
        runs = {run.name: run for run in threads.map(load, files) if run.scalars}
    write_parquet(runs, path)
    rows = sum(len(of) for run in runs.values() for of in run.scalars.values())
    return errors, rows, len(runs), {name: run.hidden for name, run in runs.items()}
