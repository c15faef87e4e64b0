"""Columns, row by row, in pure Python: what csrc/scan.c is to load.py, where the extension is not built."""

from __future__ import annotations

from array import array
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
    hidden: int = 0

    def hide(self, step: int) -> None:
        """Where purges are wanted the steps only grow: what one hides stands at the end."""
        while self.step and self.step[-1] >= step:
            for column in (self.step, self.wall_time, self.cell):
                column.pop()
            self.hidden += 1


class Scan:
    """The rows of some files, in series.

    first_step, last_step: of the rows that are kept.
    purges: a row hides the ones of its series, and a session's start those of all, that have no smaller step.
    """

    def __init__(self, first_step: int, last_step: int, purges: bool) -> None:
        self.first_step = first_step
        self.last_step = last_step
        self.purges = purges
        self.series: list[Series] = []

    def add_series(self, is_scalar: bool, is_lasting: bool) -> int:
        """Answers its number. is_lasting: nothing hides rows of it."""
        self.series.append(Series(is_lasting, array("d" if is_scalar else "q")))
        return len(self.series) - 1

    def add_row(self, series: int, step: int, wall_time: float, cell: float, size: int) -> None:
        to = self.series[series]
        if step > self.last_step:
            return
        if self.purges and not to.is_lasting:
            to.hide(step)
        if step >= self.first_step:
            to.step.append(step)
            to.wall_time.append(wall_time)
            to.cell.append(cell)
            to.size += size

    def purge(self, step: int) -> None:
        """Hides the rows whose step is `step` or more, of a scan that purges."""
        for series in self.series:
            if not series.is_lasting:
                series.hide(step)

    def columns(self, series: int) -> tuple[array[int], array[float], array[Any], int, int]:
        """Of a series: its steps, wall times and cells, for numpy.asarray; its size in bytes of the file; and how many
        rows are hidden."""
        rows = self.series[series]
        return rows.step, rows.wall_time, rows.cell, rows.size, rows.hidden
