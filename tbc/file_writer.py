"""Event files by name: where they are created, and the classes and functions that see to their end."""

from __future__ import annotations

import atexit
import os
import socket
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from typing import Any

from tbc import _core, background

_file_number = count()
_last_second: dict[str, int] = {}  # of the file names in a directory
_writers: weakref.WeakSet[FileWriter] = weakref.WeakSet()
lock = threading.RLock()  # around these, and the opening of files; reentrant, for signal handlers
_finalized_pid: int | None = None


class FileWriter(_core.EventFile):
    """Writes events and summaries, as protobuf messages, to an event file in a directory; SummaryWriter makes them.

    log_dir: created if missing, with its parents. The file in it is created at once, and named
    events.out.tfevents.<seconds>.<host>.<pid>.<number><filename_suffix>, so that it sorts behind earlier ones.
    flush_secs: a record is in the file 0.1 s after the call that made it, or sooner if this is less.
    max_queue: kept for compatibility; the queue is bounded in bytes (64 MiB a process) instead.

    Raises OSError (PermissionError, NotADirectoryError, FileExistsError, ...) if the directory or the file cannot be
    made, ValueError for a URL. After a fork, the first event in the child opens a file of the child's own.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        self._log_dir = os.fsdecode(log_dir)
        if "://" in self._log_dir:
            raise ValueError(f"log_dir must be a local directory, got {self._log_dir!r}")
        self._linger_ms = max(0, int(1000 * flush_secs)) if flush_secs < 0.1 else 100
        self._suffix = filename_suffix
        self._failures: list[BaseException] = []
        self._open()

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

        event: of any protobuf library, with SerializeToString(). walltime: seconds since 1970, now by default.
        Raises as EventFile says, and TypeError for what is not a message.
        """
        number, seconds = _core.check("", step, walltime)
        _check_message(event, "Event")
        event.wall_time = seconds
        if step is not None:
            event.step = number
        self.event(event.SerializeToString())

    def add_summary(self, summary: Any, global_step: Any = None, walltime: float | None = None) -> None:
        """Adds a Summary message, in an event of its own.

        summary: of any protobuf library, with SerializeToString(). Raises as add_event.
        """
        _check_message(summary, "Summary")
        self.summary(summary.SerializeToString(), global_step, walltime)

    def run_later(self, work: Callable[[], None], reservation: _core.Reservation) -> None:
        """Encodes something beside the caller's thread; flush() and close() wait for it and raise what it raised.

        reservation: of the bytes that wait with it. What an earlier job raised is raised here.
        """

        def run(held: _core.Reservation = reservation) -> None:
            try:
                work()
            except BaseException as error:
                self._failures.append(error)

        background.run(run)
        self._raise_failure()

    def flush(self) -> None:
        """Returns when everything added so far can be read in the file. Raises OSError if the disk does not take it."""
        call_all([background.drain, self._raise_failure, super().flush])

    def close(self) -> None:
        """Flushes and closes the file, also if that raises; only Ctrl-C leaves it open. Closing twice is fine."""
        call_all([background.drain, self._raise_failure, super().close])

    def reopen(self) -> None:
        """Starts a new file in the same directory, if the last one was closed (or is the parent process's)."""
        with lock:
            if self.closed:
                self._open()

    def _raise_failure(self) -> None:
        """Raises the first exception of the jobs, once, and forgets the others."""
        failures, self._failures = self._failures, []
        if failures:
            raise failures[0]

    def _open(self) -> None:
        """The first record is written here, so that a disk without room for it is told at once."""
        path, fd = _create_file(self._log_dir, self._suffix)
        try:
            _write_version(fd, path)
            self.attach(fd, path, self._linger_ms)
        except BaseException:
            if self.closed:  # else the file is the thread's already: Ctrl-C came after that
                os.close(fd)
                with suppress(OSError):
                    os.unlink(path)
            raise
        with lock:
            _writers.add(self)
            _see_to_multiprocessing()


class NullFileWriter(FileWriter):
    """What a SummaryWriter that is not enabled has for a FileWriter: it takes messages, and makes no file."""

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        self._log_dir = os.fsdecode(log_dir)

    @property
    def _file_name(self) -> str:
        return ""

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        pass

    def add_summary(self, summary: Any, global_step: Any = None, walltime: float | None = None) -> None:
        pass

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def reopen(self) -> None:
        pass


def call_all(functions: Iterable[Callable[[], None]]) -> None:
    """Calls each, also if one raises; then raises the first exception."""
    errors = []
    for function in functions:
        try:
            function()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _check_message(message: Any, name: str) -> None:
    """An event that does not parse would end the file for its readers."""
    descriptor = getattr(message, "DESCRIPTOR", None)
    if not hasattr(message, "SerializeToString") or getattr(descriptor, "name", name) != name:
        raise TypeError(f"{'an' if name == 'Event' else 'a'} {name} message is expected, got {type(message).__name__}")


def _create_file(log_dir: str, suffix: str) -> tuple[str, int]:
    """The path and the descriptor of a new file in a directory, which is made if it is missing.

    Its name sorts behind every earlier one of this process there: readers go through the files of a directory in the
    order of their names and never turn back. A file that is there (of another host of the same name) is never touched.
    """
    os.makedirs(log_dir, exist_ok=True)
    directory = os.path.abspath(log_dir)
    while True:
        with lock:
            second = max(int(time.time()), _last_second.get(directory, 0) + 1)
            _last_second[directory] = second
            number = next(_file_number)
        name = f"events.out.tfevents.{second:010d}.{socket.gethostname()}.{os.getpid()}.{number}" + suffix
        path = os.path.join(log_dir, name)
        with suppress(FileExistsError):
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _write_version(fd: int, path: str) -> None:
    """The record every file starts with."""
    event = _core.EventBuffer()
    event.version()
    rest = _core.frame(bytes(event))
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError as error:
        error.filename = path
        raise


@atexit.register
def _flush_all() -> None:
    """Waits for what is encoded, and tells what an exit would keep quiet: that the last events cannot be written.

    (To write what is queued is csrc's work.)
    """
    background.stop()
    with lock:
        writers = list(_writers)
    for writer in writers:
        try:
            writer.flush()
        except Exception as error:
            warnings.warn(f"events logged last are lost: {error}", RuntimeWarning, stacklevel=1)


def _see_to_multiprocessing() -> None:
    """A child of multiprocessing ends by os._exit, without the steps that write what is queued: it runs finalizers."""
    global _finalized_pid
    finalize = getattr(sys.modules.get("multiprocessing.util"), "Finalize", None)
    if finalize is not None and _finalized_pid != os.getpid():
        finalize(None, _flush_all, exitpriority=0)
        _finalized_pid = os.getpid()


def _after_fork_in_child() -> None:
    global lock
    lock = threading.RLock()  # another thread of the parent may have held it
    for writer in list(_writers):
        writer._failures = []


os.register_at_fork(
    before=_core.before_fork, after_in_parent=_core.after_fork_in_parent, after_in_child=_after_fork_in_child
)
