"""Slow encodings, one after another, on one thread beside the caller's.

The pixels that wait are bounded in bytes, as the queue of records is; a caller waits where there is no room. Jobs run
in the order they came in. The interpreter, when it exits, waits for all of them (concurrent.futures sees to that); a
job that comes later still runs at once, on its caller's thread. A forked child starts with no jobs and no thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

LIMIT = 64 << 20  # bytes

_room: threading.Condition
_waiting_bytes: int
_executor: ThreadPoolExecutor | None
_worker: int | None  # the thread that runs a job now


def _start() -> None:
    global _room, _waiting_bytes, _executor, _worker
    _room = threading.Condition()
    _waiting_bytes = 0
    _executor = _worker = None


_start()
os.register_at_fork(after_in_child=_start)


def run(job: Callable[[], None], size: int) -> Future[None]:
    """Runs `job`, which keeps `size` bytes alive; the future tells its end, and raises what it raised."""
    global _waiting_bytes, _executor
    with _room:
        _room.wait_for(lambda: _waiting_bytes == 0 or _waiting_bytes + size <= LIMIT)
        _waiting_bytes += size
        if _executor is None:
            _executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tbc-encoder")
        executor = _executor
    try:
        return executor.submit(_run, job, size)
    except RuntimeError:  # the interpreter is exiting, and its executors with it
        done: Future[None] = Future()
        try:
            _run(job, size)
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)
        return done


def wait(futures: list[Future[None]]) -> None:
    """Waits for jobs, but from within one; the first exception is raised, when all have ended."""
    if _worker == threading.get_ident():
        return
    errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            raise error


def _run(job: Callable[[], None], size: int) -> None:
    global _waiting_bytes, _worker
    _worker = threading.get_ident()
    try:
        job()
    finally:
        _worker = None
        with _room:
            _waiting_bytes -= size
            _room.notify_all()
