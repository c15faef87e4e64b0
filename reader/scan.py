"""Columns, row by row, in pure Python: what csrc/scan.c is to load.py, where the extension is not built."""

from __future__ import annotations

from array import array
from bisect import bisect
from dataclasses import dataclass, field
from typing import Any


class Purges:
    """The purges so far, in constant time each: tells the lowest step of those that a series has not seen.

    A purge drops those before it whose step is not lower, so numbers and steps both grow.
    """

    def __init__(self) -> None:
        self.count: int = 0
        self._numbers: list[int] = []
        self._steps: list[int] = []

    def add(self, step: int) -> None:
        while self._steps and self._steps[-1] >= step:
            self._numbers.pop()
            self._steps.pop()
        self.count += 1
        self._numbers.append(self.count)
        self._steps.append(step)

    def lowest_after(self, count: int) -> int | None:
        """The lowest step of all purges but the first `count`; None without any."""
        first = bisect(self._numbers, count)
        return self._steps[first] if first < len(self._steps) else None


@dataclass
class Series:
    """What was logged of one kind under one tag."""

    is_lasting: bool
    cell: array[Any]  # the numbers of scalars; of other values, where their records begin
    step: array[int] = field(default_factory=lambda: array("q"))
    wall_time: array[float] = field(default_factory=lambda: array("d"))
    size: int = 0  # in bytes of the file
    hidden: int = 0
    purged: int = 0  # the number of purges that the rows have had

    def hide(self, step: int) -> None:
        """Where purges are wanted the steps only grow: what one hides stands at the end."""
        while self.step and self.step[-1] >= step:
            for column in (self.step, self.wall_time, self.cell):
                column.pop()
            self.hidden += 1

    def catch_up(self, purges: Purges) -> None:
        """Hides what the purges hide that it has not seen."""
        if self.is_lasting or self.purged == purges.count:
            return
        step = purges.lowest_after(self.purged)
        if step is not None:
            self.hide(step)
        self.purged = purges.count


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
        self._purges = Purges()

    def add_series(self, is_scalar: bool, is_lasting: bool) -> int:
        """Answers its number. is_lasting: nothing hides rows of it."""
        self.series.append(Series(is_lasting, array("d" if is_scalar else "q")))
        return len(self.series) - 1

    def add_row(self, series: int, step: int, wall_time: float, cell: float, size: int) -> None:
        to = self.series[series]
        if step > self.last_step:
            return
        if self.purges and not to.is_lasting:
            to.catch_up(self._purges)
            to.hide(step)
        if step >= self.first_step:
            to.step.append(step)
            to.wall_time.append(wall_time)
            to.cell.append(cell)
            to.size += size

    def purge(self, step: int) -> None:
        """Hides the rows whose step is `step` or more, of a scan that purges."""
        self._purges.add(step)

    def columns(self, series: int) -> tuple[array[int], array[float], array[Any], int, int]:
        """Of a series: its steps, wall times and cells, for numpy.asarray; its size in bytes of the file; and how many
        rows are hidden."""
        rows = self.series[series]
        rows.catch_up(self._purges)
        return rows.step, rows.wall_time, rows.cell, rows.size, rows.hidden
