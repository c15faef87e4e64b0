"""Reads runs back in every way there is."""

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

from tbc import reader
from tbc.reader import (
    KINDS,
    CorruptRecordError,
    Difference,
    RecordError,
    Run,
    Scalars,
    TruncatedRecordError,
    Value,
    Values,
    WrongFileError,
    compare,
    decode,
    find_event_files,
    follow,
    load_runs,
    load_scalars,
    read_events,
    read_frames,
    read_records,
    read_values,
    repair,
    to_arrow,
    to_dataset,
    to_pandas,
    verify,
    write_csv,
    write_jsonl,
    write_parquet,
)


def last_loss(log_dir: Path) -> float:
    scalars = load_scalars(log_dir, tags="loss", steps=(0, None))
    assert_type(scalars, dict[str, Scalars])
    loss = scalars["loss"]
    assert_type(loss.step, NDArray[np.int64])
    assert_type(loss.wall_time, NDArray[np.float64])
    assert_type(loss.value, NDArray[np.float64])
    assert_type(len(loss), int)
    return float(loss.value[-1])


def kinds_of_all_runs(log_dir: Path) -> set[str]:
    runs = load_runs(log_dir, runs=["*"], workers=1, progress=False)
    assert_type(runs, dict[str, Run])
    assert_type(runs["."].hparams, dict[str, Any])
    assert_type(runs["."].values, dict[str, dict[str, Values]])
    images = runs["."].values["image"]["image"]
    assert_type(images.message(-1), Value)
    assert_type(images[:1], list[Any])
    assert images[-1].image().size == (8, 8)
    return {kind for run in runs.values() for kind in run.values} & {*KINDS}


def event_by_event(log_dir: Path) -> int:
    problems: list[RecordError] = []
    n = 0
    for path in find_event_files(log_dir):
        assert_type(path, str)
        for value in read_values(path, on_error=problems.append):
            assert_type(value.step, int)
            assert_type(value.tag, str)
            decode(value)
            assert_type(value.decode(), Any)
            n += 1
        events, records, frames = list(read_events(path)), list(read_records(path)), list(read_frames(path))
        assert_type(records, list[bytes])
        assert_type(frames, list[tuple[int, bytes]])
        assert len(events) == len(records) == len(frames)
    assert not problems
    return n


def is_broken(path: Path) -> bool:
    try:
        return not list(read_records(path))
    except (CorruptRecordError, TruncatedRecordError, WrongFileError) as error:
        assert_type(error.path, str)
        assert_type(error.offset, int)
        assert_type(error.problem, str)
        assert_type(error.end, int | None)
        return True


def first_values(log_dir: Path, n: int) -> list[tuple[str, Value]]:
    with_runs = follow(log_dir, interval=0.01, idle=0.1)
    values = list(itertools.islice(with_runs, n))
    assert_type(values, list[tuple[str, Value]])
    with_runs.close()
    return values


def findings(log_dir: Path) -> list[str]:
    return [
        f"{found.severity} {found.offset} {found.message}" for report in verify(log_dir) for found in report.findings
    ]


def copy(log_dir: Path, destination: Path) -> int:
    kept = [copied.records for copied in repair(log_dir, destination)]
    differences = compare(load_runs(log_dir), load_runs(destination), rtol=1e-6)
    assert_type(differences, list[Difference])
    if differences:
        difference = differences[0]
        raise ValueError(f"{difference.run} {difference.tag} {difference.count}")
    return sum(kept)


def result_types() -> list[type]:
    """For annotations of functions that take results."""
    results: list[type] = [reader.Report, reader.Finding, reader.Damage, reader.Repaired, reader.Difference]
    contents: list[type] = [reader.Histogram, reader.PRCurve, reader.Image, reader.Audio, reader.Mesh]
    hparams: list[type] = [reader.HParams, reader.SessionEnd, reader.Experiment]
    return [*results, *contents, *hparams, reader.ChangedFileError]


def export(log_dir: Path, destination: Path) -> int:
    runs = load_runs(log_dir)
    text = io.StringIO()
    write_csv(runs, text, wide=True)
    write_csv(load_scalars(log_dir), destination / "scalars.csv")
    write_jsonl(runs["."], destination / "scalars.jsonl")
    write_parquet(runs, destination / "scalars.parquet")
    assert to_arrow(runs).num_rows == len(to_pandas(runs))
    dataset = to_dataset(log_dir, destination / "dataset", tags="loss*")
    assert_type(dataset, reader.Dataset)
    return dataset.rows
