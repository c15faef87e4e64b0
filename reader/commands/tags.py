"""tags: list the tags."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import suppress

from tbc.reader.files import bytes_in
from tbc.reader.load import Tree
from tbc.reader.series import Total
from tbc.reader.tags import printable

from . import Add
from .printing import NO_TAG, Heading, columns_of, padded, plural, print_json, row_of
from .problems import Problems
from .selection import Runs, add_all, is_chosen, load_all, series_of

MOST_COLUMNS = 32  # tags are padded to at most this, so that one long tag widens only its line


def add_options(add: Add) -> None:
    add_all(add)


def run(options: Namespace, problems: Problems) -> None:
    """List the tags of each run: the kind, the number of values, the first and the last step."""
    runs = load_all(options.paths, options, problems, Tree.load_totals, options.kinds, purge=not options.all)
    rows = [
        (run, tag, kind, total)
        for run, tag, kind, total in series_of(runs)
        if kind != "file_version" or options.kinds or options.json
    ]
    width = min(max((columns_of(printable(tag)) for _, tag, _, _ in rows), default=0), MOST_COLUMNS)
    heading = Heading()
    for run, tag, kind, total in rows:
        n, first, last = total.count, total.first_step, total.last_step
        if options.json:
            row = {"tag": tag, "kind": kind, "count": n, "first_step": first, "last_step": last}
            print_json(row_of(options, runs.path[run], run, **row, hidden=total.hidden))
        else:
            heading.print(run)
            steps = "all hidden" if first is None else f"step {first}" if first == last else f"steps {first} to {last}"
            print(f"{padded(printable(tag or NO_TAG), width)}  {kind:<14}  {n:>8}  {steps}")
    if not is_chosen(options) and (rows or not problems.status):  # else load_all has reported why
        report_runs_without_values(runs, {run for run, _, kind, _ in rows if kind != "file_version"}, options, problems)


def report_runs_without_values(
    runs: Runs[list[Total]], with_values: set[str], options: Namespace, problems: Problems
) -> None:
    """Report each run without values: a note if another run has values, else an error."""
    for name, files in runs.files.items():
        files = [file for file in files if not (problems.status and problems.is_named(file))]
        if name in with_values or not files:
            continue
        where = name
        if len(options.paths) == 1:
            where = options.paths[0] if name == "." else os.path.join(options.paths[0], name)
        with suppress(Exception):  # fsspec raises other types
            empty = "" if bytes_in(files) else " (empty)"
            say = problems.note if with_values else problems.complain
            say(f"{where}: {plural(len(files), 'event file')}, no values{empty}", where)
