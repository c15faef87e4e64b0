"""Slow encodings, one after another, on one thread beside the caller's.

The thread starts with the first job and lives as long as the process; a forked child starts one of its own. It is a
daemon, which the interpreter does not wait for when it exits: file_writer.py does, and calls `stop`.

A signal handler may interrupt any line here and call flush(), which waits for jobs. So nothing is handed over under a
lock that the thread needs, too: jobs go through a SimpleQueue, which is made for that, and `wait` looks time and again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue

POLL_SECONDS = 0.001


class Job:
    """`done` when it has been run; `error` is what it raised."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work: Callable[[], None] | None = work
        self.error: BaseException | None = None
        self.done = False

    def run(self) -> None:
        assert self.work is not None
        try:
            self.work()
        except BaseException as error:
            self.error = error
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


def run(work: Callable[[], None]) -> Job:
    """Runs `work` on the thread; on the caller's if there can be none, or none any more."""
    job = Job(work)
    if _start():
        _jobs.put(job)
    else:
        job.run()
    return job


def stop() -> None:
    """From now on jobs run on their callers' threads. Those that were given are waited for with `wait`."""
    global _stopped
    _stopped = True


def wait(jobs: Sequence[Job]) -> None:
    """Waits until all are done, and raises the first of their errors. Does neither when called from within a job."""
    if threading.current_thread() is _thread:
        return
    while not all(job.done for job in jobs):
        time.sleep(POLL_SECONDS)
    for job in jobs:
        if job.error is not None:
            raise job.error


def _start() -> bool:
    global _thread
    with _starting:
        if _thread is None and not _stopped:
            thread = threading.Thread(target=_run_all, args=(_jobs,), name="tbc-encoder", daemon=True)
            with suppress(RuntimeError):  # there are too many
                thread.start()
                _thread = thread
    return _thread is not None and not _stopped


def _run_all(jobs: SimpleQueue[Job]) -> None:
    while True:
        jobs.get().run()
