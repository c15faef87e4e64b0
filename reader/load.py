"""Loads runs into columns: scalars as arrays, everything else as lists that read a value when it is asked for.

The bytes are taken apart by the kernel of csrc/scan.c. What it leaves (damage, and what no writer known to us writes),
and all where the extension is not built, is read by events.py and records.py, with the same result. (But of a message
that is none, in a part that the kernel need not look at, it may take the values; records.py tells of damage.)

Time and memory to load a file are linear in its size, whatever it holds.
"""

from __future__ import annotations

import errno
import math
import operator
import os
import posixpath
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeAlias, TypeVar, overload

from . import scan
from .files import (
    event_files_in,
    find_event_files,
    is_directory,
    is_url,
    open_file,
    raise_error,
    run_of,
    size_at,
    size_of,
    warn_caller,
)
from .records import (
    HEAD,
    LIMIT,
    CorruptRecordError,
    RecordError,
    TruncatedRecordError,
    end_of,
    frames_of,
    read_frames,
    read_record,
)
from .tags import EVENT_KINDS, KINDS, SESSION_START, Patterns, kind_of, matcher, nearest, plugin_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .events import Value

try:
    from tbc import _scan
except ImportError:  # not built
    _scan = None  # type: ignore[assignment]

OnError: TypeAlias = "Callable[[RecordError | OSError], object]"
Steps: TypeAlias = "tuple[int | None, int | None] | None"

PIECE = 1 << 20  # bytes that are read at a time
BIG = 1 << 16  # bytes of a record from which on it may be passed over unread
PEEK = 1 << 12  # of these are looked at first
LEAP = 1 << 14  # bytes that are read behind one that was
FILE = 1 << 43  # bytes; no file is longer, and no run has a million files
INT64 = (-(2**63), 2**63 - 1)
SESSION_START_INFO = "_hparams_/session_start_info"  # the tag of hyperparameters
UNWANTED = -1
SHOWN = 3  # runs that a warning names
FIELDS: dict[int, str | None] = {  # of Summary.Value, and negated of Event, as the kernel has them
    0: None,
    2: "simple_value",
    3: "obsolete_old_style_histogram",
    4: "image",
    5: "histo",
    6: "audio",
    8: "tensor",
    -3: "file_version",
    -4: "graph_def",
    -7: "session_log",
    -8: "tagged_run_metadata",
    -9: "meta_graph_def",
}


K = TypeVar("K")


class Named(dict[str, K]):
    """A dict by name. Its KeyError names the nearest names."""

    what: str = "name"

    def __missing__(self, name: object) -> NoReturn:
        raise KeyError(f"no {self.what} {name!r}{nearest(name, self) if isinstance(name, str) else ''}")


class ByRun(Named[K]):
    what = "run"


class ByTag(Named[K]):
    what = "tag"


class ByKind(Named[K]):
    what = "kind"


@dataclass(frozen=True, eq=False)
class Scalars:
    """The scalars of a tag, in the order they were logged in.

    step: int64[n]
    wall_time: float64[n], seconds since 1970
    value: float64[n]
    size: of their records, in bytes; also of those that are hidden. Approximate for records of unusual form
    hidden: how many values are left out, since a later event file replaces them
    """

    step: NDArray[np.int64]
    wall_time: NDArray[np.float64]
    value: NDArray[np.float64]
    size: int
    hidden: int = 0

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        return f"Scalars({brief(self)})"


@dataclass(frozen=True, eq=False)
class Values(Sequence[Any]):
    """The values of a tag that are not scalars, in the order they were logged in: values[i] is read, and decoded as
    kinds.decode has it, when it is asked for. Raises OSError or RecordError if the file is not what it was.

    step: int64[n]
    wall_time: float64[n], seconds since 1970
    size: of their records, in bytes; also of those that are hidden. Approximate for records of unusual form
    hidden: how many values are left out, since a later event file replaces them
    """

    tag: str
    kind: str
    step: NDArray[np.int64]
    wall_time: NDArray[np.float64]
    size: int
    hidden: int
    _place: NDArray[np.int64]  # of the record: its offset in the file, plus FILE for each file before it
    _records: Records

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        return f"Values({self.tag!r}, {self.kind!r}, {brief(self)})"

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        from .kinds import decode

        return decode(self.message(index))

    def message(self, index: int) -> Value:
        """The value as it was logged: its content is the protobuf message."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self!r} has no value {index}")
        index %= len(self)
        place = int(self._place[index])
        nth = index - int(self._place.searchsorted(place))  # of the event, which may hold several
        values = self._records.values_at(place).get((self.tag, self.kind), [])
        if nth >= len(values):
            path, offset = self._records.where(place)
            raise CorruptRecordError(path, offset, f"no {self.kind} of {self.tag!r}, which was there,")
        return values[nth]


class Records:
    """The records of a run's files, to be read again."""

    def __init__(self, plugins: dict[str, str]) -> None:
        self.files: list[str] = []
        self._plugins = plugins  # of tags, see tags.plugin_of
        self._last: tuple[int, dict[tuple[str, str], list[Value]]] = (-1, {})  # a place, and values_at it

    def where(self, place: int) -> tuple[str, int]:
        number, offset = divmod(place, FILE)
        return self.files[number], offset

    def values_at(self, place: int) -> dict[tuple[str, str], list[Value]]:
        """The values of a record, by tag and kind. An event of many values is decoded once, if they are asked for in
        turn."""
        from .events import event_of, values_of

        at, values = self._last
        if at == place:
            return values
        path, offset = self.where(place)
        with open_file(path, whole=False) as file:
            data = read_record(file, path, offset)
        event = event_of(data or b"", path, offset, raise_error)
        values = {}
        for value in values_of(event, self._plugins):
            values.setdefault((value.tag, value.kind), []).append(value)
        self._last = (place, values) if len(values) > 1 else (-1, {})  # a single one may be large
        return values


@dataclass(frozen=True, eq=False)
class Run:
    """What is in a run.

    name: as TensorBoard has it: the directory as seen from the log directory, "." for that itself
    scalars: by tag
    values: everything else, by kind, then by tag: run.values["image"]["photo"][-1].image()
    """

    name: str
    scalars: dict[str, Scalars]
    values: dict[str, dict[str, Values]]
    _child_files: Sequence[str] = ()  # of the runs below that add_hparams has made, in order of time

    @property
    def hparams(self) -> dict[str, Any]:
        """The hyperparameters of the run, as logged last; empty if there are none. torch's add_hparams puts them into a
        run below, named by the time: if the run has none of its own, they are those of the latest such run."""
        own = self.values.get("hparams", {}).get(SESSION_START_INFO)
        starts: Sequence[Any] = own or self._starts_below()
        return dict(starts[-1].hparams) if starts else {}

    def _starts_below(self) -> Sequence[Any]:
        loader = Loader(SESSION_START_INFO.__eq__, {"hparams"}, None, False, None)
        run = loader.load_run(self.name, self._child_files)
        return run.values.get("hparams", {}).get(SESSION_START_INFO, ())

    @property
    def hidden(self) -> int:
        """How many values are left out, since a later event file replaces them."""
        return sum(values.hidden for _, _, values in self.all())

    def all(self) -> Iterator[tuple[str, str, Scalars | Values]]:
        """Iterate over the tags: each with its kind and what is under it. The scalars come first."""
        for tag, scalars in self.scalars.items():
            yield tag, "scalar", scalars
        for kind, tags in self.values.items():
            for tag, values in tags.items():
                yield tag, kind, values

    def __repr__(self) -> str:
        counts = {"scalar": len(self.scalars)} | {kind: len(tags) for kind, tags in self.values.items()}
        parts = [f"{n} {kind}" for kind, n in counts.items() if n]
        return f"Run({', '.join([repr(self.name), *parts])}{hidden_note(self.hidden)})"


def brief(values: Scalars | Values) -> str:
    step, n = values.step, len(values)
    steps = "" if not n else f", step {step[0]}" if n == 1 else f", steps {step.min()} to {step.max()}"
    return f"{n:,} value{'s' * (n != 1)}{steps}{hidden_note(values.hidden)}"


def hidden_note(n: int) -> str:
    return f", {n:,} hidden" if n else ""


def load_scalars(
    path: str | os.PathLike[str],
    *,
    tags: Patterns = None,
    steps: Steps = None,
    purge: bool | None = None,
    on_error: OnError | None = None,
) -> dict[str, Scalars]:
    """The scalars of an event file, or of a run: the event files of a directory, in order. By tag; old style and new.

    tags: the wanted ones: a tag or a glob (* is any text), a compiled regular expression, or several of them
    steps: (first, last), both inclusive; None for either is no limit
    purge: whether the values are left out that a later event file replaces, see below. By default they are, and a
        UserWarning says how many; with True they are without a warning, with False nothing is left out
    on_error: is told of damage, a RecordError with path and offset, and reading goes on behind it. By default a
        RuntimeWarning tells, but not of a file that ends within a record: that may still be growing.

    What is left out: a run that restarts writes a new event file, often from an earlier step on. Within one event file
    nothing is left out. A later event file of the run (in the order of names, in which TensorBoard reads them, too)
    replaces the earlier files' values of a tag from the first step on that it logs for that tag. If it begins with
    SummaryWriter's purge_step (a SessionLog of status START), it replaces those of all tags from that step on. A tag
    whose values are all left out stays, empty. (TensorBoard's servers have other rules, which also hide values within a
    file, and differ from each other: docs/reading.md has a table.)

    Both checksums of each record are checked. But a record of 64 KiB or more is skipped unread if its beginning says
    that it holds no wanted scalar. Raises OSError for what cannot be read.
    """
    name = os.fsdecode(path)
    files = [name]
    if is_directory(name):
        files = event_files_in(name)
        if not files:
            what = "no event file in this directory; load_runs reads those below it"
            raise FileNotFoundError(errno.ENOENT, what, name)
    loader = Loader(matcher(tags), {"scalar"}, steps, purge, on_error)
    for file in files:
        loader.load(file)
    run = loader.run(".")
    if purge is None:
        warn_of_hidden(name, {name: run.hidden})
    return run.scalars


def load_runs(
    logdir: str | os.PathLike[str],
    *,
    runs: Patterns = None,
    tags: Patterns = None,
    kinds: str | Iterable[str] | None = None,
    steps: Steps = None,
    purge: bool | None = None,
    workers: int | None = None,
    progress: bool | None = None,
    on_error: OnError | None = None,
) -> dict[str, Run]:
    """The runs below a directory (or URL, by fsspec), by name: each directory that has event files is one.

    runs, tags: the wanted ones, as in load_scalars
    kinds: the wanted ones of tags.KINDS ("scalar", "image", ...); all by default, which costs little, since a value
        that is not a scalar is read when it is asked for
    steps: (first, last), both inclusive; None for either is no limit
    purge: as in load_scalars: what a later event file of the run replaces is left out, and a warning says so
    workers: threads; by default one for each processor, and 16 at least for a URL
    progress: a bar on stderr, by tqdm; by default if that is installed, stderr is a terminal, and it takes seconds
    on_error: as in load_scalars, and told of the OSErrors of files and directories below logdir, which do not keep the
        rest from being loaded; may be called by several threads at once

    Runs that hold nothing that is wanted are left out. Raises OSError if logdir itself cannot be read, or has no event
    file.
    """
    root = os.fsdecode(logdir)
    wanted = matcher(tags), kinds_of(kinds), step_range(steps), purge, on_error
    tree = Tree(root, matcher(runs), on_error)
    loaded = tree.load(lambda advance: Loader(*wanted, advance), Loader.run, workers, progress)
    children = named_by_time(tree.all_files) if "hparams" in kinds_of(kinds) else {}
    found = ByRun(
        (name, replace(run, _child_files=[file for child in children.get(name, ()) for file in tree.all_files[child]]))
        for name, run in loaded.items()
        if run.scalars or run.values
    )
    if purge is None:
        warn_of_hidden(root, {name: run.hidden for name, run in found.items()})
    return found


def load_totals(
    logdir: str | os.PathLike[str],
    *,
    runs: Patterns = None,
    tags: Patterns = None,
    kinds: str | Iterable[str] | None = None,
    steps: Steps = None,
    purge: bool | None = None,
    on_error: OnError | None = None,
) -> dict[str, list[Total]]:
    """Count the values under each tag of each run below a directory, without their rows: memory grows with the tags.

    The arguments are those of load_runs. A run of several files is read twice, unless purge is False.
    """
    wanted = matcher(tags), kinds_of(kinds), step_range(steps), purge, on_error
    tree = Tree(os.fsdecode(logdir), matcher(runs), on_error)
    loaded = tree.load(lambda advance: Loader(*wanted, advance, keep=0), lambda loader, name: loader.totals())
    return {name: totals for name, totals in loaded.items() if totals}


T = TypeVar("T")


class Tree:
    """The event files at or below a path, by run. `files` are those of the wanted runs.

    Raises OSError if the path cannot be read, or has no event file; what is wrong below it is reported to on_error.
    """

    def __init__(self, root: str, wants_run: Callable[[str], bool], on_error: OnError | None) -> None:
        unlisted: list[OSError] = []
        found = find_event_files(root, unlisted.append)
        if not found:
            raise unlisted[0] if unlisted else FileNotFoundError(errno.ENOENT, "no event file here", root)
        for error in unlisted:
            (on_error or warn)(error)
        self.root = root
        self.is_file: bool = found == [root]
        self.all_files: dict[str, list[str]] = by_run(found, root)
        self.files: dict[str, list[str]] = {name: of for name, of in self.all_files.items() if wants_run(name)}

    def load(
        self,
        make_loader: Callable[[Callable[[int], object]], Loader],
        result: Callable[[Loader, str], T],
        workers: int | None = None,
        progress: bool | None = False,
    ) -> dict[str, T]:
        """Load the runs, in threads: a loader for each, told how to advance the bar, and its result."""
        workers = workers or max(os.cpu_count() or 1, 16 if is_url(self.root) else 1)
        with Bar(progress, self.files.values()) as bar, ThreadPoolExecutor(workers) as threads:

            def load(name: str) -> T:
                loader = make_loader(bar.advance)
                if self.is_file:  # what is wrong with it is raised
                    loader.load(self.root)
                else:
                    loader.load_files(self.files[name])
                return result(loader, name)

            # Small ones are loaded here: most of their time goes into Python, which does one thing at a time.
            large = [name for name, of in self.files.items() if is_url(self.root) or bytes_in(of) > PIECE]
            loading = {name: threads.submit(load, name) for name in large}
            try:
                loaded = {name: load(name) for name in self.files if name not in loading}
                loaded |= {name: future.result() for name, future in loading.items()}
            except BaseException:  # Ctrl-C, too
                bar.is_over = True
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        return {name: loaded[name] for name in self.files}


def of_runs(hidden: dict[str, int]) -> str:
    """Return words that say of which runs values are hidden, if there are several runs."""
    names = [name for name, n in hidden.items() if n]
    some = ", ".join(f"{hidden[name]:,} of {name!r}" for name in names[:SHOWN])
    more = f", and of {len(names) - SHOWN:,} more runs" if len(names) > SHOWN else ""
    return f" ({some}{more})" if len(hidden) > 1 else ""


def warn_of_hidden(path: str, hidden: dict[str, int]) -> None:
    """Warn of values that are left out: how many, and of which runs."""
    total = sum(hidden.values())
    if not total:
        return
    values = "values are left out, since a later event file of the run replaces them"
    if total == 1:
        values = "value is left out, since a later event file of the run replaces it"
    warn_caller(
        f"{path}: {total:,} {values}{of_runs(hidden)}; "
        "purge=False keeps them, purge=True leaves them out without a warning",
        UserWarning,
    )


def named_by_time(runs: Iterable[str]) -> dict[str, list[str]]:
    """Return the runs that add_hparams has named by the time, in its order, by the run that they are directly below."""
    named: dict[str, list[str]] = {}
    for run in sorted(filter(is_named_by_time, runs), key=lambda run: (float(posixpath.basename(run)), run)):
        named.setdefault(posixpath.dirname(run) or ".", []).append(run)
    return named


def is_named_by_time(run: str) -> bool:
    """Return whether the name of a run is str(time.time()), as that of a run of torch's add_hparams."""
    return re.fullmatch(r"\d{9,11}\.\d+", posixpath.basename(run)) is not None


def by_run(
    files: Iterable[str], root: str, wants_run: Callable[[str], bool] = lambda run: True
) -> dict[str, list[str]]:
    """Return the files of each run that is wanted, in their order."""
    runs: dict[str, list[str]] = {}
    for file in files:
        name = run_of(file, root)
        if wants_run(name):
            runs.setdefault(name, []).append(file)
    return runs


def bytes_in(files: Iterable[str]) -> int:
    """Of all the files; nothing of one that is not there, which is told when it is read."""
    total = 0
    for file in files:
        with suppress(OSError):
            total += size_at(file)
    return total


def kinds_of(kinds: str | Iterable[str] | None) -> set[str]:
    wanted = set(KINDS) if kinds is None else {kinds} if isinstance(kinds, str) else set(kinds)
    for kind in wanted - set(KINDS):
        raise ValueError(f"a kind must be one of {', '.join(KINDS)}, got {kind!r}")
    return wanted


def step_range(steps: Steps) -> tuple[int, int]:
    """The least and the greatest step that is wanted."""
    try:
        first, last = (None, None) if steps is None else steps
        least = INT64[0] if first is None else operator.index(first)
        greatest = INT64[1] if last is None else operator.index(last)
    except (TypeError, ValueError):
        raise TypeError(f"steps must be (first, last), each an integer or None, got {steps!r}") from None
    return min(max(least, INT64[0]), INT64[1]), min(max(greatest, INT64[0]), INT64[1])


class Bar:
    """How many bytes have been read of how many, if that is wanted."""

    def __init__(self, wanted: bool | None, runs: Collection[list[str]]) -> None:
        self.is_over = False  # nobody waits for what is still being loaded
        self.bar: Any = None
        if wanted is False or (wanted is None and not sys.stderr.isatty()):
            return
        try:
            from tqdm import tqdm
        except ImportError:
            if wanted:
                raise ImportError("progress=True needs tqdm: pip install 'tbc[progress]'") from None
            return
        total = sum(map(bytes_in, runs))
        delay = 0 if wanted else 2
        self.bar = tqdm(total=total, unit="B", unit_scale=True, desc=f"{len(runs)} runs", delay=delay)

    def advance(self, n: int) -> None:
        if self.is_over:
            raise RuntimeError("loading was given up")
        if self.bar is not None:
            self.bar.update(n)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()


class Window:
    """The part of a file that is in memory: of buffer[start:end], the first byte is at `offset` of the file."""

    def __init__(self, file: BinaryIO, advance: Callable[[int], object]) -> None:
        self.file = file
        self.advance = advance
        self.piece: int = min(size_of(file) + 1, PIECE)  # bytes to read next; one more than there are sees the end
        self.buffer: bytearray = bytearray(self.piece)
        self.start: int = 0
        self.end: int = 0
        self.offset: int = 0

    def move(self, offset: int) -> None:
        """To another offset, further on."""
        self.advance(offset - self.offset)
        self.start += offset - self.offset
        self.offset = offset
        if self.start > self.end:
            self.start = self.end = 0
            self.piece = LEAP  # the next one may be passed over, too

    def is_whole(self) -> bool:
        """Return whether the record that begins here, with its head, is whole in the file: before memory is taken for
        it."""
        length, _ = HEAD.unpack_from(self.buffer, self.start)
        return end_of(self.offset, length) <= size_of(self.file)

    def fill(self) -> bool:
        """Reads on; answers whether there was anything."""
        held = self.end - self.start
        if self.start > 0:
            self.buffer[:held] = self.buffer[self.start : self.end]
        if held == len(self.buffer):  # of a single record
            self.buffer.extend(bytes(held))
        self.file.seek(self.offset + held)  # records.py may have read it elsewhere
        with memoryview(self.buffer) as view:
            read: int = self.file.readinto(view[held : held + self.piece])  # type: ignore[attr-defined]
        self.start, self.end = 0, held + read
        self.piece = min(2 * self.piece, PIECE)
        return read > 0


class Loader:
    """Loads the files of one run, one after another."""

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
        """keep: the last rows of each tag are kept, so many of them; of the others, `totals` tells. None keeps all."""
        self.wants_tag = wants_tag
        self.kinds = kinds
        self.steps: tuple[int, int] = step_range(steps)
        self.purge: bool = purge is None or bool(purge)  # numpy.False_ is false, too
        self.keep = keep
        self.on_error: OnError = on_error or warn
        self.advance = advance
        self.series: dict[tuple[str, str], int] = {}  # by tag and kind
        self.plugins: dict[str, str] = {}
        self.records: Records = Records(self.plugins)
        self.scan: Any = (_scan or scan).Scan(*self.steps, self.purge, keep)

    def series_of_key(self, tag: bytes, field: int, plugin: bytes) -> int:
        name = tag.decode()
        known = plugin_of(name, plugin.decode(), self.plugins) if field >= 0 else ""
        return self.series_of(name, kind_of(FIELDS[field], known))

    def series_of(self, tag: str, kind: str) -> int:
        if (tag, kind) not in self.series:
            wanted = kind in self.kinds and self.wants_tag(tag)
            is_lasting = kind in EVENT_KINDS.values()
            self.series[tag, kind] = self.scan.add_series(kind == "scalar", is_lasting) if wanted else UNWANTED
        return self.series[tag, kind]

    def load_run(self, name: str, files: Iterable[str]) -> Run:
        """Return what is in the files of a run. One that cannot be read is reported, and the others are loaded."""
        self.load_files(files)
        return self.run(name)

    def load_files(self, files: Iterable[str]) -> None:
        """Load the files of a run. If not all rows are kept, what hides some has to be known before, so that several
        files are read twice."""
        files = list(files)
        if self.keep is not None:
            self.cuts(files)
        self._load_each(files)

    def cuts(self, files: list[str]) -> dict[tuple[str, str, str], int]:
        """Read the files of a run to know what is hidden before they are loaded. Return, by file, tag and kind, the
        step from which on values are hidden."""
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
        """Answers where the last record ends that could be read."""
        self.records.files.append(path)
        self.scan.next_file()
        try:
            return self.load_in_python(path) if _scan is None else self.load_fast(path)
        except OSError as error:
            error.filename = error.filename or path  # a read does not know it
            raise

    def load_in_python(self, path: str) -> int:
        end = 0
        for offset, data in read_frames(path, self.on_error):
            self.take(path, offset, data)
            self.advance(end_of(offset, len(data)) - end)
            end = end_of(offset, len(data))
        return end

    def place(self, offset: int) -> int:
        """Of a record of the last file, for its row."""
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
                large = BIG if self.pass_over(window) else LIMIT + 1
            elif stop == _scan.ODD:
                length, _ = HEAD.unpack_from(window.buffer, start)
                data = bytes(window.buffer[start + HEAD.size : start + HEAD.size + length])
                self.take(path, window.offset, data)
                window.move(end_of(window.offset, length))
            elif stop == _scan.DAMAGED or not window.fill():
                going = window.start < window.end and self.take_next(path, window)

    def pass_over(self, window: Window) -> bool:
        """Passes over a large record whose beginning tells all that there is to know of it; False if it has to be
        read."""
        length, _ = HEAD.unpack_from(window.buffer, window.start)
        end = end_of(window.offset, length)
        if window.end - window.start < HEAD.size + PEEK:
            window.fill()
        first = window.start + HEAD.size
        found = _scan.peek(window.buffer, first, min(first + PEEK, window.end), length)
        if found is None:
            return False
        step, wall_time, tag, field, plugin = found
        try:
            name, its_plugin = tag.decode(), (plugin or b"").decode()
        except UnicodeDecodeError:
            return False
        is_void = not self.purge and not self.steps[0] <= step <= self.steps[1]
        if is_void and name in self.plugins:  # it tells nothing
            window.move(end)
            return True
        if plugin is None and (FIELDS[field] == "tensor" or name not in self.plugins) and self.wants_tag(name):
            return False  # it stands behind
        known = plugin_of(name, its_plugin, self.plugins) if field >= 0 and plugin is not None else ""
        kind = kind_of(FIELDS[field], known)
        series = self.series_of(name, kind)
        if series != UNWANTED and kind == "scalar":
            return False
        if series != UNWANTED:
            self.scan.add_row(series, step, wall_time, self.place(window.offset), end - window.offset)
        window.move(end)
        return True

    def take_next(self, path: str, window: Window) -> bool:
        """The next record that records.py finds, which tells what is wrong with this one; False if there is none."""
        for offset, data in frames_of(window.file, path, self.on_error, window.offset):
            self.take(path, offset, data)
            window.move(end_of(offset, len(data)))
            return True
        return False

    def take(self, path: str, offset: int, data: bytes) -> None:
        """The values of a record, decoded by protobuf."""
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
                except ValueError:  # it holds something else
                    cell = math.nan
            size = framed(value.content.ByteSize()) if event.HasField("summary") else 0
            rest -= size
            rows.append((series, cell, size))
        for series, cell, size in rows:
            self.scan.add_row(series, event.step, event.wall_time, cell, size + rest)
            rest = 0

    def run(self, name: str) -> Run:
        """What has been loaded."""
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
        """Iterate over the tag, kind and number of each series that is loaded."""
        return ((key, series) for key, series in self.series.items() if series != UNWANTED)

    def totals(self) -> list[Total]:
        """Return how many values there are under each tag; of a loader that keeps no rows."""
        totals = []
        for (tag, kind), series in self.wanted_series():
            *_, size, hidden, (count, first, last) = self.scan.columns(series)
            if count:
                totals.append(Total(tag, kind, count, first, last, size, hidden))
            elif hidden:
                totals.append(Total(tag, kind, 0, None, None, size, hidden))
        return totals


@dataclass(frozen=True)
class Total:
    """How many values are under a tag, from which to which step, and how many bytes their records have. first_step and
    last_step are None if all are hidden."""

    tag: str
    kind: str
    count: int
    first_step: int | None
    last_step: int | None
    size: int
    hidden: int


def warn(error: RecordError | OSError) -> None:
    if not isinstance(error, TruncatedRecordError):
        warn_caller(str(error), RuntimeWarning)


def framed(size: int) -> int:
    """The bytes of a field that holds a message of so many: a key and the length come before it."""
    return 1 + (max(size, 1).bit_length() + 6) // 7 + size
