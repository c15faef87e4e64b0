"""Collect rows into columns, in pure Python: loader.py uses this where the extension (csrc/scan.c) is not built.

csrc/scan.h says which rows of earlier files a file hides.
"""

from __future__ import annotations

from array import array
from bisect import bisect
from dataclasses import dataclass, field
from typing import Any


class Starts:
    """The starts of sessions. Each has a step and the number of its file; tally.py passes the number of the session.

    A start hides all rows that earlier starts with the same or a higher step hide, so `add` drops these starts. Of the
    starts that are left, the steps increase, and the files never decrease. `add` takes constant time on average,
    `lowest_after` a bisection.
    """

    def __init__(self) -> None:
        self._files: list[int] = []
        self._steps: list[int] = []

    def add(self, file: int, step: int) -> None:
        while self._steps and self._steps[-1] >= step:
            self._files.pop()
            self._steps.pop()
        self._files.append(file)
        self._steps.append(step)

    def lowest_after(self, file: int) -> int | None:
        """Return the lowest step of the starts in files after `file`; None if there is none."""
        first = bisect(self._files, file)
        return self._steps[first] if first < len(self._steps) else None


@dataclass
class Segment:
    """The rows of a series that are in one file."""

    file: int
    first_row: int
    step: int  # of the first value, even if it adds no row
    cut: int | None = None  # rows with this step or a higher step are hidden


@dataclass
class Series:
    """The rows of one kind and one tag."""

    is_lasting: bool
    cell: array[Any]  # the numbers of scalars; for other kinds, the places of their records
    step: array[int] = field(default_factory=lambda: array("q"))
    wall_time: array[float] = field(default_factory=lambda: array("d"))
    segments: dict[int, Segment] = field(default_factory=dict)  # by file
    file: int = 0  # of the last row
    cut: int | None = None  # of the segment of `file`, in the second reading
    size: int = 0  # of the records, in bytes, hidden and folded rows included
    hidden: int = 0  # rows that a later file hides
    folded: int = 0  # rows that `fold` dropped, with steps from min_step to max_step
    min_step: int = 0
    max_step: int = 0

    def fold(self, keep: int) -> None:
        """Drop all rows but the last `keep`."""
        dropped = len(self.step) - keep
        if dropped <= 0:
            return
        steps = self.step[:dropped]
        if self.folded:
            steps.extend((self.min_step, self.max_step))
        self.min_step, self.max_step = min(steps), max(steps)
        for column in (self.step, self.wall_time, self.cell):
            del column[:dropped]
        self.folded += dropped

    def cut_segments(self, starts: Starts) -> None:
        """Set `cut` of each segment: the lowest step of a segment or a start in later files."""
        lowest: int | None = None
        for segment in reversed(self.segments.values()):
            cuts = (lowest, starts.lowest_after(segment.file))
            segment.cut = min((cut for cut in cuts if cut is not None), default=None)
            lowest = segment.step if lowest is None else min(lowest, segment.step)

    def hide_rows(self) -> None:
        """Remove the hidden rows from the columns."""
        segments = list(self.segments.values())
        ends = [segment.first_row for segment in segments[1:]] + [len(self.step)]
        kept = [
            row
            for segment, end in zip(segments, ends, strict=True)
            for row in range(segment.first_row, end)
            if segment.cut is None or self.step[row] < segment.cut
        ]
        self.hidden += len(self.step) - len(kept)
        columns: tuple[array[Any], ...] = (self.step, self.wall_time, self.cell)
        for column in columns:
            column[:] = array(column.typecode, [column[row] for row in kept])


class Scan:
    """The rows of several files, by series.

    first_step, last_step: the range of steps that are kept, both inclusive
    hides: whether a file hides rows of earlier files
    keep: keep the last `keep` rows of each series; None keeps all. With `hides` and a `keep`, read several files
        twice, with a call of `again` in between
    """

    def __init__(self, first_step: int, last_step: int, hides: bool = False, keep: int | None = None) -> None:
        self.first_step = first_step
        self.last_step = last_step
        self.hides = hides
        self.keep = keep
        self.series: list[Series] = []
        self._file = 0
        self._starts = Starts()
        self._is_again = False

    def add_series(self, is_scalar: bool, is_lasting: bool) -> int:
        """Add a series and return its number. is_lasting: its rows are never hidden."""
        self.series.append(Series(is_lasting, array("d" if is_scalar else "q")))
        return len(self.series) - 1

    def next_file(self) -> None:
        """Begin a file. Call this before the rows of each file, the first, too."""
        self._file += 1

    def start_session(self, step: int) -> None:
        """Add the start of a session in the current file."""
        self._starts.add(self._file, step)

    def add_row(self, series: int, step: int, wall_time: float, cell: float, size: int) -> None:
        to = self.series[series]
        if self.hides and not to.is_lasting and to.file != self._file:
            to.file = self._file
            if self._is_again:
                to.cut = to.segments[self._file].cut if self._file in to.segments else None
            else:
                to.segments[self._file] = Segment(self._file, len(to.step), step)
        if not self.first_step <= step <= self.last_step:
            return
        to.size += size
        if to.cut is not None and step >= to.cut:
            to.hidden += 1
            return
        if self.keep is not None and len(to.step) > 2 * self.keep + 16:
            to.fold(self.keep)
        to.step.append(step)
        to.wall_time.append(wall_time)
        to.cell.append(cell)

    def again(self) -> None:
        """Begin the second reading: drop all rows, and set the cuts. The caller then reads the same files again. Hidden
        rows are then only counted, so they do not displace rows that `keep` keeps."""
        self._file = 0
        self._is_again = True
        for series in self.series:
            series.cut_segments(self._starts)
            series.file = series.size = series.hidden = series.folded = 0
            for column in (series.step, series.wall_time, series.cell):
                del column[:]

    def cuts(self, series: int) -> list[tuple[int, int]]:
        """Return (file, cut) for each file of a series in which rows from step `cut` on are hidden, if it has any. Call
        `again` first."""
        segments = self.series[series].segments.values()
        return [(segment.file, segment.cut) for segment in segments if segment.cut is not None]

    def columns(self, series: int) -> tuple[array[int], array[float], array[Any], int, int, tuple[int, int, int]]:
        """Finish a series. Call once. Return its steps, wall times and cells, for numpy.asarray; the size of its
        records in bytes; how many rows are hidden; and (number, min step, max step) of the rows that `fold` dropped."""
        rows = self.series[series]
        if self.hides and not rows.is_lasting and not self._is_again and not rows.folded:
            rows.cut_segments(self._starts)
            rows.hide_rows()
        if self.keep is not None:
            rows.fold(self.keep)
        return rows.step, rows.wall_time, rows.cell, rows.size, rows.hidden, (rows.folded, rows.min_step, rows.max_step)
