"""What is wrong with event files: `verify` tells what TensorBoard stumbles over. The kinds of findings:

    missing     error    no event file at all
    unreadable  error    a file or directory that the system will not read
    corrupt     error    bytes that are no record, or a record that holds no Event
    truncated   error    the file ends within a record: its writer was killed, or has not finished yet
    wall_time   error    NaN (TensorBoard's data server reads no further) or infinite (it does not show the value)
                warning  zero or negative, in the future, or going back
    version     warning  the first record is no file_version, or there is none
    order       warning  the file begins before the one whose name comes first, and TensorBoard reads by name
    copy        warning  the file holds the very records of another one of its run
    step        warning  a tag's step goes back, and no START (of purge_step) announced it: TensorBoard drops points
    repeat      warning  a tag has a step twice in a row: TensorBoard keeps the last
    kinds       warning  a tag has values of two kinds: TensorBoard shows those of the first

Time goes with the size of the files; memory with their largest record, and with the tags and the files of a run.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from .events import event_of
from .files import find_event_files, run_of, size_at
from .records import RecordError, TruncatedRecordError, end_of, read_frames
from .scan import Starts
from .tags import SESSION_START, kind_of, plugin_of

BACK = 5.0  # seconds that a wall_time may go back: threads do not log in turn
AHEAD = 86400.0  # seconds that it may be in the future: clocks differ
MOST = 1000  # damaged places of a file that are told one by one
SHORT = 80  # characters of a tag that are enough to know it


@dataclass(frozen=True)
class Finding:
    """What is wrong, of the kinds above, and where it is so first.

    offset: of the record, in bytes; None if it is about the file as such. severity: "error" or "warning".
    message: in plain words, without the path.
    """

    path: str
    offset: int | None
    severity: str
    what: str
    message: str


@dataclass
class Report:
    """A file that was read to its end, or a path where nothing could be read.

    bytes: its size, of which `damaged` are in no good record. records: the good ones. values: what these hold.
    """

    path: str
    run: str
    bytes: int = 0
    damaged: int = 0
    records: int = 0
    values: int = 0
    findings: list[Finding] = field(default_factory=list)


@dataclass
class Damage:
    """`length` bytes of a file, from `offset` on, without a good record; `records` is how many were tried there.

    The last of MOST stands for all behind it, too, and has the sum of their bytes.
    """

    offset: int
    length: int
    records: int
    truncated: bool
    message: str


def verify(path: str | os.PathLike[str], *, live: bool = False) -> Iterator[Report]:
    """A report of each event file at or below `path`, which may be a URL, in the order TensorBoard reads them.

    What is odd about the tags of a run is told with its last file. live: runs may still be written, so that the last
    file of each may well end within a record; that is a warning then.
    """
    root = os.fsdecode(path)
    unlisted: list[OSError] = []
    files = find_event_files(root, unlisted.append)
    for error in unlisted:
        directory = error.filename or root
        yield Report(directory, directory, findings=[_unreadable(directory, error)])
    if not files:
        yield Report(root, ".", findings=[Finding(root, None, "error", "missing", "no event file here")])
    for name, group in groupby(files, lambda file: run_of(file, root)):
        run = _Run()
        of_run = list(group)
        for file in of_run:
            report = Report(file, name)
            last = file is of_run[-1]
            run.check(report, live and last)
            if last:
                report.findings += run.oddities.findings()
            yield report


def _unreadable(path: str, error: OSError) -> Finding:
    return Finding(path, None, "error", "unreadable", error.strerror or str(error))


class Damages:
    """The places of a file where reading fails. Those that adjoin are one."""

    def __init__(self) -> None:
        self.places: list[Damage] = []
        self.open: RecordError | None = None
        self._tries = 0

    def tell(self, error: RecordError) -> None:
        before = self.open
        if before is not None and error.offset == before.offset:  # what seemed a torn tail is none
            self.open = error
        elif before is not None and type(error) is type(before):
            self._tries += 1
        else:
            self.close(error.offset)
            self.open, self._tries = error, 1

    def close(self, end: int) -> None:
        """What was damaged ends here, if anything was."""
        error, self.open = self.open, None
        if error is None:
            return
        length = end - error.offset
        if len(self.places) < MOST:
            torn = isinstance(error, TruncatedRecordError)
            self.places.append(Damage(error.offset, length, self._tries, torn, error.problem))
        else:
            self.places[-1].length += length
            self.places[-1].records += self._tries


def good_records(path: str, damages: Damages) -> Iterator[tuple[int, bytes, Any]]:
    """Each record that holds an Event: its offset, its data and the Event. What lies between is told `damages`."""
    for offset, data in read_frames(path, damages.tell):
        event = event_of(data, path, offset, damages.tell)
        if event is not None:
            damages.close(offset)
            yield offset, data, event
    if damages.open is not None:
        damages.close(max(size_at(path), damages.open.offset))  # it may have been cut meanwhile


class _Oddities:
    """The first of each oddity, and how many there are."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[Finding, list[int]]] = {}

    def add(self, path: str, offset: int, kind: str, about: str, message: str, severity: str = "warning") -> None:
        """about: which of its kind it is, as a tag."""
        first = Finding(path, offset, severity, kind, f"{message} in the record at byte {offset}")
        _, count = self._found.setdefault((kind, about), (first, [0]))
        count[0] += 1

    def findings(self) -> Iterator[Finding]:
        for first, (count,) in self._found.values():
            yield replace(first, message=f"{first.message}, the first of {count:,}") if count > 1 else first


@dataclass(slots=True)
class _Tag:
    """The kind of its first value, the step of its last, and how many STARTs the run had had by then."""

    kind: str
    step: int
    starts: int


class _Run:
    """What the files of a run have shown so far."""

    def __init__(self) -> None:
        self.oddities = _Oddities()  # of its tags
        self._tags: dict[str, _Tag] = {}
        self._plugins: dict[str, str] = {}
        self._n_starts = 0
        self._starts = Starts()  # each makes void what was logged before with its step or a higher one
        self._begun = ("", -math.inf)  # the last file, and its first wall_time
        self._contents: dict[tuple[int, int], str] = {}  # hash of the records, how many -> the file

    def check(self, report: Report, live: bool) -> None:
        """Reads a file, and fills its report in."""
        path = report.path
        findings = report.findings
        damages = Damages()
        oddities = _Oddities()
        try:
            self._read(report, damages, oddities)
        except OSError as error:
            findings.append(_unreadable(path, error))
        for place in damages.places:
            severity = "warning" if place.truncated and live else "error"
            several = f", {place.records:,} records or more" if place.records > 1 else ""
            message = f"{place.message} ({place.length:,} bytes{several})"
            kind = "truncated" if place.truncated else "corrupt"
            findings.append(Finding(path, place.offset, severity, kind, message))
        findings += oddities.findings()
        findings.sort(key=lambda finding: -1 if finding.offset is None else finding.offset)
        report.damaged = sum(place.length for place in damages.places)
        report.bytes += report.damaged

    def _read(self, report: Report, damages: Damages, oddities: _Oddities) -> None:
        path = report.path
        future = time.time() + AHEAD
        before = 0.0
        content = 0
        for offset, data, event in good_records(path, damages):
            what = event.WhichOneof("what")
            wall_time = event.wall_time
            if not report.records:
                self._begin(report, offset, what, wall_time)
            report.records += 1
            report.bytes += end_of(0, len(data))
            content = hash((content, data))
            if not (0 < wall_time < future and before - wall_time < BACK):
                oddities.add(path, offset, "wall_time", *_odd_time(wall_time, before))
            if wall_time < future:
                before = wall_time
            if what == "summary":
                step = event.step
                values = event.summary.value
                report.values += len(values)
                for value in values:
                    self._value(path, offset, step, value)
            elif what == "session_log" and event.session_log.status == SESSION_START:
                self._n_starts += 1
                self._starts.add(self._n_starts, event.step)
        if not report.records and not damages.places:
            report.findings.append(Finding(path, None, "warning", "version", "the file is empty"))
        same = self._contents.setdefault((content, report.records), path) if report.values else path
        if same != path:
            message = f"holds the very records of {os.path.basename(same)}"
            report.findings.append(Finding(path, None, "warning", "copy", message))

    def _begin(self, report: Report, offset: int, what: str | None, wall_time: float) -> None:
        path = report.path
        if what != "file_version" and not offset:
            report.findings.append(Finding(path, 0, "warning", "version", "the first record is no file_version"))
        if 0 < wall_time < math.inf:
            name, earlier = self._begun
            if wall_time < earlier:
                message = f"begins {earlier - wall_time:.3g} s before {os.path.basename(name)}, whose name comes first"
                report.findings.append(Finding(path, None, "warning", "order", message))
            self._begun = path, wall_time

    def _is_void(self, step: int, starts: int) -> bool:
        """Whether a START has made this step void since there were so many."""
        lowest = self._starts.lowest_after(starts)
        return lowest is not None and lowest <= step

    def _value(self, path: str, offset: int, step: int, value: Any) -> None:
        name = value.tag
        what = value.WhichOneof("value")
        if what == "simple_value":  # as kind_of says, too; metadata take their time
            kind = "scalar"
        else:
            kind = kind_of(what, plugin_of(name, value.metadata.plugin_data.plugin_name, self._plugins))
        tag = self._tags.get(name)
        if tag is None:
            self._tags[name] = _Tag(kind, step, self._n_starts)
            return
        if kind != tag.kind:
            message = f"{_quoted(name)} is a {tag.kind} first, and a {kind}"
            self.oddities.add(path, offset, "kinds", name, message)
        if step <= tag.step and not self._is_void(step, tag.starts):
            if step < tag.step:
                message = f"{_quoted(name)} goes back from step {tag.step} to {step}"
                self.oddities.add(path, offset, "step", name, message)
            else:
                self.oddities.add(path, offset, "repeat", name, f"{_quoted(name)} has step {step} once more")
        tag.step = step
        tag.starts = self._n_starts


def _quoted(tag: str) -> str:
    return repr(tag) if len(tag) <= SHORT else f"{tag[:SHORT]!r}..."


def _odd_time(wall_time: float, before: float) -> tuple[str, str, str]:
    """What is odd about it: a word, a message, and how severe that is."""
    if math.isnan(wall_time):
        return "nan", "wall_time NaN, where TensorBoard's data server stops,", "error"
    if math.isinf(wall_time):
        return "infinite", "wall_time infinite", "error"
    if wall_time <= 0:
        return "zero", f"wall_time {wall_time:g}", "warning"
    if wall_time < before:
        return "back", f"wall_time goes back by {before - wall_time:.3g} s", "warning"
    return "future", f"wall_time {wall_time:.0f} is in the future", "warning"
