"""Columns, row by row, in pure Python: what csrc/scan.c is to load.py, where the extension is not built."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Series:
    """What was logged of one kind under one tag."""

    is_lasting: bool
    cell: array[Any]  # the numbers of scalars; of other values, where their records begin
    step: array[int] = field(default_factory=lambda: array("q"))
    wall_time: array[float] = field(default_factory=lambda: array("d"))
    size: int = 0  # in bytes of the file


class Scan:
    """The rows of some files, in series.

    resolve_key: of the kernel; here the caller knows which series a value is of.
    first_step, last_step: of the rows that are kept.
    purges: of the kernel; here the caller does.
    """

    def __init__(
        self, resolve_key: Callable[[bytes, int, bytes], int], first_step: int, last_step: int, purges: bool
    ) -> None:
        self.first_step = first_step
        self.last_step = last_step
        self.series: list[Series] = []

    def add_series(self, is_scalar: bool, is_lasting: bool) -> int:
        """Answers its number. is_lasting: no purge takes rows of it."""
        self.series.append(Series(is_lasting, array("d" if is_scalar else "q")))
        return len(self.series) - 1

    def add_row(self, series: int, step: int, wall_time: float, cell: float, size: int) -> None:
        if self.first_step <= step <= self.last_step:
            to = self.series[series]
            to.step.append(step)
            to.wall_time.append(wall_time)
            to.cell.append(cell)
            to.size += size

    def purge(self, step: int) -> None:
        """Takes the rows away whose step is `step` or more."""
        for series in self.series:
            if not series.is_lasting:
                kept = [i for i, other in enumerate(series.step) if other < step]
                for name in ("step", "wall_time", "cell"):
                    column = getattr(series, name)
                    setattr(series, name, array(column.typecode, (column[i] for i in kept)))

    def columns(self, series: int) -> tuple[array[int], array[float], array[Any], int]:
        """Of a series: its steps, wall times and cells, for numpy.asarray, and its size in bytes of the file."""
        from_ = self.series[series]
        return from_.step, from_.wall_time, from_.cell, from_.size
