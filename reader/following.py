"""Files that are still written: what is logged below a path, as it comes.

Waiting costs a stat of each file and directory. A file that has changed is opened, and read on behind the last record
that was whole. Of records that were read there are marks: where one ended, and the checksum of its data. They tell when
a file was cut or replaced, and which of its records are the same still.
"""

from __future__ import annotations

import errno
import math
import os
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO, Generic, TypeAlias, TypeVar

from .events import Value, event_of, values_of
from .files import by_run, entries_of, is_url, loop_error, name_link, open_file, run_of, size_of
from .loader import Loader, OnError, Steps, warn_of
from .records import (
    HEAD,
    TAIL,
    CorruptRecordError,
    RecordError,
    TruncatedRecordError,
    end_of,
    next_head,
    read_record,
    records_in_a_piece,
    with_cause,
)
from .series import Run, warn_of_hidden
from .tags import KINDS

MARKS = 4096  # of a file, and up to twice as many: 12 bytes each

Stat: TypeAlias = tuple[int, int, int, int]  # inode, size, mtime in ns, device
NEVER: Stat = (0, 0, 0, 0)

T = TypeVar("T")


class ChangedFileError(RecordError):
    """A file is not what was read of it: it was cut or replaced. From `offset` on it is read again."""


def follow(
    path: str | os.PathLike[str],
    *,
    interval: float = 0.25,
    from_end: bool = False,
    idle: float | None = None,
    purge: bool | None = None,
    on_error: OnError = warn_of,
) -> Generator[tuple[str, Value], None, None]:
    """Each value that is logged below `path`, with its run: what is there, in the order of find_event_files, then what
    comes, until Ctrl-C, close() or `idle` ends it.

    path: an event file or a directory of runs, on this machine. It need not be there yet; new files and directories
        below it are found, and deleted ones left out
    interval: seconds between two looks
    from_end: gives only what is logged after this call
    idle: ends after so many seconds without a value; 0 gives what is there
    purge: as in load_scalars: of what is there, values are left out that a later event file of the run replaces, and
        a warning says how many. What was given stays given: a run that restarts later hides nothing
    on_error: is told once of each damaged place, a CorruptRecordError, of a file that was cut or replaced, a
        ChangedFileError, and of what cannot be read, an OSError; following goes on. By default it is a warning

    A record that is not whole is waited for, also where others come behind it. Of a file that was cut or replaced,
    records that stand where they were read before are not given again. (The last 4,096 records that were given of a
    file are known, at least. One that is cut before them is given from its start.)

    Links are followed as find_event_files follows them. A link that leads nowhere is reported, and what it leads to
    later is found. If a link leads to another directory or file than before, that is given from its start, and no
    change of a file is reported.

    Each value is a Python object: some 100,000 a second on one core (Python 3.11). If a writer logs more, follow lags
    more and more. load_runs is more than a hundred times as fast.

    Raises ValueError for a URL, and for an interval or idle that is no number of seconds.
    """
    for name, seconds in (("interval", interval), ("idle", idle)):
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"{name} must be a number of seconds, 0 or more, got {seconds}")
    follower = Follower(os.fsdecode(path), purge=purge is None or bool(purge))
    if from_end:
        follower.load(set(), lambda error: on_error(error) if isinstance(error, OSError) else None)
    return _values(follower, interval, idle, purge is None, on_error)


def _values(
    follower: Follower, interval: float, idle: float | None, warns: bool, on_error: OnError
) -> Generator[tuple[str, Value], None, None]:
    last = time.monotonic()
    while True:
        try:
            for item in follower.poll(on_error):
                yield item
                last = time.monotonic()
        finally:  # of what was read, if nobody wants more
            if warns:
                warn_of_hidden(follower.root, follower.hidden)
            warns = False
        if idle is None:
            time.sleep(interval)
        elif (left := last + idle - time.monotonic()) > 0:
            time.sleep(min(interval, left))
        else:
            return


class Follower:
    """Follow a path as `follow` does, without the waiting.

    wants_run: files of other runs are not read
    wants_tag: values of other tags are left out
    purge: so are values that a later event file replaces, of those that the first poll finds
    """

    def __init__(
        self,
        root: str,
        wants_run: Callable[[str], bool] = lambda run: True,
        wants_tag: Callable[[str], bool] = lambda tag: True,
        purge: bool = False,
    ) -> None:
        if is_url(root):
            raise ValueError(f"{root}: only files of this machine can be followed")
        self.root = root
        self.hidden: dict[str, int] = {}  # by run: how many values are left out, since a later file replaces them
        self._purge = purge
        self._cuts: dict[tuple[str, str, str], int] | None = None  # see Loader.cuts; None before they are known
        self._wants_run = wants_run
        self._wants_tag = wants_tag
        self._directories: dict[str, _Directory] = {}
        self._files: dict[str, _File] = {}  # in the order of find_event_files
        self._plugins: defaultdict[str, dict[str, str]] = defaultdict(dict)  # of the tags of each run, see values_of

    def poll(self, on_error: OnError) -> Iterator[tuple[str, Value]]:
        """Yield the values that came since the last call, each with its run."""
        now = time.monotonic()
        self._find_files(now, on_error)
        cuts = self._find_cuts()
        for file in list(self._files.values()):
            for found in file.changes(now):
                if isinstance(found, Exception):
                    on_error(found)
                    continue
                offset, data = found
                event = event_of(data, file.path, offset, on_error)
                if event is not None:
                    for value in values_of(event, self._plugins[file.run]):
                        if not self._wants_tag(value.tag):
                            continue
                        cut = cuts.get((file.path, value.tag, value.kind))
                        if cut is not None and value.step >= cut:
                            self.hidden[file.run] += 1
                        else:
                            yield file.run, value
            if file.is_gone:
                del self._files[file.path]
        self._cuts = {}  # what comes from now on is not hidden, in whichever file

    def load(self, kinds: set[str], on_error: OnError, steps: Steps = None, keep: int | None = None) -> dict[str, Run]:
        """Return what load_runs returns of what is there. `poll` continues after it.

        keep: the last rows of each tag, so many of them; by default all
        """
        self._find_files(time.monotonic(), on_error)
        self._cuts = {}  # what is there is loaded here
        runs = by_run(self._files, self.root)
        loaders: dict[str, Loader] = {}
        found = set()
        for file in self._files.values():
            if file.run not in loaders:
                loaders[file.run] = Loader(self._wants_tag, kinds, steps, self._purge, on_error, keep=keep)
                self._plugins[file.run] = loaders[file.run].plugins
                if keep is not None:
                    loaders[file.run].cuts(runs[file.run])
            try:
                file.go_to(loaders[file.run].load(file.path))
                found.add(file.run)
            except OSError as error:
                if file.is_unreported(error):
                    on_error(error)
        return {name: loader.run(name) for name, loader in loaders.items() if name in found}

    def _find_cuts(self) -> dict[tuple[str, str, str], int]:
        """Return what is hidden in the first poll: of the values that are there, those that a later file replaces."""
        if self._cuts is None:
            self._cuts = {}
            for run, files in by_run(self._files, self.root).items():
                loader = Loader(self._wants_tag, set(KINDS), None, self._purge, None, keep=0)
                self._cuts |= loader.cuts(files)
                self.hidden[run] = 0
        return self._cuts

    def unread(self) -> int:
        """Return how many bytes have come into the files that were found and are not read yet."""
        return sum(file.unread() for file in self._files.values())

    def _find_files(self, now: float, on_error: OnError) -> None:
        files = []
        if os.path.isdir(self.root):
            self._files.pop(self.root, None)
            self._directories.setdefault(self.root, _Directory(self.root, None, self._forget))
        else:
            self._directories.pop(self.root, None)
            files.append(self.root)
        directories = list(self._directories.values())
        for directory in directories:  # it grows by what is found
            if self._directories.get(directory.path) is not directory:  # forgotten
                continue
            for found in directory.changes(now):
                if isinstance(found, OSError):
                    on_error(found)
                    continue
                path, is_directory = found
                if not is_directory:
                    files.append(path)
                elif path not in self._directories:
                    self._directories[path] = _Directory(path, directory, self._forget)
                    directories.append(self._directories[path])
            if directory.is_gone:
                del self._directories[directory.path]
        new = {}
        for path in files:
            if path not in self._files and self._wants_run(run := run_of(path, self.root)):
                new[path] = _File(path, run, path == self.root)
        if new:
            self._files = dict(sorted((self._files | new).items(), key=lambda item: os.path.split(item[0])))

    def _forget(self, directory: str) -> None:
        """Forget what was found below a directory: its link leads to another one now."""
        below = os.path.join(directory, "")
        for path in [path for path in self._files if path.startswith(below)]:
            self._plugins.pop(self._files.pop(path).run, None)
        for path in [path for path in self._directories if path.startswith(below)]:
            del self._directories[path]


class _Watched(Generic[T]):
    """A file or directory, and its stat when it was last read."""

    again = math.inf  # seconds after which it is read though that has not changed

    def __init__(self, path: str, is_root: bool) -> None:
        self.path = path
        self.is_gone = False
        self._is_root = is_root
        self._seen = self._stat = NEVER  # at the last look, and when it was last read
        self._target = ""  # what the path leads to
        self._due = 0.0  # when `again` is over, by time.monotonic
        self._failed: int | None = None  # the errno that was reported last

    def changes(self, now: float) -> Iterator[T | OSError]:
        """Yield what came since the last call. Yield an error once: not again while it stays the same."""
        self.is_gone = False
        try:
            stat = self._look()
            if stat == self._stat and now < self._due:
                return
            yield from self._read()
        except OSError as error:
            if self.is_unreported(error):
                yield error
        else:
            self._failed = None
            # What comes within a tick of the filesystem's clock leaves the mtime as it is: the next look is inside.
            self._due = now + self.again if stat == self._stat else now
            self._stat = stat

    def is_unreported(self, error: OSError) -> bool:
        """Return whether to report an error: not if it was reported before, nor if the file or directory is gone or
        became the other of the two. A link to nowhere is reported."""
        is_missing = (isinstance(error, FileNotFoundError) and not os.path.islink(self.path)) or (
            error.errno == errno.ELOOP and not os.path.lexists(self.path)  # a link above it leads nowhere now
        )
        if is_missing or isinstance(error, NotADirectoryError | IsADirectoryError):
            self.is_gone = True
            return False
        name_link(error, self.path)
        was_reported = error.errno == self._failed
        self._failed = error.errno
        return not was_reported

    def _look(self) -> Stat:
        """Its stat. What was read is forgotten if the path leads to something else now, by another link."""
        seen = os.stat(self.path)
        stat = (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_dev)
        if stat != self._seen:
            target = os.path.realpath(self.path) if self._is_root or os.path.islink(self.path) else self.path
            is_moved = (stat[0], stat[3]) == (self._seen[0], self._seen[3])  # the same thing, with a link to it
            if self._target not in ("", target) and not is_moved:
                self._stat = NEVER
                self._forget()
            self._seen, self._target = stat, target
        return stat

    def _forget(self) -> None:
        raise NotImplementedError

    def _read(self) -> Iterator[T]:
        raise NotImplementedError


class _Directory(_Watched[tuple[str, bool]]):
    again = 5.0  # the clock may tick in seconds, and some filesystems over a network keep no mtime of directories

    def __init__(self, path: str, above: _Directory | None, forget: Callable[[str], None]) -> None:
        super().__init__(path, above is None)
        self._above = above
        self._forget_below = forget

    def _forget(self) -> None:
        self._forget_below(self.path)

    def _read(self) -> Iterator[tuple[str, bool]]:
        above = self._above
        while above is not None:
            if (above._seen[0], above._seen[3]) == (self._seen[0], self._seen[3]):
                raise loop_error(self.path, above.path)
            above = above._above
        return entries_of(self.path)


class _File(_Watched[tuple[int, bytes] | RecordError]):
    def __init__(self, path: str, run: str, is_root: bool) -> None:
        super().__init__(path, is_root)
        self.run = run
        self._forget()

    def _forget(self) -> None:
        self._ends = array("Q")  # the marks: where a record that was read ended,
        self._sums = array("I")  # and the four bytes before
        self._valid_marks = 0  # so many hold; the later ones did before the file was cut, and may hold again
        self._scanned = 0  # up to here no record was found after the damage
        self._reported_until = -1  # damage up to this offset was reported
        self._damaged_to = -1  # its end: damage that adjoins is one error, as in records.frames_of

    @property
    def _offset(self) -> int:
        """Where the next record begins."""
        return self._ends[self._valid_marks - 1] if self._valid_marks else 0

    def unread(self) -> int:
        """Return how many bytes are not read yet. Damage at the end, and a record that is not whole, count as read once
        they were looked at."""
        try:
            return max(os.path.getsize(self.path) - max(self._offset, self._stat[1]), 0)
        except OSError:
            return 0

    def go_to(self, offset: int) -> None:
        """Go on at `offset`, where a record begins: what comes before it was read in another way."""
        with open_file(self.path) as file:
            if offset:
                self._advance(file, offset)

    def _read(self) -> Iterator[tuple[int, bytes] | RecordError]:
        """Yield new records, each as its offset and data, and what is wrong."""
        with open_file(self.path) as file:
            size = size_of(file)  # what comes meanwhile is for the next call: other files wait
            if size <= self._stat[1]:  # it was not appended to
                self._scanned = 0
            if changed := self._rewind(file, size):
                yield changed
            while (offset := self._offset) < size:
                try:
                    data = read_record(file, self.path, offset)
                except TruncatedRecordError:
                    return
                except CorruptRecordError as error:
                    resume = self._resume_at(file, error)
                    if offset > self._reported_until and (resume or not _is_blank(file, offset)):
                        self._reported_until = offset
                        if offset != self._damaged_to:
                            yield with_cause(error, file)
                    if resume is None:
                        return
                    self._damaged_to = resume
                    self._advance(file, resume)
                else:
                    if data is None:  # the file was cut just now
                        return
                    if self._advance(file, end_of(offset, len(data))):
                        yield offset, data
                    for offset, data, mark in records_in_a_piece(file, self._offset, size):
                        if self._mark(end_of(offset, len(data)), mark):
                            yield offset, data

    def _rewind(self, file: BinaryIO, size: int) -> ChangedFileError | None:
        """Go back to where the file differs from what was read, and return that as an error; None if it does not."""

        def holds(mark: int) -> bool:
            end = self._ends[mark]
            return end <= size and _sum_before(file, end) == self._sums[mark]

        marks = range(self._valid_marks)  # the first and the last are enough, unless it is another file
        is_same_file = os.fstat(file.fileno()).st_ino == self._stat[0]
        if all(map(holds, [*marks[:1], *marks[-1:]] if is_same_file else marks)):
            return None
        self._valid_marks = next(mark for mark in marks if not holds(mark))
        self._reported_until = self._damaged_to = -1
        return ChangedFileError(self.path, self._offset, "not what was read before (the file was cut or replaced)")

    def _advance(self, file: BinaryIO, end: int) -> bool:
        """Go on at `end`, with a mark. Return False if the marks that may hold again say that it was read before."""
        return self._mark(end, _sum_before(file, end))

    def _mark(self, end: int, mark: int) -> bool:
        """Do as _advance does. mark: the four bytes before `end`."""
        n = self._valid_marks
        was_read = n < len(self._ends) and (self._ends[n], self._sums[n]) == (end, mark)
        if not was_read:
            del self._ends[n:], self._sums[n:]
            self._ends.append(end)
            self._sums.append(mark)
        self._valid_marks += 1
        self._scanned = 0
        if self._valid_marks == 2 * MARKS:
            del self._ends[:MARKS], self._sums[:MARKS]
            self._valid_marks -= MARKS
        return not was_read

    def _resume_at(self, file: BinaryIO, error: CorruptRecordError) -> int | None:
        """Return where to go on after damage; None while nothing is there: the record may not be written yet."""
        if error.end and not _is_blank(file, error.end):
            return error.end
        size = size_of(file)
        head = next_head(file, max(error.end or error.offset + 1, self._scanned), whole=False)
        self._scanned = size - HEAD.size + 1
        return head and (error.end or head)


def _is_blank(file: BinaryIO, offset: int) -> bool:
    """Whether no record begins there yet: the file ends, or holds zeros, which may be room for one."""
    file.seek(offset)
    return not any(file.read(HEAD.size))


def _sum_before(file: BinaryIO, end: int) -> int:
    """The four bytes before: the checksum of the data, if a record ends there."""
    return int.from_bytes(os.pread(file.fileno(), TAIL.size, max(end - TAIL.size, 0)), "little")
