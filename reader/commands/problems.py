"""What a command reports on stderr, and its exit status."""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter

from tbc.reader.records import RecordError, TruncatedRecordError
from tbc.reader.tags import printable

from .printing import plural

FEW = 3  # lines about one file that is damaged
SCREEN = 20  # and about all of them


class UsageError(ValueError):
    """Wrong arguments: exit status 2."""


class Problems:
    """What is wrong, and the exit status that follows from it.

    Its lines are few, whatever a file holds: those that name what they are `about` (a file, a tag) end after FEW for
    one and SCREEN for all, and finish() prints how many were left out. Notes have half a SCREEN of their own, so that
    they leave out no error.
    """

    def __init__(self) -> None:
        self.status: int = 0
        self.said: Counter[str] = Counter()
        self.lines: Counter[str] = Counter()  # by level
        self.unsaid: Counter[str] = Counter()  # problems
        self.unsaid_notes: int = 0
        self.damaged: set[str] = set()

    def complain(self, problem: str, about: str | None = None) -> None:
        self.status = 1
        self._print("error", problem, about)

    def note(self, text: str, about: str | None = None) -> None:
        self._print("note", text, about)

    def fail(self, error: OSError, path: str = "output", about: str | None = None) -> None:
        """path: where it was, if it does not say so itself."""
        where = path if error.filename is None else os.fsdecode(error.filename)
        missing = os.strerror(errno.ENOENT) if isinstance(error, FileNotFoundError) else None  # fsspec's are terse
        self.complain(f"{where}: {error.strerror or missing or error}", about or where)

    def report(self, error: RecordError | OSError) -> None:
        """Report damage: an `on_error`."""
        if isinstance(error, OSError):
            self.fail(error)
            return
        self.damaged.add(error.path)
        if isinstance(error, TruncatedRecordError):
            self.note(f"{error}: it is still being written, or its writer was killed", error.path)
        else:
            self.complain(str(error), error.path)

    def is_named(self, about: str) -> bool:
        """Return whether there was a problem of this file."""
        return about in self.said or about in self.unsaid

    def skip(self, about: str, n: int) -> None:
        """Count n problems of a file that nobody prints."""
        self.unsaid[about] += n

    def finish(self) -> None:
        """Print how many lines were left out."""
        rest = dict(self.unsaid)
        for about, n in self.unsaid.most_common(FEW):
            see = f"; see tbc-reader verify {about}" if about in self.damaged else ""
            self.note(f"{about}: {plural(n, 'more problem')}{see}")
            del rest[about]
        if rest:
            self.note(f"{plural(sum(rest.values()), 'more problem')} of {len(rest):,} others")
        if self.unsaid_notes:
            self.note(f"{plural(self.unsaid_notes, 'more note')}")

    def _print(self, level: str, text: str, about: str | None) -> None:
        if about is not None:
            if self.said[about] >= FEW or self.lines[level] >= (SCREEN if level == "error" else SCREEN // 2):
                if level == "error" or about in self.damaged:
                    self.unsaid[about] += 1
                else:
                    self.unsaid_notes += 1
                return
            self.said[about] += 1
            self.lines[level] += 1
        print(f"{level}: {printable(text)}", file=sys.stderr)
