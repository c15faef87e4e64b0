"""Event files by directory: the classes and functions that see to their errors and their end."""

from __future__ import annotations

import atexit
import errno
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from tbc import _core, dynamo, encoder_thread, new_run

if TYPE_CHECKING:
    from typing_extensions import Self

_writers: weakref.WeakSet[FileWriter] = weakref.WeakSet()
lock: threading.RLock = threading.RLock()  # around the opening of files; reentrant, for signal handlers
_finalized_pid: int | None = None

# Why a file cannot be made. These are the program's errors, told at once; the others are a disk's, and may be over.
LASTING = frozenset(
    {errno.EACCES, errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.EMFILE}
    | {errno.ENAMETOOLONG, errno.ENFILE, errno.ENOENT, errno.ENOTDIR, errno.EPERM}
)


class Stats(NamedTuple):
    """What became of the events that were added so far.

    queued: bytes that wait for the disk, or to be encoded.
    written: bytes in the files.
    dropped: events that were left out, since the queue was full and the disk failed.
    retries: attempts to write that failed, and were or will be made again.
    rotations: files that were given up, after an error or because they were deleted, and followed by a new one.
    error: the OSError of the last attempt, with errno and filename; None if it succeeded, or nothing is queued.
    """

    queued: int = 0
    written: int = 0
    dropped: int = 0
    retries: int = 0
    rotations: int = 0
    error: OSError | None = None


def total(parts: Sequence[Stats]) -> Stats:
    """Of several files."""
    return Stats(
        sum(part.queued for part in parts),
        sum(part.written for part in parts),
        sum(part.dropped for part in parts),
        sum(part.retries for part in parts),
        sum(part.rotations for part in parts),
        next((part.error for part in parts if part.error is not None), None),
    )


def directory(log_dir: Any) -> str:
    """The path that a log_dir stands for: 3 is "3", as in torch's writer."""
    return os.fsdecode(log_dir) if isinstance(log_dir, (str, bytes, os.PathLike)) else str(log_dir)


class FileWriter(_core.EventFile):
    """Writes events and summaries, as protobuf messages, to an event file in a directory; SummaryWriter makes them.

    log_dir: created if missing, with its parents. The file in it is created at once, and named
    events.out.tfevents.<seconds>.<host>.<pid>.<number><filename_suffix>, so that it sorts behind all that are there.
    flush_secs: a record is in the file 0.1 s after the call that made it, or sooner if this is less.
    max_queue: kept for compatibility; the queue is bounded in bytes instead (64 MiB of small events a process, and
    64 MiB of large things).
    on_disk_error: what an add_* does when the queue is full and the disk fails: "drop" leaves the event out (stats()
    counts them), "wait" waits until the disk recovers, "raise" raises OSError.
    must_open: False makes the file as soon as possible, if the disk is full or fails now; None with the first event.

    A write that fails is tried again and again: on a full disk from the byte where it stopped; after other errors, and
    if the file is deleted, in a new file. A RuntimeWarning says that events wait for it, another one that they are
    dropped; flush() and close() raise OSError. The first event after close(), and after a fork the first one in the
    child, opens a new file, as with must_open=False.

    A subclass with an add_event or add_summary of its own, and a program that replaces them on a class or an object,
    sees every event, as with torch's: a SummaryWriter passes all that it logs through add_summary, and that through
    add_event. It takes the time that protobuf takes. See tbc.on_new_run, too.

    Raises OSError (PermissionError, NotADirectoryError, ...) if the directory or the file cannot be made, ValueError
    for a URL and for another on_disk_error. It cannot be pickled or copied (a SummaryWriter can): TypeError.
    """

    _run_tag = "step1"  # of what add_graph knows of a run

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
        *,
        on_disk_error: str = "drop",
        must_open: bool | None = True,
    ) -> None:
        self._log_dir = directory(log_dir)
        self._failures: list[BaseException] = []
        self._told: set[str] = set()
        if "://" in self._log_dir:
            raise ValueError(f"log_dir must be a local directory, got {self._log_dir!r}")
        self._directory = os.fsencode(os.path.abspath(self._log_dir))  # the process may go elsewhere
        self._set(flush_secs, filename_suffix, on_disk_error)
        with lock:
            _writers.add(self)
        if must_open is not None:
            self._announce()
            self._open(must_open)

    def _set(self, flush_secs: float, filename_suffix: str, on_disk_error: str) -> None:
        """Sets what holds for the files that are made from now on."""
        check_on_disk_error(on_disk_error)
        if "\0" in self._log_dir + filename_suffix:
            raise ValueError(f"a null character in log_dir or filename_suffix: {self._log_dir!r}, {filename_suffix!r}")
        self._linger_ms = max(0, int(1000 * flush_secs)) if flush_secs < 0.1 else 100
        self._suffix = os.fsencode(filename_suffix)
        self._on_disk_error = on_disk_error

    def _announce(self) -> None:
        """Calls the callbacks of on_new_run; without a lock, since they may wait for other threads that log."""
        for failure in new_run.announce(self._log_dir):
            warn(failure, RuntimeWarning)

    def overridden(self) -> bool:
        """Whether events have to pass through add_summary and add_event, which are replaced."""
        replaced = (type(self).add_event, type(self).add_summary) != _OWN or not _NAMES.isdisjoint(vars(self))
        if replaced:
            import tbc.proto  # noqa: F401 (which a job must not import)
        return replaced

    @property
    def event_writer(self) -> FileWriter:
        """What torch's FileWriter delegates to; here it is the same object."""
        return self

    @property
    def _file_name(self) -> str:
        return self.path

    def get_logdir(self) -> str:
        """The directory of the event file."""
        return self._log_dir

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        """Adds an Event message; sets its wall_time, and its step if one is given.

        event: of any protobuf library, with SerializeToString().
        walltime: seconds since 1970, now by default.

        Raises TypeError for what is not a message, ValueError for a step or a walltime that cannot be stored.
        """
        number, seconds = _core.check("", step, walltime)
        _check_message(event, "Event")
        if not encoder_thread.in_job() and event.WhichOneof("what") == "session_log":
            encoder_thread.drain()  # readers drop what came before it, images too
        event.wall_time = seconds
        if step is not None:
            event.step = number
        self.event(event.SerializeToString(), wait=not encoder_thread.in_job())  # whose pixels have waited

    def add_summary(self, summary: Any, global_step: Any = None, walltime: float | None = None) -> None:
        """Adds a Summary message, in an event of its own.

        summary: of any protobuf library, with SerializeToString().

        Raises as add_event.
        """
        _check_message(summary, "Summary")
        if self.overridden():
            from tbc.proto import Event, Summary

            event = Event(summary=Summary.FromString(summary.SerializeToString()))
            self.add_event(event, global_step, walltime)
        else:
            self.summary(summary.SerializeToString(), global_step, walltime)

    def add_graph(self, graph_profile: tuple[Any, Any], walltime: float | None = None) -> None:
        """Adds a graph, and what is known of its run.

        graph_profile: a GraphDef and a RunMetadata message, of any protobuf library.
        walltime: seconds since 1970, now by default.

        Raises TypeError for other messages, ValueError for a walltime that cannot be stored.
        """
        from tbc.proto import Event

        graph, metadata = graph_profile
        _check_message(metadata, "RunMetadata")
        self.add_onnx_graph(graph, walltime)
        run = {"tag": self._run_tag, "run_metadata": metadata.SerializeToString()}
        self.add_event(Event(tagged_run_metadata=run), None, walltime)

    def add_onnx_graph(self, graph: Any, walltime: float | None = None) -> None:
        """Adds a graph.

        graph: a GraphDef message, of any protobuf library.
        walltime: seconds since 1970, now by default.

        Raises TypeError for other messages, ValueError for a walltime that cannot be stored.
        """
        from tbc.proto import Event

        _check_message(graph, "GraphDef")
        self.add_event(Event(graph_def=graph.SerializeToString()), None, walltime)

    def run_later(self, work: Callable[[], None], reservation: _core.Reservation) -> None:
        """Encodes something beside the caller's thread; flush() and close() wait for it and raise what it raised.

        reservation: of the bytes that wait with it. What an earlier job raised is raised here, but for an OSError.
        """

        def run() -> None:
            try:
                work()
            except BaseException as error:
                error.__traceback__ = error.__context__ = error.__cause__ = None  # whose frames hold the pixels
                self._failures.append(error)
            finally:
                reservation.release()

        encoder_thread.run(run, reservation)
        others = [failure for failure in self._failures if not isinstance(failure, OSError)]
        if others:  # a training does not die of a disk
            self._failures = [failure for failure in self._failures if isinstance(failure, OSError)]
            raise_first(others)

    def flush(self, *, sync: bool = False) -> None:
        """Returns when everything added so far can be read in the file, whoever dies then.

        On a disk that was quick the last time, and while the thread hangs in another file system, it writes itself, and
        Ctrl-C may have to wait for that; else the thread does, and Ctrl-C works.

        sync: when it is on the disk, and a power failure does not take it away (fsync, of the file, of those before it
        that were given up or closed, and of the directories above: some milliseconds on most disks, much more on a
        busy one).

        Raises OSError, with errno and filename, while the disk does not take it.
        """
        call_all([encoder_thread.drain, self._raise_failure, lambda: super(FileWriter, self).flush(sync=sync)])

    def close(self) -> None:
        """Flushes and closes the file; closing twice is fine.

        After an OSError, or Ctrl-C, the file is still open, with its events: close() may be called again. What is never
        closed is tried once more when the process exits.
        """
        call_all([encoder_thread.drain, self._raise_failure, super().close])

    def reopen(self) -> bool:
        """Starts a new file in the same directory, if the last one was closed (or is the parent process's).

        Answers True: there is one now, if nobody closes it.
        """
        if self.closed:  # without `lock`, which a thread may hold whose signal handler waits for a job that is here
            self._open(must=False)
        return True

    def stats(self) -> Stats:
        """What became of the events so far."""
        queued, written, dropped, retries, rotations, code = self.numbers()
        error = OSError(code, os.strerror(code), self.path or self._log_dir) if code else None
        return Stats(queued, written, dropped, retries, rotations, error)

    def tell(self, what: str) -> None:
        """Warns, once, of what becomes of events while the disk fails."""
        if what not in self._told:
            self._told.add(what)
            warn(f"{what}: {self.stats().error}", RuntimeWarning)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a FileWriter cannot be pickled or copied: it is an open file; make another one")

    def _raise_failure(self) -> None:
        """Raises the first exception of the jobs, once, and forgets the others."""
        failures, self._failures = self._failures, []
        raise_first(failures)

    def _open(self, must: bool) -> None:
        create = partial(self.create, self._directory, self._suffix, self._on_disk_error, self._linger_ms)
        try:
            create(later=False)
        except OSError as error:
            if must or error.errno in LASTING:
                raise
            create(later=True)
        _see_to_multiprocessing()


_OWN = FileWriter.add_event, FileWriter.add_summary
_NAMES = frozenset({"add_event", "add_summary"})


class Relay(_core.EventRelay):
    """Passes events to an object as torch's writer does: through its add_summary, or add_event.

    It is a FileWriter that overrides these, or any object that has them.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def relay(self, event: bytes) -> None:
        from tbc.proto import Event

        message = Event.FromString(event)
        if message.HasField("summary"):
            self._file.add_summary(message.summary, message.step, message.wall_time)
        else:
            self._file.add_event(message, message.step, message.wall_time)

    def reserve(self, size: int) -> _core.Reservation:
        return self._file.reserve(size) if isinstance(self._file, FileWriter) else _core.Reservation()

    def run_later(self, work: Callable[[], None], reservation: _core.Reservation) -> None:
        if isinstance(self._file, FileWriter):
            self._file.run_later(work, reservation)
        else:
            work()


class NullFileWriter(FileWriter):
    """What a SummaryWriter that is not enabled has for a FileWriter: it takes messages, and makes no file."""

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        self._log_dir = directory(log_dir)

    @property
    def _file_name(self) -> str:
        return ""

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        pass

    def add_summary(self, summary: Any, global_step: Any = None, walltime: float | None = None) -> None:
        pass

    def add_graph(self, graph_profile: Any, walltime: float | None = None) -> None:
        pass

    def add_onnx_graph(self, graph: Any, walltime: float | None = None) -> None:
        pass

    def flush(self, *, sync: bool = False) -> None:
        pass

    def close(self) -> None:
        pass

    def reopen(self) -> bool:
        return False


def call_all(functions: Iterable[Callable[[], None]]) -> None:
    """Calls each, also if one raises; then raises the first exception."""
    errors: list[BaseException] = []
    for function in functions:
        try:
            function()
        except Exception as error:
            errors.append(error)
    raise_first(errors)


def raise_first(errors: list[BaseException]) -> None:
    """If there is one.

    It must not find itself in a list by way of its traceback: all that the frames hold, the pixels of an image for one,
    would wait for the garbage collector.
    """
    first = errors[0] if errors else None
    errors.clear()
    try:
        if first is not None:
            raise first
    finally:
        del first


def _check_message(message: Any, name: str) -> None:
    """An event that does not parse would end the file for its readers."""
    descriptor = getattr(message, "DESCRIPTOR", None)
    if not hasattr(message, "SerializeToString") or getattr(descriptor, "name", name) != name:
        raise TypeError(f"{'an' if name == 'Event' else 'a'} {name} message is expected, got {type(message).__name__}")


def check_on_disk_error(on_disk_error: Any) -> None:
    if on_disk_error not in _core.ON_DISK_ERROR:
        raise ValueError(f"on_disk_error must be one of {', '.join(_core.ON_DISK_ERROR)}, got {on_disk_error!r}")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warns of the line that called tbc."""
    level, frame = 1, sys._getframe()
    here = os.path.dirname(__file__) + os.sep
    while frame.f_back is not None and frame.f_code.co_filename.startswith(here):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


@atexit.register
def _flush_all() -> None:
    """Waits for what is encoded, and tells what an exit would keep quiet: that the last events cannot be written.

    (To write what is queued is csrc's work.)
    """
    encoder_thread.stop()
    _core.leave()
    with lock:
        writers = list(_writers)
    for writer in writers:
        try:
            writer.flush()
        except TimeoutError as error:
            reason = f"a write has not ended for 10 s: {error.filename!r}"
            warnings.warn(f"events logged last are lost: {reason}", RuntimeWarning, stacklevel=1)
        except Exception as error:
            warnings.warn(f"events logged last are lost: {error}", RuntimeWarning, stacklevel=1)


def _see_to_multiprocessing() -> None:
    """A child of multiprocessing ends by os._exit, without the steps that write what is queued: it runs finalizers."""
    global _finalized_pid
    finalize = getattr(sys.modules.get("multiprocessing.util"), "Finalize", None)
    if finalize is not None and _finalized_pid != os.getpid():
        finalize(None, _flush_all, exitpriority=0)
        _finalized_pid = os.getpid()


def _before_fork() -> None:
    encoder_thread.before_fork()  # first: its jobs start the other thread
    _core.before_fork()


def _after_fork_in_child() -> None:
    global lock
    lock = threading.RLock()  # another thread of the parent may have held it
    for writer in list(_writers):
        writer._failures = []


os.register_at_fork(
    before=_before_fork, after_in_parent=_core.after_fork_in_parent, after_in_child=_after_fork_in_child
)
dynamo.skip_tbc()
