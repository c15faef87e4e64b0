"""Slow encodings, one after another, on one thread beside the caller's.

The thread starts with the first job and lives as long as the process; a forked child starts one of its own. It is a
daemon: what waits when the interpreter exits is waited for by file_writer.py, before the thread is stopped.

A signal handler may interrupt any line here and call flush(), which waits for jobs. So nothing is handed over under a
lock that the thread needs, too: jobs go through a SimpleQueue, which is made for that, and `wait` looks time and again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
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


def _reset() -> None:
    global _jobs, _thread, _starting
    _jobs = SimpleQueue()
    _thread = None
    _starting = threading.RLock()


_reset()
os.register_at_fork(after_in_child=_reset)


def run(work: Callable[[], None]) -> Job:
    """Runs `work` on the thread; on the caller's if there can be none, as when the interpreter exits."""
    job = Job(work)
    try:
        _start()
    except RuntimeError:
        job.run()
    else:
        _jobs.put(job)
    return job


def wait(jobs: Sequence[Job]) -> None:
    """Waits until all are done, and raises the first of their errors. Does neither when called from within a job."""
    if threading.current_thread() is _thread:
        return
    while not all(job.done for job in jobs):
        time.sleep(POLL_SECONDS)
    for job in jobs:
        if job.error is not None:
            raise job.error


def _start() -> None:
    global _thread
    with _starting:
        if _thread is None:
            thread = threading.Thread(target=_run_all, args=(_jobs,), name="tbc-encoder", daemon=True)
            thread.start()
            _thread = thread


def _run_all(jobs: SimpleQueue[Job]) -> None:
    while True:
        jobs.get().run()
