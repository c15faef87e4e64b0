"""Runs slow encodings as jobs, one after another, on a thread of its own, the encoder's thread.

The thread starts with the first job. It ends before a fork, since Python warns of a fork in a process with threads, and
when the process exits. It is a daemon, so the interpreter does not wait for it: event_file.py does, and calls `stop`.

A signal handler may interrupt any line here and call flush(), which waits for jobs, or raise KeyboardInterrupt. So jobs
are handed over without a lock that the thread needs, through a SimpleQueue, which signal handlers may use. `drain`
queues one more job and polls for its end. And these hold after every line:

- a job is in `_unfinished` and in the queue, or in neither (hand_over is C, which no handler interrupts);
- the thread that holds `_seat` runs the jobs, any other thread ends at once. (A handler may break off `_start` before
  or after a thread starts, so the next `_start` looks only at the seat);
- a thread that leaves its seat while there are jobs starts its successor.

A job imports nothing: in a fork during the import the child would get the import's lock, locked for ever.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

from tbc import _core

POLL_SECONDS = 0.001
FORK_SECONDS = 0.1  # a fork waits this long for jobs


class Job:
    """A call of `work`, which must catch its own exceptions. `done` is True when it has returned."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work: Callable[[], None] | None = work
        self.running: threading.Lock = threading.Lock()
        self.running.acquire()
        self.done: bool = False

    def run(self) -> None:
        assert self.work is not None
        try:
            _here.in_job = True
            self.work()
        finally:
            _here.in_job = False
            self.work = None  # frees the pixels
            self.done = True
            self.running.release()

    def wait(self, seconds: float = math.inf) -> bool:
        """Wait until the job is done, or for `seconds`; return whether it is done.

        Return early in the child of a fork, which a signal handler may have made meanwhile: the job is the parent's.
        """
        deadline, jobs = time.monotonic() + seconds, _jobs
        while not self.done and jobs is _jobs and time.monotonic() < deadline:
            self.running.acquire(timeout=POLL_SECONDS)
        return self.done


_here = threading.local()
_jobs: SimpleQueue[Job | None]  # None ends the thread
_unfinished: set[Job]  # the jobs of `run`, added before the thread can see them
_seat: threading.Lock  # held by the thread that runs jobs
_thread: threading.Thread | None  # the thread that holds the seat
_starting: threading.RLock  # held while a job is queued or a thread is started, so that jobs keep their order
_stopped: bool


def _reset() -> None:
    global _jobs, _unfinished, _seat, _thread, _starting, _stopped
    _jobs = SimpleQueue()
    _unfinished = set()
    _seat = threading.Lock()
    _thread = None
    _starting = threading.RLock()
    _stopped = False


_reset()


def run(work: Callable[[], None], reservation: _core.Reservation | None = None) -> None:
    """Run `work`, which must not raise, on the encoder's thread, or here if none can be started or `stop` was called.

    reservation: `work` releases it.
    """
    job = Job(work)
    with _starting:
        started = not _stopped and _start()
        if started:
            _core.hand_over(job, reservation, _unfinished, _jobs)
            _start()  # again: a fork in a signal handler may have ended the thread
    if not started:
        job.run()


def in_job() -> bool:
    """Return whether the caller is a job."""
    return getattr(_here, "in_job", False)


def stop() -> None:
    """Make `run` use its caller's thread from now on. `drain` still waits for earlier jobs."""
    global _stopped
    _stopped = True


def drain() -> None:
    """Wait until all jobs queued so far are done. Called from a job, return at once."""
    if not _unfinished:  # fast, since many programs flush after every step
        return
    with _starting:  # else another thread may fork between the check and the job
        if threading.current_thread() is _thread:
            return
        last = _last()
        if not _start():
            _jobs.put(None)
            _run_all(_jobs, _seat)
    last.wait()


def _last() -> Job:
    """Queue an empty job and return it; when it is done, all jobs queued before it are done."""
    last = Job(lambda: None)
    _jobs.put(last)
    return last


def _start() -> bool:
    """Start a thread if none runs the jobs. Return whether one runs them."""
    if not _seat.locked():
        thread = threading.Thread(target=_run_all, args=(_jobs, _seat), name="tbc-encoder", daemon=True)
        with suppress(RuntimeError):  # there are too many threads
            thread.start()
            while not _seat.locked() and thread.is_alive():
                time.sleep(0)
    return _seat.locked()


def _run_all(jobs: SimpleQueue[Job | None], seat: threading.Lock) -> None:
    """Run jobs until the queue yields None. Return at once if another thread holds the seat."""
    global _thread
    if not seat.acquire(blocking=False):
        return
    try:
        _thread = threading.current_thread()
        while (job := jobs.get()) is not None:
            try:
                job.run()
            finally:
                _unfinished.discard(job)
    finally:
        _thread = None
        seat.release()
        if not jobs.empty():
            _start()


def before_fork() -> None:
    """End the thread if its jobs are done within FORK_SECONDS. The next job starts another one."""
    with _starting:
        thread = _thread
        if thread is None or threading.current_thread() is thread or not _last().wait(FORK_SECONDS):
            return
        _jobs.put(None)
        thread.join()
    task = f"/proc/self/task/{thread.native_id}"  # Linux lists an ended thread for a moment, and Python counts the list
    deadline = time.monotonic() + POLL_SECONDS * 5
    while os.path.exists(task) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 10)


os.register_at_fork(after_in_child=_reset)
