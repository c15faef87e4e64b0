"""EventFile opens the event files of a directory, one after another, keeps one open, and flushes it at exit."""

from __future__ import annotations

import atexit
import errno
import os
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from tbc import _core, dynamo, encoder_thread, new_run
from tbc.errors import call_all, raise_first
from tbc.notices import warn, warn_once

flushed_at_exit: weakref.WeakSet[Any] = weakref.WeakSet()  # EventFiles, and FileWriters: a subclass may have a flush()
lock: threading.RLock = threading.RLock()  # held while files are opened; reentrant, for signal handlers
_finalized_pid: int | None = None

# Errors of opening a file that the program must solve: they are raised. Other errors may pass: the file comes later.
LASTING = frozenset(
    {errno.EACCES, errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.EMFILE}
    | {errno.ENAMETOOLONG, errno.ENFILE, errno.ENOENT, errno.ENOTDIR, errno.EPERM}
)


class Stats(NamedTuple):
    """Counts what happened to the events that were added so far.

    queued: bytes that wait for the disk, or to be encoded.
    written: bytes in the files.
    dropped: events that were dropped, because the queue was full and the disk failed.
    retries: failed attempts to write; each was retried, or will be.
    rotations: files that a new file replaced, after an error or because they were deleted.
    error: the OSError of the last attempt, with errno and filename; None if it succeeded, or nothing is queued.
    """

    queued: int = 0
    written: int = 0
    dropped: int = 0
    retries: int = 0
    rotations: int = 0
    error: OSError | None = None


def total(parts: Sequence[Stats]) -> Stats:
    """Sum the Stats of several files; `error` is the first one."""
    return Stats(
        sum(part.queued for part in parts),
        sum(part.written for part in parts),
        sum(part.dropped for part in parts),
        sum(part.retries for part in parts),
        sum(part.rotations for part in parts),
        next((part.error for part in parts if part.error is not None), None),
    )


def directory(log_dir: Any) -> str:
    """Return a log_dir as a str. Like torch's writer, take str() of an object that is not a path: 3 is "3"."""
    return os.fsdecode(log_dir) if isinstance(log_dir, (str, bytes, os.PathLike)) else str(log_dir)


class EventFile(_core.BaseEventFile):
    """Writes events to the file of a directory; see FileWriter for the parameters and the guarantees.

    It has no file before open() or the first event. The first event after close(), or in the child of a fork, opens
    a new one.
    """

    def __init__(
        self, log_dir: Any, flush_secs: float = 120, filename_suffix: str = "", on_disk_error: str = "drop"
    ) -> None:
        self.log_dir: str = directory(log_dir)
        self._failures: list[BaseException] = []
        self._warned: set[str] = set()
        if "://" in self.log_dir:
            raise ValueError(f"log_dir must be a local directory, got {self.log_dir!r}")
        self._directory = os.fsencode(os.path.abspath(self.log_dir))  # the process may change its directory
        self.configure(flush_secs, filename_suffix, on_disk_error)
        with lock:
            flushed_at_exit.add(self)

    def configure(self, flush_secs: float, filename_suffix: str, on_disk_error: str) -> None:
        """Set the options of the files that are opened from now on."""
        check_on_disk_error(on_disk_error)
        if "\0" in self.log_dir + filename_suffix:
            raise ValueError(f"a null character in log_dir or filename_suffix: {self.log_dir!r}, {filename_suffix!r}")
        self._linger_ms = max(0, int(1000 * flush_secs)) if flush_secs < 0.1 else 100
        self._suffix = os.fsencode(filename_suffix)
        self._on_disk_error = on_disk_error

    def announce(self) -> None:
        """Call the callbacks of on_new_run. The caller holds no lock: they may wait for other threads that log."""
        for failure in new_run.announce(self.log_dir):
            warn(failure, RuntimeWarning)

    def open(self, must: bool) -> None:
        """Open a file, unless one is open.

        must: raise OSError for every error. False raises those in LASTING; after others it opens the file later.
        """
        create = partial(self.create, self._directory, self._suffix, self._on_disk_error, self._linger_ms)
        try:
            create(later=False)
        except OSError as error:
            if must or error.errno in LASTING:
                raise
            create(later=True)
        _finalize_in_multiprocessing()

    def reopen(self) -> bool:
        """Open a new file if none is open: after close(), and in the child of a fork. Return True: one is open now."""
        # Without `lock`: a job calls this, and a signal handler may wait for the job in a thread that holds `lock`.
        if self.closed:
            self.open(must=False)
        return True

    def run_later(self, work: Callable[[], None], reservation: _core.Reservation) -> None:
        """Run `work` on the encoder's thread. flush() and close() wait for it, and raise what it raised.

        reservation: of the bytes that wait for `work`. What an earlier job raised is raised here, except an OSError.
        """

        def run() -> None:
            try:
                work()
            except BaseException as error:
                error.__traceback__ = error.__context__ = error.__cause__ = None  # their frames keep the pixels alive
                self._failures.append(error)
            finally:
                reservation.release()

        encoder_thread.run(run, reservation)
        others = [failure for failure in self._failures if not isinstance(failure, OSError)]
        if others:  # no OSError: a failing disk must not end a training
            self._failures = [failure for failure in self._failures if isinstance(failure, OSError)]
            raise_first(others)

    def flush(self, *, sync: bool = False) -> None:
        """See FileWriter.flush."""
        call_all([encoder_thread.drain, self._raise_failure, lambda: super(EventFile, self).flush(sync=sync)])

    def close(self) -> None:
        """See FileWriter.close."""
        call_all([encoder_thread.drain, self._raise_failure, super().close])

    def stats(self) -> Stats:
        """Return the Stats of the events that were added so far."""
        queued, written, dropped, retries, rotations, code = self.raw_stats()
        error = OSError(code, os.strerror(code), self.path or self.log_dir) if code else None
        return Stats(queued, written, dropped, retries, rotations, error)

    def warn_once(self, what: str) -> None:
        """Warn once, with the error of the disk. what: what happens to the events while the disk fails."""
        warn_once(what, self._warned, f"{what}: {self.stats().error}", RuntimeWarning)

    def _raise_failure(self) -> None:
        """Raise the first exception of the jobs, once, and forget the others."""
        failures, self._failures = self._failures, []
        raise_first(failures)


def check_on_disk_error(on_disk_error: Any) -> None:
    if on_disk_error not in _core.ON_DISK_ERROR:
        raise ValueError(f"on_disk_error must be one of {', '.join(_core.ON_DISK_ERROR)}, got {on_disk_error!r}")


@atexit.register
def _flush_all() -> None:
    """Wait for the encoder's jobs, flush all files, and warn of events that cannot be written.

    After this, csrc tries once more to write what is still queued (at_exit in writer.c).
    """
    encoder_thread.stop()
    _core.leave()
    with lock:
        files = list(flushed_at_exit)
    warned: set[str] = set()
    for file in files:
        try:
            file.flush()
        except Exception as error:
            reason: object = error
            if isinstance(error, TimeoutError):
                reason = f"a write has not ended for 10 s: {error.filename!r}"
            warn_once(f"{reason}", warned, f"events logged last are lost: {reason}", RuntimeWarning)


def _finalize_in_multiprocessing() -> None:
    """Make a child of multiprocessing flush at its end: it runs finalizers and os._exit, but no atexit functions."""
    global _finalized_pid
    finalize = getattr(sys.modules.get("multiprocessing.util"), "Finalize", None)
    if finalize is not None and _finalized_pid != os.getpid():
        finalize(None, _flush_all, exitpriority=0)
        _finalized_pid = os.getpid()


def _before_fork() -> None:
    encoder_thread.before_fork()  # first: its jobs can start the thread that _core.before_fork pauses
    _core.before_fork()


def _after_fork_in_child() -> None:
    global lock
    lock = threading.RLock()  # a thread that does not exist in the child may hold the old one
    for file in list(flushed_at_exit):
        if isinstance(file, EventFile):
            file._failures = []


os.register_at_fork(
    before=_before_fork, after_in_parent=_core.after_fork_in_parent, after_in_child=_after_fork_in_child
)
dynamo.skip_tbc()
