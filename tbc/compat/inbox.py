"""Passes messages to a thread of this process, from processes that it forks, or passes an inbox to at their start.

All processes write to one pipe, in pieces of at most PIPE_BUF bytes. The system writes such a piece as a whole or not
at all, even if other processes write or the sender is killed. So there is no lock, which a killed process would hold
for ever. What is in the pipe stays there if its sender ends. A sender waits while the pipe is full.

The thread starts with the first other process. From Python 3.12 on, a later fork warns of it. That is harmless: the
child waits for no lock that the thread may hold.
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

PIECE = select.PIPE_BUF - 128  # bytes of a message in one piece; 128 are for the key, the size and the pickle
MARK = b""

_numbers = itertools.count()  # a number for each message
_inboxes: weakref.WeakSet[Inbox] = weakref.WeakSet()  # those that this process made


class Inbox:
    """Receives messages. handle: called with each message, on the inbox's thread; must not raise."""

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
        """Return whether this process made the inbox."""
        return os.getpid() == self._owner

    def send(self, *message: Any) -> None:
        """Send a message from another process. Raise BrokenPipeError if the process that made the inbox has ended."""
        data = pickle.dumps(message)
        key = os.getpid(), next(_numbers)
        for start in range(0, len(data), PIECE):
            self._writer.send_bytes(pickle.dumps((key, len(data), data[start : start + PIECE])))

    def start(self) -> None:
        """Start the thread, in the process that made the inbox."""
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._listen, name="tbc-inbox", daemon=True)
                thread.start()
                self._thread = thread

    def drain(self) -> None:
        """Return when all messages sent so far are handled; call it in the process that made the inbox."""
        if self._thread is not None:
            mark = threading.Event()
            self._marks.append(mark)
            self._writer.send_bytes(MARK)
            mark.wait()

    def leave(self) -> None:
        """Close a forked child's copy of the reading end: senders get BrokenPipeError when no copy is open."""
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
        """Pickle the inbox for a process that multiprocessing starts; only then can the pipe be pickled."""
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
