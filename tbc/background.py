"""Slow encodings, one after another, on one thread beside the caller's.

The thread starts with the first job and lives until a fork, of which Python warns in a process with threads, or until
the process exits. It is a daemon, which the interpreter does not wait for: file_writer.py does, and calls `stop`.

A signal handler may interrupt any line here and call flush(), which waits for jobs, or raise KeyboardInterrupt. So
nothing is handed over under a lock that the thread needs, too: jobs go through a SimpleQueue, which is made for that,
and `drain` sends one behind the others and looks time and again.

A job imports nothing: a fork in the middle of an import would leave its lock to the child, held for ever.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

POLL_SECONDS = 0.001
FORK_SECONDS = 0.1  # how long a fork waits for jobs


class Job:
    """`done` when it has been run. What it raises is its own affair."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work: Callable[[], None] | None = work
        self.running: threading.Lock = threading.Lock()
        self.running.acquire()
        self.done: bool = False

    def run(self) -> None:
        assert self.work is not None
        _here.in_job = True
        try:
            self.work()
        finally:
            _here.in_job = False
            self.work = None  # and the pixels with it
            self.done = True
            self.running.release()

    def wait(self, seconds: float = math.inf) -> bool:
        """Not in the child of a fork, whose signal handler came while this waited: the job is the parent's."""
        deadline, jobs = time.monotonic() + seconds, _jobs
        while not self.done and jobs is _jobs and time.monotonic() < deadline:
            self.running.acquire(timeout=POLL_SECONDS)
        return self.done


_here = threading.local()
_jobs: SimpleQueue[Job | None]  # None ends the thread
_unfinished: set[Job]  # of those that `run` gives; one is in it before the thread can see it
_thread: threading.Thread | None
_starting: threading.RLock  # two threads would get the order wrong; the thread itself never takes it
_stopped: bool


def _reset() -> None:
    global _jobs, _unfinished, _thread, _starting, _stopped
    _jobs = SimpleQueue()
    _unfinished = set()
    _thread = None
    _starting = threading.RLock()
    _stopped = False


_reset()


def run(work: Callable[[], None]) -> None:
    """Runs `work`, which must not raise, on the thread; on the caller's if there can be none, or none any more."""
    job = Job(work)
    with _starting:
        started = _start()
        if started:
            _unfinished.add(job)
            _jobs.put(job)
    if not started:
        job.run()


def in_job() -> bool:
    """Whether a job calls."""
    return getattr(_here, "in_job", False)


def stop() -> None:
    """From now on jobs run on their callers' threads. Those that were given are waited for with `drain`."""
    global _stopped
    _stopped = True


def drain() -> None:
    """Waits until all jobs given so far are done; not when called from within a job.

    Many programs flush after every step: where nothing is to be done, it costs nothing.
    """
    if not _unfinished:
        return
    with _starting:  # else another thread may fork between the look and the job
        last = _last() if _thread is not None and threading.current_thread() is not _thread else None
    if last is not None:
        last.wait()


def _last() -> Job:
    """A job behind the others."""
    last = Job(lambda: None)
    _jobs.put(last)
    return last


def _start() -> bool:
    global _thread
    if not _stopped and (_thread is None or not _thread.is_alive()):
        _thread = None  # until it runs: a flush() in a signal handler would wait for it here, for ever
        thread = threading.Thread(target=_run_all, args=(_jobs,), name="tbc-encoder", daemon=True)
        with suppress(RuntimeError):  # there are too many
            thread.start()
            _thread = thread
    return _thread is not None and not _stopped


def _run_all(jobs: SimpleQueue[Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        _unfinished.discard(job)


def before_fork() -> None:
    """Ends the thread, if its jobs are done in a moment; the next job starts another one."""
    global _thread
    with _starting:
        thread = _thread
        if thread is None or threading.current_thread() is thread or not _last().wait(FORK_SECONDS):
            return
        _jobs.put(None)
        thread.join()
        _thread = None
        if not _jobs.empty():  # a signal handler has come between
            _start()
    task = f"/proc/self/task/{thread.native_id}"  # which Linux, and so Python, counts for a moment more
    deadline = time.monotonic() + POLL_SECONDS * 5
    while os.path.exists(task) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 10)


os.register_at_fork(after_in_child=_reset)
