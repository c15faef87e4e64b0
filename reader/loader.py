"""Load the files of one run into columns.

The kernel in csrc/scan.c parses the bytes. records.py and events.py read what the kernel leaves: damaged records, and
events of a form that no known writer writes. Where the extension is not built, they read everything, with the same
result, except in one case: the kernel skips fields it does not need, so malformed protobuf there can pass.

Time and memory to load a file are linear in its size, whatever it holds.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, TypeAlias

from tbc import notices

from . import scan
from .files import open_file, size_of
from .records import HEAD, LIMIT, RecordError, TruncatedRecordError, end_of, frames_of, read_frames
from .series import FILE, ByKind, ByTag, Records, Run, Scalars, Total, Values
from .tags import EVENT_KINDS, SESSION_START, kind_of, plugin_of

try:
    from tbc import _scan
except ImportError:  # not built
    _scan = None  # type: ignore[assignment]

OnError: TypeAlias = "Callable[[RecordError | OSError], object]"
Steps: TypeAlias = "tuple[int | None, int | None] | None"

PIECE = 1 << 20  # bytes that are read at a time
BIG = 1 << 16  # a record with so many bytes of data may be skipped unread,
PEEK = 1 << 12  # after a look at so many of them
LEAP = 1 << 14  # bytes to read after a record was skipped
INT64 = (-(2**63), 2**63 - 1)
UNWANTED = -1


def warn_of(error: RecordError | OSError) -> None:
    """Warn of damage and of unreadable files, but not of a file that ends within a record: it may still grow."""
    if not isinstance(error, TruncatedRecordError):
        notices.warn(str(error), RuntimeWarning)


def step_range(steps: Steps) -> tuple[int, int]:
    """Return the min and max wanted step, within int64. Raises TypeError for other types."""
    try:
        first, last = (None, None) if steps is None else steps
        low = INT64[0] if first is None else operator.index(first)
        high = INT64[1] if last is None else operator.index(last)
    except (TypeError, ValueError):
        raise TypeError(f"steps must be (first, last), each an integer or None, got {steps!r}") from None
    return min(max(low, INT64[0]), INT64[1]), min(max(high, INT64[0]), INT64[1])


class Window:
    """The part of a file that is in memory: buffer[start:end] holds the bytes of the file from `offset` on."""

    def __init__(self, file: BinaryIO, advance: Callable[[int], object]) -> None:
        self.file = file
        self.advance = advance
        self.piece: int = min(size_of(file) + 1, PIECE)  # bytes to read next; one more than the size reaches the end
        self.buffer: bytearray = bytearray(self.piece)
        self.start: int = 0
        self.end: int = 0
        self.offset: int = 0

    def move(self, offset: int) -> None:
        """Move forward to another offset, which may be after the bytes in memory."""
        self.advance(offset - self.offset)
        self.start += offset - self.offset
        self.offset = offset
        if self.start > self.end:
            self.start = self.end = 0
            self.piece = LEAP  # the next record may be skipped, too

    def is_whole(self) -> bool:
        """Return whether the file has all bytes of the record at `offset`, whose head is in memory."""
        length, _ = HEAD.unpack_from(self.buffer, self.start)
        return end_of(self.offset, length) <= size_of(self.file)

    def fill(self) -> bool:
        """Read the next piece. Return False at the end of the file."""
        held = self.end - self.start
        if self.start > 0:
            self.buffer[:held] = self.buffer[self.start : self.end]
        if held == len(self.buffer):  # one record fills it
            self.buffer.extend(bytes(held))
        self.file.seek(self.offset + held)  # records.py may have moved the position
        with memoryview(self.buffer) as view:
            read: int = self.file.readinto(view[held : held + self.piece])  # type: ignore[attr-defined]
        self.start, self.end = 0, held + read
        self.piece = min(2 * self.piece, PIECE)
        return read > 0


class Loader:
    """Load the files of one run, one after another."""

    def __init__(
        self,
        wants_tag: Callable[[str], bool],
        kinds: set[str],
        steps: Steps,
        purge: bool | None,
        on_error: OnError | None,
        advance: Callable[[int], object] = lambda n: None,
        keep: int | None = None,
    ) -> None:
        """advance: called with the number of bytes that were read or skipped. keep: keep the last `keep` rows of each
        tag, and only count the others for `totals`; None keeps all rows."""
        self.wants_tag = wants_tag
        self.kinds = kinds
        self.steps: tuple[int, int] = step_range(steps)
        self.purge: bool = purge is None or bool(purge)  # bool() for numpy.False_
        self.keep = keep
        self.on_error: OnError = on_error or warn_of
        self.advance = advance
        self.series: dict[tuple[str, str], int] = {}  # by tag and kind
        self.plugins: dict[str, str] = {}
        self.records: Records = Records(self.plugins)
        self.scan: Any = (_scan or scan).Scan(*self.steps, self.purge, keep)

    def series_of_key(self, tag: bytes, what: str | None, plugin: bytes) -> int:
        name = tag.decode()
        known = "" if what in EVENT_KINDS else plugin_of(name, plugin.decode(), self.plugins)
        return self.series_of(name, kind_of(what, known))

    def series_of(self, tag: str, kind: str) -> int:
        if (tag, kind) not in self.series:
            wanted = kind in self.kinds and self.wants_tag(tag)
            is_lasting = kind in EVENT_KINDS.values()
            self.series[tag, kind] = self.scan.add_series(kind == "scalar", is_lasting) if wanted else UNWANTED
        return self.series[tag, kind]

    def load_run(self, name: str, files: Iterable[str]) -> Run:
        """Load the files of a run and return it. A file that cannot be read is reported; the others are loaded."""
        self.load_files(files)
        return self.run(name)

    def load_files(self, files: Iterable[str]) -> None:
        """Load the files of a run. With `keep`, several files are read twice: what is hidden must be known first."""
        files = list(files)
        if self.keep is not None:
            self.cuts(files)
        self._load_each(files)

    def cuts(self, files: list[str]) -> dict[tuple[str, str, str], int]:
        """Read the files of a run, without their rows, to know what is hidden. Return, by (file, tag, kind), the step
        from which on values are hidden; values that are not in the dict are not hidden."""
        if not self.purge or len(files) < 2:
            return {}
        on_error, self.on_error = self.on_error, lambda error: None
        self._load_each(files)
        self.on_error = on_error
        self.records.files.clear()
        self.scan.again()
        return {
            (files[file - 1], tag, kind): step
            for (tag, kind), series in self.wanted_series()
            for file, step in self.scan.cuts(series)
        }

    def _load_each(self, files: list[str]) -> None:
        for file in files:
            try:
                self.load(file)
            except OSError as error:
                self.on_error(error)

    def load(self, path: str) -> int:
        """Load a file. Return where the last record ends that could be read."""
        self.records.files.append(path)
        self.scan.next_file()
        try:
            return self.load_in_python(path) if _scan is None else self.load_fast(path)
        except OSError as error:
            error.filename = error.filename or path  # the error of a read has no path
            raise

    def load_in_python(self, path: str) -> int:
        end = 0
        for offset, data in read_frames(path, self.on_error):
            self.take(path, offset, data)
            self.advance(end_of(offset, len(data)) - end)
            end = end_of(offset, len(data))
        return end

    def place(self, offset: int) -> int:
        """Return the place of a record in the current file: the number of the file and the offset in one integer."""
        return (len(self.records.files) - 1) * FILE + offset

    def load_fast(self, path: str) -> int:
        with open_file(path) as file:
            window = Window(file, self.advance)
            self.load_window(path, window)
        return window.offset

    def load_window(self, path: str, window: Window) -> None:
        large = BIG
        going = True
        while going:
            part = (window.buffer, window.start, window.end, self.place(window.offset))
            stop, start = self.scan.records(self.series_of_key, *part, large)
            window.move(window.offset + start - window.start)
            large = BIG
            if stop == _scan.LARGE and not window.is_whole():
                going = self.take_next(path, window)
            elif stop == _scan.LARGE:
                large = BIG if self.skip_large(window) else LIMIT + 1
            elif stop == _scan.ODD:
                length, _ = HEAD.unpack_from(window.buffer, start)
                data = bytes(window.buffer[start + HEAD.size : start + HEAD.size + length])
                self.take(path, window.offset, data)
                window.move(end_of(window.offset, length))
            elif stop == _scan.DAMAGED or not window.fill():
                going = window.start < window.end and self.take_next(path, window)

    def skip_large(self, window: Window) -> bool:
        """Skip a large record if its first PEEK bytes have all that its row needs. Return False if it must be read."""
        length, _ = HEAD.unpack_from(window.buffer, window.start)
        end = end_of(window.offset, length)
        if window.end - window.start < HEAD.size + PEEK:
            window.fill()
        first = window.start + HEAD.size
        found = _scan.peek(window.buffer, first, min(first + PEEK, window.end), length)
        if found is None:
            return False
        step, wall_time, tag, what, plugin = found
        try:
            name, its_plugin = tag.decode(), (plugin or b"").decode()
        except UnicodeDecodeError:
            return False
        is_void = not self.purge and not self.steps[0] <= step <= self.steps[1]
        if is_void and name in self.plugins:  # it adds nothing: no row, no plugin, nothing to hide
            window.move(end)
            return True
        if plugin is None and (what == "tensor" or name not in self.plugins) and self.wants_tag(name):
            return False  # the plugin is needed, and comes after these bytes
        known = "" if what in EVENT_KINDS or plugin is None else plugin_of(name, its_plugin, self.plugins)
        kind = kind_of(what, known)
        series = self.series_of(name, kind)
        if series != UNWANTED and kind == "scalar":
            return False
        if series != UNWANTED:
            self.scan.add_row(series, step, wall_time, self.place(window.offset), end - window.offset)
        window.move(end)
        return True

    def take_next(self, path: str, window: Window) -> bool:
        """Take the next good record; records.py reports the damage before it. Return False if there is none."""
        for offset, data in frames_of(window.file, path, self.on_error, window.offset):
            self.take(path, offset, data)
            window.move(end_of(offset, len(data)))
            return True
        return False

    def take(self, path: str, offset: int, data: bytes) -> None:
        """Add the values of a record, decoded by protobuf."""
        from .events import event_of, scalar_of, values_of

        event = event_of(data, path, offset, self.on_error)
        if event is None:
            return
        if event.WhichOneof("what") == "session_log" and event.session_log.status == SESSION_START:
            self.scan.start_session(event.step)
        rows = []
        rest = end_of(0, len(data))
        for value in values_of(event, self.plugins):
            series = self.series_of(value.tag, value.kind)
            if series == UNWANTED:
                continue
            cell: float = self.place(offset)
            if value.kind == "scalar":
                try:
                    cell = scalar_of(value.content)
                except ValueError:  # the tensor does not hold numbers
                    cell = math.nan
            size = framed(value.content.ByteSize()) if event.HasField("summary") else 0
            rest -= size
            rows.append((series, cell, size))
        for series, cell, size in rows:
            self.scan.add_row(series, event.step, event.wall_time, cell, size + rest)
            rest = 0

    def run(self, name: str) -> Run:
        """Return what has been loaded. Call it once: the scan hands its columns over."""
        import numpy as np

        run = Run(name, ByTag(), ByKind())
        for (tag, kind), series in self.wanted_series():
            *columns, size, hidden, _ = self.scan.columns(series)
            step, wall_time, cell = map(np.asarray, columns)
            if not len(step) and not hidden:
                continue
            if kind == "scalar":
                run.scalars[tag] = Scalars(step, wall_time, cell, size, hidden)
            else:
                values = Values(tag, kind, step, wall_time, size, hidden, cell, self.records)
                run.values.setdefault(kind, ByTag())[tag] = values
        return run

    def wanted_series(self) -> Iterator[tuple[tuple[str, str], int]]:
        """Yield ((tag, kind), number) of each series that is loaded."""
        return ((key, series) for key, series in self.series.items() if series != UNWANTED)

    def totals(self) -> list[Total]:
        """Return the Total of each tag and kind, if the loader was made with keep=0."""
        totals = []
        for (tag, kind), series in self.wanted_series():
            *_, size, hidden, (count, first, last) = self.scan.columns(series)
            if count:
                totals.append(Total(tag, kind, count, first, last, size, hidden))
            elif hidden:
                totals.append(Total(tag, kind, 0, None, None, size, hidden))
        return totals


def framed(size: int) -> int:
    """Return the bytes of a field that holds a message of `size` bytes: one for the key, the length, the message."""
    return 1 + (max(size, 1).bit_length() + 6) // 7 + size
