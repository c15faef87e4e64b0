"""Slow encodings, one after another, on one thread beside the caller's.

The thread starts with the first job and lives as long as the process; a forked child starts one of its own. It is a
daemon, which the interpreter does not wait for when it exits: file_writer.py does, and calls `stop`.

A signal handler may interrupt any line here and call flush(), which waits for jobs, or raise KeyboardInterrupt. So
nothing is handed over under a lock that the thread needs, too: jobs go through a SimpleQueue, which is made for that,
and `drain` sends one behind the others and looks time and again.

A job imports nothing: a fork in the middle of an import would leave its lock to the child, held for ever.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

POLL_SECONDS = 0.001


class Job:
    """`done` when it has been run. What it raises is its own affair."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work: Callable[[], None] | None = work
        self.done = False

    def run(self) -> None:
        assert self.work is not None
        try:
            self.work()
        finally:
            self.work = None  # and the pixels with it
            self.done = True


_jobs: SimpleQueue[Job]
_thread: threading.Thread | None
_starting: threading.RLock  # two threads would get the order wrong
_stopped: bool


def _reset() -> None:
    global _jobs, _thread, _starting, _stopped
    _jobs = SimpleQueue()
    _thread = None
    _starting = threading.RLock()
    _stopped = False


_reset()
os.register_at_fork(after_in_child=_reset)


def run(work: Callable[[], None]) -> None:
    """Runs `work`, which must not raise, on the thread; on the caller's if there can be none, or none any more."""
    job = Job(work)
    if _start():
        _jobs.put(job)
    else:
        job.run()


def stop() -> None:
    """From now on jobs run on their callers' threads. Those that were given are waited for with `drain`."""
    global _stopped
    _stopped = True


def drain() -> None:
    """Waits until all jobs given so far are done; not when called from within a job."""
    if _thread is None or threading.current_thread() is _thread:
        return
    last = Job(lambda: None)
    _jobs.put(last)
    while not last.done:
        time.sleep(POLL_SECONDS)


def _start() -> bool:
    global _thread
    with _starting:
        if not _stopped and (_thread is None or not _thread.is_alive()):
            _thread = None  # until it runs: a flush() in a signal handler would wait for it here, for ever
            thread = threading.Thread(target=_run_all, args=(_jobs,), name="tbc-encoder", daemon=True)
            with suppress(RuntimeError):  # there are too many
                thread.start()
                _thread = thread
    return _thread is not None and not _stopped


def _run_all(jobs: SimpleQueue[Job]) -> None:
    while True:
        jobs.get().run()
