"""export: write the scalars as a table."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from tbc.reader.files import is_url
from tbc.reader.load import Tree

from . import Add
from .problems import Problems, UsageError
from .selection import add_all, load_all

FORMATS = ("csv", "jsonl", "parquet")


def add_options(add: Add) -> None:
    add("-o", "--output", metavar="FILE", help="write to FILE (default: standard output)")
    add("--format", choices=FORMATS, help="the format (default: by the suffix of FILE, or csv)")
    add("--wide", action="store_true", help="write a column for each tag and a row for each step")
    add_all(add)


def run(options: Namespace, problems: Problems) -> None:
    """Write the scalars as a table: a row for each value, or with --wide for each step. --json means --format jsonl."""
    from tbc.reader.export import write_csv, write_jsonl, write_parquet

    form = export_format(options)
    runs = load_all(options.paths, options, problems, Tree.load_runs, "scalar", purge=not options.all)
    if not runs:
        return
    if form == "parquet":
        write_parquet(runs, options.output, wide=options.wide)
        return
    to = sys.stdout if options.output in (None, "-") else options.output
    if form == "csv":
        write_csv(runs, to, wide=options.wide)
    else:
        write_jsonl(runs, to)


def export_format(options: Namespace) -> str:
    """Return the format to write; raise UsageError if the options contradict each other."""
    output = "" if options.output in (None, "-") else options.output
    suffix = os.path.splitext(output)[1].removeprefix(".").lower()
    asked = "jsonl" if options.json else options.format
    form = asked or (suffix if output else "csv")
    if form not in FORMATS:
        raise UsageError(f"{output}: expected a name that ends in .csv, .jsonl or .parquet, or --format")
    if asked and suffix in FORMATS and suffix != asked:
        raise UsageError(f"{output}: the name ends in .{suffix}, but the options ask for {asked}")
    if form == "parquet" and not output:
        raise UsageError("Parquet needs a file: -o FILE")
    if form != "parquet" and is_url(output):
        raise UsageError(f"{output}: only Parquet can be written to a URL")
    if form == "jsonl" and options.wide:
        raise UsageError("--wide is for CSV and Parquet")
    return form
