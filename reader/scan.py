"""Columns, row by row, in pure Python: what csrc/scan.c is to loader.py, where the extension is not built.

csrc/scan.h has the rule of what a file hides of the files before it.
"""

from __future__ import annotations

from array import array
from bisect import bisect
from dataclasses import dataclass, field
from typing import Any


class Starts:
    """The starts of sessions, each in a file (any number that grows), in constant time each.

    A start makes those before it needless whose step is not lower, so files and steps both grow.
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
        """Return the lowest step of all starts in later files; None without any."""
        first = bisect(self._files, file)
        return self._steps[first] if first < len(self._steps) else None


@dataclass
class Segment:
    """What one file holds of a series: the step of its first value, and from which step on rows are hidden."""

    file: int
    first_row: int
    step: int
    cut: int | None = None


@dataclass
class Series:
    """What was logged of one kind under one tag."""

    is_lasting: bool
    cell: array[Any]  # the numbers of scalars; of other values, where their records begin
    step: array[int] = field(default_factory=lambda: array("q"))
    wall_time: array[float] = field(default_factory=lambda: array("d"))
    segments: dict[int, Segment] = field(default_factory=dict)  # by file
    file: int = 0
    cut: int | None = None
    size: int = 0  # in bytes of the file
    hidden: int = 0
    folded: int = 0
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
        """Set what is hidden of each segment."""
        lowest: int | None = None
        for segment in reversed(self.segments.values()):
            cuts = (lowest, starts.lowest_after(segment.file))
            segment.cut = min((cut for cut in cuts if cut is not None), default=None)
            lowest = segment.step if lowest is None else min(lowest, segment.step)

    def hide_rows(self) -> None:
        """Move the rows together that are not hidden."""
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
    """The rows of some files, in series.

    first_step, last_step: of the rows that are kept
    hides: a file hides rows of the files before it
    keep: how many rows of each series are kept, the last ones; None keeps all. A scan that hides, and does not keep
        all, must get more than one file twice: see `again`
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
        """Return its number. is_lasting: nothing hides rows of it."""
        self.series.append(Series(is_lasting, array("d" if is_scalar else "q")))
        return len(self.series) - 1

    def next_file(self) -> None:
        """The next rows are of another file. It comes before the first file, too."""
        self._file += 1

    def start_session(self, step: int) -> None:
        """Note the start of a session, in the file that is read."""
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
        """Forget all rows, but not what hides them: the same files are to be read once more. Hidden rows are only
        counted then, so that a scan with a small `keep` needs no memory for them."""
        self._file = 0
        self._is_again = True
        for series in self.series:
            series.cut_segments(self._starts)
            series.file = series.size = series.hidden = series.folded = 0
            for column in (series.step, series.wall_time, series.cell):
                del column[:]

    def cuts(self, series: int) -> list[tuple[int, int]]:
        """After `again`: return the files of which rows of a series are hidden, each with the step from which on."""
        segments = self.series[series].segments.values()
        return [(segment.file, segment.cut) for segment in segments if segment.cut is not None]

    def columns(self, series: int) -> tuple[array[int], array[float], array[Any], int, int, tuple[int, int, int]]:
        """Finish a series. Return its steps, wall times and cells, for numpy.asarray; its size in bytes of the file;
        how many rows are hidden; and the number of rows that are not kept, with their lowest and highest step."""
        rows = self.series[series]
        if self.hides and not rows.is_lasting and not self._is_again and not rows.folded:
            rows.cut_segments(self._starts)
            rows.hide_rows()
        if self.keep is not None:
            rows.fold(self.keep)
        return rows.step, rows.wall_time, rows.cell, rows.size, rows.hidden, (rows.folded, rows.min_step, rows.max_step)
