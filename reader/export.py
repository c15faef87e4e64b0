"""Write scalars as tables: for pandas, Arrow and Parquet, as CSV and as JSON lines.

`data` is what load_scalars or load_runs returned, or one of its runs. Values that are not scalars are left out. A table
has one of two forms:

- long: a row for each value, in the order of the data. The columns are run, tag, step (int64), wall_time and value
  (float64). wall_time is in seconds since 1970: pandas.to_datetime(table.wall_time, unit="s") converts it to dates.
- wide: a row for each run and step, sorted by step. The columns are run, step, and one for each tag (float64). If a tag
  has several values at a step, the last one counts; if it has none, the cell is empty. A tag named run or step has the
  column run_ or step_.

The column run is left out for data of load_scalars.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .files import filesystem, is_url, whole_file
from .series import ByTag, Run, Scalars

if TYPE_CHECKING:
    import pandas
    import pyarrow

Data: TypeAlias = "Mapping[str, Scalars] | Mapping[str, Run] | Run"

ROWS = 1 << 16  # rows of text that are made at a time
ROW_GROUP = 1 << 17  # rows of a Parquet row group, which a reader reads or skips as a whole
JSON_NUMBERS = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}  # as in commands.printing.strict
CSV_NUMBERS = {"None": ""}
_QUOTED = re.compile('[",\r\n]')


@dataclass(frozen=True)
class Categories:
    """A column of strings, stored as names[codes], for few names in many rows."""

    codes: NDArray[np.int32]
    names: list[str]

    def __len__(self) -> int:
        return len(self.codes)


Table: TypeAlias = "dict[str, Categories | NDArray[Any]]"


def to_pandas(data: Data, *, wide: bool = False) -> pandas.DataFrame:
    """Return scalars as a DataFrame. run and tag are categorical; NaN stands for an empty cell. Needs pandas."""
    try:
        import pandas as pd
    except ImportError:
        raise ImportError("to_pandas needs pandas: pip install 'tbc[pandas]'") from None
    return pd.DataFrame(
        {
            name: pd.Categorical.from_codes(column.codes, column.names)
            if isinstance(column, Categories)
            else np.ma.getdata(column)
            for name, column in columns(data, wide).items()
        }
    )


def to_arrow(data: Data, *, wide: bool = False) -> pyarrow.Table:
    """Return scalars as a Table. run and tag are dictionaries of strings; null is an empty cell. Needs pyarrow."""
    try:
        import pyarrow as pa
    except ImportError:
        raise ImportError("to_arrow and write_parquet need pyarrow: pip install 'tbc[arrow]'") from None
    return pa.table(
        {
            name: pa.DictionaryArray.from_arrays(column.codes, pa.array(column.names, pa.string()))
            if isinstance(column, Categories)
            else pa.array(column)
            for name, column in columns(data, wide).items()
        }
    )


def write_parquet(data: Data, path: str | os.PathLike[str], *, wide: bool = False) -> None:
    """Write scalars to a Parquet file at a path or URL; an existing file is replaced. Needs pyarrow.

    The file appears when it is whole. run and tag are strings to readers, and dictionaries on disk.
    """
    table = to_arrow(data, wide=wide)
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=ROW_GROUP, compression="zstd", store_schema=False)
    name = os.fsdecode(path)
    if is_url(name):  # one request; a part of the file is not valid Parquet, as the footer is at its end
        there, name = filesystem(name)
        there.pipe_file(name, buffer.getvalue())
    else:
        with whole_file(name) as file:
            file.write(buffer.getvalue())


def write_csv(data: Data, file: TextIO | str | os.PathLike[str], *, wide: bool = False) -> None:
    """Write scalars as CSV: a line of column names, then the rows, each ending with a line feed.

    file: an open text file, or a local path, where the file appears when it is whole; an existing one is replaced

    Numbers have as many digits as are needed to parse to them again, or are nan, inf or -inf. A field is empty if there
    is no value.
    """
    table = columns(data, wide)
    with _opened(file) as to:
        to.write(",".join(map(_quoted, table)) + "\n")
        _write(table, to, ",".join(["%s"] * len(table)) + "\n", _quoted, CSV_NUMBERS)


def write_jsonl(data: Data, file: TextIO | str | os.PathLike[str]) -> None:
    """Write scalars as JSON lines: an object for each value, with the columns of the long form.

    file: an open text file or a path, as in write_csv

    Numbers have as many digits as are needed to parse to them again. NaN and infinities, which JSON does not have, are
    the strings "NaN", "Infinity" and "-Infinity".
    """
    table = columns(data)
    row = "{" + ", ".join(f'"{name}": %s' for name in table) + "}\n"
    with _opened(file) as to:
        _write(table, to, row, json.dumps, JSON_NUMBERS)


def _opened(file: TextIO | str | os.PathLike[str]) -> AbstractContextManager[Any]:
    if isinstance(file, str | os.PathLike):
        return whole_file(os.fsdecode(file), "w", encoding="utf-8", newline="")
    return nullcontext(file)


def columns(data: Data, wide: bool = False) -> Table:
    """Return scalars as columns, by name. In the wide form, columns of tags are masked arrays, NaN where masked."""
    several: Any = {data.name: data} if isinstance(data, Run) else data
    if not isinstance(several, Mapping):
        raise TypeError(f"data must be what load_scalars or load_runs returned, or one of its runs, got {data!r}")
    kinds = {type(of) for of in several.values()}
    has_no_runs = kinds == {Scalars} or isinstance(several, ByTag)
    if has_no_runs:
        runs = {"": several}
    elif kinds <= {Run}:  # a directory's name may not be UTF-8
        runs = {name.encode(errors="backslashreplace").decode(): run.scalars for name, run in several.items()}
    else:
        got = f"a dict of {', '.join(sorted(kind.__name__ for kind in kinds))}"
        raise TypeError(f"data must be what load_scalars or load_runs returned, or one of its runs, got {got}")
    table = _wide(runs) if wide else _long(runs)
    if has_no_runs:
        del table["run"]
    return table


def _long(runs: dict[str, Mapping[str, Scalars]]) -> Table:
    series = [of for scalars in runs.values() for of in scalars.values()]
    lengths = [len(of) for of in series]
    codes: dict[str, int] = {}
    tag_of_series = [codes.setdefault(tag, len(codes)) for scalars in runs.values() for tag in scalars]
    run_of_series = [code for code, scalars in enumerate(runs.values()) for _ in scalars]
    return {
        "run": Categories(np.repeat(np.array(run_of_series, np.int32), lengths), list(runs)),
        "tag": Categories(np.repeat(np.array(tag_of_series, np.int32), lengths), list(codes)),
        "step": _joined(np.int64, [of.step for of in series]),
        "wall_time": _joined(np.float64, [of.wall_time for of in series]),
        "value": _joined(np.float64, [of.value for of in series]),
    }


def _wide(runs: dict[str, Mapping[str, Scalars]]) -> Table:
    steps = [_distinct(_joined(np.int64, [of.step for of in scalars.values()]))[0] for scalars in runs.values()]
    rows = [len(step) for step in steps]
    table: Table = {
        "run": Categories(np.repeat(np.arange(len(runs), dtype=np.int32), rows), list(runs)),
        "step": _joined(np.int64, steps),
    }
    values: dict[str, np.ma.MaskedArray[Any, Any]] = {}
    start = 0
    for scalars, step in zip(runs.values(), steps, strict=True):
        for tag, of in scalars.items():
            if tag not in values:
                values[tag] = np.ma.MaskedArray(np.full(sum(rows), np.nan), mask=True)
            step_of_tag, last = _distinct(of.step)
            values[tag][start + np.searchsorted(step, step_of_tag)] = of.value[last]
        start += len(step)
    for tag, column in values.items():
        while tag in table:
            tag += "_"
        table[tag] = column
    return table


def _joined(dtype: type[np.generic], arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([np.empty(0, dtype), *arrays])


def _distinct(step: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct steps, sorted, and the last index of each."""
    steps, first = np.unique(step[::-1], return_index=True)
    return steps, len(step) - 1 - first


def _write(table: Table, file: TextIO, row: str, quoted: Callable[[str], str], spellings: dict[str, str]) -> None:
    """Write the rows of a table, formatted by `row`. quoted: how to write a name. spellings: replace some numbers."""
    texts = {name: list(map(quoted, column.names)) for name, column in table.items() if isinstance(column, Categories)}
    for start in range(0, len(table["step"]), ROWS):
        rows = slice(start, start + ROWS)
        cells = [
            [texts[name][code] for code in column.codes[rows].tolist()]
            if isinstance(column, Categories)
            else [spellings.get(number, number) for number in map(repr, column[rows].tolist())]
            for name, column in table.items()
        ]
        file.write("".join(map(row.__mod__, zip(*cells, strict=True))))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if _QUOTED.search(name) else name
