"""Count records, values, and odd steps and times in the files of a run, for verifying.py, in pure Python.

This module is the oracle of csrc/tally.c, and replaces it where the extension is not built.

TensorBoard's data server keeps the values of a tag in the order of their steps: each value drops the earlier values
whose step is not lower. The steps that are left form a stack, and increase from bottom to top. A stack is stored as
stretches of evenly spaced steps: a tag that is logged every 10 steps needs one. Once a run has MOST_STRETCHES, the
lower half of a tag's stretches is joined before another is added. If a value drops only a part of a joined stretch,
the number of dropped steps is known only as a lower limit.

Time is linear in the number of values; memory, in the number of tags and in MOST_STRETCHES.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .scan import Starts
from .tags import kind_of

MOST_STRETCHES = 1 << 20  # stretches of a run, 24 bytes each in C
LEAST_STRETCHES = 16  # a tag with fewer stretches keeps them all
BACK = 5.0  # seconds: wall_time may go back by less than this, because threads log at the same time
TIMES = ("nan", "infinite", "zero", "back", "future")  # what is odd about a wall_time
CAUSES = ("repeat", "step", "restart", "kinds")  # why values of a tag are not shown


class OddTime(NamedTuple):
    """The wall times of a file that are odd in the same way."""

    what: str  # one of TIMES
    offset: int  # of the first record with an odd wall time
    before: float  # the last wall time before `after`, without NaN and those in the future; 0.0 if there is none
    after: float  # the first odd wall time
    times: int


class OddTag(NamedTuple):
    """One of CAUSES why TensorBoard does not show values of a tag: where the cause occurs first, and how often.

    kind: of the tag's first value. values: how many the tag has. file: the number of the file in the run. before,
    after: the two steps. dropped: how many values later steps drop; a lower limit if `is_least`. For the cause "kinds",
    `other` is the first other kind, and before, after and dropped are 0.
    """

    tag: str
    cause: str
    kind: str
    other: str
    values: int
    file: int
    offset: int
    before: int
    after: int
    times: int
    dropped: int
    is_least: bool


@dataclass(slots=True)
class _Count:
    """How often a cause occurred; file, offset, before, after and other are those of the first time."""

    file: int
    offset: int
    before: int
    after: int
    other: str = ""
    times: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Stretch:
    """`count` steps from `first` to `last`, evenly spaced if `is_even`. is_rough: `count`, `last` may be too high."""

    first: int
    last: int
    count: int = 1
    is_even: bool = True
    is_rough: bool = False


@dataclass(slots=True)
class _Tag:
    plugin: str  # of the first value
    kind: str = ""  # of the first value that has a content
    values: int = 0
    starts: int = 0  # how many sessions had started by the last value
    stack: list[_Stretch] = field(default_factory=list)
    counts: dict[str, _Count] = field(default_factory=dict)


class Tally:
    """Counts of the files of a run.

    Of the last file only: n_records, n_bytes, n_values, content (a hash of the records), first_time (the wall time of
    the first record) and has_version (whether the first record is a file_version).
    """

    def __init__(self, most: int = MOST_STRETCHES, least: int = LEAST_STRETCHES) -> None:
        self._most = most
        self._least = least
        self._file = -1
        self._tags: dict[str, _Tag] = {}
        self._stretches = 0
        self._starts = Starts()
        self._started = 0  # how many sessions started

    def begin_file(self, future: float) -> None:
        """Begin the next file. future: a wall_time of this or more is in the future."""
        self._file += 1
        self._future = future
        self._before = 0.0
        self._times: dict[str, OddTime] = {}
        self.n_records: int = 0
        self.n_bytes: int = 0
        self.n_values: int = 0
        self.content: int = 0
        self.first_time: float = 0.0
        self.has_version: bool = False

    def add_record(self, offset: int, data: bytes, wall_time: float, is_version: bool) -> None:
        """Count a record. Then call add_value for each of its values."""
        if not self.n_records:
            self.first_time, self.has_version = wall_time, is_version
        self.n_records += 1
        self.n_bytes += len(data) + 16
        self.content = hash((self.content, data))
        if not (0 < wall_time < self._future and self._before - wall_time < BACK):
            what = self._odd_time(wall_time)
            first = self._times.get(what, OddTime(what, offset, self._before, wall_time, 0))
            self._times[what] = first._replace(times=first.times + 1)
        if wall_time < self._future:
            self._before = wall_time

    def _odd_time(self, wall_time: float) -> str:
        if math.isnan(wall_time):
            return "nan"
        if math.isinf(wall_time):
            return "infinite"
        if wall_time <= 0:
            return "zero"
        return "future" if wall_time >= self._future else "back"

    def add_start(self, step: int) -> None:
        """Count the start of a session. A tag whose next value does not go up, nor below `step`, has a "restart"."""
        self._started += 1
        self._starts.add(self._started, step)

    def _is_announced(self, step: int, starts: int) -> bool:
        """Return whether a session after the first `starts` ones started at `step` or a lower step."""
        lowest = self._starts.lowest_after(starts)
        return lowest is not None and lowest <= step

    def add_value(self, offset: int, step: int, name: str, what: str | None, plugin: str) -> None:
        """Count a value of the last record. what: the field of Summary.Value that is set, or None for no field."""
        self.n_values += 1
        tag = self._tags.setdefault(name, _Tag(plugin))
        if what is None:  # TensorBoard's data server skips an empty value
            return
        kind = kind_of(what, plugin or tag.plugin)
        tag.kind = tag.kind or kind
        tag.values += 1
        if kind != tag.kind:
            tag.counts.setdefault("kinds", _Count(self._file, offset, 0, 0, kind)).times += 1
        if tag.stack and step <= tag.stack[-1].last:
            last = tag.stack[-1].last
            cause = "repeat" if step == last else "step"
            if self._is_announced(step, tag.starts):
                cause = "restart"
            count = tag.counts.setdefault(cause, _Count(self._file, offset, last, step))
            count.times += 1
            count.dropped += self._drop(tag.stack, step)
        self._push(tag.stack, step)
        tag.starts = self._started

    def _drop(self, stack: list[_Stretch], step: int) -> int:
        """Drop the steps that are not lower than `step`; return how many are known to be dropped."""
        dropped = 0
        while stack and stack[-1].first >= step:
            dropped += stack.pop().count
            self._stretches -= 1
        if not stack or stack[-1].last < step:
            return dropped
        top = stack[-1]
        if top.is_even:
            stride = (top.last - top.first) // (top.count - 1)
            left = (step - top.first - 1) // stride + 1
            dropped += top.count - left
            top.count, top.last = left, top.first + (left - 1) * stride
        else:  # The first step stays and the last is dropped, unless an earlier call did. The rest is not known.
            if not top.is_rough:
                dropped += 1
                top.count -= 1
            top.is_rough = True
            top.last = step - 1
        return dropped

    def _push(self, stack: list[_Stretch], step: int) -> None:
        """Add a step to the top stretch if it stays even, else as a new stretch."""
        if stack and stack[-1].is_even:
            top = stack[-1]
            if top.count == 1 or step - top.last == (top.last - top.first) // (top.count - 1):
                top.last = step
                top.count += 1
                return
        if self._stretches >= self._most and len(stack) >= self._least:
            half = stack[: len(stack) // 2]
            count, is_rough = sum(one.count for one in half), any(one.is_rough for one in half)
            stack[: len(half)] = [_Stretch(half[0].first, half[-1].last, count, False, is_rough)]
            self._stretches -= len(half) - 1
        stack.append(_Stretch(step, step))
        self._stretches += 1

    def odd_times(self) -> Iterator[OddTime]:
        """Return the OddTimes of the last file, in the order of TIMES."""
        return (self._times[what] for what in TIMES if what in self._times)

    def odd_tags(self) -> Iterator[OddTag]:
        """Yield an OddTag for each tag and cause in the run so far."""
        for name, tag in self._tags.items():
            is_least = any(stretch.is_rough for stretch in tag.stack)
            for cause in CAUSES:
                if cause in tag.counts:
                    one = tag.counts[cause]
                    first = (one.file, one.offset, one.before, one.after)
                    yield OddTag(name, cause, tag.kind, one.other, tag.values, *first, one.times, one.dropped, is_least)
