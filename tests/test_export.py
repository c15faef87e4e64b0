"""Exported tables: pandas, pyarrow and csv read back what was loaded."""

import csv
import io
import json
import math
import os
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tbc
from tbc.reader import export
from tbc.reader.export import to_arrow, to_pandas, write_csv, write_jsonl, write_parquet
from tbc.reader.load import load_runs, load_scalars
from tbc.reader.series import Run, Scalars

pytest.importorskip("pandas")
pq = pytest.importorskip("pyarrow.parquet")

AWKWARD = ['comma, "quote"', "two\nlines", "\r", "é\u2028", "100%", "step", "run", "run_", "wall_time", " ", "%s"]


def scalars(*rows):
    """Return Scalars with these rows of (step, wall_time, value)."""
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    step, wall_time, value = (np.array(c, t) for c, t in zip(columns, (np.int64, float, float), strict=True))
    return Scalars(step, wall_time, value, 0)


ROW = st.tuples(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3), st.floats(), st.floats())
SERIES = st.lists(ROW, max_size=6).map(lambda rows: scalars(*rows))
TAGS = st.sampled_from(AWKWARD) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SCALARS = st.dictionaries(TAGS, SERIES, max_size=4)
RUNS = st.dictionaries(TAGS, SCALARS, max_size=3).map(
    lambda runs: {name: Run(name, of, {}) for name, of in runs.items()}
)


def long_rows(runs):
    """Yield every row, without numpy."""
    for name, run in runs.items():
        for tag, of in run.scalars.items():
            for row in zip(of.step.tolist(), of.wall_time.tolist(), of.value.tolist(), strict=True):
                yield name, tag, *row


def wide_rows(runs):
    tags = dict.fromkeys(tag for run in runs.values() for tag in run.scalars)
    for name, run in runs.items():
        values = {}
        for _, tag, step, _, value in long_rows({name: run}):
            values.setdefault(step, {})[tag] = value
        for step in sorted(values):
            yield name, step, *map(values[step].get, tags)


def rows(table):
    return list(zip(*table.to_pydict().values(), strict=True))


def same(a, b):
    """Return whether two sequences are equal, NaN being equal to NaN."""
    return list(map(repr, a)) == list(map(repr, b))


@given(RUNS)
def test_long(runs):
    table = to_arrow(runs)
    assert table.column_names == ["run", "tag", "step", "wall_time", "value"]
    assert [str(t) for t in table.schema.types[-3:]] == ["int64", "double", "double"]
    assert same(rows(table), long_rows(runs))
    frame = to_pandas(runs)
    assert list(frame.columns) == table.column_names
    assert [str(t) for t in frame.dtypes] == ["category", "category", "int64", "float64", "float64"]
    assert same(zip(*(frame[name].tolist() for name in frame), strict=True), long_rows(runs))


@given(RUNS)
def test_wide(runs):
    table = to_arrow(runs, wide=True)
    assert same(rows(table), wide_rows(runs))
    frame = to_pandas(runs, wide=True)
    assert list(frame.columns) == table.column_names
    assert [str(t) for t in frame.dtypes] == ["category", "int64", *["float64"] * (len(frame.columns) - 2)]
    assert same(
        zip(*(frame[name].tolist() for name in frame), strict=True),
        (tuple(math.nan if cell is None else cell for cell in row) for row in wide_rows(runs)),
    )


@given(SCALARS.filter(bool), st.booleans())
def test_scalars_have_no_run(scalars, wide):
    with_run = to_arrow({"a": Run("a", scalars, {})}, wide=wide)
    assert same(rows(to_arrow(scalars, wide=wide)), rows(with_run.drop_columns("run")))


def test_names_of_wide_columns():
    """A tag that has the name of a key column gets an underscore."""
    data = {tag: scalars((1, 0.0, 2.0)) for tag in ("step", "run", "run_", "loss")}
    assert list(to_pandas(data, wide=True).columns) == ["step", "step_", "run_", "run__", "loss"]
    data = {"a": Run("a", data, {})}
    assert list(to_pandas(data, wide=True).columns) == ["run", "step", "step_", "run_", "run__", "loss"]


def test_what_was_logged(tmp_path):
    for name in ("a", "b/c"):
        with tbc.SummaryWriter(tmp_path / name) as writer:
            for step in range(3):
                writer.add_scalar("loss", 1 / (1 + step), step, walltime=1e9 + step)
            writer.add_scalar("accuracy", 0.5, 2, walltime=1e9)
            writer.add_text("notes", "no scalar")
    frame = to_pandas(load_runs(tmp_path))
    assert frame.groupby(["run", "tag"], observed=True).size().to_dict() == {
        ("a", "loss"): 3,
        ("a", "accuracy"): 1,
        ("b/c", "loss"): 3,
        ("b/c", "accuracy"): 1,
    }
    frame = to_pandas(load_scalars(tmp_path / "a"), wide=True)
    assert same(
        frame.to_numpy().ravel(), np.array([[0, 1, np.nan], [1, 0.5, np.nan], [2, np.float32(1 / 3), 0.5]]).ravel()
    )
    run = load_runs(tmp_path)["b/c"]
    assert to_arrow(run).equals(to_arrow({"b/c": run}))
    assert to_arrow({"renamed": run})["run"].to_pylist() == ["renamed"] * 4


def test_what_is_no_data():
    of = scalars((1, 0.0, 2.0))
    for data in ({"a": 1}, {"a": of, "b": Run("b", {}, {})}, of):
        with pytest.raises(TypeError, match="load_scalars or load_runs"):
            to_arrow(data)


def test_a_path_in_place_of_a_file(tmp_path):
    data = {"loss": scalars((1, 0.0, 2.0))}
    for write, name in ((write_csv, "a.csv"), (write_jsonl, "a.jsonl")):
        write(data, file := io.StringIO())
        write(data, tmp_path / name)
        write(data, str(tmp_path / name))  # overwrites the file that is there
        assert (tmp_path / name).read_text() == file.getvalue()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.jsonl"]


def test_a_run_whose_name_is_no_utf_8():
    name = os.fsdecode(b"caf\xe9")
    data = {name: Run(name, {"loss": scalars((1, 0.0, 2.0))}, {})}
    assert to_arrow(data)["run"].to_pylist() == ["caf\\udce9"]
    write_csv(data, file := io.StringIO())
    assert file.getvalue().encode() == b"run,tag,step,wall_time,value\ncaf\\udce9,loss,1,0.0,2.0\n"


@given(RUNS, st.booleans())
def test_csv(runs, wide):
    file = io.StringIO(newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "ROWS", 2)
        write_csv(runs, file, wide=wide)
    assume(sys.version_info >= (3, 11) or "\0" not in file.getvalue())  # csv before Python 3.11 does not read NUL
    file.seek(0)
    header, *found = csv.reader(file)
    assert header == to_arrow(runs, wide=wide).column_names
    expected = wide_rows(runs) if wide else long_rows(runs)
    assert found == [["" if cell is None else str(cell) for cell in row] for row in expected]


@given(RUNS)
def test_json_lines(runs):
    write_jsonl(runs, file := io.StringIO())
    found = [json.loads(line, parse_constant=pytest.fail) for line in file.getvalue().splitlines()]
    for row in found:
        row["wall_time"], row["value"] = float(row["wall_time"]), float(row["value"])  # "NaN", "Infinity"
    columns = ("run", "tag", "step", "wall_time", "value")
    assert same(found, (dict(zip(columns, row, strict=True)) for row in long_rows(runs)))


def test_parquet(tmp_path):
    data = {name: Run(name, {tag: scalars((1, 0.5, math.nan), (2, 1.5, 3.0)) for tag in AWKWARD}, {}) for name in "ab"}
    path = tmp_path / "scalars.parquet"
    path.write_text("another")
    write_parquet(data, path)
    table = pq.read_table(path)
    assert [str(t) for t in table.schema.types] == ["string", "string", "int64", "double", "double"]
    assert same(rows(table), long_rows(data))
    write_parquet(data["a"].scalars, path, wide=True)
    assert same(rows(pq.read_table(path)), rows(to_arrow(data["a"].scalars, wide=True)))


def test_parquet_that_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "scalars.parquet"
    path.write_text("as it was")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_parquet({}, path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["as it was"]
    with pytest.raises(FileNotFoundError):
        write_parquet({}, tmp_path / "nowhere" / "scalars.parquet")


@pytest.mark.parametrize(
    ("package", "call"), [("pandas", to_pandas), ("pyarrow", to_arrow), ("pyarrow", write_parquet)]
)
def test_what_is_not_installed(package, call, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'tbc\[(pandas|arrow)\]'"):
        call({}, *["x"] * (call is write_parquet))


def test_no_scalars_of_load_scalars_are_no_runs(tmp_path):
    """Empty results have the usual columns: they do not depend on what a filter leaves."""
    with tbc.SummaryWriter(tmp_path) as writer:
        writer.add_scalar("a", 1, 1)
    columns = ["tag", "step", "wall_time", "value"]
    assert list(to_pandas(load_scalars(tmp_path, tags="a"))) == columns
    assert list(to_pandas(load_scalars(tmp_path, tags="b"))) == columns
    assert list(to_pandas(load_scalars(tmp_path, tags="b"), wide=True)) == ["step"]
    assert list(to_pandas(load_runs(tmp_path, tags="b"))) == ["run", *columns]
