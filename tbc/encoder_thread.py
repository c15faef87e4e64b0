"""Slow encodings, one after another, on one thread beside the caller's.

The thread starts with the first job and lives until a fork, of which Python warns in a process with threads, or until
the process exits. It is a daemon, which the interpreter does not wait for: event_file.py does, and calls `stop`.

A signal handler may interrupt any line here and call flush(), which waits for jobs, or raise KeyboardInterrupt. So
nothing is handed over under a lock that the thread needs, too: jobs go through a SimpleQueue, which is made for that,
and `drain` puts one after the others and polls. And no state is left half changed:

- a job is in `_unfinished` and in the queue, or in neither (hand_over is C, which no handler interrupts);
- a start that a handler broke off may have made a thread, or not. So the thread that gets `_seat` runs the jobs, any
  other ends at once, and who needs a thread asks whether the seat is taken;
- a thread that leaves its seat while there are jobs starts its successor.

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

from tbc import _core

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
        try:
            _here.in_job = True
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
_seat: threading.Lock  # held by the thread that runs jobs
_thread: threading.Thread | None  # the one that holds it
_starting: threading.RLock  # two threads would get the order wrong; the thread itself never takes it
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
    """Runs `work`, which must not raise, on the thread; on the caller's if there can be none, or none any more.

    reservation: what `work` releases.
    """
    job = Job(work)
    with _starting:
        started = not _stopped and _start()
        if started:
            _core.hand_over(job, reservation, _unfinished, _jobs)
            _start()  # a fork that a handler broke off may have ended the thread meanwhile
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
        if threading.current_thread() is _thread:
            return
        last = _last()
        if not _start():
            _jobs.put(None)
            _run_all(_jobs, _seat)
    last.wait()


def _last() -> Job:
    """A job behind the others."""
    last = Job(lambda: None)
    _jobs.put(last)
    return last


def _start() -> bool:
    """Returns whether a thread runs the jobs; starts one if none does."""
    if not _seat.locked():
        thread = threading.Thread(target=_run_all, args=(_jobs, _seat), name="tbc-encoder", daemon=True)
        with suppress(RuntimeError):  # there are too many
            thread.start()
            while not _seat.locked() and thread.is_alive():
                time.sleep(0)
    return _seat.locked()


def _run_all(jobs: SimpleQueue[Job | None], seat: threading.Lock) -> None:
    """Runs jobs until None comes, unless another thread does."""
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
    """Ends the thread, if its jobs are done in a moment; the next job starts another one."""
    with _starting:
        thread = _thread
        if thread is None or threading.current_thread() is thread or not _last().wait(FORK_SECONDS):
            return
        _jobs.put(None)
        thread.join()
    task = f"/proc/self/task/{thread.native_id}"  # which Linux, and so Python, counts for a moment more
    deadline = time.monotonic() + POLL_SECONDS * 5
    while os.path.exists(task) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 10)


os.register_at_fork(after_in_child=_reset)
