"""Print problems to stderr, and keep the exit status of a command."""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter

from tbc.reader.records import RecordError, TruncatedRecordError
from tbc.reader.tags import printable

from .printing import plural

FEW = 3  # lines about one damaged file
SCREEN = 20  # lines about all damaged files


class UsageError(ValueError):
    """Wrong arguments: exit status 2."""


class Problems:
    """Prints the problems of a command, and holds its exit status.

    The lines are few, whatever a file holds. Those that are `about` something (a file, a tag) end after FEW for one and
    SCREEN for all; finish() prints how many were left out. Notes have a limit of their own, half a SCREEN, so that they
    displace no error.
    """

    def __init__(self) -> None:
        self.status: int = 0
        self.printed: Counter[str] = Counter()  # by what they are about
        self.lines: Counter[str] = Counter()  # by level
        self.left_out: Counter[str] = Counter()  # by what they are about
        self.notes_left_out: int = 0
        self.damaged: set[str] = set()

    def complain(self, problem: str, about: str | None = None) -> None:
        self.status = 1
        self._print("error", problem, about)

    def note(self, text: str, about: str | None = None) -> None:
        self._print("note", text, about)

    def fail(self, error: OSError, path: str = "output", about: str | None = None) -> None:
        """Report an OSError. path: what to name if the error has no filename"""
        where = path if error.filename is None else os.fsdecode(error.filename)
        missing = os.strerror(errno.ENOENT) if isinstance(error, FileNotFoundError) else None  # fsspec gives no reason
        self.complain(f"{where}: {error.strerror or missing or error}", about or where)

    def report(self, error: RecordError | OSError) -> None:
        """Report damage; for use as an `on_error`."""
        if isinstance(error, OSError):
            self.fail(error)
            return
        self.damaged.add(error.path)
        if isinstance(error, TruncatedRecordError):
            self.note(f"{error}: it is still being written, or its writer was killed", error.path)
        else:
            self.complain(str(error), error.path)

    def is_named(self, about: str) -> bool:
        """Return whether a problem of this file was reported."""
        return about in self.printed or about in self.left_out

    def skip(self, about: str, n: int) -> None:
        """Count n problems of a file without printing them."""
        self.left_out[about] += n

    def finish(self) -> None:
        """Print how many lines were left out."""
        rest = dict(self.left_out)
        for about, n in self.left_out.most_common(FEW):
            see = f"; see tbc-reader verify {about}" if about in self.damaged else ""
            self.note(f"{about}: {plural(n, 'more problem')}{see}")
            del rest[about]
        if rest:
            self.note(f"{plural(sum(rest.values()), 'more problem')} in {len(rest):,} other files or tags")
        if self.notes_left_out:
            self.note(f"{plural(self.notes_left_out, 'more note')}")

    def _print(self, level: str, text: str, about: str | None) -> None:
        if about is not None:
            if self.printed[about] >= FEW or self.lines[level] >= (SCREEN if level == "error" else SCREEN // 2):
                if level == "error" or about in self.damaged:
                    self.left_out[about] += 1
                else:
                    self.notes_left_out += 1
                return
            self.printed[about] += 1
            self.lines[level] += 1
        print(f"{level}: {printable(text)}", file=sys.stderr)
