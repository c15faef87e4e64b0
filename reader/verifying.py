"""Find what is wrong with event files, and which values TensorBoard does not show.

The kinds of findings:

    missing     error    there is no event file at all
    unreadable  error    the system cannot read the file or list the directory
    format      error    the file is something else (gzip, HTML, a Git LFS pointer, text), or a tool changed it as text
    corrupt     error    bytes that are not a record, or a record that does not hold an Event
    truncated   error    the file ends within a record: its writer was killed, or has not finished yet
                warning  the same, if live
    wall_time   error    NaN (TensorBoard's data server stops reading) or infinite (it does not show the value)
                warning  zero or negative, in the future, or going back
    empty       warning  the file has 0 bytes
                info     the same, if live
    version     warning  the first record is not a file_version
    order       warning  the file starts before one that TensorBoard reads first: it reads files in the order of names
    copy        warning  the file has exactly the same records as another file of its run
    step        warning  a tag's step goes back: TensorBoard drops the earlier values from that step on
    kinds       warning  a tag has values of several kinds: TensorBoard shows only the first kind
    repeat      info     a tag has a step twice in a row: TensorBoard shows the last value of each step
    restart     info     a tag's step goes back, as a session start (purge_step) announced: TensorBoard drops values

"Drops" is the rule of TensorBoard's data server, which is the default: each value of a tag drops the earlier values
whose step is not smaller, in all files of the run. Of the rest it shows a sample: by default 1,000 scalars for each
tag, with `--samples_per_plugin scalars=0` all.

Time grows with the size of the files; memory with their largest record, and with the tags and files of a run.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import groupby
from typing import Any, BinaryIO, Literal, TypeAlias, get_args

from .events import event_of
from .files import find_event_files, open_file, run_of, size_of
from .loader import Window
from .records import HEAD, RecordError, TruncatedRecordError, WrongFileError, end_of, frames_of
from .tags import PLUGIN_KINDS, SESSION_START, quoted
from .tally import LEAST_STRETCHES, MOST_STRETCHES, OddTag, OddTime, Tally

try:
    from tbc import _scan
except ImportError:  # not built
    _scan = None  # type: ignore[assignment]

AHEAD = 86400.0  # seconds a wall_time may be in the future without a finding: clocks differ
MOST_FINDINGS = 1000  # findings of one kind that a report lists
SHORT = 80  # characters of a tag that a message has

Severity: TypeAlias = Literal["error", "warning", "info"]
Kind: TypeAlias = Literal[
    "missing",
    "unreadable",
    "format",
    "corrupt",
    "truncated",
    "wall_time",
    "empty",
    "version",
    "order",
    "copy",
    "step",
    "kinds",
    "repeat",
    "restart",
]
FINDING_KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing.

    path: the file, or the directory that cannot be listed
    kind: one of FINDING_KINDS
    severity: "error", "warning" or "info"
    offset: where the first record it is about begins, in bytes; None if it is about the whole file
    message: what is wrong, without the path
    tag: the tag it is about, or None
    not_shown: how many values TensorBoard does not show because of it, at least
    """

    path: str
    kind: Kind
    severity: Severity
    offset: int | None
    message: str
    tag: str | None = None
    not_shown: int = 0


@dataclass
class Report:
    """Holds what verify found in one file, or at a path that it could not read.

    path: the file
    run: its directory, relative to the path that was verified; "." for that path itself
    bytes: its size
    damaged: how many of its bytes are not in a good record
    records: how many good records it has
    values: how many values these records hold
    findings: at most 1,000 of each severity and kind
    omitted: by severity and kind ("warning step"), how many more findings there are
    """

    path: str
    run: str
    bytes: int = 0
    damaged: int = 0
    records: int = 0
    values: int = 0
    findings: list[Finding] = field(default_factory=list)
    omitted: dict[str, int] = field(default_factory=dict)


@dataclass
class Damage:
    """A place in a file, `length` bytes from `offset` on, without a good record.

    kind: "corrupt", "truncated" or "format"
    places: 1, or how many places this object stands for; `length` is then the sum of their bytes. The last of 1,000
        stands for all that follow it, and the first of kind "format" for all of that kind.
    """

    offset: int
    length: int
    kind: Literal["corrupt", "truncated", "format"]
    message: str
    places: int = 1


def verify(path: str | os.PathLike[str], *, live: bool = False, ignore: str | Iterable[str] = ()) -> list[Report]:
    """Return a report of each event file at or below `path`, which may be a URL, in the order TensorBoard reads them.

    live: runs may still be written; that the last file of a run ends within a record is then a warning, not an error
    ignore: kinds of findings to leave out: one or several of tbc.reader.verifying.FINDING_KINDS

    Findings about the tags of a run are in the report of its last file. A path that cannot be read is a finding, not an
    exception. Raises TypeError or ValueError for wrong arguments.
    """
    return list(reports_of(path, live, ignore))


def reports_of(path: str | os.PathLike[str], live: bool, ignore: str | Iterable[str]) -> Iterator[Report]:
    """Yield the reports of `verify`, file by file. Wrong arguments raise when this is called, not when it yields."""
    return _reports(os.fsdecode(path), live, finding_kinds(ignore))


def finding_kinds(names: str | Iterable[str]) -> set[str]:
    """Return the kinds of findings with these names; raise ValueError for an unknown name."""
    try:
        kinds = {names} if isinstance(names, str) else set(names)
    except TypeError:
        raise TypeError(f"kinds of findings must be a str or several, got {names!r}") from None
    for name in kinds - set(FINDING_KINDS):
        if not isinstance(name, str):
            raise TypeError(f"a kind of findings must be a str, got {name!r}")
        near = get_close_matches(name, FINDING_KINDS, 1, 0.0)[0]
        there = ", ".join(FINDING_KINDS)
        raise ValueError(f"unknown kind of findings {name!r}: did you mean {near!r}? The kinds are {there}")
    return kinds


def _reports(root: str, live: bool, ignored: set[str]) -> Iterator[Report]:
    unlisted: list[OSError] = []
    files = find_event_files(root, unlisted.append)
    found = _Findings(ignored)
    for error in unlisted:
        directory = error.filename or root
        found.add(_unreadable(directory, error))
        yield found.report(Report(directory, directory))
    if not files:
        found.add(Finding(root, "missing", "error", None, "no event file here"))
        yield found.report(Report(root, "."))
    for name, group in groupby(files, lambda file: run_of(file, root)):
        run = _Run()
        of_run = list(group)
        for file in of_run:
            report = Report(file, name)
            is_last = file is of_run[-1]
            run.check(report, live and is_last, found)
            if is_last:
                run.add_tags(found)
            yield found.report(report)


def _unreadable(path: str, error: OSError) -> Finding:
    return Finding(path, "unreadable", "error", None, error.strerror or str(error))


class _Findings:
    """Collects the findings of one report after another."""

    def __init__(self, ignored: set[str]) -> None:
        self._ignored = ignored
        self._clear()

    def _clear(self) -> None:
        self._found: list[Finding] = []
        self._counts: Counter[tuple[Severity, Kind]] = Counter()

    def add(self, finding: Finding, times: int = 1) -> None:
        """Add a finding. times: how many places it stands for; its message names the first"""
        if finding.kind in self._ignored:
            return
        key = finding.severity, finding.kind
        if self._counts[key] < MOST_FINDINGS:
            self._found.append(finding)
        self._counts[key] += times

    def report(self, report: Report) -> Report:
        """Move the findings into a report, sorted by file and offset; begin with none for the next report."""
        report.findings = sorted(self._found, key=lambda one: (one.path != report.path, one.path, _place(one)))
        omitted = self._counts.copy()
        omitted.subtract((one.severity, one.kind) for one in self._found)
        report.omitted = {f"{severity} {kind}": n for (severity, kind), n in omitted.items() if n}
        self._clear()
        return report


def _place(finding: Finding) -> int:
    return -1 if finding.offset is None else finding.offset


class Damages:
    """The damaged places of a file. Damage without a good record in between is one place."""

    def __init__(self) -> None:
        self.places: list[Damage] = []
        self.open: RecordError | None = None

    def add(self, error: RecordError) -> None:
        """Begin a damaged place, unless one is open already."""
        if self.open is None:
            self.open = error

    def close(self, end: int) -> None:
        """End the damaged place, if there is one: at `end` a good record begins, or the file ends."""
        error, self.open = self.open, None
        if error is None:
            return
        length = end - error.offset
        if isinstance(error, WrongFileError):
            before = next((place for place in self.places if place.kind == "format"), None)
            damage = Damage(error.offset, length, "format", error.problem)
        else:
            before = self.places[-1] if len(self.places) >= MOST_FINDINGS else None
            is_torn = isinstance(error, TruncatedRecordError)
            damage = Damage(error.offset, length, "truncated" if is_torn else "corrupt", error.problem)
        if before is None:
            self.places.append(damage)
        else:
            before.length += length
            before.places += 1


def good_records(path: str, damages: Damages) -> Iterator[tuple[int, bytes, Any]]:
    """Yield the offset, the data and the Event of each record that holds one. Add the rest to `damages`."""
    with open_file(path) as file:
        yield from _good_records(file, path, damages, 0)


def _good_records(file: BinaryIO, path: str, damages: Damages, start: int) -> Iterator[tuple[int, bytes, Any]]:
    """Yield the good_records of an open file, from byte `start` on."""
    for offset, data in frames_of(file, path, damages.add, start):
        event = event_of(data, path, offset, damages.add)
        if event is not None:
            damages.close(offset)
            yield offset, data, event
    if damages.open is not None:
        damages.close(max(size_of(file), damages.open.offset))  # the file may have been cut meanwhile


class _Run:
    """The state of one run: what its files contained so far."""

    def __init__(self) -> None:
        self._tally: Any = Tally() if _scan is None else _scan.Tally(PLUGIN_KINDS, MOST_STRETCHES, LEAST_STRETCHES)
        self._files: list[str] = []
        self._begun = ("", -math.inf)  # the last file, and its first wall_time
        self._contents: dict[tuple[int, int], str] = {}  # hash of the records, how many -> the file

    def check(self, report: Report, live: bool, found: _Findings) -> None:
        """Read a file, fill in its report, and add what is found."""
        path = report.path
        tally = self._tally
        damages = Damages()
        self._files.append(path)
        tally.begin_file(time.time() + AHEAD)
        is_read = True
        try:
            self._read(path, damages)
        except OSError as error:
            found.add(_unreadable(path, error))
            is_read = False
        for place in damages.places:
            severity: Severity = "warning" if place.kind == "truncated" and live else "error"
            several = f" in {place.places:,} places" if place.places > 1 else ""
            message = f"{place.message} ({place.length:,} bytes{several})"
            # A file of another format is wrong as a whole: that is one finding.
            times = place.places if place.kind != "format" else 1
            found.add(Finding(path, place.kind, severity, place.offset, message), times)
        for odd in map(OddTime._make, tally.odd_times()):
            severity, message = _odd_time(odd)
            found.add(Finding(path, "wall_time", severity, odd.offset, f"{message} {_first(odd)}"))
        report.records, report.values = tally.n_records, tally.n_values
        report.damaged = sum(place.length for place in damages.places)
        report.bytes = tally.n_bytes + report.damaged
        if tally.n_records:
            self._check_begin(path, damages, found)
            self._check_copy(path, found)
        elif is_read and not damages.places:
            found.add(Finding(path, "empty", "info" if live else "warning", None, "the file is empty"))

    def _read(self, path: str, damages: Damages) -> None:
        if _scan is None:
            for offset, data, event in good_records(path, damages):
                self._take(offset, data, event)
            return
        with open_file(path) as file:
            window = Window(file, lambda n: None)
            while True:
                needs_more, start = self._tally.records(window.buffer, window.start, window.end, window.offset)
                window.move(window.offset + start - window.start)
                has_head = window.end - window.start >= HEAD.size
                if needs_more and (not has_head or window.is_whole()) and window.fill():
                    continue
                found = next(_good_records(file, path, damages, window.offset), None)
                if found is None:
                    return
                offset, data, event = found
                self._take(offset, data, event)
                window.move(end_of(offset, len(data)))

    def _take(self, offset: int, data: bytes, event: Any) -> None:
        tally = self._tally
        what = event.WhichOneof("what")
        tally.add_record(offset, data, event.wall_time, what == "file_version")
        if what == "summary":
            for value in event.summary.value:
                plugin = value.metadata.plugin_data.plugin_name
                tally.add_value(offset, event.step, value.tag, value.WhichOneof("value"), plugin)
        elif what == "session_log" and event.session_log.status == SESSION_START:
            tally.add_start(event.step)

    def _check_begin(self, path: str, damages: Damages, found: _Findings) -> None:
        is_first_damaged = bool(damages.places) and damages.places[0].offset == 0
        if not self._tally.has_version and not is_first_damaged:
            found.add(Finding(path, "version", "warning", 0, "the first record is not a file_version"))
        wall_time = self._tally.first_time
        if 0 < wall_time < math.inf:
            name, earlier = self._begun
            if wall_time < earlier:
                other = os.path.basename(name)
                message = f"starts {earlier - wall_time:.3g} s before {other}, which TensorBoard reads first"
                found.add(Finding(path, "order", "warning", None, message))
            self._begun = path, wall_time

    def _check_copy(self, path: str, found: _Findings) -> None:
        if not self._tally.n_values:
            return
        same = self._contents.setdefault((self._tally.content, self._tally.n_records), path)
        if same != path:
            message = f"has exactly the same records as {os.path.basename(same)}"
            found.add(Finding(path, "copy", "warning", None, message))

    def add_tags(self, found: _Findings) -> None:
        """Add the findings about the tags of the run. Call it after all files are checked."""
        for odd in map(OddTag._make, self._tally.odd_tags()):
            found.add(_of_tag(self._files[odd.file], odd))


def _first(odd: OddTime | OddTag) -> str:
    return f"(at byte {odd.offset})" if odd.times == 1 else f"(first at byte {odd.offset}, {odd.times:,} times)"


def _odd_time(odd: OddTime) -> tuple[Severity, str]:
    what = odd.what
    if what == "nan":
        return "error", "wall_time is NaN, where TensorBoard's data server stops reading"
    if what == "infinite":
        return "error", "wall_time is infinite, so TensorBoard does not show the value"
    if what == "zero":
        return "warning", f"wall_time is {odd.after:g}, expected seconds since 1970"
    if what == "back":
        return "warning", f"wall_time goes back by {odd.before - odd.after:.3g} s"
    return "warning", f"wall_time {odd.after:.0f} is in the future"


def _of_tag(path: str, found: OddTag) -> Finding:
    tag = found.tag
    if found.cause == "kinds":
        message = f"{quoted(tag, SHORT)} has values of the kinds {found.kind} and {found.other} {_first(found)}"
        message += "; TensorBoard shows only the first kind"
        return Finding(path, "kinds", "warning", found.offset, message, tag, found.times)
    least = "at least " if found.is_least else ""
    shows = f"TensorBoard does not show {least}{found.dropped:,} of its {found.values:,} values"
    kind, severity, what = _STEPS[found.cause]
    message = f"{quoted(tag, SHORT)} {what.format(found)} {_first(found)}; {shows}"
    return Finding(path, kind, severity, found.offset, message, tag, found.dropped)


_STEPS: dict[str, tuple[Kind, Severity, str]] = {  # by the cause of an OddTag
    "repeat": ("repeat", "info", "was logged again at step {0.after}"),
    "step": ("step", "warning", "goes back from step {0.before} to {0.after}"),
    "restart": ("restart", "info", "goes back from step {0.before} to {0.after} after a session start with purge_step"),
}
