"""tail: print the last scalars; with -f, new ones as they are logged."""

from __future__ import annotations

import os
import select
import sys
import time
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from typing import Any

from tbc.reader.describe import brief, shortest, to_json
from tbc.reader.following import Follower
from tbc.reader.loader import step_range
from tbc.reader.series import Run, Scalars
from tbc.reader.tags import matcher, printable

from . import Add
from .printing import Heading, padded, print_json, readable, row_of, time_of
from .problems import Problems
from .selection import add_all, explain, is_chosen, name_of, note_hidden, patterns, reading, runs_wanted

INTERVAL = 0.25  # seconds between two polls of the files
LAG = 8 << 20  # unread bytes above which tail notes that it lags
LAG_INTERVAL = 1.0  # seconds between two counts of unread bytes


def add_options(add: Add) -> None:
    add("-f", "--follow", action="store_true", help="print new scalars as they are logged, until Ctrl-C")
    add("-n", "--lines", type=natural, default=10, metavar="N", help="first print the last N scalars (default 10)")
    add_all(add)


def natural(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"expected an integer of 0 or more, got {text!r}")
    try:
        return min(int(text), sys.maxsize)
    except ValueError:  # Python's limit of 4,300 digits
        return sys.maxsize


def run(options: Namespace, problems: Problems) -> None:
    """Print the last scalars by wall time. With -f, then print new ones as they are read, also from new files and runs,
    until Ctrl-C. A note on stderr says when tail lags."""
    wants_tag = matcher(patterns(options, "tags"))
    first, last = step_range(options.steps)
    heading = Heading()

    def print_line(path: str, run: str, tag: str, step: int, wall_time: float, value: Any, text: str) -> None:
        run = name_of(path, run, options.paths)
        if options.json:
            data = {"step": step, "wall_time": wall_time, "tag": tag, "kind": "scalar", "value": value}
            print_json(row_of(options, path, run, **data))
        else:
            heading.print(run)
            print(f"{step:>8}  {time_of(wall_time)}  {padded(printable(tag), 24)}  {text}")

    followers: list[tuple[str, Follower]] = []
    runs: dict[str, Run] = {}
    rows: list[tuple[str, str, str, int, float, float]] = []
    found: set[str] = set()  # runs that have scalars: the printed name, and the name relative to the path
    found_tags: set[str] = set()
    hidden: dict[str, int] = {}
    owners: dict[str, str] = {}  # printed name of a run -> the first path that has it; other paths skip the run

    def is_wanted(path: str) -> Callable[[str], bool]:
        wants = runs_wanted(path, options, options.paths)
        return lambda run: wants(run) and owners.setdefault(name_of(path, run, options.paths), path) == path

    for path in options.paths:
        with reading(path, problems):
            follower = Follower(path, is_wanted(path), wants_tag, purge=not options.all)
            runs = follower.load({"scalar"}, problems.report, options.steps, keep=options.lines)
            if not runs and not problems.status and not options.follow and not is_chosen(options):
                problems.complain(f"{path}: no event file here")
            if problems.status and not runs and not os.path.isdir(path):
                continue
            hidden |= {name_of(path, name, options.paths): run.hidden for name, run in runs.items()}
            followers.append((path, follower))
            for name, of in runs.items():
                found |= {name, name_of(path, name, options.paths)} if of.scalars else set()
                found_tags |= of.scalars.keys()
            rows += [
                (path, run.name, tag, *row)
                for run in runs.values()
                for tag, scalars in run.scalars.items()
                for row in rows_of(scalars)
            ]
    note_hidden(options.paths, hidden, problems)
    rows.sort(key=lambda row: row[4])
    for row in rows[max(len(rows) - options.lines, 0) :]:
        print_line(*row, shortest(row[-1]))
    if followers and options.lines and not options.follow:
        explain(options.paths, options, problems, "scalar", found, found_tags)
    del runs, rows
    lag = Lag()

    def unread() -> int:
        return sum(follower.unread() for _, follower in followers)

    while options.follow and followers and not is_output_closed():
        print(end="", flush=True)
        time.sleep(INTERVAL)
        for path, follower in followers:
            for run, value in follower.poll(problems.report):
                if value.kind == "scalar" and first <= value.step <= last:
                    print_line(path, run, value.tag, value.step, value.wall_time, to_json(value), brief(value))
                lag.note(unread, problems)
        lag.note(unread, problems)


class Lag:
    """Prints a note when more than LAG bytes are unread; the next one only after they were LAG / 2 or less."""

    def __init__(self) -> None:
        self._is_lagging = False
        self._due = 0.0

    def note(self, unread: Callable[[], int], problems: Problems) -> None:
        """Count the unread bytes, at most once in LAG_INTERVAL; print the note if tail begins to lag."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + LAG_INTERVAL
        n = unread()
        was_lagging, self._is_lagging = self._is_lagging, n > (LAG / 2 if self._is_lagging else LAG)
        if self._is_lagging and not was_lagging:
            problems.note(f"{readable(n)} are not read yet: more is logged than tail can print")


def is_output_closed() -> bool:
    """Return whether the program that reads stdout has ended, as in `| head`; False if stdout is not a file.

    print() fails only when there is something to write, which may be never.
    """
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError, AttributeError):  # stdout is not a file
        return False
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def rows_of(scalars: Scalars) -> Iterator[tuple[int, float, float]]:
    columns = (scalars.step, scalars.wall_time, scalars.value)
    return zip(*(column.tolist() for column in columns), strict=True)
