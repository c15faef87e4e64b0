"""Print problems to stderr, and keep the exit status of a command."""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter

from tbc.reader.records import RecordError, TruncatedRecordError
from tbc.reader.tags import printable

from .printing import plural

FEW = 3  # lines about one file or tag
SCREEN = 20  # errors about all files and tags


class UsageError(ValueError):
    """The arguments are wrong: exit status 2."""


class Problems:
    """Prints the problems of a command, and holds its exit status.

    The lines are few, whatever a file holds. At most FEW lines are printed `about` one file or tag; about all together,
    SCREEN errors and half as many notes. finish() prints how many were left out. Lines without `about` have no limit.
    """

    def __init__(self) -> None:
        self.status: int = 0
        self.printed: Counter[str] = Counter()  # by what they are about
        self.lines: Counter[str] = Counter()  # by level
        self.left_out: Counter[str] = Counter()  # by what they are about
        self.notes_left_out: int = 0
        self.damaged: set[str] = set()

    def complain(self, problem: str, about: str | None = None) -> None:
        """Print an error. The exit status becomes 1."""
        self.status = 1
        self._print("error", problem, about)

    def note(self, text: str, about: str | None = None) -> None:
        self._print("note", text, about)

    def fail(self, error: OSError, path: str = "output", about: str | None = None) -> None:
        """Report an OSError as an error. path: what to name if the OSError has no filename"""
        where = path if error.filename is None else os.fsdecode(error.filename)
        missing = os.strerror(errno.ENOENT) if isinstance(error, FileNotFoundError) else None  # fsspec's has no reason
        self.complain(f"{where}: {error.strerror or missing or error}", about or where)

    def report(self, error: RecordError | OSError) -> None:
        """Report damage or an OSError, as an `on_error`. A truncated file is only a note."""
        if isinstance(error, OSError):
            self.fail(error)
            return
        self.damaged.add(error.path)
        if isinstance(error, TruncatedRecordError):
            self.note(f"{error}: it is still being written, or its writer was killed", error.path)
        else:
            self.complain(str(error), error.path)

    def is_named(self, about: str) -> bool:
        """Return whether a problem of this file was printed or left out."""
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
