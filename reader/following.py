"""Follow files that are still written: yield values as they are logged.

Each look at the path costs a stat of each file and directory. A file that has changed is opened, and read from the end
of the last whole record on. A mark is stored for each record that was read: where it ends, and the checksum of its
data. The marks show that a file was cut or replaced, and which of its records are still the same.
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

MARKS = 4096  # marks of a file that are kept at least, and up to twice as many: 12 bytes each

Stat: TypeAlias = tuple[int, int, int, int]  # inode, size, mtime in ns, device
NEVER: Stat = (0, 0, 0, 0)

T = TypeVar("T")


class ChangedFileError(RecordError):
    """A file was cut or replaced after it was read. It is read again from `offset` on."""


def follow(
    path: str | os.PathLike[str],
    *,
    interval: float = 0.25,
    from_end: bool = False,
    idle: float | None = None,
    purge: bool | None = None,
    on_error: OnError = warn_of,
) -> Generator[tuple[str, Value], None, None]:
    """Yield (run, value) for each value logged below `path`, until Ctrl-C, close() or `idle` ends it.

    Values that are already there come first, in the order of find_event_files, then new ones as they are logged.

    path: a local event file or directory of runs. It need not exist yet. New files and directories below it are found;
        deleted ones are dropped
    interval: seconds between two looks at the files, 0.25 by default
    from_end: yield only values that are logged after this call
    idle: end after so many seconds without a value; 0 yields the values that are there, then ends
    purge: as in load_scalars, for the values that are there: by default, those that a later event file of the run
        replaces are left out, with a warning. A run that restarts later hides nothing
    on_error: called once with each damaged place (CorruptRecordError), each file that was cut or replaced
        (ChangedFileError), and each file or directory that cannot be read (OSError). Following continues. By default
        each is a RuntimeWarning

    An incomplete record is waited for, even if other records come after it. If a file was cut or replaced, records that
    are still where they were read before are not yielded again. This holds for at least the last 4,096 records of a
    file; if the file differs before these, it is yielded from its start.

    Links are followed as find_event_files follows them. A broken link is reported, and its target is found if it
    appears later. If a link changes its target, the new target is yielded from its start, without a ChangedFileError.

    Each value is a Python object: about 100,000 a second on one core (Python 3.11). If writers log more, follow lags
    more and more. load_runs is more than a hundred times as fast.

    Raises ValueError for a URL, and for an interval or idle that is not a number of seconds, 0 or more.
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
        finally:  # also if the caller closes the generator
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
    """Follow a path as `follow` does, but never wait: each poll yields what came since the last one.

    wants_run: files of other runs are not read
    wants_tag: values of other tags are left out
    purge: leave out, in the first poll, values that a later event file replaces
    """

    def __init__(
        self,
        root: str,
        wants_run: Callable[[str], bool] = lambda run: True,
        wants_tag: Callable[[str], bool] = lambda tag: True,
        purge: bool = False,
    ) -> None:
        if is_url(root):
            raise ValueError(f"{root}: only local files can be followed")
        self.root = root
        self.hidden: dict[str, int] = {}  # by run: how many values are left out because a later file replaces them
        self._purge = purge
        self._cuts: dict[tuple[str, str, str], int] | None = None  # see Loader.cuts; None before they are known
        self._wants_run = wants_run
        self._wants_tag = wants_tag
        self._directories: dict[str, _Directory] = {}
        self._files: dict[str, _File] = {}  # in the order of find_event_files
        self._plugins: defaultdict[str, dict[str, str]] = defaultdict(dict)  # by run and tag, see values_of

    def poll(self, on_error: OnError) -> Iterator[tuple[str, Value]]:
        """Yield (run, value) for each value that came since the last call."""
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
        self._cuts = {}  # values that come later are never hidden

    def load(self, kinds: set[str], on_error: OnError, steps: Steps = None, keep: int | None = None) -> dict[str, Run]:
        """Return the runs that are there, as load_runs does. `poll` then yields what comes after them.

        keep: keep the last `keep` rows of each tag; by default all
        """
        self._find_files(time.monotonic(), on_error)
        self._cuts = {}  # the loaders below hide what is to be hidden; `poll` hides nothing then
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
        """Return what the first poll hides, as Loader.cuts does; compute it on the first call."""
        if self._cuts is None:
            self._cuts = {}
            for run, files in by_run(self._files, self.root).items():
                loader = Loader(self._wants_tag, set(KINDS), None, self._purge, None, keep=0)
                self._cuts |= loader.cuts(files)
                self.hidden[run] = 0
        return self._cuts

    def unread(self) -> int:
        """Return how many bytes of the files that were found are not read yet."""
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
        for directory in directories:  # this list grows while directories are found
            if self._directories.get(directory.path) is not directory:  # forgotten by _forget
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
        """Forget the files and directories below a directory, because its link has another target now."""
        below = os.path.join(directory, "")
        for path in [path for path in self._files if path.startswith(below)]:
            self._plugins.pop(self._files.pop(path).run, None)
        for path in [path for path in self._directories if path.startswith(below)]:
            del self._directories[path]


class _Watched(Generic[T]):
    """A file or directory that is read again when its stat changes."""

    again = math.inf  # seconds after which it is read again even if its stat is the same

    def __init__(self, path: str, is_root: bool) -> None:
        self.path = path
        self.is_gone = False
        self._is_root = is_root
        self._seen = self._stat = NEVER  # the stat of the last look, and of the last complete reading
        self._target = ""  # the path without links
        self._due = 0.0  # the time.monotonic() from which on it is read again in any case
        self._failed: int | None = None  # the errno that was reported last

    def changes(self, now: float) -> Iterator[T | OSError]:
        """Yield what came since the last call. Yield an OSError once: not again while its errno stays the same."""
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
            # A change within one tick of the filesystem's clock leaves the mtime as it is. So after a change of the
            # stat it is read once more at the next look.
            self._due = now + self.again if stat == self._stat else now
            self._stat = stat

    def is_unreported(self, error: OSError) -> bool:
        """Return whether to report an error. An error that was reported before is not, nor is one because the file or
        directory was deleted, or a file became a directory or the reverse. A broken link is reported."""
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
        """Return the stat; forget what was read if a link changed and the path leads to another file now."""
        seen = os.stat(self.path)
        stat = (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_dev)
        if stat != self._seen:
            target = os.path.realpath(self.path) if self._is_root or os.path.islink(self.path) else self.path
            is_moved = (stat[0], stat[3]) == (self._seen[0], self._seen[3])  # the same file by another path
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
    again = 5.0  # a clock may tick in seconds, and some network filesystems do not update the mtime of directories

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
        self._ends = array("Q")  # the marks, in order: where each record that was read ends,
        self._sums = array("I")  # and the four bytes before its end
        self._valid_marks = 0  # so many still hold; the others held before the file was cut, and may hold again
        self._scanned = 0  # the search for a record after the damage continues here
        self._reported_until = -1  # damage up to this offset was reported
        self._damaged_to = -1  # where that damage ends: damage that begins there is the same error, as in frames_of

    @property
    def _offset(self) -> int:
        """Where the next record begins."""
        return self._ends[self._valid_marks - 1] if self._valid_marks else 0

    def unread(self) -> int:
        """Return how many bytes are not read yet. Damage at the end and an incomplete record count as read after the
        first look at them."""
        try:
            return max(os.path.getsize(self.path) - max(self._offset, self._stat[1]), 0)
        except OSError:
            return 0

    def go_to(self, offset: int) -> None:
        """Continue at `offset`, where a record begins: a Loader has read the records before it."""
        with open_file(self.path) as file:
            if offset:
                self._advance(file, offset)

    def _read(self) -> Iterator[tuple[int, bytes] | RecordError]:
        """Yield (offset, data) of new records, and a RecordError for each damage or change."""
        with open_file(self.path) as file:
            size = size_of(file)  # later bytes are for the next call, so that no file keeps the others waiting
            if size <= self._stat[1]:  # nothing was appended: the file may have been rewritten
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
        """If the file differs from what was read, go back to the first difference and return an error; else None."""

        def holds(mark: int) -> bool:
            end = self._ends[mark]
            return end <= size and _sum_before(file, end) == self._sums[mark]

        marks = range(self._valid_marks)  # checking the first and the last is enough, unless it is another file
        is_same_file = os.fstat(file.fileno()).st_ino == self._stat[0]
        if all(map(holds, [*marks[:1], *marks[-1:]] if is_same_file else marks)):
            return None
        self._valid_marks = next(mark for mark in marks if not holds(mark))
        self._reported_until = self._damaged_to = -1
        return ChangedFileError(self.path, self._offset, "the file was cut or replaced; first difference")

    def _advance(self, file: BinaryIO, end: int) -> bool:
        """Continue at `end`, and mark it. Return False if a mark from before a cut shows that the record was read."""
        return self._mark(end, _sum_before(file, end))

    def _mark(self, end: int, mark: int) -> bool:
        """Do as _advance does. mark: the four bytes before `end`, as an integer."""
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
        """Return where to continue after damage; None if there is nothing yet: the record may still be written."""
        if error.end and not _is_blank(file, error.end):
            return error.end
        size = size_of(file)
        head = next_head(file, max(error.end or error.offset + 1, self._scanned), whole=False)
        self._scanned = size - HEAD.size + 1
        return head and (error.end or head)


def _is_blank(file: BinaryIO, offset: int) -> bool:
    """Return whether the file ends at `offset` or holds zeros there, which a record may replace later."""
    file.seek(offset)
    return not any(file.read(HEAD.size))


def _sum_before(file: BinaryIO, end: int) -> int:
    """Return the four bytes before `end` as an integer: the checksum of the data of the record that ends there."""
    return int.from_bytes(os.pread(file.fileno(), TAIL.size, max(end - TAIL.size, 0)), "little")
