"""Messages from the processes that are forked from this one, or started with an inbox, to a thread of this one.

They go through a pipe, into which all processes write pieces of at most PIPE_BUF bytes: each is there as a whole or not
at all, whoever else writes and whoever dies, without a lock that a killed process would hold for ever. What is in the
pipe is safe if its sender dies; a sender waits while it is full.

The thread starts with the first other process. (From Python 3.12 on forks warn of it, in general; the child waits for
nothing that it may hold.)
"""

from __future__ import annotations

import itertools
import os
import pickle
import select
import threading
import weakref
from collections import deque
from collections.abc import Callable
from multiprocessing import Pipe
from typing import Any

PIECE = select.PIPE_BUF - 128  # bytes of a message, which leaves room for what is around them
MARK = b""

_numbers = itertools.count()  # of messages
_inboxes: weakref.WeakSet[Inbox] = weakref.WeakSet()  # that this process made


class Inbox:
    """handle: is called with each message, on the thread, and must not raise."""

    def __init__(self, handle: Callable[..., None]) -> None:
        self._handle = handle
        self._owner: int | None = os.getpid()
        self._reader, self._writer = Pipe(duplex=False)
        self._thread: threading.Thread | None = None
        self._starting = threading.RLock()
        self._marks: deque[threading.Event] = deque()
        _inboxes.add(self)

    @property
    def is_ours(self) -> bool:
        """Whether this process made it."""
        return os.getpid() == self._owner

    def send(self, *message: Any) -> None:
        """From another process. Raises BrokenPipeError when the one that made it has ended."""
        data = pickle.dumps(message)
        key = os.getpid(), next(_numbers)
        for start in range(0, len(data), PIECE):
            self._writer.send_bytes(pickle.dumps((key, len(data), data[start : start + PIECE])))

    def start(self) -> None:
        """Starts the thread. (This and the rest is for the process that made it.)"""
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._listen, name="tbc-inbox", daemon=True)
                thread.start()
                self._thread = thread

    def drain(self) -> None:
        """Returns when all is handled that has been sent before."""
        if self._thread is not None:
            mark = threading.Event()
            self._marks.append(mark)
            self._writer.send_bytes(MARK)
            mark.wait()

    def leave(self) -> None:
        """In the child of a fork, whose open end would keep the others from noticing that their reader has ended."""
        self._reader.close()

    def _listen(self) -> None:
        begun: dict[tuple[int, int], bytearray] = {}
        while True:
            piece = self._reader.recv_bytes()
            if piece == MARK:
                self._marks.popleft().set()
                continue
            key, size, data = pickle.loads(piece)
            message = begun.setdefault(key, bytearray())
            message += data
            if len(message) == size:
                self._handle(*pickle.loads(begun.pop(key)))

    def __getstate__(self) -> dict[str, Any]:
        """For a process that is being started: multiprocessing sees to the pipe then, and at no other time."""
        if self.is_ours:
            self.start()
        return {"_owner": None, "_writer": self._writer}


def _after_fork_in_parent() -> None:
    for inbox in list(_inboxes):
        inbox.start()


def _after_fork_in_child() -> None:
    for inbox in list(_inboxes):
        inbox.leave()
    _inboxes.clear()


os.register_at_fork(after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
